from __future__ import annotations

from itertools import islice

import pytest

from recall.errors import DataError
from recall.schema import FeatureSpec
from unseen import unseen_features

SPECS = (
    FeatureSpec(name="title", kind="text", domain="title"),
    FeatureSpec(name="tags", kind="set", domain="tags"),
)
KNOWN = [
    {"title": "red apple", "tags": ("fruit",)},
    {"title": "green old pear", "tags": ("fruit", "old")},
    {"title": "blue car"},
]


def as_bags(features):
    return frozenset((name, frozenset(v if isinstance(v, tuple) else v.split())) for name, v in features.items())


def test_unseen_features_are_new_distinct_and_made_of_known_values():
    made = list(islice(unseen_features(KNOWN, SPECS, seed=0), 12))
    bags = [as_bags(features) for features in made]
    assert len(set(bags)) == 12
    assert not set(bags) & {as_bags(features) for features in KNOWN}
    words = {word for features in KNOWN for word in features["title"].split()}
    assert all(set(features.get("title", "").split()) <= words for features in made)


def test_same_seed_makes_the_same_items():
    first, second = (list(islice(unseen_features(KNOWN, SPECS, seed=3), 5)) for _ in range(2))
    assert first == second


def test_too_few_values_are_an_error():
    with pytest.raises(DataError, match="too few features"):
        next(unseen_features([{"tags": ("fruit",)}], SPECS, seed=0))
