"""Bootstrap intervals of means over users, or over whatever else the rows are (percentile method, Efron 1979).

Users are drawn with replacement as often as there are users; the interval holds the middle of the means so drawn. All
columns of one call share the draws, so intervals of several channels over the same users can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CHUNK_VALUES = 1 << 21
"""Draws held at once: 2 million of 16 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanIntervals:
    """Means of columns and the interval of each.

    Attributes:
        means: [num_columns] float64.
        low: [num_columns] float64, at most the mean of the draws.
        high: [num_columns] float64.
    """

    means: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def mean_intervals(
    values: NDArray[np.float64], *, seed: int, num_resamples: int = 1000, level: float = 0.95
) -> MeanIntervals:
    """Returns the mean of each column with its bootstrap interval.

    Args:
        values: [num_users, num_columns] float64, one row a user; num_users at least 1.
        seed: Of the draws; equal seeds and shapes draw the same users.
        num_resamples: Draws of a whole set of users.
        level: Share of the draws inside the interval, in (0, 1).

    Raises:
        ValueError: There are no users, or an argument is out of range.
    """
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(f"values has shape {values.shape}; want [num_users, num_columns] with at least one user")
    if num_resamples < 1 or not 0 < level < 1:
        raise ValueError(f"num_resamples {num_resamples} must be at least 1 and level {level} within (0, 1)")
    draws = _resampled_means(values, num_resamples, np.random.default_rng(seed))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0)
    return MeanIntervals(means=values.mean(axis=0), low=low, high=high)


def _resampled_means(values: NDArray[np.float64], num_resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    num_users = len(values)
    chunk = max(1, _CHUNK_VALUES // num_users)
    means = np.empty((num_resamples, values.shape[1]))
    for start in range(0, num_resamples, chunk):
        stop = min(start + chunk, num_resamples)
        drawn = rng.integers(0, num_users, size=(stop - start, num_users), dtype=np.int64)
        # One flat count of (resample, user) turns all means of the chunk into one matrix product.
        drawn += np.arange(stop - start)[:, None] * num_users
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        means[start:stop] = counts @ values / num_users
    return means
