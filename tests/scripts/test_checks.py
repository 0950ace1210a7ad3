"""Small slices of the acceptance checks, with the data and the model of a small demo."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_every_unseen_item_is_found_at_once(check):
    report = check("check_cold_start.py", "--items", 100)
    assert (report["items"], report["found"], report["problems"]) == (100, 100, {})
    assert 0 < report["upsert"]["p50_ms"] <= report["upsert"]["p99_ms"]


def test_nothing_acknowledged_is_lost_by_kills_nor_anything_half_written_served(check):
    report = check("check_kill.py", "--rounds", 5)
    assert (report["kills"], report["switches"]) == (5, 2)
    assert report["merges"] > 0
    assert report["acknowledged_writes"] > 0
    assert report["item_checks"] > 1000
    assert report["differences"] == []


def test_nothing_acknowledged_is_missing_while_the_model_is_switched(check):
    report = check("check_switch.py", "--switches", 1)
    assert report["switches"] == 1
    assert report["acknowledged_writes"] > 0
    assert report["item_checks"] > 1000
    assert report["differences"] == []


def test_server_gives_the_figures_of_its_model(check):
    report = check("check_served_quality.py", "--candidates", "all", "--kinds", "flat,hnsw")
    assert report["problems"] == []
    found = [(c["candidates"], c["kind"], c["channel"], c["must_agree"]) for c in report["comparisons"]]
    assert found == [
        ("all", "flat", "served", True),
        ("all", "flat", "exact", True),
        ("all", "hnsw", "served", False),
        ("all", "hnsw", "exact", True),
    ]
    assert all(c["same_lists"] >= 0.99 for c in report["comparisons"] if c["must_agree"])
    assert all(row["users"] > 0 and 0 < row["offline"] <= 1 for row in report["rows"] if row["slice"] == "all")


def test_damaged_snapshots_are_caught_and_older_ones_served(check):
    report = check("check_snapshot_damage.py", "--rounds", 40, "--kinds", "flat,lsh,hnsw")
    assert (report["rounds"], report["problems"]) == (40, [])
    assert report["caught"] >= 30
    assert report["caught"] + report["harmless"] == 40
    assert all(tally["harmless"] == 0 for what, tally in report["by_damage"].items() if what in ("bits flipped",))


def test_tuning_reaches_its_target_on_data_that_it_was_not_written_for(run_script):
    result = run_script("check_tune.py", "--quick", "--json", "-")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["problems"] == []
    assert len(report["sets"]) == 5
    assert all(row["held_out_recall"] >= 0.97 for row in report["sets"])  # against exact search


def running_commands():
    """Returns the command lines of this machine's processes, where the system shows them as files."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            lines.append(file.read_text(errors="replace"))
    return lines


def test_stopped_check_leaves_neither_server_nor_files(demo_folder, tmp_path):
    script = Path(__file__).resolve().parents[2] / "scripts" / "check_kill.py"
    source = ("--data", demo_folder / "data", "--model", demo_folder / "model")
    command = [sys.executable, str(script), *map(str, source)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        assert process.stderr is not None
        assert any(line.startswith("round 1 of 200") for line in process.stderr)
        assert list(tmp_path.iterdir())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert not [line for line in running_commands() if str(tmp_path) in line]
