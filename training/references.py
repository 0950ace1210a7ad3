"""Which set features name other rows of their own side, such as citations (items) or friends (users).

Codes that only look like ids are common, so two things are asked of a set feature without a hash domain of its own. At
least half of its distinct values are ids of that side. And rows that it would link are alike: the mean cosine of their
train interactions is at least 1.5 times that of the same links shuffled, and above it by three standard errors, over at
least 100 links between rows seen in train: where rows share little, a handful of links that do so by chance is a large
multiple. Measured: citations of articles 15, friends of listeners 1.9, category codes of shop items that run over the
same integers as the ids .9. The values of such a feature share their hash domain with the ids. Said by a notice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from recall.schema import FeatureMap, FeatureSpec

_LEAST_SHARE = 0.5
_LEAST_LIFT = 1.5
_LEAST_ERRORS = 3.0
_LEAST_LINKS = 100
_MOST_LINKS = 20_000
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Items or users, as far as references are concerned.

    Attributes:
        id_domain: Hash domain of the ids.
        ids: All ids.
        rows: Raw features; there may be fewer than ids.
        seen: Returns [len(ids), others] train interactions as ones; asked only where a feature may name rows.
    """

    id_domain: str
    ids: Sequence[str]
    rows: Sequence[FeatureMap]
    seen: Callable[[], csr_matrix]


def with_references(specs: Sequence[FeatureSpec], side: Side, *, seed: int) -> tuple[FeatureSpec, ...]:
    """Returns the features, those that are references in the domain of the ids.

    Args:
        specs: Features of one side.
        side: Its rows.
        seed: Of the links looked at and their shuffling.
    """
    if not any(_may_refer(spec) for spec in specs):
        return tuple(specs)
    row_of = {row_id: row for row, row_id in enumerate(side.ids)}
    out = []
    for spec in specs:
        if _may_refer(spec) and _are_references(spec, side, row_of, seed):
            _LOG.info("the values of %s are taken as references to %s", spec.name, side.id_domain)
            spec = spec.model_copy(update={"domain": side.id_domain})
        out.append(spec)
    return tuple(out)


def _may_refer(spec: FeatureSpec) -> bool:
    return spec.kind == "set" and spec.domain == spec.name


def _are_references(spec: FeatureSpec, side: Side, row_of: dict[str, int], seed: int) -> bool:
    values = {value for row in side.rows for value in _values(spec, row)}
    if not values or len(values & row_of.keys()) < _LEAST_SHARE * len(values):
        return False
    links = [(row, row_of[v]) for row, raw in enumerate(side.rows) for v in _values(spec, raw) if v in row_of]
    return _are_alike(np.array(links, dtype=np.int64), side.seen(), seed)


def _values(spec: FeatureSpec, row: FeatureMap) -> tuple[str, ...]:
    return cast(tuple[str, ...], row.get(spec.name, ()))


def _are_alike(links: NDArray[np.int64], seen: csr_matrix, seed: int) -> bool:
    """Returns whether linked rows are more alike than shuffled ones; False where there are too few links to tell."""
    counts = np.diff(seen.indptr)
    usable = (counts[links] > 0).all(axis=1) & (links[:, 0] != links[:, 1])
    links = links[usable]
    if len(links) < _LEAST_LINKS:
        return False
    rng = np.random.default_rng(seed)
    links = links[rng.permutation(len(links))[:_MOST_LINKS]]
    unit = diags(1.0 / np.sqrt(np.maximum(counts, 1))) @ seen
    linked = _cosines(unit, links[:, 0], links[:, 1])
    shuffled = _cosines(unit, links[:, 0], rng.permutation(links[:, 1]))
    error = np.sqrt((linked.var() + shuffled.var()) / len(links))
    above = linked.mean() - shuffled.mean()
    return bool(linked.mean() >= _LEAST_LIFT * shuffled.mean() and above > _LEAST_ERRORS * error)


def _cosines(unit: csr_matrix, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    products: NDArray[np.float64] = np.asarray(unit[left].multiply(unit[right]).sum(axis=1), dtype=np.float64).ravel()
    return products
