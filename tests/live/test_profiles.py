from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from index.bags import Bags
from index.flat import FlatIndex
from index.live import LiveIndex
from index.sparse import SparseIndex
from recall.live import profiles
from recall.live.profiles import PROFILE_TOKENS, emptied, profiles_of, strongest, unit_profiles, user_profiles
from recall.model.fusion import UNSEEN, FusionWeights, in_space


def rows_of(bags):
    return [
        dict(zip(bags.tokens[a:b].tolist(), bags.weights[a:b].tolist(), strict=True))
        for a, b in zip(bags.offsets, bags.offsets[1:], strict=False)
    ]


def bags_of(*rows):
    tokens = [token for row in rows for token in row]
    weights = [weight for row in rows for weight in row.values()]
    return Bags.of(np.array(tokens, np.uint64), np.array(weights, np.float32), np.cumsum([0, *map(len, rows)]))


@pytest.fixture
def make_index():
    def make(*rows):
        vectors = np.eye(len(rows), dtype=np.float32)
        ids = [f"i{row:04}" for row in range(len(rows))]
        return LiveIndex(ids, vectors, FlatIndex(vectors), sequence=0, content=SparseIndex(bags_of(*rows)))

    return make


def test_profile_is_the_sum_of_the_bags_at_the_given_length(make_index):
    index = make_index({1: 0.6, 2: 0.8}, {2: 1.0}, {})
    histories = [["i0000", "i0001"], [], ["i0001", "i0001"], ["i0002", "gone"]]
    got = rows_of(user_profiles(index, histories, FusionWeights(seen=2.0)))
    length = np.hypot(0.6, 1.8)
    assert got == [
        pytest.approx({1: 2 * 0.6 / length, 2: 2 * 1.8 / length}),
        {},
        pytest.approx({2: 2.0}),
        {},
    ]


def test_profile_reads_what_was_written_since_and_forgets_what_was_deleted(make_index):
    index = make_index({1: 1.0}, {2: 1.0})
    index.apply(["new"], np.ones((1, 2), np.float32), deleted=["i0000"], sequence=1, bags=bags_of({7: 1.0}))
    (profile,) = rows_of(user_profiles(index, [["i0000", "new"]], FusionWeights(seen=1.0)))
    assert profile == {7: 1.0}


def test_profile_of_many_items_keeps_the_strongest_tokens_and_of_equal_ones_the_lower(make_index):
    wide = {token: 1.0 for token in range(1000, 1000 + PROFILE_TOKENS)}
    index = make_index(wide, {5: 0.5, 9000: 1.5}, {token: 1.0 for token in range(3)})
    (profile,) = rows_of(user_profiles(index, [["i0000", "i0001"]], FusionWeights(seen=1.0)))
    # 9000 first, then all of the equal ones but the highest; 5 is the weakest.
    assert sorted(profile) == [*range(1000, 1000 + PROFILE_TOKENS - 1), 9000]
    assert np.linalg.norm(list(profile.values())) == pytest.approx(1.0)
    assert profile[9000] == pytest.approx(1.5 * profile[1000])


def test_profiles_of_a_batch_equal_those_alone_and_brute_force(make_index):
    rng = np.random.default_rng(0)
    rows = [{int(t): float(rng.random()) for t in rng.choice(3000, rng.integers(0, 60), False)} for _ in range(60)]
    index = make_index(*rows)
    histories = [[f"i{row:04}" for row in rng.integers(0, 70, rng.integers(0, 50))] for _ in range(30)]
    together = rows_of(user_profiles(index, histories, FusionWeights(seen=0.7)))
    for history, profile in zip(histories, together, strict=True):
        assert profile == rows_of(user_profiles(index, [history], FusionWeights(seen=0.7)))[0]
        total: Counter[int] = Counter()
        for item_id in history:
            total.update(rows[int(item_id[1:])] if int(item_id[1:]) < 60 else {})
        best = sorted(total, key=lambda token: (-total[token], token))[:PROFILE_TOKENS]
        norm = np.sqrt(sum(total[token] ** 2 for token in best))
        # Weights that differ by rounding alone may change places at the end of the list.
        assert len(set(profile) ^ set(best)) <= 2
        assert profile == pytest.approx({t: 0.7 * total[t] / norm for t in profile}, rel=1e-4)


def test_a_batch_of_long_histories_is_read_in_parts(make_index, monkeypatch):
    index = make_index(*({token: 1.0, token + 1: 2.0} for token in range(30)))
    histories = [[f"i{row:04}" for row in range(first, 30)] for first in range(30)]
    whole = rows_of(user_profiles(index, histories, FusionWeights(seen=0.7)))
    sizes = []

    def gather_bags(item_ids):
        sizes.append(len(item_ids))
        return LiveIndex.gather_bags(index, item_ids)

    monkeypatch.setattr(index, "gather_bags", gather_bags)
    monkeypatch.setattr(profiles, "_ITEMS_AT_ONCE", 20)
    assert rows_of(user_profiles(index, histories, FusionWeights(seen=0.7))) == whole
    assert sum(sizes) == sum(map(len, histories))
    assert max(sizes) == 30  # one history is never cut
    assert [size for size in sizes if size > 20] == list(range(30, 20, -1))


def test_strongest_leaves_short_bags_alone():
    bags = bags_of({1: 1.0, 2: 2.0}, {})
    assert strongest(bags, 2) is bags
    assert rows_of(strongest(bags, 1)) == [{2: 2.0}, {}]


def test_unit_profile_of_nothing_is_empty():
    assert rows_of(unit_profiles(bags_of({}, {3: 4.0}))) == [{}, {3: 1.0}]


def test_profile_carries_a_weight_for_each_space_and_the_offset(make_index):
    unseen = int(in_space(np.array([7], np.uint64), unseen=True)[0])
    index = make_index({7: 0.6, 8: 0.8}, {unseen: 1.0, int(UNSEEN): 1.0}, {})
    weights = FusionWeights(seen=2.0, unseen=3.0, unseen_offset=-0.5, unseen_offset_alone=0.25)
    both, nothing = rows_of(user_profiles(index, [["i0000", "i0001"], ["i0002"]], weights))
    # The unseen item's token 7 is the seen one's: together 1.6, beside 0.8 of token 8.
    length = np.hypot(1.6, 0.8)
    assert both == pytest.approx(
        {
            7: 2 * 1.6 / length,
            8: 2 * 0.8 / length,
            unseen: 3 * 1.6 / length,
            unseen + 1: 3 * 0.8 / length,
            int(UNSEEN): -0.5,
        }
    )
    assert nothing == {int(UNSEEN): 0.25}


def test_an_item_with_more_tokens_than_a_profile_makes_one_of_its_strongest():
    (profile,) = rows_of(profiles_of(bags_of({t: 1.0 + t for t in range(3000)}), FusionWeights(seen=1.0)))
    assert sorted(profile) == list(range(3000 - PROFILE_TOKENS, 3000))


def test_emptied_profiles_leave_the_others_as_they_are():
    bags = bags_of({1: 1.0}, {2: 1.0, 3: 2.0}, {4: 1.0})
    assert rows_of(emptied(bags, np.array([True, False, True]))) == [{}, {2: 1.0, 3: 2.0}, {}]


def test_a_cap_may_be_given_and_left_out(make_index):
    index = make_index({token: 1.0 + token for token in range(2, 2000)}, {1: 0.5})
    histories = [["i0000"], ["i0001"]]
    for cap, lowest in ((3, 1997), (None, 2), (1998, 2)):
        wide, narrow = rows_of(user_profiles(index, histories, FusionWeights(seen=1.0), num_tokens=cap))
        assert sorted(wide) == list(range(lowest, 2000))
        assert np.linalg.norm(list(wide.values())) == pytest.approx(1.0)
        assert narrow == {1: 1.0}
