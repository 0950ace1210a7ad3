"""Several servers on one catalogue: each follows the others, and none goes on with a file that is not its own."""

from __future__ import annotations

import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from recall.errors import CatalogError
from recall.live.catalog import Catalog
from recall.live.query import SimilarQuery

JAZZ = SimilarQuery(features={"topic": "jazz"})


def execute(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_servers_that_write_at_once_take_distinct_numbers_and_end_alike(deployment, make_item):
    deployment.rebuild()

    def write(system, name):
        sequences = [system.upsert([make_item(f"{name}{n}", "jazz")]).sequence for n in range(20)]
        return [*sequences, system.delete([f"{name}0"]).sequence]

    with deployment.serving() as one, deployment.serving() as two, ThreadPoolExecutor(4) as pool:
        written = [pool.submit(write, system, name) for system, name in zip((one, two) * 2, "abcd", strict=True)]
        numbers = [task.result() for task in written]
        assert sorted(n for some in numbers for n in some) == list(range(1, 85))
        assert all(some == sorted(some) for some in numbers)
        for system in (one, two):
            system.wait_for(84, timeout_seconds=5)
            found = system.similar(JAZZ)
            assert found.item_ids == sorted(f"{name}{n}" for name in "abcd" for n in range(1, 20))
            assert found.sequence == 84


def test_a_write_of_one_server_is_part_of_what_the_next_write_of_another_reflects(deployment, make_item):
    deployment.rebuild()
    with deployment.serving(follow_interval_seconds=60) as one, deployment.serving(follow_interval_seconds=60) as two:
        one.upsert([make_item("a", "jazz")])
        assert two.similar(JAZZ).sequence == 0
        assert two.upsert([make_item("b", "jazz")]).sequence == 2
        assert two.similar(JAZZ).item_ids == ["a", "b"]


def test_a_catalogue_that_is_replaced_is_refused_by_the_server_that_opened_it(deployment, tmp_path, make_item):
    deployment.rebuild()
    with deployment.serving(follow_interval_seconds=60) as system:
        system.upsert([make_item("a", "jazz")])
        shutil.copy(deployment.catalog_path, tmp_path / "copy")
        os.replace(tmp_path / "copy", deployment.catalog_path)
        with pytest.raises(CatalogError, match=r"catalog.sqlite was moved or replaced while it was open"):
            system.upsert([make_item("b", "jazz")])
        assert system.similar(JAZZ).item_ids == ["a"]
        deployment.catalog_path.unlink()
        with pytest.raises(CatalogError, match="was moved or replaced"):
            system.get("a")


def test_a_catalogue_that_a_newer_program_changed_takes_no_write_of_an_older_one(deployment, make_item):
    deployment.rebuild()
    with deployment.serving(follow_interval_seconds=60) as system:
        system.upsert([make_item("a", "jazz")])
        execute(deployment.catalog_path, "PRAGMA user_version = 5")
        with pytest.raises(CatalogError, match=r"version 5 now, and 4 when it was opened.*update this one"):
            system.upsert([make_item("b", "jazz")])
        assert system.similar(JAZZ).item_ids == ["a"]
        execute(deployment.catalog_path, "PRAGMA user_version = 4")
        assert system.upsert([make_item("b", "jazz")]).sequence == 2


def test_an_older_copy_of_the_catalogue_is_refused_beside_a_newer_index(deployment, catalog, tmp_path, make_item):
    catalog.put_items([make_item("a", "jazz")])
    with closing(sqlite3.connect(deployment.catalog_path)) as source, closing(sqlite3.connect(tmp_path / "c")) as copy:
        source.backup(copy)
    catalog.put_items([make_item("b", "jazz")])
    deployment.rebuild()
    said = r"ends with write 1, and the index reflects 2 writes.*rebuild from this one"
    with deployment.serving(follow_interval_seconds=60) as system:
        with closing(sqlite3.connect(tmp_path / "c")) as copy, closing(sqlite3.connect(catalog.path)) as target:
            copy.backup(target)  # in place, as no rename would do it
        with pytest.raises(CatalogError, match=said):
            system.delete(["unknown"])
    with pytest.raises(CatalogError, match=said), deployment.serving():
        pass
    with Catalog.open(deployment.catalog_path) as restored:
        assert restored.num_items() == 1
