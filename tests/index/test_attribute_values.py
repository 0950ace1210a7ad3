"""Attributes of items read from a live index, wherever an item lies."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter_oracle import SPECS, Draw
from index.attribute_growth import GrowingAttributes
from index.attributes import AttributeMap
from index.errors import InvalidQueryError
from index.flat import FlatIndex
from index.live import LiveIndex

NAMES = [spec.name for spec in SPECS]


def vectors(num_items: int) -> np.ndarray:
    return np.ones((num_items, 2), dtype=np.float32)


def live_of(items: dict[str, AttributeMap]) -> LiveIndex:
    live = LiveIndex(list(items), vectors(len(items)), FlatIndex(vectors(len(items))), sequence=0)
    columns = GrowingAttributes(SPECS)
    columns.append(list(items.values()))
    live.set_attributes(columns.frozen())
    return live


def write(live: LiveIndex, items: dict[str, AttributeMap], deleted: tuple[str, ...] = ()) -> None:
    rows = list(items.values())
    live.apply(list(items), vectors(len(rows)), deleted=deleted, sequence=live.sequence + 1, attributes=rows)


@pytest.fixture
def live() -> LiveIndex:
    made = live_of({"a": {"brand": "acme", "tags": ("new", "blue"), "price": 2}, "b": {}, "c": {"brand": "zeta"}})
    write(made, {"b": {"price": 1.5, "tags": ("é", "a")}, "d": {"brand": "acme"}}, deleted=("c",))
    return made


def test_values_come_from_base_and_fresh_part_in_the_order_of_the_items(live: LiveIndex) -> None:
    expected = {
        "tags": [None, ("a", "é"), None, ("blue", "new"), None],
        "price": [None, 1.5, None, 2.0, None],
        "brand": ["acme", None, None, "acme", None],
    }
    for _ in range(2):
        found = live.attributes_of(["d", "b", "nobody", "a", "c"], ["tags", "price", "brand"])
        assert found == expected
        assert list(found) == list(expected)
        live.merge()


def test_what_has_no_attributes_or_not_these_says_so(live: LiveIndex) -> None:
    assert live.attributes_of([], ["brand"]) == {"brand": []}
    assert live.attributes_of(["a"], []) == {}
    with pytest.raises(InvalidQueryError, match="'colour' is no column; known columns are brand"):
        live.attributes_of(["a"], ["brand", "colour"])
    plain = LiveIndex(["a"], vectors(1), FlatIndex(vectors(1)), sequence=0)
    with pytest.raises(InvalidQueryError, match="this index or snapshot holds no attributes; rebuild it"):
        plain.attributes_of(["a"], ["brand"])


def test_frozen_index_keeps_the_values_of_its_moment(live: LiveIndex) -> None:
    still = live.frozen()
    write(live, {"a": {"brand": "other"}, "d": {"price": 7}}, deleted=("b",))
    live.merge()
    assert still.attributes_of(["a", "b", "d"], ["brand", "price"]) == {
        "brand": ["acme", None, "acme"],
        "price": [2.0, 1.5, None],
    }
    assert live.attributes_of(["a", "b", "d"], ["brand", "price"]) == {
        "brand": ["other", None, None],
        "price": [None, None, 7.0],
    }


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_values_are_those_last_written_whatever_is_written_and_merged(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"{letter}{number}" for letter in "aé" for number in range(10)]
    draw = Draw(rng, names)
    items: dict[str, AttributeMap] = {name: draw.attributes() for name in sorted(rng.sample(names, 9))}
    live = live_of(items)
    for _ in range(3):
        upserts = {name: draw.attributes() for name in rng.sample(names, 5)}
        gone = tuple(name for name in rng.sample(names, 5) if name not in upserts)
        write(live, upserts, gone)
        items = {name: row for name, row in {**items, **upserts}.items() if name not in gone}
        if rng.random() < 0.3:
            live.merge()
        expected = {}
        for column in NAMES:
            values = [items.get(name, {}).get(column) for name in names]
            expected[column] = [tuple(sorted(set(v))) or None if isinstance(v, tuple) else v for v in values]
        assert live.attributes_of(names, NAMES) == expected


def test_readers_beside_a_writer_get_whole_values(live: LiveIndex) -> None:
    stop, faults = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            found = live.attributes_of(["x"], ["brand", "tags"])
            brand, tags = found["brand"][0], found["tags"][0]
            if brand is not None and tags != (f"{brand}-1", f"{brand}-2"):
                faults.append(found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(300):
        write(live, {"x": {"brand": f"b{number}", "tags": (f"b{number}-2", f"b{number}-1")}})
        if number % 100 == 50:
            live.merge()
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []
