from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from index import bitmap, line_scan
from index.line_scan import LineScan
from index.protocols import FloatArray

NO_MARGIN = np.zeros(1)


def kept(scan: LineScan) -> list[list[int]]:
    rows, offsets = scan.kept()
    return [sorted(rows[a:b].tolist()) for a, b in pairwise(offsets)]


def line(*scores: float) -> FloatArray:
    return np.array([scores], dtype=np.float32)


def test_best_of_several_blocks_are_kept_with_ties_at_the_last_place() -> None:
    scan = LineScan(2, NO_MARGIN)
    scan.add(line(1, 5, 3))
    scan.add(line(3, 2), first=3)
    scan.add(line(3, 9, 3), rows=np.array([70, 80, 90]))
    assert kept(scan) == [[1, 80]]
    scan = LineScan(2, NO_MARGIN)
    scan.add(line(1, 5, 3, 3, 2))
    assert kept(scan) == [[1, 2, 3]]


def test_rows_within_the_margin_of_the_last_place_are_kept() -> None:
    scan = LineScan(1, np.array([0.5, 0.0]))
    scan.add(np.array([[4.0, 3.5, 3.25], [4.0, 3.5, 3.25]], dtype=np.float32))
    assert kept(scan) == [[0, 1], [0]]


def test_barred_columns_and_rows_below_the_floor_are_not_kept() -> None:
    scan = LineScan(3, NO_MARGIN, np.array([2.0], dtype=np.float32))
    scan.add(line(9, 1, 2, 3, 8), allowed=bitmap.from_mask(np.array([False, True, True, True, True])))
    assert kept(scan) == [[2, 3, 4]]


def test_fewer_rows_than_wanted_are_all_kept_lowest_scores_included() -> None:
    scan = LineScan(9, NO_MARGIN)
    scan.add(line(float(np.finfo(np.float32).min), -1, 0))
    assert kept(scan) == [[0, 1, 2]]


@pytest.mark.parametrize("num_columns", [5, 600, 5_000])
@pytest.mark.parametrize("k", [1, 40, 700])
def test_what_is_kept_is_what_sorting_keeps(monkeypatch: pytest.MonkeyPatch, num_columns: int, k: int) -> None:
    monkeypatch.setattr(line_scan, "_LEAST_ROOM", 8)
    rng = np.random.default_rng(num_columns + k)
    lines = rng.integers(-50, 50, (3, 3 * num_columns)).astype(np.float32)  # many ties
    lines[1] = 7
    lines[2].sort()  # each block is better than those before
    mask = rng.random(3 * num_columns) < 0.7
    scan = LineScan(k, np.zeros(3))
    for first in range(0, 3 * num_columns, num_columns):
        some = slice(first, first + num_columns)
        scan.add(lines[:, some].copy(), first=first, allowed=bitmap.from_mask(mask[some]))
    expected = []
    for scores in lines:
        best = np.sort(scores[mask])[::-1]
        expected.append(np.flatnonzero(mask & (scores >= best[min(k, best.size) - 1])).tolist())
    assert kept(scan) == expected
