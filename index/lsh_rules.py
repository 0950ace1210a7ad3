"""Parameters of an LSH index from a target recall, measured on a sample of the data.

For a few hundred queries, given ones or rows, the true neighbors among the (other) rows are searched exactly. For each
number of buckets that comes into question, functions are drawn, and every neighbor's bucket in every table is looked up
in the order in which the query would probe. A neighbor is found once it was met in `min_hits` of the first L tables; so
the number of probes that finds the target share of neighbors is a quantile, for every L and `min_hits` from one
hashing. Random rows, looked up likewise, tell what those probes would read. Of all combinations the one that costs
least is taken, by a model of the time of each step; where none reaches the target, the one that comes nearest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from index.lsh_families import CROSS_POLYTOPE, P_STABLE, draw
from index.lsh_parameters import AUTO, MAX_FUNCTIONS, LshParameters, default_bits, default_rerank, functions_of
from index.lsh_sample import Sample
from index.lsh_walk import MOST_HITS, MOST_PROBES, Walk
from index.protocols import FloatArray

TABLES = (4, 8, 12, 16, 24, 32)
"""Numbers of tables that the rule chooses from; more cost memory and insertion time and gain little."""
_MARGIN = 0.25
"""Share of the distance from the target to 1 that is added to it: the sample's share is off by a few thousandths."""


_LEAST_SPREAD = 1e-6
"""Rows that are all alike have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Parameters with what they should give.

    Attributes:
        parameters: With family, bits, functions, width, tables, probes and min_hits set.
        recall: Share of the sampled neighbors that they find.
        cost: Microseconds a query by the model.
    """

    parameters: LshParameters
    recall: float
    cost: float


def for_data(vectors: FloatArray, given: LshParameters) -> LshParameters:
    """Returns parameters with every rule applied; what is given stays.

    Args:
        vectors: [n, dim] float32, checked.
        given: 0 in a field leaves it to the rule.
    """
    return measured(vectors, given)[0]


def measured(
    vectors: FloatArray, given: LshParameters, *, queries: FloatArray | None = None
) -> tuple[LshParameters, Sample | None]:
    """Returns what `for_data` does, and the sample that it was measured on; None where nothing was left to measure.

    Args:
        vectors: As there.
        given: As there.
        queries: [num_queries, dim] float32, checked, as they will be asked, to measure with; None takes rows.
    """
    num_rows, dim = vectors.shape
    given = replace(given, rerank=given.rerank or default_rerank(given.target_k))
    given = replace(given, family=CROSS_POLYTOPE if given.family == AUTO else given.family)
    set_ = given.bits and given.functions and given.tables and given.probes and given.min_hits
    if num_rows < 2 or (set_ and (given.width or given.family != P_STABLE)):
        return given.for_rows(num_rows, dim), None
    sample = Sample.draw(vectors, given.target_k, seed=given.seed, queries=queries)
    aim = given.target_recall + _MARGIN * (1 - given.target_recall)
    choices = [choice for setting in _settings(sample, given) for choice in _choices(sample, setting, aim)]
    reached = [choice for choice in choices if choice.recall >= aim]
    if reached:
        best = min(reached, key=lambda choice: choice.cost)
    else:
        best = max(choices, key=lambda choice: (choice.recall, -choice.cost))
    return best.parameters, sample


def _settings(sample: Sample, given: LshParameters) -> Iterator[LshParameters]:
    """Yields what is given with the numbers of buckets and functions, and widths, that come into question."""
    middle = default_bits(sample.num_rows)
    dim = sample.queries.shape[1]
    if given.family != P_STABLE:
        for bits in (given.bits,) if given.bits else sorted({max(1, middle + step) for step in (-4, -3, -2, -1, 0, 1)}):
            yield replace(given, bits=bits, functions=functions_of(given, dim, bits))
        return
    bits = given.bits or middle
    spread = max(float(np.sqrt(sample.background.var(axis=0).sum())), _LEAST_SPREAD)
    distance = max(sample.distance, _LEAST_SPREAD)
    for width in (given.width,) if given.width else (distance, 2 * distance):
        # A normal projection that is cut into slots has about this many bits (its entropy), at least half a one.
        entropy = max(0.5, float(np.log2(spread * np.sqrt(2 * np.pi * np.e) / width)))
        wanted = {round(share * bits / entropy) for share in (0.6, 0.8, 1.0)}
        for functions in (given.functions,) if given.functions else sorted(wanted):
            yield replace(given, bits=bits, width=width, functions=min(max(functions, 1), MAX_FUNCTIONS))


def _choices(sample: Sample, setting: LshParameters, aim: float) -> Iterator[Choice]:
    """Yields a choice for each number of tables and hits, with the probes that find `aim` of the neighbors."""
    grid = (setting.tables,) if setting.tables else TABLES
    family = draw(setting.family, replace(setting, tables=grid[-1]).shape(sample.queries.shape[1]))
    walk = Walk.along(sample, family, np.array(grid, dtype=np.int64))
    for place, tables in enumerate(grid):
        for hits in (setting.min_hits,) if setting.min_hits else range(1, 1 + min(MOST_HITS, tables)):
            needed = np.sort(walk.of_neighbors[:, place, min(hits, MOST_HITS) - 1])
            probes = setting.probes or int(needed[int(np.ceil(aim * needed.size)) - 1])
            probes = max(tables, min(probes, MOST_PROBES, tables << setting.bits))
            yield Choice(
                parameters=replace(setting, tables=tables, probes=probes, min_hits=hits),
                recall=float(np.mean(needed <= probes)),
                cost=walk.cost(place, hits, probes),
            )
