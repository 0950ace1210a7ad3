"""Starts `milvus_inserts.py` in a Python that has milvus-lite, and has it insert."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType

from recall.errors import RecallError


class MilvusInserts:
    """A collection of its own in a process of its own. As a context it is ended at the end."""

    def __init__(self, python: Path, file: Path, *, dim: int) -> None:
        """Makes the collection.

        Args:
            python: Interpreter with pymilvus and milvus-lite.
            file: The database, which does not exist.
            dim: Length of a vector.

        Raises:
            RecallError: It cannot.
        """
        script = Path(__file__).with_name("milvus_inserts.py")
        arguments = [str(python), str(script), str(file), str(dim)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self._read()

    def __enter__(self) -> MilvusInserts:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()

    def insert(self, count: int) -> float:
        """Inserts new vectors in one call and returns the seconds that it took."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return float(self._read()["seconds"])

    def _read(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RecallError(f"milvus-lite ended with {self._process.wait()}; run scripts/milvus_inserts.py by hand")
        value: dict[str, float] = json.loads(line)
        return value
