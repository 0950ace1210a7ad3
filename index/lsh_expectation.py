"""What recall an LSH index may be expected to have, measured once it is built.

The rule that chooses its parameters (`index.lsh_rules`) asks whether neighbors are met at all. Met ones may still be
lost where quantised rows cannot tell them apart, as beside a constant column much larger than the others; so the
sample's queries are searched, and where that misses the target a warning says so.
"""

from __future__ import annotations

import logging
import math

import numpy as np

from index.lsh_parameters import LshParameters
from index.lsh_sample import Sample
from index.protocols import VectorIndex

_STANDARD_ERRORS = 3.0
_log = logging.getLogger(__name__)


def expected_recall(index: VectorIndex, sample: Sample, parameters: LshParameters) -> float:
    """Returns the share of the neighbors of a sample that an index finds, to four places; warns below the target.

    Args:
        index: Over the rows that were sampled.
        sample: Queries with the scores of their last neighbors.
        parameters: Name `target_k` and `target_recall`.
    """
    k = min(parameters.target_k, max(index.num_rows - 1, 1))
    scores = index.search(sample.queries, k + 1).scores
    found = np.count_nonzero(scores >= sample.floors[:, None], axis=1) - sample.owns
    shares = np.clip(found / k, 0.0, 1.0)
    recall = float(shares.mean())
    unsure = _STANDARD_ERRORS * float(shares.std()) / math.sqrt(shares.size)
    if recall + unsure < parameters.target_recall:
        _log.warning(
            "lsh (%s) should find %.3f of the %d nearest of its %d rows, less than the target_recall %g: choose "
            "hnsw, or flat and kd_tree where rows are of unequal length; center rows that share a large constant part",
            parameters.family,
            recall,
            k,
            index.num_rows,
            parameters.target_recall,
        )
    return round(recall, 4)
