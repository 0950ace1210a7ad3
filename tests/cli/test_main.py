"""The commands as a shell sees them: stdout, stderr, exit code. Client commands meet a real server of this process."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from recall.cli.output import log_to_stderr
from recall.client import ItemRecord, RecallClient
from recall.serving.server import RecallServer

Run = Callable[..., tuple[int, str, str]]


def test_query_prints_items_on_stdout_and_the_rest_on_stderr(run: Run, server: RecallServer) -> None:
    code, out, err = run("query", "--target", server.address, "--user", "u1", "--limit", 2)
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["rank", "item_id", "score"],
        ["1", "a2", "1"],
        ["2", "a3", "1"],
    ]
    assert "2 items, answered from history, model bbb" in err


def test_query_takes_history_candidates_exclude_and_json(run: Run, server: RecallServer, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("b0\nb1\nb2\n")
    common = ("query", "--target", server.address, "--history", "b0", "--candidates", f"@{ids}", "--exclude", "b1")
    code, out, _ = run(*common, "--json", "-")
    assert (code, json.loads(out)["item_ids"]) == (0, ["b2"])
    file = tmp_path / "result.json"
    code, out, err = run(*common, "--include-history", "--exact", "--json", file)
    value = json.loads(file.read_text())
    assert value["item_ids"] == ["b0", "b2"]
    assert value["answered_from"] == "history"
    assert value["short_reason"] in err
    assert "b0" in out


def test_get_shows_the_window_that_an_item_has(run: Run, server: RecallServer, client: RecallClient) -> None:
    client.upsert([ItemRecord(item_id="new", features={"topic": "a"}, available_until=2**33)])
    shown = [json.loads(run("get", "--target", server.address, name, "--json", "-")[1]) for name in ("new", "a0")]
    assert [value.get("available_until") for value in shown] == [2**33, None]
    assert not any("available_from" in value for value in shown)


def test_query_takes_a_vector(run: Run, server: RecallServer, topic_direction: Callable[[str], list[float]]) -> None:
    text = ",".join(str(float(x)) for x in topic_direction("b"))
    code, out, _ = run("query", "--target", server.address, f"--vector={text}", "--limit", 1, "--json", "-")
    assert (code, json.loads(out)["item_ids"]) == (0, ["b0"])


def test_upsert_similar_get_and_delete_one_item(run: Run, server: RecallServer) -> None:
    features = '{"topic": "a", "tags": ["p"], "price": 3}'
    target = ("--target", server.address)
    code, out, err = run("upsert", *target, "--item-id", "new", "--features", features)
    assert (code, err) == (0, "")
    assert out.startswith("stored 1 items, sequence 9, model b")
    code, out, _ = run("similar", *target, "--features", features, "--limit", 5, "--json", "-")
    assert "new" in json.loads(out)["item_ids"]
    code, out, _ = run("similar", *target, "--features", features, "--by", "twins", "--json", "-")
    assert (json.loads(out)["item_ids"], json.loads(out)["scores"]) == (["new"], [1.0])
    code, out, _ = run("get", *target, "new")
    assert "features.tags  " in out
    assert "retrievable" in out
    code, out, _ = run("delete", *target, "new", "gone")
    assert (code, out) == (0, "deleted 1 of 2 items, sequence 10\n")
    code, out, err = run("get", *target, "new")
    assert (code, out) == (1, "")
    assert err.startswith("error: item 'new' is not stored")


def test_upsert_changes_single_fields_and_is_safe_to_repeat(run: Run, server: RecallServer) -> None:
    target = ("--target", server.address)
    item = ("upsert", *target, "--item-id", "new", "--request-id", "first")
    stored = [run(*item, "--features", '{"topic": "b", "price": 2}', "--json", "-") for _ in range(2)]
    assert [(code, json.loads(out)["sequence"]) for code, out, _ in stored] == [(0, 9)] * 2
    change = ("upsert", *target, "--item-id", "new", "--features", '{"price": 3}', "--available-until", 4102444800)
    assert run(*change, "--update-mask", "features.price,available_until")[0] == 0
    code, out, _ = run("get", *target, "new", "--min-sequence", 10, "--json", "-")
    reply = json.loads(out)
    assert (code, reply["features"]) == (0, {"topic": "b", "price": 3})
    assert (reply["available_until"], reply["sequence"]) == (4102444800, 10)
    assert run("delete", *target, "new", "--request-id", "last")[0] == 0
    assert "deleted 1 of 1" in run("delete", *target, "new", "--request-id", "last")[1]
    for command in (("get", "a0"), ("list-items",), ("query", "--user", "u1"), ("batch", "--users", "u1")):
        code, _, err = run(*command, *target, "--min-sequence", 99, "--timeout", 0.3)
        assert (code, "99" in err) == (1, True), command


def test_batches_of_a_file_have_request_ids_of_their_own(
    run: Run, server: RecallServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recall.cli.writing._BATCH", 2)
    file = tmp_path / "items.jsonl"
    file.write_text("".join(f'{{"item_id": "n{n}", "features": {{"topic": "a"}}}}\n' for n in range(5)))
    upsert = ("upsert", "--target", server.address, "--file", file, "--request-id", "import-1", "--json", "-")
    once, again = (json.loads(run(*upsert)[1])["sequence"] for _ in range(2))
    assert once == again


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_upsert_takes_files(run: Run, server: RecallServer, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"items.{suffix}"
    topics = [f"t{n}" for n in range(1500)]
    if suffix == "parquet":
        pl.DataFrame({"item_id": topics, "topic": topics, "tags": [["x"]] * 1500}).write_parquet(file)
    else:
        file.write_text("".join(json.dumps({"item_id": t, "features": {"topic": t}}) + "\n" for t in topics))
    code, out, err = run("upsert", "--target", server.address, "--file", file)
    assert (code, err) == (0, "")
    assert out.startswith("stored 1,500 items, sequence 1508")


def test_upsert_of_parquet_stores_attributes(run: Run, server: RecallServer, tmp_path: Path) -> None:
    file = tmp_path / "items.parquet"
    pl.DataFrame({"item_id": ["x"], "price": [3], "shop": ["south"], "topic": ["a"]}).write_parquet(file)
    assert run("upsert", "--target", server.address, "--file", file)[0] == 0
    stored = json.loads(run("get", "--target", server.address, "x", "--json", "-")[1])
    assert stored["features"] == {"price": 3.0, "topic": "a"}
    assert stored["attributes"] == {"price": 3.0, "shop": "south"}


def test_failing_file_says_what_was_written_before(run: Run, server: RecallServer, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    lines = [json.dumps({"item_id": f"i{n}"}) for n in range(1000)]
    file.write_text("\n".join([*lines, '{"item_id": "last", "features": {"price": "much"}}']))
    code, out, err = run("upsert", "--target", server.address, "--file", file)
    assert (code, out) == (1, "")
    assert "the first 1,000 items were written" in err
    assert "items[0].features.price: 'much' is not a number" in err


def test_upsert_shows_warnings_on_stderr(run: Run, server: RecallServer) -> None:
    code, _, err = run(
        "upsert", "--target", server.address, "--item-id", "x", "--features", '{"hue": 1}', "--validate-only"
    )
    assert code == 0
    assert "warning: item 'x': UNKNOWN_FEATURE" in err


def test_query_takes_a_filter_channels_and_attributes(run: Run, server: RecallServer, client: RecallClient) -> None:
    for shop in ("s", "t"):
        client.upsert([ItemRecord(item_id=f"new-{shop}", features={"topic": "a"}, attributes={"shop": shop})])
    ask = ("query", "--target", server.address, "--history", "a0", "--limit", 1, "--attributes", "shop,price")
    only_t = '{"andFilters": {"filters": [{"present": "shop"}, {"not_filter": {"inValues": %s}}]}}'
    _, out, _ = run(*ask, "--filter", only_t % '{"attribute": "shop", "strings": ["s"]}')
    assert [line.split() for line in out.splitlines()] == [
        ["rank", "item_id", "score", "shop", "price"],
        ["1", "new-t", "1", "t", "-"],
    ]
    _, out, _ = run(*ask, "--channels", "popularity,exact", "--json", "-")
    value = json.loads(out)
    assert (value["item_ids"], value["item_channels"]) == (["a1"], ["popularity"])
    assert value["attributes"] == {"shop": [None], "price": [None]}
    filtered = ("--filter", '{"equals": {"attribute": "shop", "stringValue": "s"}}')
    _, out, _ = run("similar", "--target", server.address, "--item-id", "a0", *filtered, "--json", "-")
    assert json.loads(out)["item_ids"] == ["new-s"]


def test_batch_shows_the_items_of_each_user(run: Run, server: RecallServer) -> None:
    code, out, err = run("batch", "--target", server.address, "--users", "u1,nobody", "--limit", 2)
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["user_id", "rank", "item_id"],
        ["u1", "1", "a2"],
        ["u1", "2", "a3"],
        ["nobody", "1", "a0"],
        ["nobody", "2", "a1"],
    ]
    assert (code, err.startswith("4 items for 2 users, model b")) == (0, True)
    _, out, _ = run("batch", "--target", server.address, "--users", "u1,nobody", "--json", "-")
    assert [one["answered_from"] for one in json.loads(out)["results"]] == ["history", "popularity"]


def test_explain_says_why_an_item_is_missing(run: Run, server: RecallServer) -> None:
    ask = ("explain", "--target", server.address, "--user", "u1", "--limit", 1)
    code, out, _ = run(*ask, "a2")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["is_returned", "yes"] in lines
    assert ["rank", "1"] in lines
    _, out, _ = run(*ask, "b0", "--exclude", "b0")
    assert [line.split()[:2] for line in out.splitlines()[-3:]] == [
        ["missing", "because"],
        ["excluded", "it"],
        ["below", "limit"],
    ]
    _, out, _ = run(*ask, "b0", "--json", "-")
    value = json.loads(out)
    assert (value["is_returned"], [one["reason"] for one in value["missing"]]) == (False, ["below limit"])


def test_users_and_events_are_written_and_pages_are_listed(run: Run, server: RecallServer) -> None:
    target = ("--target", server.address)
    _, out, err = run("upsert-user", *target, "new", "--features", '{"country": "nl", "hat": 1}')
    assert out.startswith("stored user 'new', sequence 9, model b")
    assert err.startswith("warning: user 'new': UNKNOWN_FEATURE")
    assert run("record", *target, "new", "b0", "b1")[1] == "recorded 2 of 2 events, sequence 10\n"
    assert json.loads(run("query", *target, "--user", "new", "--json", "-")[1])["item_ids"][:2] == ["b2", "b3"]
    assert run("delete-users", *target, "new", "gone")[1] == "erased 1 of 2 users, sequence 11\n"
    _, out, err = run("list-items", *target, "--limit", 3)
    assert [line.split()[0] for line in out.splitlines()] == ["item_id", "a0", "a1", "a2"]
    token = err.split()[-1]
    value = json.loads(run("list-items", *target, "--page", token, "--json", "-")[1])
    assert [item["item_id"] for item in value["items"]] == ["a3", "b0", "b1", "b2", "b3"]
    assert value["next_page"] == ""


def test_status_prints_lines_and_json(run: Run, server: RecallServer) -> None:
    code, out, _ = run("status", "--target", server.address)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["num_items", "8"] in lines
    assert ["lag_seconds", "0"] in lines
    assert ["audit", "-"] in lines
    _, out, _ = run("status", "--target", server.address, "--json", "-")
    assert json.loads(out)["item_features"]["tags"] == "set"


def test_status_shows_what_tuning_tried(run: Run, server: RecallServer) -> None:
    _, out, _ = run("status", "--target", server.address)
    lines = [line.split() for line in out.splitlines()]
    assert ["index_tuning.target_recall", "0.98"] in lines
    header = lines.index(["kind", "parameters", "recall", "microseconds", "resident_bytes", "build_seconds", "verdict"])
    assert lines[header + 1][:4] == ["flat", "-", "1", "-"]
    _, out, _ = run("status", "--target", server.address, "--json", "-")
    (trial,) = json.loads(out)["index_tuning"]["tried"]
    assert (trial["kind"], trial["recall"], trial["microseconds"]) == ("flat", 1.0, None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["query"],
        ["query", "--target", "h:1", "--unknown"],
        ["query", "--target", "h:1", "--limit", "many"],
        ["query", "--target", "h:1", "--features", "{"],
        ["query", "--target", "h:1", "--features", "[1]"],
        ["query", "--target", "h:1", "--vector", "1,x"],
        ["query", "--target", "h:1", "--candidates", "@/nowhere/ids"],
        ["query", "--target", "h:1", "--filter", "{"],
        ["query", "--target", "h:1", "--filter", '{"equal": {}}'],
        ["query", "--target", "h:1", "--filter", '{"notFilter": {}}'],
        ["query", "--target", "h:1", "--filter", '{"equals": {"attribute": "a"}}'],
        ["query", "--target", "h:1", "--channels", "served,best"],
        ["explain", "--target", "h:1"],
        ["batch", "--target", "h:1"],
        ["similar", "--target", "h:1"],
        ["similar", "--target", "h:1", "--item-id", "a", "--by", "name"],
        ["upsert", "--target", "h:1"],
        ["delete", "--target", "h:1"],
        ["train", "--data", "d"],
        ["evaluate", "--data", "d", "--k", "0"],
        ["evaluate", "--data", "d", "--k", "20,many"],
        ["evaluate", "--data", "d", "--channels", "nearest"],
        ["evaluate", "--data", "d", "--history", "-1"],
        ["evaluate", "--data", "d", "--history", "few"],
        ["evaluate", "--data", "d", "--channels", "served"],
        ["evaluate", "--data", "d", "--target", "h:1", "--k", "20000"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_2_and_prints_nothing_on_stdout(run: Run, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Error" in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["status", "--target", "127.0.0.1:1"], "127.0.0.1:1 cannot be reached"),
        (["load", "--data", "/nowhere", "--catalog", "c.sqlite"], "/nowhere/interactions.parquet does not exist"),
        (
            ["serve", "--snapshots", "s", "--catalog", "c", "--config", "/nowhere/s.toml"],
            "/nowhere/s.toml cannot be read",
        ),
        (["serve", "--snapshots", "s", "--catalog", "c", "--port", "99999"], "--port: port = 99999"),
    ],
)
def test_failed_job_exits_1_with_one_line(run: Run, arguments: list[str], problem: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert problem in line


@pytest.mark.parametrize(
    ("place", "problem"),
    [("missing/out", "No such file or directory"), ("file/out", "Not a directory"), ("", "Is a directory")],
)
@pytest.mark.parametrize(
    "job",
    [
        ("train", "--data", "d", "--out", "m", "--json"),
        ("load", "--data", "d", "--catalog", "c", "--json"),
        ("rebuild", "--model", "m", "--catalog", "c", "--out", "s", "--json"),
        ("evaluate", "--data", "d", "--json"),
        ("evaluate", "--data", "d", "--per-user"),
        ("upsert", "--target", "127.0.0.1:1", "--item-id", "x", "--json"),
    ],
)
def test_result_file_that_cannot_be_written_is_refused_before_the_job(
    run: Run, tmp_path: Path, job: tuple[str, ...], place: str, problem: str
) -> None:
    (tmp_path / "file").touch()
    file = tmp_path / place
    code, out, err = run(*job, file)
    assert (code, out, err) == (1, "", f"error: {file} cannot be written: {problem}; name another file\n")


def test_result_file_is_left_as_it_is_until_the_job_is_done(run: Run, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("{}")
    for file in (old, tmp_path / "new.json"):
        code, _, err = run("status", "--target", "127.0.0.1:1", "--json", file)
        assert (code, "cannot be reached" in err) == (1, True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.json", "{}")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_json_file_that_fails_at_the_end_does_not_cost_the_result(run: Run, server: RecallServer) -> None:
    code, out, err = run("status", "--target", server.address, "--json", "/dev/full")
    assert code == 1
    assert ["num_items", "8"] in [line.split() for line in out.splitlines()]
    assert err == "error: /dev/full cannot be written: No space left on device; name another file\n"


@pytest.mark.slow
def test_closed_stdout_loses_the_lines_and_nothing_else(server: RecallServer, tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    status = f"{Path(sys.executable).with_name('recall')} status --target {server.address} --json {file}"
    done = subprocess.run(["sh", "-c", f"{status} >&-"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(file.read_text())["num_items"] == 8


def test_log_tells_nothing_of_what_faiss_was_not_built_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_to_stderr("%(message)s")
        logging.getLogger("faiss.loader").info("Could not load library with AVX512 support")
        logging.getLogger("recall.live.rebuild").info("embedding 3 items")
    assert caplog.messages == ["embedding 3 items"]


def test_client_command_loads_neither_torch_nor_the_index() -> None:
    script = (
        "import sys\nfrom recall.cli.main import main\n"
        "try: main(['status', '--target', '127.0.0.1:1', '--timeout', '0.5'])\n"
        "except SystemExit: print({'torch', 'faiss', 'numba', 'polars', 'scipy'} & sys.modules.keys())"
    )
    environment = {**os.environ, "NO_COLOR": "1"}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("table", "expected"), [("", 4), ('[split]\nrule = "time"\nvalidation = 0.25\ntest = 0.25\n', 2)]
)
def test_load_leaves_out_what_a_declared_rule_holds_out(run: Run, tmp_path: Path, table: str, expected: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    pl.DataFrame({"item_id": ["a", "b", "c", "d"]}).write_parquet(data / "items.parquet")
    events = {"user_id": ["u"] * 4, "item_id": ["a", "b", "c", "d"], "timestamp": [1, 2, 3, 4]}
    pl.DataFrame(events).write_parquet(data / "interactions.parquet")
    (data / "dataset.toml").write_text(table)
    code, out, _ = run("load", "--data", data, "--catalog", tmp_path / "c.sqlite", "--json", "-")
    assert (code, json.loads(out)["num_interactions"]) == (0, expected)
