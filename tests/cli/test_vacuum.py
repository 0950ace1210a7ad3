from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from recall.live.catalog import Catalog
from recall.live.catalog_writes import CatalogWrite, DeleteUsers
from recall.live.records import UserRecord
from recall.schema import DataSchema

Run = Callable[..., tuple[int, str, str]]


def test_vacuum_leaves_nothing_of_the_erased_and_says_what_it_did(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog.create(path, DataSchema(name="d")) as catalog:
        catalog.put_users([UserRecord(user_id=f"user-{n}") for n in range(5)])
        catalog.write([CatalogWrite(change=DeleteUsers(["user-3"]))])
        code, out, _ = run("vacuum", "--catalog", path, "--json", "-")
        value = json.loads(out)
        assert (code, value["log_is_empty"], value["bytes_after"]) == (0, True, path.stat().st_size)
        assert catalog.upkeep.erased_at() is None
        assert catalog.get_user("user-2") == {}
    content = path.read_bytes()
    assert (content.count(b"user-3"), b"user-2" in content) == (0, True)


def test_vacuum_of_no_catalogue_names_the_file_and_makes_none(run: Run, tmp_path: Path) -> None:
    code, _, err = run("vacuum", "--catalog", tmp_path / "none.sqlite")
    assert code == 1
    assert "none.sqlite does not exist" in err
    assert list(tmp_path.iterdir()) == []
