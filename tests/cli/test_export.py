"""`recall export` as a shell sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from recall.live.catalog import Catalog
from recall.live.records import InteractionRecord, ItemRecord
from recall.schema import DataSchema, FeatureSpec
from recall.tables import DataFolder

Run = Callable[..., tuple[int, str, str]]

SCHEMA = DataSchema(name="tiny", item_features=(FeatureSpec(name="title", kind="text", domain="title"),))


def _catalog(path: Path) -> Path:
    with Catalog.create(path, SCHEMA) as catalog:
        catalog.put_items([ItemRecord(item_id="a", features={"title": "A", "colour": "red"})])
        catalog.add_interactions([InteractionRecord(user_id="u", item_id=item_id) for item_id in ("a", "gone")])
    return path


def test_export_prints_what_was_written_on_stdout_and_notices_on_stderr(run: Run, tmp_path: Path) -> None:
    catalog = _catalog(tmp_path / "c.sqlite")
    code, out, err = run("export", "--catalog", catalog, "--out", tmp_path / "data")
    assert (code, "num_items" in out, "notices" in out) == (0, True, False)
    assert err.splitlines() == [
        "notice: 1 interactions with items that are not stored are left out",
        "notice: item feature 'colour' is unknown to the schema; dataset.toml tells how to train on it",
    ]
    assert DataFolder.open(tmp_path / "data").interactions().rows() == [("u", "a", 0)]
    code, out, _ = run("export", "--catalog", catalog, "--out", tmp_path / "more", "--json", "-")
    value = json.loads(out)
    assert (value["data"], value["num_interactions"], len(value["notices"])) == (str(tmp_path / "more"), 1, 2)


def test_export_fails_in_one_line(run: Run, tmp_path: Path) -> None:
    code, _, err = run("export", "--catalog", tmp_path / "none.sqlite", "--out", tmp_path / "data")
    assert (code, err.count("\n"), "does not exist" in err) == (1, 1, True)
    code, _, err = run("export", "--catalog", _catalog(tmp_path / "c.sqlite"), "--out", tmp_path)
    assert (code, err) == (1, f"error: {tmp_path} exists; choose another folder or remove it\n")
