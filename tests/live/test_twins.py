"""Twins of hand-made token sets, and of random ones against sets of Python, while they are written and read."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from recall.live import twins as twins_module
from recall.live.twin_tables import BANDING, PROBABILITY, THRESHOLD, TwinTables
from recall.live.twins import LiveTwins
from recall.model.codes import mixed
from recall.model.token_sets import TokenSets


def _tokens(members: Iterable[int]) -> np.ndarray:
    return np.unique(mixed(np.array(sorted(members), dtype=np.uint64)))


def _sets(rows: Iterable[Iterable[int]]) -> TokenSets:
    return TokenSets.of([_tokens(row) for row in rows])


def _live(items: Mapping[str, Iterable[int]]) -> LiveTwins:
    item_ids = sorted(items)
    return LiveTwins(item_ids, TwinTables.build((), _sets(items[item_id] for item_id in item_ids)))


def _found(twins: LiveTwins, members: Iterable[int], limit: int = 100, **options: object) -> list[tuple[str, float]]:
    hits = twins.view().search(_tokens(members), limit, **options)  # type: ignore[arg-type]  # passed on
    return list(zip(hits.item_ids, hits.scores.tolist(), strict=True))


ONE_TO_TEN = range(1, 11)
BY_HAND = {
    "same": ONE_TO_TEN,
    "also the same": ONE_TO_TEN,
    "one more": range(1, 12),  # 10 of 11
    "one other": range(2, 12),  # 9 of 11
    "half": range(1, 6),  # 5 of 10
    "third": range(6, 16),  # 5 of 15
    "unlike": range(20, 30),
    "nothing": [],
}
TWINS_BY_HAND = [
    ("also the same", 1.0),
    ("same", 1.0),
    ("one more", pytest.approx(10 / 11)),
    ("one other", pytest.approx(9 / 11)),
    ("half", 0.5),
]


@pytest.mark.parametrize("exact", [False, True])
def test_twins_made_by_hand_come_by_similarity_then_id_with_it_as_score(exact: bool) -> None:
    assert _found(_live(BY_HAND), ONE_TO_TEN, exact=exact) == TWINS_BY_HAND


def test_twins_written_later_are_those_that_a_snapshot_would_have() -> None:
    twins = _live({"half": BY_HAND["half"], "same": range(90, 99)})
    written = {name: members for name, members in BY_HAND.items() if name != "half"}
    twins.apply(list(written), _sets(written.values()))
    assert _found(twins, ONE_TO_TEN) == TWINS_BY_HAND
    assert _found(twins, range(90, 99)) == []
    held = {name: twins.view().tokens_of(name) for name in [*BY_HAND, "unknown"]}
    assert held.pop("unknown") is None
    for name, members in BY_HAND.items():
        np.testing.assert_array_equal(held[name], _tokens(members))


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
def test_a_limit_keeps_the_best_of_base_and_fresh_and_ties_go_by_id(limit: int) -> None:
    twins = _live({"b": ONE_TO_TEN, "d": ONE_TO_TEN, "f": range(1, 12)})
    twins.apply(["c", "a", "e"], _sets([ONE_TO_TEN, range(1, 12), ONE_TO_TEN]))
    assert [name for name, _ in _found(twins, ONE_TO_TEN, limit)] == ["b", "c", "d", "e", "a", "f"][:limit]


def test_excluded_items_make_room_for_the_next() -> None:
    twins = _live({"a": ONE_TO_TEN, "c": range(1, 12)})
    twins.apply(["b"], _sets([ONE_TO_TEN]))
    assert [name for name, _ in _found(twins, ONE_TO_TEN, 1, exclude=["a", "b", "unknown"])] == ["c"]


def test_nothing_is_a_twin_of_an_item_without_tokens_and_no_items_have_no_twins() -> None:
    assert _found(_live({"a": [], "b": [1]}), []) == []
    assert _found(_live({}), [1]) == []
    assert _found(_live({"a": []}), [1]) == []


def test_replaced_and_deleted_items_are_found_as_they_are_now() -> None:
    twins = _live({"a": ONE_TO_TEN, "b": ONE_TO_TEN, "c": ONE_TO_TEN})
    twins.apply(["a"], _sets([range(30, 40)]), deleted=["b", "unknown"])
    assert _found(twins, ONE_TO_TEN) == [("c", 1.0)]
    assert _found(twins, range(30, 40)) == [("a", 1.0)]
    twins.apply(["b"], _sets([ONE_TO_TEN]), deleted=["a"])
    assert _found(twins, ONE_TO_TEN) == [("b", 1.0), ("c", 1.0)]
    assert _found(twins, range(30, 40)) == []
    assert twins.view().tokens_of("a") is None


def test_a_view_stays_as_it_was() -> None:
    twins = _live({"a": ONE_TO_TEN})
    before = twins.view()
    twins.apply(["a", "b"], _sets([range(30, 40), ONE_TO_TEN]))
    between = twins.view()
    twins.apply([f"c{n}" for n in range(200)], _sets([ONE_TO_TEN] * 200), deleted=["a", "b"])
    tokens = _tokens(ONE_TO_TEN)
    assert before.search(tokens, 9).item_ids == ["a"]
    assert between.search(tokens, 9).item_ids == ["b"]
    np.testing.assert_array_equal(between.tokens_of("a"), _tokens(range(30, 40)))
    assert before.tokens_of("b") is None
    assert len(twins.view().search(tokens, 999).item_ids) == 200


def test_tables_find_a_twin_at_the_threshold_with_the_probability_that_they_promise() -> None:
    """400 pairs of similarity 1/2, found .986 of the time by the closed form; at most 4 standard errors fewer."""
    pairs = {f"{n:03}": range(100 * n, 100 * n + 20) for n in range(400)}
    twins = _live(pairs)
    found = [bool(_found(twins, range(100 * n, 100 * n + 10))) for n in range(400)]
    promised = BANDING.probability(THRESHOLD)
    assert promised >= PROBABILITY
    assert np.mean(found) >= promised - 4 * (promised * (1 - promised) / 400) ** 0.5
    assert all(_found(twins, range(100 * n, 100 * n + 10), exact=True) == [(f"{n:03}", 0.5)] for n in range(400))


def test_readers_see_every_write_whole() -> None:
    """Items a and b swap their sets in each write, so in every view exactly one of them is the twin of a set."""
    first, second = _tokens(ONE_TO_TEN), _tokens(range(30, 40))
    there, back = TokenSets.of([first, second]), TokenSets.of([second, first])
    twins = LiveTwins(["a", "b"], TwinTables.build((), there))
    wrong: list[list[str]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            view = twins.view()
            found = [view.search(tokens, 9).item_ids for tokens in (first, second)]
            wrong.extend([] if sorted(found) == [["a"], ["b"]] else found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(60):
        twins.apply(["a", "b"], back)
        twins.apply(["a", "b"], there)
    done.set()
    for reader in readers:
        reader.join(30)
    assert not wrong


def test_item_rewritten_for_ever_does_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins_module, "_MIN_DEAD_ROWS", 8)
    twins = _live({"a": [1]})
    twins.apply(["b", "c"], _sets([[2], [3]]))
    for n in range(50):
        twins.apply(["a"], _sets([range(n, n + 10)]))
    assert twins.view().num_fresh_rows <= 12
    assert _found(twins, range(49, 59)) == [("a", 1.0)]
    assert (_found(twins, [2]), _found(twins, [3]), _found(twins, [1])) == ([("b", 1.0)], [("c", 1.0)], [])


ids = st.sampled_from([f"i{n}" for n in range(8)])
members = st.frozensets(st.integers(0, 6), max_size=5)


class TwinsAgainstSets(RuleBasedStateMachine):
    """Any order of writes, with what Python's sets say after each."""

    @initialize(items=st.dictionaries(ids, members))
    def start(self, items: dict[str, frozenset[int]]) -> None:
        self.items = dict(items)
        self.twins = _live(items)

    @rule(items=st.dictionaries(ids, members, max_size=3), gone=st.sets(ids, max_size=3))
    def write(self, items: dict[str, frozenset[int]], gone: set[str]) -> None:
        gone -= items.keys()
        self.twins.apply(list(items), _sets(items.values()), deleted=sorted(gone))
        self.items = {name: row for name, row in self.items.items() if name not in gone} | items

    @invariant()
    def every_item_has_its_tokens_and_its_twins(self) -> None:
        for name, row in self.items.items():
            found = _found(self.twins, row, exclude=[name], exact=True)
            others = {other: kept for other, kept in self.items.items() if other != name and row and kept}
            scores = [(-len(row & kept) / len(row | kept), other) for other, kept in others.items()]
            wanted = sorted((float(np.float32(score)), other) for score, other in scores if score <= -THRESHOLD)
            assert found == [(other, -score) for score, other in wanted]
            assert set(_found(self.twins, row, exclude=[name])) <= set(found)


TestTwinsAgainstSets = TwinsAgainstSets.TestCase
TestTwinsAgainstSets.settings = settings(max_examples=15, stateful_step_count=8, deadline=None)
