"""Scans of the fresh part under a floor: everything that belongs into a result, with exact scores."""

from __future__ import annotations

import numpy as np
import pytest

from index import bitmap, fresh_scan, line_scan
from index.flat import exact_search
from index.fresh_codes import GrowingCodes, Near, reaching
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
    monkeypatch.setattr(line_scan, "_LEAST_ROOM", 8)
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


@pytest.mark.parametrize("dim", [3, 64, 100])
def test_codes_leave_out_no_row_that_reaches_the_floor(unit_vectors, dim):
    vectors = unit_vectors(900, dim)
    vectors[::5] *= 100  # lengths apart
    codes = GrowingCodes(dim, capacity=8)
    codes.put(0, vectors[:700])
    codes.put(5, vectors[5:700])  # again, as after a write that failed
    codes.put(700, vectors[700:])
    allowed = bitmap.from_rows(np.arange(0, 900, 3), 900)
    for query in (*unit_vectors(10, dim, seed=1), vectors[0], np.eye(dim, dtype=np.float32)[1]):
        exact = exact_search(vectors, query[None], 20, allowed=allowed, largest_norm=100.0)
        floor = exact.scores[0, -1:]
        wanted = Wanted(k=20, floors=floor, allowed=allowed, norm=100.0, codes=codes.published)
        found = scan(vectors, query[None], wanted)
        np.testing.assert_array_equal(found.rows[0, :20], exact.rows[0])
        np.testing.assert_array_equal(found.scores[0, :20], exact.scores[0])
        assert found.counts[0] <= 100
        every = np.array([-1e9], dtype=np.float32)
        rows, offsets = reaching(codes.published, query[None], every, allowed=allowed, near=Near(12, 0.0))
        assert (rows.tolist(), offsets.tolist()) == ([0, 3, 6, 9], [0, 4])


def test_query_of_zeros_reaches_a_floor_of_zero():
    codes = GrowingCodes(2)
    codes.put(0, ROWS)
    wanted = Wanted(k=5, floors=np.zeros(1, "f4"), allowed=bitmap.full(5), norm=1.0, codes=codes.published)
    assert scan(ROWS, np.zeros((1, 2), dtype=np.float32), wanted).rows.tolist() == [[0, 1, 2, 3, 4]]


def test_crowd_above_the_floor_is_thinned_to_what_is_wanted(unit_vectors):
    vectors, query = unit_vectors(900, 8), unit_vectors(1, 8, seed=1)
    codes = GrowingCodes(8)
    codes.put(0, vectors)
    floors = np.full(1, -0.9, dtype=np.float32)
    wanted = Wanted(k=5, floors=floors, allowed=bitmap.full(900), norm=1.0, codes=codes.published)
    found = scan(vectors, query, wanted)
    exact = exact_search(vectors, query, 5, allowed=None, largest_norm=1.0)
    np.testing.assert_array_equal(found.rows[0, :5], exact.rows[0])
    assert found.counts[0] < 20


def test_many_queries_are_answered_as_each_alone(unit_vectors):
    vectors, queries = unit_vectors(400, 12), unit_vectors(70, 12, seed=1)
    codes = GrowingCodes(12)
    codes.put(0, vectors)
    floors = exact_search(vectors, queries, 9, allowed=None, largest_norm=1.0).scores[:, -1].copy()
    floors[::7] = 1.5  # nothing reaches it

    def found(some: slice) -> list[list[int]]:
        wanted = Wanted(k=9, floors=floors[some], allowed=bitmap.full(400), norm=1.0, codes=codes.published)
        made = scan(vectors, queries[some], wanted)
        return [row[:count].tolist() for row, count in zip(made.rows, made.counts, strict=True)]

    together = found(slice(0, 70))
    assert together == [found(slice(i, i + 1))[0] for i in range(70)]
    assert together[0] == []
