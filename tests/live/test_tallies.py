"""What was missing in writes and recalls, counted by the system that took them."""

from __future__ import annotations

import numpy as np
import pytest

from recall.live.query import AnsweredFrom, RecallQuery
from recall.live.update_mask import UpdateMask
from recall.live.vitals import snapshot_seconds


def test_missing_features_of_items_and_recalls_are_counted(deployment, catalog, make_item):
    catalog.put_items([make_item("a", "jazz")])
    deployment.rebuild()
    with deployment.serving() as system:
        system.upsert([make_item("whole", "jazz", tags=("x",), price=1.0), make_item("poor", "jazz")])
        system.upsert([make_item("poor", price=2.0)], mask=UpdateMask.of(["features.price"]))
        system.upsert([make_item("never", "jazz")], validate_only=True)
        system.recall(RecallQuery(features={"country": "nl"}, limit=1))
        system.recall_batch([RecallQuery(history=("a",), limit=9), RecallQuery(user_id="nobody", limit=1)])
        system.recall(RecallQuery(vector=np.ones(16, dtype=np.float32), limit=1))
        tallies = system.vitals().tallies
    assert (tallies.num_items, tallies.num_items_lacking) == (2, 1)
    assert tallies.item_features == {"tags": 1, "price": 1}
    assert (tallies.num_recalls, tallies.num_recalls_lacking, tallies.num_short) == (4, 2, 1)
    assert tallies.recall_features == {"country": 2}
    assert tallies.answered_from == dict.fromkeys(AnsweredFrom, 1)


def test_vitals_count_switches_and_their_failures_and_tell_the_age(deployment, catalog, make_item, until):
    catalog.put_items([make_item("a", "jazz")])
    deployment.rebuild()
    with deployment.serving() as system:
        assert system.vitals().snapshot_seconds == pytest.approx(0, abs=60)
        deployment.rebuild("b")
        until(lambda: system.vitals().num_switches == 1)
        name = deployment.rebuild("c")
        until(lambda: system.vitals().num_switches == 2)
        (deployment.root / "CURRENT").write_text("9999-none\n")
        until(lambda: system.vitals().num_switch_failures >= 1)
        assert system.vitals().status.snapshot == name
    assert snapshot_seconds(deployment.root, "9999-none") is None
