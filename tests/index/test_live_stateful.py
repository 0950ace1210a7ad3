"""The live index against a dict: any sequence of writes and searches gives what brute force gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from index import fresh, view, view_base
from index.attribute_growth import GrowingAttributes
from index.attributes import ColumnSpec
from index.bags import Bags
from index.conditions import Condition, Equals, ItemIn, Not, Present
from index.factory import IndexConfig, build_index
from index.live import LiveIndex
from index.live_view import LiveView
from index.lsh_parameters import LshParameters
from index.protocols import SearchOptions
from index.sparse import SparseIndex

# Few directions, so that ties are common; scores are exact in float32.
VECTORS = [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)]
IDS = [f"{letter}{digit}" for letter in "aZé" for digit in range(5)]
item_ids = st.sampled_from(IDS)
vectors = st.sampled_from(VECTORS)
id_lists = st.lists(item_ids, max_size=12)
bags = st.dictionaries(st.sampled_from([0, 1, 2, 2**64 - 1]), st.sampled_from([-0.25, 0.5, 1.0]), max_size=3)
Item: TypeAlias = tuple[tuple[float, float], dict[int, float], str]
items = st.tuples(vectors, bags, st.sampled_from(["", "red", "blue"]))  # without a color where that is empty
RED = Equals("color", "red")
filters = st.sampled_from([None, RED, Not(RED), Present("color")]) | st.builds(ItemIn, id_lists)


def _bags_of(rows: Iterable[dict[int, float]]) -> Bags:
    dicts = list(rows)
    tokens = np.array([token for one in dicts for token in one], dtype=np.uint64)
    weights = np.array([weight for one in dicts for weight in one.values()], dtype=np.float32)
    return Bags.of(tokens, weights, np.cumsum([0, *(len(one) for one in dicts)]))


def _attributes_of(rows: Iterable[Item]) -> list[dict[str, str]]:
    return [{"color": color} if color else {} for _, _, color in rows]


def _passes(condition: Condition | None, item_id: str, color: str) -> bool:
    match condition:
        case None:
            return True
        case ItemIn():
            return item_id in condition.item_ids
        case Not():
            return color != "red"
    return color == "red" if condition == RED else bool(color)


def _product(profile: dict[int, float], bag: dict[int, float]) -> float:
    return sum(weight * bag.get(token, 0) for token, weight in profile.items())


def _is_even(item_id: str) -> bool:
    return int(item_id[-1]) % 2 == 0


class LiveIndexMachine(RuleBasedStateMachine):
    """Writes, merges and searches, with bags or without; thresholds are small enough to be passed."""

    @initialize(base=st.dictionaries(item_ids, items), kind=st.sampled_from(["flat", "lsh"]), content=st.booleans())
    def build(self, base: dict[str, Item], kind: str, content: bool) -> None:
        ordered = sorted(base, key=lambda item_id: item_id.encode())
        matrix = np.array([base[item_id][0] for item_id in ordered], dtype=np.float32).reshape(-1, 2)
        sparse = SparseIndex(_bags_of(base[item_id][1] for item_id in ordered)) if content else None
        config = IndexConfig(kind=kind, parameters={"bits": 1, "tables": 1, "probes": 1} if kind == "lsh" else {})
        self.live = LiveIndex(ordered, matrix, build_index(matrix, config), sequence=0, content=sparse)
        columns = GrowingAttributes([ColumnSpec(name="color", kind="category")])
        columns.append(_attributes_of(base[item_id] for item_id in ordered))
        self.live.set_attributes(columns.frozen())
        assert self.live.has_content == content
        self.items = dict(base)
        self.exact_base = kind == "flat"

    @rule(upserts=st.dictionaries(item_ids, items, max_size=5), deletes=st.lists(item_ids, max_size=4))
    def write(self, upserts: dict[str, Item], deletes: list[str]) -> None:
        gone = [item_id for item_id in deletes if item_id not in upserts]
        matrix = np.array([vector for vector, _, _ in upserts.values()], dtype=np.float32).reshape(-1, 2)
        added = _bags_of(bag for _, bag, _ in upserts.values()) if self.live.has_content else None
        self.live.apply(
            list(upserts),
            matrix,
            deleted=gone,
            sequence=self.live.sequence + 1,
            bags=added,
            attributes=_attributes_of(upserts.values()),
        )
        self.items.update(upserts)
        for item_id in gone:
            self.items.pop(item_id, None)

    @rule(
        query=items,
        k=st.integers(1, 8) | st.just(10**9),
        exclude=id_lists,
        candidates=st.none() | id_lists,
        exact=st.booleans(),
        condition=filters,
    )
    def search(self, query: Item, k: int, condition: Condition | None, **rest: Any) -> None:
        option = SearchOptions(filter=condition, **rest)
        asked = (query[0], query[1] if self.live.has_content else {}, "")
        self._check(self.live, set(self.items), asked, k, option)
        subset = self.live.subset()
        if subset is not None:
            self._check(subset, set(filter(_is_even, self.items)), asked, k, option)

    @rule()
    def merge(self) -> None:
        assert self.live.merge()
        assert self.live.counts().base == len(self.items)

    @rule()
    def hash_fresh(self) -> None:
        self.live.hash_fresh()
        assert self.live._view.fresh.hashed is not None

    @rule()
    def tell_apart(self) -> None:
        self.live.tell_apart(lambda item_ids: np.array([_is_even(item_id) for item_id in item_ids], dtype=np.bool_))

    def _check(
        self, searched: LiveIndex | LiveView, item_ids: set[str], query: Item, k: int, option: SearchOptions
    ) -> None:
        (vector, profile, _), candidates, exact = query, option.candidates, option.exact
        profiles = _bags_of([profile]) if self.live.has_content else None
        hits = searched.search(np.array([vector], dtype=np.float32), k, [option], profiles=profiles)[0]
        eligible = {i for i in item_ids - set(option.exclude) if _passes(option.filter, i, self.items[i][2])}
        if candidates is not None:
            eligible &= set(candidates)
        scores = {
            item_id: float(np.dot(vector, self.items[item_id][0])) + _product(profile, self.items[item_id][1])
            for item_id in eligible
        }
        expected = sorted(eligible, key=lambda item_id: (-scores[item_id], item_id.encode()))[:k]
        assert len(hits.item_ids) == len(expected)
        assert [scores[item_id] for item_id in hits.item_ids] == hits.scores.tolist()
        pairs = [(-scores[item_id], item_id.encode()) for item_id in hits.item_ids]
        assert pairs == sorted(set(pairs))
        exact |= self.exact_base and self.live._view.fresh.hashed is None
        if exact or candidates is not None or k >= len(eligible):
            assert hits.item_ids == expected

    @rule(wanted=id_lists)
    def gather(self, wanted: list[str]) -> None:
        found, mask = self.live.gather(wanted)
        assert mask.tolist() == [item_id in self.items for item_id in wanted]
        assert [tuple(vector) for vector in found.tolist()] == [self.items[i][0] for i in wanted if i in self.items]
        gathered, mask = self.live.gather_bags(wanted)
        assert mask.tolist() == [item_id in self.items for item_id in wanted]
        expected = _bags_of(self.items[i][1] if self.live.has_content else {} for i in wanted if i in self.items)
        for name in ("tokens", "weights", "offsets"):
            np.testing.assert_array_equal(getattr(gathered, name), getattr(expected, name))

    @invariant()
    def counts_agree(self) -> None:
        counts = self.live.counts()
        assert counts.items == len(self.items) == self.live.num_items
        assert counts.items == counts.base - counts.deleted + counts.fresh
        assert list(self.live.item_ids()) == sorted(self.items, key=lambda item_id: item_id.encode())
        assert all((item_id in self.live) == (item_id in self.items) for item_id in IDS)

    @invariant()
    def subset_agrees(self) -> None:
        subset = self.live.subset()
        if subset is not None:
            even = sorted(filter(_is_even, self.items), key=lambda item_id: item_id.encode())
            assert list(subset.item_ids()) == even
            assert subset.num_items == len(even)
            assert [item_id for item_id in IDS if item_id in subset] == [i for i in IDS if i in set(even)]


class TestLiveIndex(LiveIndexMachine.TestCase):
    settings = settings(max_examples=30, stateful_step_count=15, deadline=None)

    def setUp(self) -> None:
        self._kept = view._MIN_DEAD_ROWS, fresh.HASHING, view_base._FEW_DEAD, view_base._SPARE_ROWS
        view._MIN_DEAD_ROWS, fresh.HASHING = 3, LshParameters(bits=1, tables=1, probes=1)
        view_base._FEW_DEAD, view_base._SPARE_ROWS = 0.5, 1

    def tearDown(self) -> None:
        view._MIN_DEAD_ROWS, fresh.HASHING, view_base._FEW_DEAD, view_base._SPARE_ROWS = self._kept
