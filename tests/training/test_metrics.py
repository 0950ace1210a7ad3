"""Metrics against values worked out by hand and against their own bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import METRICS, hit_rate_at_k, mrr_at_k, ndcg_at_k, ranked_hits, recall_at_k

# One user: relevant a, b, c; ranking b, x, a, y -> hits at places 1 and 3.
HITS = np.array([[True, False, True, False]])
THREE = np.array([3])


def test_recall_counts_hits_over_all_relevant_items() -> None:
    assert recall_at_k(HITS, THREE, 1) == pytest.approx([1 / 3])
    assert recall_at_k(HITS, THREE, 4) == pytest.approx([2 / 3])


def test_ndcg_by_hand() -> None:
    gain = 1 / math.log2(2) + 1 / math.log2(4)
    ideal = 1 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg_at_k(HITS, THREE, 4) == pytest.approx([gain / ideal])


def test_ndcg_ideal_is_capped_at_k() -> None:
    ideal_of_two = 1 / math.log2(2) + 1 / math.log2(3)
    assert ndcg_at_k(HITS, THREE, 2) == pytest.approx([1 / ideal_of_two])


def test_hit_rate_and_mrr_by_hand() -> None:
    hits = np.array([[False, True, True], [False, False, False]])
    relevant = np.array([2, 5])
    assert hit_rate_at_k(hits, relevant, 1).tolist() == [0, 0]
    assert hit_rate_at_k(hits, relevant, 2).tolist() == [1, 0]
    assert mrr_at_k(hits, relevant, 3).tolist() == [0.5, 0]


def test_places_beyond_a_short_ranking_are_misses() -> None:
    for name, metric in METRICS.items():
        padded = np.hstack([HITS, np.zeros((1, 16), dtype=bool)])
        assert metric(HITS, THREE, 20) == pytest.approx(metric(padded, THREE, 20)), name
        assert metric(np.zeros((1, 0), dtype=bool), THREE, 20).tolist() == [0], name


def test_ranked_hits_marks_places_of_relevant_items() -> None:
    hits = ranked_hits([["b", "x", "a", "y"], ["z"], []], [{"a", "b", "c"}, {"z"}, {"q"}], 3)
    assert hits.tolist() == [[True, False, True], [True, False, False], [False, False, False]]


@pytest.mark.parametrize(
    ("hits", "relevant", "k"),
    [(HITS, np.array([0]), 1), (HITS, np.array([1]), 4), (HITS, np.array([3, 3]), 4), (HITS, THREE, 0)],
)
def test_arguments_that_do_not_fit_are_refused(hits: np.ndarray, relevant: np.ndarray, k: int) -> None:
    for metric in METRICS.values():
        with pytest.raises(ValueError, match=r"k is 0|do not fit|relevant items"):
            metric(hits, relevant, k)


def test_k_beyond_every_list_needs_no_room() -> None:
    k = 10**15
    hits = ranked_hits([["b", "x"], ["z", "a", "y"]], [{"b", "q"}, {"a"}], k)
    assert hits.shape == (2, 3)
    for metric in METRICS.values():
        np.testing.assert_array_equal(metric(hits, np.array([2, 1]), k), metric(hits, np.array([2, 1]), 3), strict=True)


@st.composite
def _rankings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    depth = draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(st.booleans(), min_size=depth, max_size=depth), min_size=1, max_size=6))
    hits = np.array(rows, dtype=bool)
    missed = draw(st.lists(st.integers(0, 5), min_size=len(rows), max_size=len(rows)))
    return hits, np.maximum(hits.sum(axis=1) + np.array(missed), 1)


@given(_rankings(), st.integers(1, 15))
def test_every_metric_stays_within_zero_and_one(ranking: tuple[np.ndarray, np.ndarray], k: int) -> None:
    hits, relevant = ranking
    for name, metric in METRICS.items():
        values = metric(hits, relevant, k)
        assert values.shape == (len(hits),), name
        assert ((values >= 0) & (values <= 1 + 1e-12)).all(), name


@given(_rankings(), st.integers(1, 15))
def test_recall_hit_rate_and_mrr_never_fall_with_k(ranking: tuple[np.ndarray, np.ndarray], k: int) -> None:
    hits, relevant = ranking
    for name in ("recall", "hit_rate", "mrr"):
        assert (METRICS[name](hits, relevant, k + 1) >= METRICS[name](hits, relevant, k)).all(), name


@given(st.integers(1, 12), st.integers(1, 12))
def test_all_relevant_items_first_gives_ndcg_one(num_relevant: int, k: int) -> None:
    hits = np.arange(12)[None, :] < num_relevant
    assert ndcg_at_k(hits, np.array([num_relevant]), k) == pytest.approx([1.0])


@given(_rankings())
def test_moving_a_hit_forward_raises_ndcg(ranking: tuple[np.ndarray, np.ndarray]) -> None:
    hits, relevant = ranking
    first = np.sort(hits, axis=1)[:, ::-1]
    k = hits.shape[1]
    assert (ndcg_at_k(first, relevant, k) >= ndcg_at_k(hits, relevant, k) - 1e-12).all()
