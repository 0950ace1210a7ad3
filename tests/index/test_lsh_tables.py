from __future__ import annotations

from itertools import pairwise

import numpy as np

from index.lsh_tables import Tables


def _contents(tables: Tables, num_rows: int) -> list[list[list[int]]]:
    """Returns the rows of each bucket of each table, read from buckets and lists, ascending."""
    found = []
    for table in range(tables.offsets.shape[0]):
        line = []
        for bucket in range(tables.offsets.shape[1] - 1):
            rows = tables.entries[table, tables.offsets[table, bucket] : tables.offsets[table, bucket + 1]].tolist()
            row = int(tables.heads[table, bucket]) if tables.heads.size else -1
            while row >= 0:
                rows.append(row)
                row = int(tables.following[row - tables.num_packed, table])
            line.append(sorted(row for row in rows if row < num_rows))
        found.append(line)
    return found


def _expected(buckets: np.ndarray, num_buckets: int) -> list[list[list[int]]]:
    return [[np.flatnonzero(line == bucket).tolist() for bucket in range(num_buckets)] for line in buckets.T]


def test_three_rows_by_hand():
    tables = Tables.of(np.array([[1, 0], [3, 0], [1, 2]], dtype=np.uint32), 2)
    assert tables.offsets.tolist() == [[0, 0, 2, 2, 3], [0, 2, 2, 3, 3]]
    assert tables.entries.tolist() == [[0, 2, 1], [0, 1, 2]]


def test_rows_added_in_any_portions_lie_where_a_whole_build_puts_them():
    generator = np.random.default_rng(0)
    buckets = generator.integers(0, 16, (9000, 3)).astype(np.uint32)
    expected = _expected(buckets, 16)
    for portions in ([9000], [0, 1, 8999], [5000, 4000], [2000, 500, 500, 500, 500, 1000, 4000], [1] * 40 + [8960]):
        tables, first = Tables.of(buckets[:0], 4), 0
        for size in portions:
            tables = tables.with_rows(buckets[first : first + size], first)
            first += size
        assert _contents(tables, 9000) == expected
        in_order = [
            np.diff(line[start:end])
            for line, offsets in zip(tables.entries, tables.offsets, strict=True)
            for start, end in pairwise(offsets)
        ]
        assert all((steps > 0).all() for steps in in_order)


def test_lists_are_packed_when_they_hold_a_quarter():
    buckets = np.random.default_rng(0).integers(0, 8, (20_000, 2)).astype(np.uint32)
    tables, packed = Tables.of(buckets[:8000], 3), []
    for first in range(8000, 20_000, 500):
        tables = tables.with_rows(buckets[first : first + 500], first)
        packed.append(tables.num_packed)
    assert packed[3] == 8000  # 2,000 rows in lists are a quarter, and stay there
    assert packed[4] == 10_000
    assert len(set(packed)) <= 5
    assert _contents(tables, 20_000) == _expected(buckets, 8)


def test_tables_a_reader_holds_keep_their_rows():
    buckets = np.random.default_rng(0).integers(0, 8, (6000, 2)).astype(np.uint32)
    early = Tables.of(buckets[:100], 3).with_rows(buckets[100:200], 100)
    later = early
    for first in range(200, 6000, 100):
        later = later.with_rows(buckets[first : first + 100], first)
    assert _contents(early, 200) == _expected(buckets[:200], 8)
    assert _contents(later, 6000) == _expected(buckets, 8)
