"""Which set features name other rows of their own side, such as citations (items) or friends (users).

A set feature without a hash domain of its own is taken as references where at least half of its values are ids of that
side; its values then share their hash domain with the ids. Said by a notice.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import cast

from recall.schema import FeatureMap, FeatureSpec

_LEAST_SHARE = 0.5
_LOG = logging.getLogger(__name__)


def with_references(
    specs: Sequence[FeatureSpec], rows: Sequence[FeatureMap], ids: Collection[str], *, id_domain: str
) -> tuple[FeatureSpec, ...]:
    """Returns the features, those that are references in the domain of the ids.

    Args:
        specs: Features of one side.
        rows: Raw features of all its rows.
        ids: All its ids.
        id_domain: Hash domain of the ids.
    """
    known = frozenset(ids)
    out = []
    for spec in specs:
        if spec.kind == "set" and spec.domain == spec.name and _share_of(spec, rows, known) >= _LEAST_SHARE:
            _LOG.info("the values of %s are taken as references to %s", spec.name, id_domain)
            spec = spec.model_copy(update={"domain": id_domain})
        out.append(spec)
    return tuple(out)


def _share_of(spec: FeatureSpec, rows: Sequence[FeatureMap], ids: frozenset[str]) -> float:
    values = {value for row in rows if spec.name in row for value in cast(tuple[str, ...], row[spec.name])}
    return len(values & ids) / len(values) if values else 0.0
