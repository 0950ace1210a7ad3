"""Results of base and fresh part as one: by scores, and by ids where scores tie."""

from __future__ import annotations

import numpy as np

from index.protocols import Neighbors
from index.view_join import Parts, found_alone

BASE_IDS = np.array(["b", "d", "f"], dtype=object)
FRESH_IDS = ["e", "a", "c"]


def _found(*queries: dict[int, float], width: int = 3) -> Neighbors:
    rows = np.full((len(queries), width), -1, dtype=np.int64)
    scores = np.full((len(queries), width), -np.inf, dtype=np.float32)
    for i, found in enumerate(queries):
        rows[i, : len(found)], scores[i, : len(found)] = list(found), list(found.values())
    return Neighbors(rows=rows, scores=scores, counts=np.array([len(found) for found in queries]))


def _joined(base: Neighbors, fresh: Neighbors, k: int, *banned: str) -> list[tuple[list[str], list[float]]]:
    out = [frozenset(banned)] * base.counts.size if banned else ()
    hits = Parts(BASE_IDS, FRESH_IDS).joined(base, fresh, k, fetch=k + len(banned), banned=out)
    return [(one.item_ids, one.scores.tolist()) for one in hits]


def test_scores_order_both_parts():
    base, fresh = _found({1: 4, 0: 2}, {2: 1}), _found({2: 3, 0: 1}, {})
    assert _joined(base, fresh, 3) == [(["d", "c", "b"], [4, 3, 2]), (["f"], [1])]


def test_ids_order_what_ties_also_at_the_cut():
    base, fresh = _found({0: 1, 1: 1, 2: 1}), _found({0: 1, 1: 1, 2: 1})
    for k in range(1, 7):
        assert _joined(base, fresh, k) == [(list("abcdef")[:k], [1] * k)]
    assert _joined(_found({0: 2, 1: 1}), _found({1: 1}), 2) == [(["b", "a"], [2, 1])]  # "a" comes before "d"


def test_banned_items_make_room_for_the_next():
    assert _joined(_found({1: 4, 0: 2}), _found({2: 3, 0: 1}), 2, "d", "zzz") == [(["c", "b"], [3, 2])]
    assert _joined(_found({1: 4}), _found({}), 2, "d") == [([], [])]


def test_base_may_have_no_row():
    nothing = Neighbors(rows=np.empty((1, 0), "i8"), scores=np.empty((1, 0), "f4"), counts=np.zeros(1, "i8"))
    hits = Parts(BASE_IDS[:0], FRESH_IDS).joined(nothing, _found({2: 3, 0: 1}), 5, fetch=5, banned=())
    assert hits[0].item_ids == ["c", "e"]
    assert found_alone(nothing, BASE_IDS[:0], 5, ())[0].item_ids == []


def test_found_alone_is_cut_after_exclusions():
    found = _found({0: 3, 1: 2, 2: 1}, {2: 1})
    assert [hits.item_ids for hits in found_alone(found, BASE_IDS, 2, ())] == [["b", "d"], ["f"]]
    assert [hits.item_ids for hits in found_alone(found, BASE_IDS, 2, [frozenset("b"), frozenset("f")])] == [
        ["d", "f"],
        [],
    ]
