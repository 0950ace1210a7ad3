"""`recall backup` and `recall restore` as a shell sees them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recall.live.catalog import Catalog
from recall.live.records import ItemRecord
from recall.schema import DataSchema

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    path = tmp_path / "c.sqlite"
    with Catalog.create(path, DataSchema(name="tiny")) as opened:
        opened.put_items([ItemRecord(item_id="a")])
    return path


def test_a_backup_and_its_restore_say_what_they_hold(run: Run, catalog: Path, tmp_path: Path) -> None:
    code, out, err = run("backup", "--catalog", catalog, "--out", tmp_path / "b", "--json", "-")
    made = json.loads(out)
    assert (code, err, made["backup"], made["sequence"], made["snapshot"]) == (0, "", str(tmp_path / "b"), 1, "")
    assert made["size_bytes"] == (tmp_path / "b" / "catalog.sqlite").stat().st_size
    code, out, err = run("restore", "--from", tmp_path / "b", "--catalog", tmp_path / "r.sqlite")
    assert (code, out.split()[:2], "recall rebuild" in err) == (0, ["catalog", str(tmp_path / "r.sqlite")], True)
    assert f"restored_from  {made['catalog_uuid']}" in out
    with Catalog.open(tmp_path / "r.sqlite") as restored:
        assert restored.get_item("a") is not None


def test_a_restore_over_a_catalogue_fails_in_one_line_without_the_flag(run: Run, catalog: Path, tmp_path: Path) -> None:
    run("backup", "--catalog", catalog, "--out", tmp_path / "b")
    code, out, err = run("restore", "--from", tmp_path / "b", "--catalog", catalog)
    assert (code, out, err.count("\n"), "--overwrite" in err) == (1, "", 1, True)
    assert run("restore", "--from", tmp_path / "b", "--catalog", catalog, "--overwrite")[0] == 0


def test_what_is_no_backup_fails_in_one_line(run: Run, catalog: Path, tmp_path: Path) -> None:
    code, out, err = run("restore", "--from", tmp_path, "--catalog", catalog, "--overwrite")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"{tmp_path} is no readable backup" in err
