"""Lengths of rows: kinds that group or link rows by inner product assume that these are about equal.

The longest rows are the best by inner product for most queries, so links and lists go to them alone. Graphs suffer
most: of 8,000 clustered rows, of which one in a hundred was three times as long as the others, hnsw found .94 of the
hundred best, with ten times as long ones .77, and .998 where all were as long.
"""

from __future__ import annotations

import logging

import numpy as np

from index.flat import FlatIndex

UNEQUAL = 2.0
"""Longest row over the median one: beyond that a build warns."""
_SAMPLED = 4096
_log = logging.getLogger(__name__)


def warn_of_unequal(exact: FlatIndex, *, kind: str) -> None:
    """Logs a warning where the longest row is more than `UNEQUAL` times as long as the median of a sample.

    Args:
        exact: The rows.
        kind: That is built over them, for the message.
    """
    if not exact.num_rows:
        return
    places = np.linspace(0, exact.num_rows - 1, min(_SAMPLED, exact.num_rows)).astype(np.int64)
    median = float(np.median(np.linalg.norm(exact.vectors[places], axis=1)))
    if exact.largest_norm > UNEQUAL * median:
        _log.warning(
            "%s assumes rows of about equal length, and the longest of these is %.3g times as long as the median: "
            "recall may be low; choose flat or kd_tree, or normalise the rows",
            kind,
            exact.largest_norm / median,
        )
