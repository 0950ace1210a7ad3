"""The committed code in recall/v1 is what the proto generates now."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from recall.v1 import recall_pb2, recall_pb2_grpc

ROOT = Path(__file__).resolve().parents[1]
CURE = "the proto and recall/v1 differ; run `make generate` and commit both"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generates into a folder of its own; in another process, since one pool cannot hold two versions of a file."""
    out = tmp_path_factory.mktemp("generated")
    code = f"import runpy, pathlib; runpy.run_path('scripts/generate_proto.py')['generate'](pathlib.Path({str(out)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    return out / "recall" / "v1"


def _descriptor(module: Path) -> descriptor_pb2.FileDescriptorProto:
    """Reads the serialised descriptor out of a generated module without running it."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    constants = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, bytes)]
    return descriptor_pb2.FileDescriptorProto.FromString(max(constants, key=len))


@pytest.mark.slow
def test_committed_descriptor_is_the_one_the_proto_gives(generated: Path) -> None:
    committed = descriptor_pb2.FileDescriptorProto()
    recall_pb2.DESCRIPTOR.CopyToProto(committed)
    assert _descriptor(generated / "recall_pb2.py") == committed, CURE


@pytest.mark.slow
@pytest.mark.parametrize("name", ["recall_pb2.pyi", "recall_pb2_grpc.py"])
def test_committed_stubs_say_the_same(generated: Path, name: str) -> None:
    fresh, committed = (ast.parse((folder / name).read_text()) for folder in (generated, ROOT / "recall" / "v1"))
    assert _declared(fresh) == _declared(committed), CURE


def _declared(tree: ast.Module) -> dict[str, list[str]]:
    """Returns what each class declares; the rest of a stub depends on the compiler's version."""
    return {
        node.name: [ast.unparse(line) for line in node.body if isinstance(line, ast.AnnAssign | ast.FunctionDef)]
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


def test_servicer_has_every_method_of_the_service() -> None:
    methods = [method.name for method in recall_pb2.DESCRIPTOR.services_by_name["RecallService"].methods]
    declared = vars(recall_pb2_grpc.RecallServiceServicer)
    assert methods
    assert set(methods) <= set(declared), CURE
