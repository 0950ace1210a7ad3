"""Columns of a new base from those of its parts."""

from __future__ import annotations

import numpy as np

from index import bitmap
from index.attribute_growth import GrowingAttributes
from index.attribute_joins import Placed, joined
from index.attributes import ColumnSpec

SPECS = [ColumnSpec(name="tags", kind="set"), ColumnSpec(name="price", kind="number")]


def test_rows_of_two_parts_come_to_their_places():
    base, fresh = GrowingAttributes(SPECS), GrowingAttributes(SPECS)
    base.append([{"tags": ["x", "é"], "price": 1}, {"tags": ["gone"]}, {}])
    fresh.append([{"tags": ["é"]}, {"tags": ["dead"], "price": 7}, {"tags": ["", "x"], "price": 2}])
    made = joined(
        [
            Placed(attributes=base.frozen(), rows=np.array([0, 2]), places=np.array([1, 3])),
            Placed(attributes=fresh.until(3), rows=np.array([2, 0]), places=np.array([0, 2])),
        ]
    )
    tags, price = made.columns
    rows = {label: bitmap.to_rows(tags.any_of([label]), 4).tolist() for label in ("x", "é", "", "gone", "dead")}
    assert rows == {"x": [0, 1], "é": [1, 2], "": [0], "gone": [], "dead": []}
    assert bitmap.to_rows(tags.present(), 4).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(price.values, [2, 1, np.nan, np.nan])
    assert (made.num_rows, made.specs) == (4, tuple(SPECS))
    assert tags.label_bytes.tobytes() == "xé".encode()  # a label that nothing has is not kept


def test_nothing_joins_to_nothing():
    nothing = np.empty(0, dtype=np.int64)
    parts = [Placed(attributes=GrowingAttributes(SPECS).until(0), rows=nothing, places=nothing)]
    made = joined(parts)
    assert made.num_rows == 0
    assert made.columns[0].any_of(["x"]).size == 0
