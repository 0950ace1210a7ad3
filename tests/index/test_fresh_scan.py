"""Scans of the fresh part under a floor: everything that belongs into a result, with exact scores."""

from __future__ import annotations

import numpy as np
import pytest

from index import bitmap, fresh_scan
from index.flat import exact_search
from index.fresh_scan import Wanted, scan

ROWS = np.array([[1, 0], [0, 1], [0.5, 0], [1, 0], [0.25, 0]], dtype=np.float32)
EAST = np.array([[1, 0]], dtype=np.float32)


def _wanted(k: int, floors: list[float], *, allowed: list[int] | None = None, num_rows: int = 5) -> Wanted:
    bits = bitmap.full(num_rows) if allowed is None else bitmap.from_rows(np.array(allowed), num_rows)
    return Wanted(k=k, floors=np.array(floors, dtype=np.float32), allowed=bits, norm=1.0)


def test_rows_that_tie_with_the_floor_or_the_last_place_are_all_there():
    assert scan(ROWS, EAST, _wanted(1, [-np.inf])).rows.tolist() == [[0, 3]]
    assert scan(ROWS, EAST, _wanted(4, [0.5])).rows.tolist() == [[0, 3, 2]]
    assert scan(ROWS, EAST, _wanted(4, [0.5], allowed=[1, 2, 3])).rows.tolist() == [[3, 2]]
    found = scan(ROWS, EAST, _wanted(4, [2.0]))
    assert (found.rows.shape, found.counts.tolist()) == ((1, 0), [0])


def test_each_query_has_its_own_floor():
    queries = np.array([[1, 0], [0, 1], [1, 0]], dtype=np.float32)
    found = scan(ROWS, queries, _wanted(2, [0.9, -np.inf, -np.inf]))
    assert found.counts.tolist() == [2, 5, 2]  # four rows tie at the second place of the second
    assert found.rows[1].tolist() == [1, 0, 2, 3, 4]
    assert found.scores[0].tolist() == [1, 1, -np.inf, -np.inf, -np.inf]


@pytest.mark.parametrize("lines_bytes", [1 << 22, 4 * 900 * 3])
@pytest.mark.parametrize("k", [1, 7, 2000])
def test_scan_has_what_exact_search_has(unit_vectors, monkeypatch, k, lines_bytes):
    monkeypatch.setattr(fresh_scan, "_LINES_BYTES", lines_bytes)
    monkeypatch.setattr(fresh_scan, "_ROOM", 8)
    vectors, queries = unit_vectors(900, 20), unit_vectors(10, 20, seed=1)
    allowed = bitmap.from_rows(np.arange(0, 900, 3), 900)
    exact = exact_search(vectors, queries, k, allowed=allowed, largest_norm=1.0)
    floors = np.array([-np.inf if query % 2 else 0.1 for query in range(10)], dtype=np.float32)
    found = scan(vectors, queries, Wanted(k=k, floors=floors, allowed=allowed, norm=1.0))
    for query in range(10):
        expected = exact.rows[query, : exact.counts[query]]
        reached = exact.scores[query, : exact.counts[query]] >= floors[query]
        count = int(reached.sum())
        np.testing.assert_array_equal(found.rows[query, :count], expected[reached])
        np.testing.assert_array_equal(found.scores[query, :count], exact.scores[query, :count])
        assert found.counts[query] >= count
        assert (found.rows[query, found.counts[query] :] == -1).all()
