"""What a contender keeps in memory, measured in a process of its own.

    python scripts/index_memory.py .benchmarks/index/clustered-64-500000 'faiss HNSW'

Its code is loaded and run on a small set first, so that what libraries take themselves is not counted; then its
structure is read from the folder of the set and every query is searched. Counted is by how much resident memory grew:
*anonymous* bytes, and *mapped* ones, pages of files that were read and that the system may drop. On Linux only.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from index_contenders import Contender, OwnKind, built_folder, contenders
from index_data import K, VectorSet, clustered, open_set
from index_measure import limited
from index_rivals import Built
from job import run
from kept import Json
from recall.cli.output import print_lines
from recall.errors import DataError

_SMALL_ROWS = 4_000


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of a set.")],
    name: Annotated[str, typer.Argument(help="Contender.")],
) -> None:
    """Print the bytes as JSON."""
    found = [one for one in contenders()[0] if one.name == name]
    if not found:
        raise DataError(f"contender is {name!r}; want one of {', '.join(one.name for one in contenders()[0])}")
    with limited(1):
        print_lines([json.dumps(_grown(open_set(folder), found[0]))])


def in_own_process(data: VectorSet, contender: Contender) -> Json:
    """Returns `anonymous_bytes`, `mapped_bytes` and `resident_bytes`, what an index of ours says itself (else 0).

    Raises:
        DataError: The process failed.
    """
    command = [sys.executable, __file__, str(data.folder), contender.name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise DataError(f"{' '.join(command)} exits with {done.returncode}: {done.stderr[-2000:]}")
    value: Json = json.loads(done.stdout)
    return value


def _grown(data: VectorSet, contender: Contender) -> Json:
    small = clustered(_SMALL_ROWS, data.vectors.shape[1])
    with tempfile.TemporaryDirectory() as temporary:
        warm = contender.build(small)
        warm.save(Path(temporary))
        _search_all(contender.load(Path(temporary), small), data)
    del warm
    gc.collect()
    before = _resident()
    built = contender.load(built_folder(data, contender), data.vectors)
    _search_all(built, data)
    gc.collect()
    after = _resident()
    return {
        "anonymous_bytes": after["RssAnon"] - before["RssAnon"],
        "mapped_bytes": after["RssFile"] - before["RssFile"],
        "resident_bytes": built.index.resident_bytes() if isinstance(built, OwnKind) else 0,
    }


def _search_all(built: Built, data: VectorSet) -> None:
    search = built.at({name: values[len(values) // 2] for name, values in built.axes().items()}, threads=1)
    for i in range(len(data.queries)):
        search(data.queries[i : i + 1], K)


def _resident() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    parts = (line.split() for line in lines if line.startswith("Rss"))
    return {name.rstrip(":"): int(kibibytes) * 1024 for name, kibibytes, _ in parts}


if __name__ == "__main__":
    run(main)
