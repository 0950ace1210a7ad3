"""Upkeep of a served index: what is due, what is done and reported, and how it ends."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from index import merging
from index.errors import MissingBackendError
from index.flat import FlatIndex
from index.live import IndexCounts, LiveIndex
from recall.live.advice import Advice
from recall.live.advisor import Evidence, advice_of
from recall.live.audit_figures import AuditFigures
from recall.live.config import ServeConfig
from recall.live.query import SimilarQuery
from recall.live.upkeep import Upkeep, UpkeepState, is_due

EAST = np.array([[1, 0]], dtype=np.float32)
SETTINGS = {
    "merge_least_rows": 2,
    "merge_fresh_share": 0.2,
    "merge_deleted_share": 0.5,
    "upkeep_interval_seconds": 0.01,
}
CONFIG = ServeConfig(**SETTINGS)


def _live(num_items: int = 4) -> LiveIndex:
    vectors = np.repeat(EAST, num_items, axis=0)
    return LiveIndex([f"{row:03}" for row in range(num_items)], vectors, FlatIndex(vectors), sequence=0)


def _written(live: LiveIndex, count: int) -> LiveIndex:
    live.apply([f"n{row}" for row in range(count)], np.repeat(EAST, count, axis=0), sequence=live.sequence + 1)
    return live


def _counts(*, base: int = 100, fresh: int = 0, deleted: int = 0) -> IndexCounts:
    return IndexCounts(base=base, fresh=fresh, deleted=deleted, items=base + fresh - deleted)


def _advice(counts: IndexCounts, config: ServeConfig = CONFIG, **known: object) -> Advice:
    return advice_of(Evidence(counts=counts, **{"upkeep": UpkeepState(), **known}), config)


def _audit(recall: float, *, high: float, num_recalls: int = 30) -> AuditFigures:
    return AuditFigures(recall=recall, low=recall, high=high, num_recalls=num_recalls, num_audited=99, last_time=0.0)


@pytest.mark.parametrize(
    ("counts", "due"),
    [
        (_counts(), False),
        (_counts(fresh=25), False),  # 25 of 125 is the share itself
        (_counts(fresh=26), True),
        (_counts(deleted=50), False),
        (_counts(deleted=51), True),
        (_counts(base=0, fresh=1), False),  # too few to be worth it
        (_counts(base=0, fresh=2), True),
        (_counts(base=2, deleted=2), True),
    ],
)
def test_merge_is_due_above_a_share_and_a_number(counts, due):
    assert is_due(counts, CONFIG) == due


def test_look_merges_what_is_due_and_rests_for_its_share_of_the_time():
    live = _live()
    upkeep = Upkeep(lambda: live, CONFIG)
    upkeep.look()
    assert upkeep.state == UpkeepState()
    _written(live, 2)
    upkeep.look()
    assert live.counts() == _counts(base=6)
    assert (upkeep.state.merges, upkeep.state.merged_rows, upkeep.state.is_merging) == (1, 2, False)
    assert upkeep.state.last_merge_seconds > 0
    upkeep._resting_until = float("inf")
    live.apply(["x", "y", "z"], np.repeat(EAST, 3, axis=0), sequence=2)
    upkeep.look()
    assert live.counts().fresh == 3


def test_merging_may_be_off_while_a_large_fresh_part_is_hashed():
    live = _written(_live(), 5)
    off = Upkeep(lambda: live, ServeConfig(merge=False, merge_least_rows=1, hash_fresh_rows=0))
    off.look()
    assert (live.counts().fresh, live._view.fresh.hashed) == (5, None)
    Upkeep(lambda: live, ServeConfig(merge=False, hash_fresh_rows=5)).look()
    assert live._view.fresh.hashed.num_rows == 5


def test_failure_is_reported_and_the_next_attempt_waits(monkeypatch):
    def fail(*_):
        raise MissingBackendError("no library")

    live = _written(_live(), 2)
    upkeep = Upkeep(lambda: live, CONFIG)
    with monkeypatch.context() as patched:
        patched.setattr(merging, "build_kind", fail)
        upkeep.look()
    assert upkeep.state == UpkeepState(last_error="MissingBackendError: no library")
    assert len(live.search(EAST, 9)[0].item_ids) == 6
    upkeep.look()  # too soon
    assert upkeep.state.merges == 0
    upkeep._resting_until = 0.0
    upkeep.look()
    assert (upkeep.state.merges, upkeep.state.last_error) == (1, "")


def test_state_is_of_the_index_that_is_served():
    served = [_written(_live(), 2)]
    upkeep = Upkeep(lambda: served[0], CONFIG)
    upkeep.look()
    assert upkeep.state.merges == 1
    served[0] = _live(1)
    assert upkeep.state == UpkeepState()
    upkeep.look()
    assert upkeep.state.merges == 0


@pytest.mark.parametrize("switched", [False, True])
def test_close_and_a_switch_drop_a_merge_under_way(monkeypatch, switched):
    begun, go_on, build = threading.Event(), threading.Event(), merging.build_kind

    def build_slowly(*arguments):
        begun.set()
        assert go_on.wait(10)
        return build(*arguments)

    monkeypatch.setattr(merging, "build_kind", build_slowly)
    served = [live := _written(_live(), 2)]
    upkeep = Upkeep(lambda: served[0], CONFIG)
    upkeep.start()
    assert begun.wait(10)
    assert upkeep.state.is_merging
    if switched:
        served[0] = _live()
    else:
        upkeep.close(timeout_seconds=0)
    go_on.set()
    upkeep.close(timeout_seconds=10)
    assert live.counts().fresh == 2
    assert upkeep.state.merges == 0


def test_advice_names_what_speaks_for_a_rebuild():
    few = _advice(_counts(fresh=5, deleted=10))
    assert (few.rebuild, few.share_fresh, few.share_deleted) == (False, 5 / 95, 0.1)
    assert few.reason == "5.3% of the items are fresh and 10.0% of the base are deleted: few"
    assert _advice(_counts(fresh=30)).reason.endswith("they will be merged")
    assert _advice(_counts(fresh=30), upkeep=UpkeepState(is_merging=True)).reason.endswith("they are being merged")
    audited = _advice(_counts(), audit=_audit(0.9, high=0.979))
    assert (audited.rebuild, audited.audited_recall) == (True, 0.9)
    assert audited.reason.startswith("the audited recall is 0.900 over 30 recalls, at most 0.979 with 95% confidence")
    assert not _advice(_counts(), audit=_audit(0.9, high=0.98)).rebuild  # the goal itself
    assert not _advice(_counts(), audit=_audit(0.5, high=0.5, num_recalls=29)).rebuild
    unsaved = _advice(_counts(fresh=1), upkeep=UpkeepState(merged_rows=60))
    assert (unsaved.rebuild, unsaved.share_unsaved) == (True, 61 / 101)
    off = _advice(_counts(fresh=30), CONFIG.model_copy(update={"merge": False}))
    assert (off.rebuild, off.reason.endswith("and merging is off")) == (True, True)
    failing = _advice(_counts(fresh=30), upkeep=UpkeepState(last_error="no library"))
    assert (failing.rebuild, failing.reason.endswith("and merging fails: no library")) == (True, True)


def test_served_index_is_merged_while_it_is_written_and_a_restart_begins_from_the_snapshot(
    deployment, catalog, make_item, until
):
    catalog.put_items([make_item("a", "jazz"), make_item("b", "rock")])
    deployment.rebuild()
    with deployment.serving(**SETTINGS) as system:
        assert not system.status().advice.rebuild
        system.upsert([make_item("c", "jazz"), make_item("d", "rock")])
        system.delete(["a"])
        until(lambda: system.status().advice.merges > 0)
        system.upsert([make_item("e", "jazz")])
        status = system.status()
        assert (status.num_items, status.num_base - status.num_deleted + status.num_fresh) == (4, 4)
        assert (status.advice.rebuild, status.advice.share_unsaved > 0.3) == (True, True)
        found = system.similar(SimilarQuery(item_id="c", limit=9)).item_ids
        assert (found[0], sorted(found)) == ("e", ["b", "d", "e"])
    with deployment.serving() as system:
        assert (system.status().num_base, system.status().advice.merges) == (2, 0)
        assert list(system.generation.index.item_ids()) == ["b", "c", "d", "e"]
