"""Generates `recall/v1/` from `proto/recall/v1/recall.proto`. Run it after every change of the proto; commit both."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = "recall/v1/recall.proto"


def generate(out: Path) -> None:
    """Writes the message module, its type stub and the service module below `out`.

    Args:
        out: Folder that gets `recall/v1/recall_pb2.py`, `.pyi` and `recall_pb2_grpc.py`.

    Raises:
        RuntimeError: The compiler refused the proto; its own message is on stderr.
    """
    from grpc_tools import protoc

    well_known = files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{well_known}"]
    arguments += [f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}", PROTO]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"{ROOT / 'proto' / PROTO} does not compile; see the message above")


if __name__ == "__main__":
    generate(ROOT)
    sys.stderr.write(f"generated {ROOT / 'recall' / 'v1'}\n")
