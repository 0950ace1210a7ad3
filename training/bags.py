"""Bags of content tokens: one sparse row an item, one profile a user.

Tokens of all text and set features of an item share one domain and one bag: words of a text feature, whole values of a
set feature (`recall.model.tokens`), each token counted as often as it stands there. A row is

    row[t] = count(t in item) * idf(t), scaled to length 1        idf(t) = log((1 + n) / (1 + df(t)))

with n all items of `items.parquet` and df(t) those whose bag holds t. An item without tokens has an empty row. A user's
profile is the unscaled sum of the rows of the history. Tokens are told apart by their 64-bit hash; a bag needs no
vocabulary beyond the hashes that occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall.model.hashing import hash_values
from recall.model.tokens import set_tokens, text_tokens
from recall.schema import FeatureMap, FeatureSpec

CONTENT_DOMAIN = "content"
CONTENT_KINDS = ("text", "set")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bags:
    """Bags of all items.

    Attributes:
        rows: [num_items, num_tokens] float64 CSR, each row of length 1 or empty, in the order of the items given.
        token_hashes: [num_tokens] uint64, ascending; the token of each column.
        idf: [num_tokens] float64.
    """

    rows: sparse.csr_matrix
    token_hashes: NDArray[np.uint64]
    idf: NDArray[np.float64]


def content_specs(specs: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """Returns those features that enter the bag: text and set."""
    return tuple(spec for spec in specs if spec.kind in CONTENT_KINDS)


def item_tokens(features: FeatureMap, specs: Sequence[FeatureSpec]) -> list[str]:
    """Returns the tokens of one item, feature after feature; other kinds than text and set give none."""
    tokens: list[str] = []
    for spec in specs:
        value = features.get(spec.name)
        if spec.kind == "text" and isinstance(value, str):
            tokens.extend(text_tokens(value))
        elif spec.kind == "set" and isinstance(value, tuple):
            tokens.extend(set_tokens(value))
    return tokens


def build_bags(features: Sequence[FeatureMap], specs: Sequence[FeatureSpec]) -> Bags:
    """Builds the bags of all items.

    Args:
        features: Raw features, one map an item; `n` of the IDF is their number.
        specs: Features that enter the bag.
    """
    counts, hashes = _token_counts([item_tokens(item, specs) for item in features])
    df = np.bincount(counts.indices, minlength=len(hashes))
    idf = np.log((1.0 + len(features)) / (1.0 + df))
    return Bags(rows=_unit_rows(counts.multiply(idf).tocsr()), token_hashes=hashes, idf=idf)


def user_profiles(bags: Bags, histories: Sequence[NDArray[np.int64]]) -> sparse.csr_matrix:
    """Returns [num_users, num_tokens] float64 CSR: the sum of the bag rows of each history.

    Args:
        bags: Of the items.
        histories: Item rows of each user; an empty one gives an empty profile.
    """
    lengths = [len(history) for history in histories]
    items = np.concatenate([np.empty(0, dtype=np.int64), *histories])
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    shape = (len(histories), bags.rows.shape[0])
    return sparse.csr_matrix((np.ones(len(items)), items, indptr), shape=shape) @ bags.rows


def _token_counts(bags: Sequence[Sequence[str]]) -> tuple[sparse.csr_matrix, NDArray[np.uint64]]:
    lengths = np.array([len(bag) for bag in bags], dtype=np.int64)
    hashes = hash_values(CONTENT_DOMAIN, [token for bag in bags for token in bag])
    distinct, columns = np.unique(hashes, return_inverse=True)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    counts = sparse.csr_matrix((np.ones(len(columns)), columns, indptr), shape=(len(bags), len(distinct)))
    counts.sum_duplicates()
    return counts, distinct


def _unit_rows(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return (sparse.diags(scale) @ rows).tocsr()
