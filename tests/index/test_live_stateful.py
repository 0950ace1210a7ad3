"""The live index against a dict: any sequence of writes and searches gives what brute force gives."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from index import view
from index.factory import IndexConfig, build_index
from index.live import LiveIndex
from index.protocols import SearchOptions

# Few directions, so that ties are common; scores are exact in float32.
VECTORS = [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)]
IDS = [f"{letter}{digit}" for letter in "aZé" for digit in range(5)]
item_ids = st.sampled_from(IDS)
vectors = st.sampled_from(VECTORS)
id_lists = st.lists(item_ids, max_size=12)


class LiveIndexMachine(RuleBasedStateMachine):
    """Writes and searches both; a small compaction threshold makes that happen too."""

    @initialize(base=st.dictionaries(item_ids, vectors), kind=st.sampled_from(["flat", "lsh"]))
    def build(self, base: dict[str, tuple[float, float]], kind: str) -> None:
        ordered = sorted(base, key=lambda item_id: item_id.encode())
        matrix = np.array([base[item_id] for item_id in ordered], dtype=np.float32).reshape(-1, 2)
        config = IndexConfig(kind=kind, bits=1, tables=1, probes=1)
        self.live = LiveIndex(ordered, matrix, build_index(matrix, config), sequence=0)
        self.items = dict(base)
        self.exact_base = kind == "flat"

    @rule(upserts=st.dictionaries(item_ids, vectors, max_size=5), deletes=st.lists(item_ids, max_size=4))
    def write(self, upserts: dict[str, tuple[float, float]], deletes: list[str]) -> None:
        gone = [item_id for item_id in deletes if item_id not in upserts]
        matrix = np.array(list(upserts.values()), dtype=np.float32).reshape(-1, 2)
        self.live.apply(list(upserts), matrix, deleted=gone, sequence=self.live.sequence + 1)
        self.items.update(upserts)
        for item_id in gone:
            self.items.pop(item_id, None)

    @rule(
        query=vectors,
        k=st.integers(1, 8) | st.just(10**9),
        exclude=id_lists,
        candidates=st.none() | id_lists,
        exact=st.booleans(),
    )
    def search(
        self, query: tuple[float, float], k: int, exclude: list[str], candidates: list[str] | None, exact: bool
    ) -> None:
        option = SearchOptions(exclude=exclude, candidates=candidates, exact=exact)
        hits = self.live.search(np.array([query], dtype=np.float32), k, [option])[0]
        eligible = set(self.items) - set(exclude)
        if candidates is not None:
            eligible &= set(candidates)
        scores = {item_id: float(np.dot(query, self.items[item_id])) for item_id in eligible}
        expected = sorted(eligible, key=lambda item_id: (-scores[item_id], item_id.encode()))[:k]
        assert len(hits.item_ids) == len(expected)
        assert [scores[item_id] for item_id in hits.item_ids] == hits.scores.tolist()
        pairs = [(-scores[item_id], item_id.encode()) for item_id in hits.item_ids]
        assert pairs == sorted(set(pairs))
        if self.exact_base or exact or candidates is not None or k >= len(eligible):
            assert hits.item_ids == expected

    @rule(wanted=id_lists)
    def gather(self, wanted: list[str]) -> None:
        found, mask = self.live.gather(wanted)
        assert mask.tolist() == [item_id in self.items for item_id in wanted]
        assert [tuple(vector) for vector in found.tolist()] == [self.items[i] for i in wanted if i in self.items]

    @invariant()
    def counts_agree(self) -> None:
        counts = self.live.counts()
        assert counts.items == len(self.items) == self.live.num_items
        assert counts.items == counts.base - counts.deleted + counts.fresh
        assert list(self.live.item_ids()) == sorted(self.items, key=lambda item_id: item_id.encode())
        assert all((item_id in self.live) == (item_id in self.items) for item_id in IDS)


class TestLiveIndex(LiveIndexMachine.TestCase):
    settings = settings(max_examples=30, stateful_step_count=15, deadline=None)

    def setUp(self) -> None:
        self._least, view._MIN_DEAD_ROWS = view._MIN_DEAD_ROWS, 3

    def tearDown(self) -> None:
        view._MIN_DEAD_ROWS = self._least
