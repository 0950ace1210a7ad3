"""Token sets of hand-made items: what counts as one token, and what does not."""

from __future__ import annotations

import numpy as np

from recall.model.features import TOKEN_DOMAIN
from recall.model.hashing import hash_values
from recall.model.token_sets import TokenSets, content_specs
from recall.schema import FeatureSpec

SPECS = (
    FeatureSpec(name="title", kind="text", domain="title"),
    FeatureSpec(name="year", kind="number", domain="year"),
    FeatureSpec(name="tags", kind="set", domain="tags"),
    FeatureSpec(name="cites", kind="set", domain="item_id"),
)


def _hashes(*tokens: str, domain: str = TOKEN_DOMAIN) -> list[int]:
    return hash_values(domain, tokens).tolist()


def test_texts_and_sets_are_read_and_nothing_else() -> None:
    assert [spec.name for spec in content_specs(SPECS)] == ["title", "tags", "cites"]


def test_a_token_counts_once_whichever_feature_it_stands_in_unless_their_domains_differ() -> None:
    rows = [
        {"title": "The deep, the DEEP", "tags": ("deep", "Deep Sea", "b"), "cites": ("b",), "year": 1999.0},
        {"year": 2000.0},
        {"tags": ("ﬁsh",)},
    ]
    sets = TokenSets.of_features(content_specs(SPECS), rows)
    wanted = [*_hashes("the", "deep", "deep sea", "b"), *_hashes("b", domain="item_id")]
    assert sets.row(0).tolist() == sorted(wanted)
    assert sets.row(1).tolist() == []
    assert sets.row(2).tolist() == _hashes("fish")
    assert sets.offsets.tolist() == [0, 5, 5, 6]


def test_rows_are_joined_and_taken() -> None:
    first = TokenSets.of([np.array([3, 1, 3], dtype=np.uint64), np.array([], dtype=np.uint64)])
    second = TokenSets.of([np.array([2**64 - 1, 7], dtype=np.uint64)])
    joined = TokenSets.joined([first, second])
    assert [joined.row(row).tolist() for row in range(len(joined))] == [[1, 3], [], [7, 2**64 - 1]]
    taken = joined.take(np.array([2, 0, 0, 1]))
    assert [taken.row(row).tolist() for row in range(len(taken))] == [[7, 2**64 - 1], [1, 3], [1, 3], []]
    assert len(TokenSets.joined([])) == len(TokenSets.of([])) == 0
