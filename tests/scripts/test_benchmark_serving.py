"""The serving benchmark and the checks of a loaded server: what they sum up, and their slices from start to end."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from check_endurance import _least_between, _problems
from check_h2load import _counted
from load_client import Calls
from serving_page import WANTED, ratio_rows


def test_percentiles_are_of_the_calls_that_succeeded() -> None:
    times = np.arange(1, 1001, dtype=np.int64) * 1000
    summary = Calls(microseconds=times, num_failed=3, seconds=2.0, generator_seconds=0.5).summary()
    assert (summary["calls"], summary["failed"], summary["per_second"]) == (1000, 3, 500.0)
    assert summary["p99_ms"] == pytest.approx(990, abs=1)
    assert summary["generator_busy"] == 0.25


def test_ratios_that_were_not_measured_are_said_to_be_so() -> None:
    rows = ratio_rows({"recall_over_parts": 0.9123})
    assert [row[0] for row in rows] == list(WANTED)
    assert rows[0] == ("recall_over_parts", ">= .8", "0.912")
    assert {row[2] for row in rows[1:]} == {"not measured"}


def test_memory_is_judged_between_switches() -> None:
    memory = [(0.0, 50.0), (1.0, 90.0), (2.0, 60.0), (3.0, 61.0), (4.0, 95.0), (5.0, 62.0)]
    assert _least_between(memory, [0.0, 2.0, 5.0]) == [50, 60, 62]
    value: dict[str, object] = {"failed": 0, "memory_mib": [50, 60, 67], "audited_recall": 0.995}
    assert _problems(value, judges_recall=True) == ["memory grew from 60 to 67 MiB after the first switch"]
    bad: dict[str, object] = {"failed": 2, "memory_mib": [50], "audited_recall": None}
    assert len(_problems(bad, judges_recall=True)) == 2


def test_what_h2load_writes_is_read() -> None:
    text = """
[stream_id=1] :status: 200
[stream_id=1] content-type: application/grpc
[stream_id=3] :status: 200
[stream_id=3] grpc-status: 8
[stream_id=3] grpc-message: the server has as many calls as it takes
finished in 305.05ms, 1639.21 req/s, 2.69MB/s
requests: 500 total, 500 started, 500 done, 498 succeeded, 2 failed, 0 errored, 0 timeout
status codes: 498 2xx, 0 3xx, 2 4xx, 0 5xx
traffic: 841.31KB (861503) total, 16.60KB (17000) headers (space savings 79.39%), 819.82KB (839500) data
"""
    counted = _counted(text)
    assert (counted["succeeded"], counted["failed"], counted["status_2xx"]) == (498, 2, 498)
    assert (counted["data_bytes"], counted["grpc_failures"]) == (839_500, 1)


@pytest.mark.slow
def test_quick_runs_are_whole(run_script, tmp_path):
    work = ("--quick", "--work", tmp_path / "work", "--json", "-")
    done = run_script("benchmark_serving.py", *work, "--page", tmp_path / "docs")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert set(value["ratios"]) == set(WANTED) - {"upsert_over_milvus_lite"}
    assert {row["step"] for row in value["rows"]} == {"recall", "curve", "upsert"}
    assert value["recall_at_100"] > 0.9
    (page,) = (tmp_path / "docs").glob("serving-*.md")
    assert "not measured" in page.read_text(encoding="utf-8")
    assert str(tmp_path) not in page.read_text(encoding="utf-8")
    done = run_script("check_endurance.py", *work)
    report = json.loads(done.stdout)
    assert report["switches"] == 1, done.stderr
    assert report["memory_mib"]


def test_missing_generator_of_load_is_said_to_be_missing(run_script, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run_script("check_h2load.py", "--json", "-")
    assert done.returncode == 0
    assert "apt-get install nghttp2-client" in json.loads(done.stdout)["skipped"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("h2load") is None, reason="needs h2load, of the package nghttp2-client")
def test_a_foreign_generator_of_load_is_answered(check):
    assert check("check_h2load.py", "--quick")["succeeded"] == 500
