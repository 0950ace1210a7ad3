"""Bags on three items whose rows can be written down by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recall.model.hashing import hash_values
from recall.schema import FeatureSpec
from training.bags import Bags, build_bags, content_specs, item_tokens, user_profiles

TITLE = FeatureSpec(name="title", kind="text", domain="title")
TAGS = FeatureSpec(name="tags", kind="set", domain="tags")
BRAND = FeatureSpec(name="brand", kind="category", domain="brand")
SPECS = (TITLE, TAGS, BRAND)

ITEMS = [
    {"title": "Jazz, JAZZ vinyl", "tags": ("Blue Note",), "brand": "acme"},
    {"title": "vinyl cleaner", "brand": "acme"},
    {"brand": "acme"},
]
IDF_ONCE = math.log(4 / 2)
IDF_TWICE = math.log(4 / 3)


def _cell(bags: Bags, row: int, token: str) -> float:
    column = np.flatnonzero(bags.token_hashes == hash_values("content", [token])[0])
    return float(bags.rows[row, column[0]])


def test_tokens_are_folded_words_and_whole_set_values() -> None:
    features = {"title": "\uff2a\uff41\uff5a\uff5a, it's JAZZ!", "tags": ("Blue NOTE", "straße"), "brand": "acme"}
    assert item_tokens(features, SPECS) == ["jazz", "it", "s", "jazz", "blue note", "strasse"]


def test_only_text_and_set_features_are_content() -> None:
    assert content_specs(SPECS) == (TITLE, TAGS)
    assert item_tokens({"brand": "acme"}, SPECS) == []


def test_row_is_count_times_idf_of_length_one() -> None:
    bags = build_bags(ITEMS, SPECS)
    raw = {"jazz": 2 * IDF_ONCE, "vinyl": 1 * IDF_TWICE, "blue note": 1 * IDF_ONCE}
    length = math.sqrt(sum(value * value for value in raw.values()))
    for token, value in raw.items():
        assert _cell(bags, 0, token) == pytest.approx(value / length), token


def test_items_without_tokens_have_empty_rows() -> None:
    bags = build_bags(ITEMS, SPECS)
    assert bags.rows[2].nnz == 0
    assert np.isfinite(bags.rows.data).all()


def test_equal_tokens_of_text_and_set_meet_in_one_column() -> None:
    bags = build_bags([{"title": "jazz"}, {"tags": ("Jazz",)}, {}], SPECS)
    assert len(bags.token_hashes) == 1
    assert (bags.rows[0] @ bags.rows[1].T).toarray() == pytest.approx(1.0)


def test_token_of_every_item_has_no_weight_but_keeps_rows_finite() -> None:
    # df = n gives log(1) = 0, so the whole row is zero and must not be scaled.
    bags = build_bags([{"title": "the"}, {"title": "the"}], SPECS)
    assert bags.idf.tolist() == [0.0]
    assert np.abs(bags.rows.toarray()).max() == 0


def test_profile_is_the_unscaled_sum_of_history_rows() -> None:
    bags = build_bags(ITEMS, SPECS)
    profiles = user_profiles(bags, [np.array([0, 1]), np.array([], dtype=np.int64), np.array([1, 1])])
    rows = bags.rows.toarray()
    assert profiles.toarray() == pytest.approx(np.stack([rows[0] + rows[1], 0 * rows[0], 2 * rows[1]]))


def test_no_items_and_no_users_give_empty_matrices() -> None:
    bags = build_bags([], SPECS)
    assert bags.rows.shape == (0, 0)
    assert user_profiles(bags, []).shape == (0, 0)
