from __future__ import annotations

import numpy as np
import pytest

from index import bitmap
from index.graph import Graph
from index.graph_file import LinkLists
from index.graph_search import Walk, WalkedRows
from index.protocols import Neighbors
from index.quantised import ByteCodes

NUM_ROWS = 40


def _line(*, coded):
    """Rows on an arc of a circle, each linked to the next and the one before only; the walk begins at row 0."""
    angles = np.linspace(0, np.pi / 2, NUM_ROWS)
    vectors = np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)
    links = np.full((NUM_ROWS, 4), -1, dtype=np.int32)
    links[:, 0], links[:, 1] = np.arange(1, NUM_ROWS + 1), np.arange(-1, NUM_ROWS - 1)
    links[0, :2], links[-1, :2] = [1, -1], [NUM_ROWS - 2, -1]
    lists = LinkLists(
        dim=2, m=2, ef_construction=1, layers=np.ones(NUM_ROWS, np.int32), links=links.reshape(-1), entry=0
    )
    codes = ByteCodes.of(vectors) if coded else ByteCodes.none(2)
    return WalkedRows(vectors=vectors, codes=codes, graph=Graph.of(lists))


def _search(rows, queries, plan):
    shape = (len(queries), plan.wanted)
    result = Neighbors(
        rows=np.full(shape, -1, dtype=np.int64),
        scores=np.full(shape, -np.inf, dtype=np.float32),
        counts=np.zeros(len(queries), dtype=np.int64),
    )
    return rows.search(queries, plan, result), result


def _plan(wanted, *, breadth, allowed=None, kept=None):
    kept = kept or max(breadth, wanted)
    return Walk(capacity=4 * kept, kept=kept, breadth=breadth, wanted=wanted, allowed=allowed, threads=1)


END = np.array([[0, 1]], dtype=np.float32)


@pytest.mark.parametrize("coded", [True, False])
def test_walk_follows_a_line_to_its_end(coded):
    num_short, found = _search(_line(coded=coded), END, _plan(3, breadth=2))
    assert found.rows.tolist() == [[39, 38, 37]]
    assert found.counts.tolist() == [3]
    assert num_short == 0


@pytest.mark.parametrize("coded", [True, False])
def test_walk_goes_through_barred_rows_and_keeps_allowed_ones(coded):
    allowed = bitmap.from_rows(np.array([1, 20, 39]), NUM_ROWS)
    num_short, found = _search(_line(coded=coded), END, _plan(3, breadth=NUM_ROWS, allowed=allowed))
    assert found.rows.tolist() == [[39, 20, 1]]
    assert num_short == 0


def test_list_ends_with_the_last_allowed_row_that_may_be_kept():
    allowed = bitmap.from_rows(np.array([1, 20, 39]), NUM_ROWS)
    num_short, found = _search(_line(coded=True), END, _plan(1, breadth=NUM_ROWS, kept=1, allowed=allowed))
    assert found.rows.tolist() == [[39]]
    assert num_short == 0


def test_walk_that_finds_fewer_than_wanted_says_so():
    # The best 8 entries at the end of the line, as many as the list holds, leave no room for rows 0 and 1.
    allowed = bitmap.from_rows(np.array([0, 1]), NUM_ROWS)
    num_short, found = _search(_line(coded=True), END, _plan(2, breadth=1, allowed=allowed))
    assert num_short == 1
    assert found.counts.tolist() == [0]
    assert found.rows.tolist() == [[-1, -1]]


def test_equal_scores_are_in_row_order():
    rows = _line(coded=True)
    vectors = np.tile(rows.vectors[:1], (NUM_ROWS, 1))
    same = WalkedRows(vectors=vectors, codes=ByteCodes.of(vectors), graph=rows.graph)
    _, found = _search(same, END[:, ::-1].copy(), _plan(10, breadth=NUM_ROWS))
    assert found.rows.tolist() == [list(range(10))]
    assert found.scores.tolist() == [[1.0] * 10]


def test_scores_of_both_signs_and_both_zeros_are_ordered():
    rows = _line(coded=True)
    vectors = np.zeros((NUM_ROWS, 2), dtype=np.float32)
    vectors[:, 0], vectors[:, 1] = np.linspace(-1, 1, NUM_ROWS), 1
    vectors[[3, 30], 0] = 0.0, -0.0
    some = WalkedRows(vectors=vectors, codes=ByteCodes.of(vectors), graph=rows.graph)
    query = np.array([[1, 0]], dtype=np.float32)
    _, found = _search(some, query, _plan(NUM_ROWS, breadth=NUM_ROWS))
    order = np.lexsort((np.arange(NUM_ROWS), -vectors[:, 0]))
    assert found.rows[0].tolist() == order.tolist()
    np.testing.assert_array_equal(found.scores[0], vectors[order, 0])


@pytest.mark.parametrize("coded", [True, False])
def test_a_zero_query_and_a_huge_one_are_answered(coded):
    for query in (np.zeros((1, 2)), np.full((1, 2), 1e37)):
        _, found = _search(_line(coded=coded), query.astype(np.float32), _plan(5, breadth=NUM_ROWS))
        assert found.counts.tolist() == [5]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_do_not_depend_on_threads_or_on_how_many_queries_come_together(unit_vectors, threads):
    rows, queries = _line(coded=True), unit_vectors(100, 2)
    plan = Walk(capacity=8, kept=8, breadth=3, wanted=5, allowed=None, threads=threads)
    num_short, together = _search(rows, queries, plan)
    alone = [_search(rows, queries[i : i + 1], plan) for i in range(100)]
    assert num_short == sum(short for short, _ in alone)
    for name in ("rows", "scores", "counts"):
        np.testing.assert_array_equal(getattr(together, name), np.concatenate([getattr(one, name) for _, one in alone]))
