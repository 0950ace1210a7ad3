"""Refusals, damage and locks of a catalogue file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from recall.errors import CatalogBusyError, CatalogError, CatalogFullError
from recall.live import catalog_file
from recall.live.catalog import Catalog
from recall.live.catalog_file import translated_errors
from recall.live.catalog_rows import meta_checksum
from recall.live.records import ItemRecord
from recall.schema import DataSchema

SCHEMA = DataSchema(name="shop")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "c.sqlite"
    with Catalog.create(path, SCHEMA) as catalog:
        catalog.put_items([ItemRecord(item_id=f"item {n}", features={"title": "word " * 40}) for n in range(200)])
    return path


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def keep_half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, "does not exist"),
        (lambda path: path.write_bytes(b""), "not an SQLite file: its 0 bytes"),
        (
            lambda path: path.write_text("item_id,title\n" * 50),
            "not an SQLite file: its 700 bytes begin with b'item_id",
        ),
        (lambda path: overwrite(path, 68, b"GPKG"), "of another program: its application id is b'GPKG'"),
        (lambda path: overwrite(path, 60, (7).to_bytes(4)), "format version 7.*reads 1 to 4: update this program"),
        (lambda path: overwrite(path, 60, (0).to_bytes(4)), "format version 0"),
        (keep_half, "is damaged: it ends at offset"),
        (lambda path: overwrite(path, 100, b"\xff" * 400), "is damaged|damaged: restore"),
    ],
)
def test_open_refuses_and_names_file_and_reason(path: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(path)

    with pytest.raises(CatalogError, match=said) as caught:
        Catalog.open(path)

    assert str(path) in str(caught.value)


def test_open_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read"):
        Catalog.open(tmp_path)


def test_open_refuses_a_data_schema_it_cannot_read(path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.create_function("meta_checksum", 2, meta_checksum)
        connection.execute("""UPDATE meta SET schema = '{"colour": 1}'""")
        connection.execute("UPDATE meta SET checksum = meta_checksum(uuid, schema)")
    connection.close()

    with pytest.raises(CatalogError, match="data schema is unreadable"):
        Catalog.open(path)


def test_damage_inside_the_file_is_reported_where_it_is_met(path: Path) -> None:
    size = path.stat().st_size
    overwrite(path, 3 * size // 4, b"\xff" * (size // 8))

    with Catalog.open(path) as catalog, pytest.raises(CatalogError, match="damaged"):
        for _ in catalog.scan_items(50):
            pass


def test_text_that_is_no_utf8_is_reported_as_damage(path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("INSERT INTO interactions VALUES (1, 'u', CAST(x'ff41' AS TEXT), 0)")
    connection.close()

    with Catalog.open(path) as catalog, pytest.raises(CatalogError, match="the file is damaged") as caught:
        catalog.popularity()

    assert str(path) in str(caught.value)


def test_create_refuses_an_existing_file_and_leaves_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")

    with pytest.raises(CatalogError, match="exists already"):
        Catalog.create(path, SCHEMA)

    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_create_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CatalogError, match="cannot be created"):
        Catalog.create(tmp_path / "file" / "c.sqlite", SCHEMA)


def test_create_makes_missing_folders_and_odd_names(tmp_path: Path) -> None:
    path = tmp_path / "new" / "50% of? ü #1.sqlite"

    with Catalog.create(path, SCHEMA) as catalog:
        assert catalog.put_items([ItemRecord(item_id="a")]) == 1

    assert list(path.parent.iterdir()) == [path]


def test_two_creators_of_one_path_do_not_overwrite_each_other(tmp_path: Path) -> None:
    created, refused = [], []

    def create() -> None:
        try:
            with Catalog.create(tmp_path / "c.sqlite", SCHEMA) as catalog:
                created.append(catalog.uuid)
        except CatalogError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(created) == 1
    assert len(refused) == 3
    with Catalog.open(tmp_path / "c.sqlite") as catalog:
        assert [catalog.uuid] == created


def test_commits_are_durable_before_they_are_acknowledged(path: Path) -> None:
    file = catalog_file.CatalogFile(path)
    with file.writing() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # 2 is FULL
    file.close()


def test_write_says_that_another_process_holds_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_file, "BUSY_TIMEOUT_SECONDS", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with Catalog.open(path) as catalog:
        with pytest.raises(CatalogBusyError, match="locked"):
            catalog.put_items([ItemRecord(item_id="x")])
        assert catalog.last_sequence() == 200
        other.execute("ROLLBACK")
        assert catalog.put_items([ItemRecord(item_id="x")]) == 201
    other.close()


def fill_up(file: catalog_file.CatalogFile) -> None:
    with file.writing() as connection:
        num_pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {num_pages}")  # SQLite reports it as it reports a full disk
        connection.execute("UPDATE counter SET sequence = 900")
        for number in range(1000):
            connection.execute("INSERT INTO users VALUES (?, zeroblob(5000), 0)", (str(number),))


def test_full_disk_is_told_apart_and_the_write_is_undone(path: Path) -> None:
    file = catalog_file.CatalogFile(path)
    with pytest.raises(CatalogFullError, match="free disk space"):
        fill_up(file)
    file.close()

    with Catalog.open(path) as catalog:
        assert catalog.last_sequence() == 200
        assert catalog.get_user("0") is None


def test_read_only_file_is_reported_with_the_cure(path: Path) -> None:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)

    with pytest.raises(CatalogError, match=f"{path}.*readonly.*writable"), translated_errors(path):
        connection.execute("UPDATE counter SET sequence = 1")
    connection.close()


def test_closed_catalogue_says_so(path: Path) -> None:
    catalog = Catalog.open(path)
    catalog.close()
    catalog.close()

    with pytest.raises(CatalogError, match="is closed"):
        catalog.last_sequence()
    with pytest.raises(CatalogError, match="is closed"):
        catalog.put_items([])
