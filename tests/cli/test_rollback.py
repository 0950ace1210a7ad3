"""`recall rollback` on real snapshots of real models, followed by a real server."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from index.snapshot import current, set_current
from recall.client import RecallClient
from recall.live.catalog import Catalog
from recall.live.records import ItemRecord
from recall.serving.server import RecallServer

Run = Callable[..., tuple[int, str, str]]
SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "v1"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Returns a folder with a catalogue, a model and three snapshots, of the kinds flat, hnsw and lsh."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "place"))


@pytest.fixture
def names(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "snapshots").iterdir() if path.is_dir())


def _damage(folder: Path) -> None:
    file = folder / "rows" / "ids.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def test_rollback_goes_one_back_each_time_and_to_any_by_name(run: Run, place: Path, names: list[str]) -> None:
    root = place / "snapshots"
    first, second, third = names
    assert current(root) == third
    for name in (second, first):
        code, out, err = run("rollback", "--snapshots", root)
        assert (code, out) == (0, f"{name}\n")
        assert err.startswith(f"{name} is current")
        assert current(root) == name
    code, _, err = run("rollback", "--snapshots", root)
    wanted = f"error: there is no snapshot before {first}, the current one, in {root}; name one with --to: "
    assert (code, err) == (1, f"{wanted}{third}, {second}, {first}\n")
    code, out, _ = run("rollback", "--snapshots", root, "--to", third, "--json", "-")
    assert (code, json.loads(out)) == (0, {"snapshot": third, "path": str(root / third)})
    assert current(root) == third
    assert not [path for path in root.iterdir() if path.name.startswith(".")]


def test_rollback_to_what_cannot_be_served_changes_nothing_and_names_the_others(
    run: Run, place: Path, names: list[str]
) -> None:
    root = place / "snapshots"
    first, second, third = names
    _damage(root / second)
    code, _, err = run("rollback", "--snapshots", root)
    assert (code, current(root)) == (1, third)
    assert err.startswith(
        f"error: snapshot {second} cannot be served: {root / second / 'rows' / 'ids.npy'} has SHA-256"
    )
    assert err.endswith(f"CURRENT stays as it is; name one with --to: {third}, {first}\n")
    golden = root / first / "model" / "golden.json"
    golden.write_text(golden.read_text().replace("0.", "1.", 1))
    assert run("rollback", "--snapshots", root, "--to", first)[0] == 1
    for unknown in ("000009-abc", "../snapshots"):
        code, _, err = run("rollback", "--snapshots", root, "--to", unknown)
        assert (code, err.startswith(f"error: {root / unknown} is no snapshot; name one with --to: ")) == (1, True)
    assert current(root) == third


def test_rollback_refuses_the_snapshot_of_another_catalogue_where_that_is_named(
    run: Run, place: Path, names: list[str], tmp_path: Path
) -> None:
    with Catalog.open(place / "catalog.sqlite") as catalog:
        schema = catalog.schema
    Catalog.create(tmp_path / "other.sqlite", schema).close()
    root = place / "snapshots"
    code, _, err = run("rollback", "--snapshots", root, "--catalog", tmp_path / "other.sqlite")
    assert (code, "was made from catalogue" in err, current(root)) == (1, True, names[2])
    assert run("rollback", "--snapshots", root, "--catalog", place / "catalog.sqlite")[0] == 0


def test_rollback_without_a_current_one_asks_for_a_name(
    run: Run, place: Path, names: list[str], tmp_path: Path
) -> None:
    root = place / "snapshots"
    (root / "CURRENT").write_text("nonsense\n")
    code, _, err = run("rollback", "--snapshots", root)
    assert (code, "CURRENT holds 'nonsense'" in err, "name one with --to" in err) == (1, True, True)
    (root / "CURRENT").unlink()
    code, _, err = run("rollback", "--snapshots", root)
    assert (code, "has no file CURRENT" in err) == (1, True)
    assert run("rollback", "--snapshots", root, "--to", names[0])[0] == 0
    assert current(root) == names[0]
    code, _, err = run("rollback", "--snapshots", tmp_path / "nowhere")
    assert (code, "build one with `recall rebuild`" in err) == (1, True)


def test_list_shows_what_there_is_and_what_is_damaged(run: Run, place: Path, names: list[str]) -> None:
    root = place / "snapshots"
    set_current(root, names[1])
    (root / names[0] / "manifest.json").unlink()
    code, out, _ = run("rollback", "--snapshots", root, "--list")
    header, *rows = [line.split() for line in out.splitlines()]
    assert (code, header) == (0, ["snapshot", "current", "sequence", "items", "index", "model", "problem"])
    assert [row[:5] for row in rows[:2]] == [[names[2], "no", "14", "11", "lsh"], [names[1], "yes", "14", "11", "hnsw"]]
    assert "manifest.json is missing" in out.splitlines()[3]
    value = json.loads(run("rollback", "--snapshots", root, "--list", "--json", "-")[1])
    assert [entry["is_current"] for entry in value["snapshots"]] == [False, True, False]
    assert current(root) == names[1]


def test_a_server_that_runs_follows_a_rollback_with_every_write_since(
    run: Run, place: Path, names: list[str], start_server: Callable[..., RecallServer]
) -> None:
    from recall.live.config import ServeConfig
    from recall.live.service import RecallSystem

    settings = ServeConfig(watch_interval_seconds=0.01)
    system = RecallSystem.start(place / "snapshots", place / "catalog.sqlite", settings)
    try:
        server = start_server()
        server.attach(system)
        with RecallClient(server.address) as client:
            assert client.status().snapshot == names[2]
            written = client.upsert([ItemRecord(item_id="new", features={})])
            assert run("rollback", "--snapshots", place / "snapshots")[0] == 0
            deadline = time.perf_counter() + 20
            while client.status().snapshot != names[1]:
                assert time.perf_counter() < deadline, "the server did not follow"
                time.sleep(0.01)
            status = client.status()
            assert (status.index_kind, status.sequence, status.last_switch_error) == ("hnsw", written.sequence, "")
            assert client.get("new").retrievable
    finally:
        system.close()
