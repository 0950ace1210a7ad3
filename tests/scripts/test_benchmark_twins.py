"""The benchmark of twins: its items, and its slice from start to end."""

from __future__ import annotations

import numpy as np

from benchmark_twins import WORDS_PER_ITEM, item_sets, measured


def test_second_half_of_the_items_are_changed_copies_of_the_first():
    sets = item_sets(20, seed=3)
    assert 0 < len(sets.row(0)) <= WORDS_PER_ITEM
    shares = [np.isin(sets.row(row + 10), sets.row(row)).mean() for row in range(10)]
    assert 0.3 < np.mean(shares) < 1


def test_a_slice_names_sizes_times_and_the_share_found():
    rows, ratios = measured(300)
    values = {row["what"]: row["value"] for row in rows}
    assert values["items"] == 300
    assert values["bytes_per_item"] > 8 * 32 + 8
    assert values["twins"] > 0
    assert 0.9 < values["share_of_twins_found"] <= 1
    assert set(ratios) == {"signing_over_datasketch", "tables_over_exact"}
