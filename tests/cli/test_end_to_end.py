"""The whole path with real processes: train, load, rebuild, serve, ask, write, stop."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recall.client import ItemRecord, RecallClient, RecallQuery, RetryPolicy, SimilarBy, SimilarQuery

RECALL = [str(Path(sys.executable).with_name("recall"))]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
NUM_USERS, NUM_ITEMS, PICKS = 40, 60, 6


def _recall(*arguments: object, code: int = 0) -> str:
    result = subprocess.run(
        [*RECALL, *map(str, arguments)], capture_output=True, text=True, timeout=280, env=ENVIRONMENT
    )
    assert result.returncode == code, result.stderr
    return result.stdout if code == 0 else result.stderr


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tastes: user and item numbers of equal parity go together, and the tag says so. All of it, ready to serve."""
    folder = tmp_path_factory.mktemp("end-to-end")
    data = folder / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    picks = [rng.choice(NUM_ITEMS // 2, PICKS, replace=False) * 2 + user % 2 for user in range(NUM_USERS)]
    users = [f"u{user}" for user in range(NUM_USERS) for _ in range(PICKS)]
    items = [f"i{item}" for chosen in picks for item in chosen]
    parts = (["train"] * (PICKS - 1) + ["test"]) * NUM_USERS
    pl.DataFrame({"user_id": users, "item_id": items, "split": parts}).write_parquet(data / "interactions.parquet")
    tags = [["odd" if item % 2 else "even", f"t{item % 6}"] for item in range(NUM_ITEMS)]
    ids = [f"i{item}" for item in range(NUM_ITEMS)]
    pl.DataFrame({"item_id": ids, "tags": tags}).write_parquet(data / "items.parquet")
    config = folder / "train.toml"
    config.write_text("epochs = 3\nbatch_size = 64\nthreads = 1\n[loss]\nuniform_negatives = 32\n")
    _recall("train", "--data", data, "--out", folder / "model", "--config", config, "--device", "cpu", "--seed", 1)
    _recall("load", "--data", data, "--catalog", folder / "catalog.sqlite")
    rebuild = ("--model", folder / "model", "--catalog", folder / "catalog.sqlite", "--out", folder / "snapshots")
    _recall("rebuild", *rebuild)
    return folder


@contextmanager
def _server(folder: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = ["serve", "--snapshots", str(folder / "snapshots"), "--catalog", str(folder / "catalog.sqlite")]
    process = subprocess.Popen(
        [*RECALL, *command, "--port", "0", *arguments], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        assert process.stderr is not None
        address = next(m[1] for line in process.stderr if (m := re.match(r"serving on (\S+)$", line)))
        yield address, process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_item_written_to_a_running_server_is_recalled_until_it_is_deleted(workplace: Path) -> None:
    features = '{"tags": ["odd", "t1"]}'
    with _server(workplace) as (address, process):
        target = ("--target", address)
        query = ("query", *target, "--user", "u1", "--limit", NUM_ITEMS + 1, "--json", "-")
        assert "stored 1 items" in _recall("upsert", *target, "--item-id", "new", "--features", features)
        found = json.loads(_recall(*query))
        assert found["answered_from"] == "history"
        assert "new" in found["item_ids"]
        similar = ("similar", *target, "--features", features, "--limit", 10, "--json", "-")
        assert "new" in json.loads(_recall(*similar))["item_ids"]
        twins = ("similar", *target, "--item-id", "new", "--by", "twins", "--limit", NUM_ITEMS, "--json", "-")
        assert json.loads(_recall(*twins))["item_ids"] == sorted(f"i{n}" for n in range(1, NUM_ITEMS, 6))
        assert "deleted 1 of 1" in _recall("delete", *target, "new")
        assert _recall(*twins, code=1).startswith("error: item 'new' is not retrievable")
        assert "new" not in json.loads(_recall(*query))["item_ids"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


@pytest.mark.slow
def test_twins_are_found_at_once_after_a_restart_and_after_a_rebuild(workplace: Path) -> None:
    """Every sixth item has the tags of i1; a write is followed by its twins in a killed and in a new process."""
    same = [f"i{n}" for n in range(1, NUM_ITEMS, 6)]
    record = ItemRecord(item_id="twin", features={"tags": ("odd", "t1")})
    question = SimilarQuery(item_id="i1", by=SimilarBy.TWINS)
    with_twin = sorted([*same[1:], "twin"])
    with _server(workplace) as (address, _), RecallClient(address) as client:
        assert client.similar(question).item_ids == sorted(same[1:])
        client.upsert([record])
        assert client.similar(question).item_ids == with_twin
    with _server(workplace) as (address, _), RecallClient(address) as client:
        assert client.similar(question).item_ids == with_twin
        folders = ("--catalog", workplace / "catalog.sqlite", "--out", workplace / "snapshots")
        name = json.loads(_recall("rebuild", "--model", workplace / "model", *folders, "--json", "-"))["snapshot"]
        deadline = time.perf_counter() + 20
        while client.status().snapshot != name and time.perf_counter() < deadline:
            time.sleep(0.1)
        assert (client.status().snapshot, client.status().num_fresh) == (name, 0)
        assert client.similar(question).item_ids == with_twin
        client.delete(["twin"])
        assert client.similar(question).item_ids == sorted(same[1:])


@pytest.mark.slow
def test_client_outlives_the_kill_of_its_server_and_a_new_one_on_the_port(workplace: Path) -> None:
    patient = RetryPolicy(attempts=1_000, first_seconds=0.05, most_seconds=0.5)
    with _server(workplace) as (address, process), RecallClient(address, timeout_seconds=250, retry=patient) as client:
        written = client.upsert([ItemRecord(item_id="before", features={"tags": ("odd", "t1")})]).sequence
        process.kill()
        process.wait()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.delete, ["before"])  # finds nobody, and goes on asking
            with _server(workplace, "--port", address.rpartition(":")[2]) as (again, _):
                assert again == address
                assert (waiting.result().sequence, waiting.result().num_deleted) == (written + 1, 1)
                assert client.status().sequence == written + 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_server_that_is_stopped_while_it_loads_ends_cleanly(workplace: Path, number: int, code: int) -> None:
    folders = ["--snapshots", str(workplace / "snapshots"), "--catalog", str(workplace / "catalog.sqlite")]
    command = [*RECALL, "serve", *folders, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("configuration: ")
        process.send_signal(number)
        messages = process.stderr.read()
        assert (process.wait(timeout=60), "Traceback" in messages, "stats" in messages) == (code, False, False)


@pytest.mark.slow
def test_rebuild_reaches_a_running_server_and_both_evaluate_alike(workplace: Path, tmp_path: Path) -> None:
    file = tmp_path / "more.parquet"
    pl.DataFrame({"item_id": ["more"], "tags": [["odd"]]}).write_parquet(file)
    with _server(workplace) as (address, process), RecallClient(address) as client:
        before = client.status()
        folders = ("--catalog", workplace / "catalog.sqlite", "--out", workplace / "snapshots")
        built = _recall("rebuild", "--model", workplace / "model", *folders, "--items", file, "--json", "-")
        snapshot = json.loads(built)["snapshot"]
        deadline = time.perf_counter() + 20
        while client.status().snapshot != snapshot and time.perf_counter() < deadline:
            time.sleep(0.1)
        after = client.status()
        assert after.snapshot == snapshot != before.snapshot
        assert after.num_items == before.num_items + 1
        assert client.get("more").retrievable
        evaluate = ("evaluate", "--data", workplace / "data", "--k", "10", "--channels", "exact", "--json", "-")
        remote = json.loads(_recall(*evaluate, "--target", address))
        local = json.loads(_recall(*evaluate, "--snapshot", workplace / "snapshots"))
        assert remote == local
        (recall,) = [r for r in local["rows"] if (r["slice"], r["metric"]) == ("all", "recall")]
        assert recall["users"] == NUM_USERS
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


@pytest.mark.slow
def test_second_server_on_the_port_fails_with_one_clear_line(workplace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        folders = ("--snapshots", workplace / "snapshots", "--catalog", workplace / "catalog.sqlite")
        stderr = _recall("serve", *folders, "--port", port, code=1)
    assert f"error: cannot listen on 127.0.0.1:{port}" in stderr
    assert "Traceback" not in stderr


@pytest.mark.slow
def test_recommended_items_are_those_that_a_server_returns(workplace: Path, tmp_path: Path) -> None:
    sources = ("--data", workplace / "data", "--snapshot", workplace / "snapshots")
    summary = json.loads(_recall("recommend", *sources, "--out", tmp_path / "best.parquet", "--k", 10, "--json", "-"))
    assert (summary["num_users"], summary["num_rows"]) == (NUM_USERS, 10 * NUM_USERS)
    table = pl.read_parquet(tmp_path / "best.parquet")
    with _server(workplace) as (address, _), RecallClient(address) as client:
        for (user_id,), rows in table.group_by("user_id"):
            result = client.recall(RecallQuery(user_id=str(user_id), limit=10))
            assert rows["item_id"].to_list() == result.item_ids
            np.testing.assert_allclose(rows["score"].to_numpy(), result.scores, atol=1e-6)
            assert rows["answered_from"].unique().to_list() == [result.answered_from.value]


@pytest.mark.slow
def test_exported_catalogue_is_trained_on_from_the_weights_of_the_last_model(workplace: Path, tmp_path: Path) -> None:
    exported = json.loads(
        _recall("export", "--catalog", workplace / "catalog.sqlite", "--out", tmp_path / "data", "--json", "-")
    )
    assert exported["num_interactions"] == NUM_USERS * (PICKS - 1)
    config = tmp_path / "train.toml"
    settings = (workplace / "train.toml").read_text().replace("epochs = 3", "epochs = 1")
    config.write_text(f'warm_start = "{workplace / "model"}"\n{settings}')
    out = ("--out", tmp_path / "model", "--config", config, "--device", "cpu")
    _recall("train", "--data", tmp_path / "data", *out, "--seed", 1)
    other = (*out[2:], "--out", tmp_path / "other", "--seed", 2)
    assert "seed is 1 there and 2 here" in _recall("train", "--data", tmp_path / "data", *other, code=1)
    manifests = [folder / "model" / "manifest.json" for folder in (workplace, tmp_path)]
    facts = [json.loads(manifest.read_text())["training"] for manifest in manifests]
    assert facts[1]["warm_start"]
    assert facts[1]["num_items"] == exported["num_items"] >= NUM_ITEMS


@pytest.mark.slow
def test_server_that_logs_json_writes_nothing_else_and_serves_metrics_beside(workplace: Path) -> None:
    command = ["serve", "--snapshots", str(workplace / "snapshots"), "--catalog", str(workplace / "catalog.sqlite")]
    settings = {"RECALL_SERVE_LOG__FORMAT": "json", "RECALL_SERVE_METRICS__PORT": "0"}
    process = subprocess.Popen(
        [*RECALL, *command, "--port", "0"], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT | settings
    )
    try:
        assert process.stderr is not None
        lines = []
        while not lines or not lines[-1]["message"].startswith("serving on "):
            lines.append(json.loads(process.stderr.readline()))
        (url,) = (line["message"].split()[-1] for line in lines if line["message"].startswith("metrics on "))
        with urllib.request.urlopen(url, timeout=10) as reply:
            assert "\nrecall_serving 1.0\n" in reply.read().decode()
        process.send_signal(signal.SIGTERM)
        lines += [json.loads(line) for line in process.stderr]
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
    assert lines[0]["message"].startswith("configuration: {")
    assert lines[-1]["message"] == "stopped"
    assert all({"time", "level", "logger", "message"} == line.keys() for line in lines)
