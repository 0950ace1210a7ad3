"""`recall rebuild` as a process: what it tells, and what it leaves when it is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from index.snapshot import current
from recall.live.catalog import Catalog
from recall.live.records import ItemRecord
from recall.live.snapshot import load_generation

Run = Callable[..., tuple[int, str, str]]
SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "v1"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "RECALL_REBUILD_INDEX__KIND": "flat"}
NUM_ITEMS = 10_000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLE, tmp_path / "place"))


def _arguments(place: Path) -> list[str]:
    folders = {"--model": "model", "--catalog": "catalog.sqlite", "--out": "snapshots"}
    return [text for flag, name in folders.items() for text in (flag, str(place / name))]


def _left(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "snapshots").iterdir() if path.name != ".rebuild.lock")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "state"), [(signal.SIGTERM, 143, "embedding 10012 items"), (signal.SIGINT, 130, "writing")]
)
def test_a_stopped_rebuild_leaves_nothing_half_written(place: Path, number: int, code: int, state: str) -> None:
    with Catalog.open(place / "catalog.sqlite") as catalog:
        catalog.put_items([ItemRecord(item_id=f"more-{n}", features={}) for n in range(NUM_ITEMS)])
    before = _left(place)
    command = [str(Path(sys.executable).with_name("recall")), "rebuild", *_arguments(place)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith(state))
        process.send_signal(number)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    left = _left(place)
    assert not [name for name in left if name.startswith(".")], err
    if left == before:
        assert (process.returncode, current(place / "snapshots")) == (code, "000003-0bb779606f31")
    else:  # it came too late: the last step, a rename, was done
        assert state == "writing"
        load_generation(place / "snapshots" / left[-2], lineage=None)


def test_rebuild_tells_its_states_and_what_it_removed(run: Run, place: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "recall.live.rebuild"):
        code, out, _ = run("rebuild", *_arguments(place))
    name = current(place / "snapshots")
    assert (code, out) == (0, f"{place / 'snapshots' / str(name)}\n")
    said = [record.getMessage() for record in caplog.records if record.name == "recall.live.rebuild"]
    assert said[0] == "embedding 12 items"
    assert said[-3].startswith("index: ")
    assert said[-4:] == [
        "building the index of 11 items",
        said[-3],
        f"writing {place / 'snapshots' / str(name)}",
        f"{name} is current; removed: 000001-0bb779606f31",
    ]
