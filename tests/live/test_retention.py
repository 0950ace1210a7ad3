"""What a catalogue keeps how long: tombstones, interactions; and what is refused once something is gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from recall.errors import CatalogError
from recall.live import retention
from recall.live.catalog import Catalog
from recall.live.config import ServeConfig
from recall.live.records import InteractionRecord
from recall.live.retention import Retention, Sweep
from recall.live.vacuum import Vacuum

DAY = 86_400
MONTH = 30 * DAY


def counted(catalog: Catalog, table: str) -> int:
    connection = sqlite3.connect(catalog.path)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


def num_tombstones(catalog: Catalog) -> int:
    return counted(catalog, "items WHERE deleted = 1")


@pytest.fixture
def sweep() -> Sweep:
    return Sweep(Retention(tombstone_seconds=MONTH))


def test_a_tombstone_is_removed_once_its_span_is_over_and_not_before(
    catalog: Catalog, sweep: Sweep, make_item: Callable[..., Any]
) -> None:
    catalog.put_items([make_item("a"), make_item("b"), make_item("c")])
    catalog.delete_items(["a"])
    catalog.upkeep.sweep(sweep, now=1_000)
    catalog.delete_items(["b"])
    catalog.put_items([make_item("c")])
    catalog.upkeep.sweep(sweep, now=1_000 + DAY)
    catalog.upkeep.sweep(sweep, now=999 + MONTH)
    assert num_tombstones(catalog) == 2
    catalog.upkeep.sweep(sweep, now=1_000 + MONTH)
    assert num_tombstones(catalog) == 1
    catalog.upkeep.sweep(sweep, now=1_000 + DAY + MONTH)
    assert num_tombstones(catalog) == 0
    assert catalog.last_sequence() == 6
    assert [item.item_id for item in catalog.changes(5, limit=9)] == ["c"]


def test_the_last_write_of_an_item_stays_whatever_it_was(
    catalog: Catalog, sweep: Sweep, make_item: Callable[..., Any]
) -> None:
    catalog.put_items([make_item("a"), make_item("b")])
    catalog.delete_items(["a", "b"])
    for now in (0, MONTH):
        catalog.upkeep.sweep(sweep, now=now)
    assert num_tombstones(catalog) == 1
    assert catalog.last_sequence() == 4
    assert catalog.put_items([make_item("a")]) == 5


def test_what_reflects_less_than_a_removed_tombstone_is_refused(
    deployment: Any, catalog: Catalog, sweep: Sweep, make_item: Callable[..., Any]
) -> None:
    catalog.put_items([make_item("a", "jazz"), make_item("b", "jazz")])
    deployment.rebuild()
    catalog.delete_items(["a"])
    catalog.put_items([make_item("c", "jazz")])
    for now in (0, MONTH):
        catalog.upkeep.sweep(sweep, now=now)
    with pytest.raises(CatalogError, match=r"no deletions up to write 3 any more, and an index reflects write 2 only"):
        catalog.changes(2, limit=9)
    with pytest.raises(CatalogError, match="rebuild"), deployment.serving():
        pass
    deployment.rebuild()
    with deployment.serving() as system:
        assert sorted(system.generation.index.item_ids()) == ["b", "c"]


def test_tombstones_go_in_pieces_in_the_order_of_their_writes(
    catalog: Catalog, sweep: Sweep, make_item: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MOST_TOMBSTONES_AT_ONCE", 2)
    catalog.put_items([make_item(name) for name in "abcde"])
    catalog.delete_items(list("abcd"))
    catalog.put_items([make_item("e")])
    catalog.upkeep.sweep(sweep, now=0)
    catalog.upkeep.sweep(sweep, now=MONTH)
    assert [item.item_id for item in catalog.changes(7, limit=9)] == ["c", "d", "e"]
    catalog.upkeep.sweep(sweep, now=MONTH)
    assert num_tombstones(catalog) == 0


def test_interactions_with_a_time_go_once_their_span_is_over_and_others_stay(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_INTERACTIONS_AT_ONCE", 2)
    times = {"old": 10, "timeless": 0, "edge": 50, "older": 9, "new": 90}
    catalog.add_interactions([InteractionRecord(user_id="u", item_id=i, timestamp=t) for i, t in times.items()])
    sweep = Sweep(Retention(tombstone_seconds=MONTH, interaction_seconds=50))
    left = []
    for now in (100, 100, 100, 101, 101):  # two insertion numbers each time, from 0 on, and then again
        catalog.upkeep.sweep(sweep, now=now)
        left.append(times.keys() - set(catalog.history("u", 9)))
    assert left == [{"old"}, {"old"}, {"old", "older"}, {"old", "older"}, {"old", "older", "edge"}]


def test_a_serving_process_sweeps_with_the_configured_spans(
    catalog: Catalog, make_item: Callable[..., Any], until: Callable[[Callable[[], bool]], None]
) -> None:
    catalog.put_items([make_item("a"), make_item("b")])
    catalog.delete_items(["a"])
    catalog.put_items([make_item("b")])
    catalog.add_interactions([InteractionRecord(user_id="u", item_id="b", timestamp=1_000_000)])
    now = [1_000_100.0]
    config = ServeConfig(vacuum_interval_seconds=0.005, tombstone_seconds=3_600, interaction_seconds=7_200)
    vacuum = Vacuum(catalog, config=config, clock=lambda: now[0])
    try:
        until(lambda: counted(catalog, "moments") == 1)
        assert num_tombstones(catalog) == 1
        now[0] += 3_600
        until(lambda: num_tombstones(catalog) == 0)
        assert catalog.history("u", 1) == ("b",)
        now[0] += 3_600
        until(lambda: catalog.history("u", 1) == ())
    finally:
        vacuum.close(timeout_seconds=5)
