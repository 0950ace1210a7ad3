"""A fitted projection of bags of hashed tokens: truncated SVD of the catalogue's weighted bags, in bounded size.

Tokens fall into a fixed number of signed buckets (Weinberger et al., ICML 2009), so there is no vocabulary and the size
does not grow with the catalogue. The projection is onto the leading right singular vectors (Halko et al., 2011, the
randomised form), so tokens that occur in the same items come close to each other; a projected bag is scaled to length
1. A random projection, which pooled token codes are, keeps far less of the same bags in the same width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recall.model.bags import Bags
from recall.model.codes import mix64, mixed

_MAX_FITTED_ROWS = 1 << 16
_OVERSAMPLING = 16
_POWER_ITERATIONS = 3
_LEAST_LENGTH = 1e-6
_LEAST_SINGULAR = 1e-3
_LARGEST_STEP = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentProjection:
    """Maps bags of hashed tokens to vectors.

    Attributes:
        matrix: [buckets, rank] float32, whole numbers from -127 to 127 times the scale of their row; buckets is a power
            of two.
        scales: [buckets] float32, above 0; None in models of the first release, whose values are exact in float16.
        seed: Chooses buckets and signs.
    """

    matrix: NDArray[np.float32]
    scales: NDArray[np.float32] | None
    seed: int

    @property
    def rank(self) -> int:
        """Length of a projected bag."""
        return int(self.matrix.shape[1])

    @classmethod
    def fit(cls, bags: Bags, *, buckets: int, rank: int, seed: int, whiten: bool = False) -> ContentProjection:
        """Fits the projection to bags.

        Args:
            bags: The catalogue's weighted tokens.
            buckets: Rows of the matrix, a power of two.
            rank: Columns of the matrix; those that the bags cannot fill are zero.
            seed: Of buckets, signs and the randomised decomposition.
            whiten: Whether columns are divided by their singular values, so that all spread alike over the bags.
        """
        bucketed = _bucketed(bags, buckets, seed)
        if len(bags) > _MAX_FITTED_ROWS:
            rows = np.random.default_rng(seed).choice(len(bags), _MAX_FITTED_ROWS, replace=False)
            bucketed = bucketed[np.sort(rows)]
        matrix = np.zeros((buckets, rank), dtype=np.float32)
        kept = min(rank, *bucketed.shape)
        if kept and bucketed.nnz:
            vectors, values = _right_singular_vectors(bucketed, kept, seed)
            matrix[:, :kept] = vectors * _spread(values) if whiten else vectors
        largest = np.abs(matrix).max(axis=1)
        scales = np.where(largest > 0, largest / _LARGEST_STEP, 1.0).astype(np.float32)
        return cls.of_steps(np.rint(matrix / scales[:, None]).astype(np.int8), scales, seed=seed)

    @classmethod
    def of_steps(cls, steps: NDArray[np.int8], scales: NDArray[np.float32], *, seed: int) -> ContentProjection:
        """Returns the projection whose `steps` and scales, [buckets, rank] and [buckets], these are."""
        return cls(matrix=steps * scales[:, None], scales=scales, seed=seed)

    def stored(self) -> dict[str, NDArray[np.generic]]:
        """Returns the arrays that `restored` makes the same projection from.

        In steps of its row's scale the matrix takes a quarter of its size, and rounding moved a value by at most 1/254
        of the greatest one of its row.
        """
        if self.scales is None:
            return {"projection": self.matrix.astype(np.float16)}
        steps = np.rint(self.matrix / self.scales[:, None]).astype(np.int8)
        return {"projection": steps, "projection_scales": self.scales}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], *, seed: int) -> ContentProjection | None:
        """Returns the projection that `stored` gave these arrays for; None where there is none."""
        matrix, scales = arrays.get("projection"), arrays.get("projection_scales")
        if matrix is None:
            return None
        if scales is None:
            return cls(matrix=matrix.astype(np.float32), scales=None, seed=seed)
        return cls.of_steps(matrix, scales, seed=seed)

    def project(self, bags: Bags) -> NDArray[np.float32]:
        """Returns the projected bags, [num_bags, rank] float32, each of length sqrt(rank), or zero.

        A length of sqrt(rank) gives elements near 1, as the other inputs of a tower have.
        """
        return unit_projected(self.summed(bags))

    def summed(self, bags: Bags) -> NDArray[np.float32]:
        """Returns the projected bags before they are scaled, [num_bags, rank] float32: the sums of their tokens'."""
        sums: NDArray[np.float32] = (_bucketed(bags, len(self.matrix), self.seed) @ self.matrix).astype(np.float32)
        return sums


def unit_projected(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns sums of projected tokens, [n, rank] float32, scaled to length sqrt(rank); those of no length are zero."""
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    scale = np.where(lengths > _LEAST_LENGTH, np.sqrt(sums.shape[1]) / np.maximum(lengths, _LEAST_LENGTH), 0.0)
    scaled: NDArray[np.float32] = (sums * scale).astype(np.float32)
    return scaled


def _bucketed(bags: Bags, buckets: int, seed: int) -> csr_matrix:
    hashes = mixed(bags.tokens ^ np.uint64(mix64(seed + 1)))
    columns = (hashes >> np.uint64(1)) & np.uint64(buckets - 1)
    signs = np.where(hashes & np.uint64(1), np.float32(1), np.float32(-1))
    return csr_matrix((bags.weights * signs, columns.astype(np.int64), bags.offsets), shape=(len(bags), buckets))


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns by what columns are multiplied to spread alike; 0 for those that are hardly more than rounding."""
    usable = values > _LEAST_SINGULAR * values[0]
    factors: NDArray[np.float32] = np.where(usable, values[0] / np.where(usable, values, 1.0), 0.0).astype(np.float32)
    return factors


def _right_singular_vectors(bags: csr_matrix, rank: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns [buckets, rank] float32 with orthonormal columns, greatest singular value first, and those values."""
    entries = bags.tocoo()
    sparse = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([entries.row, entries.col])),
        torch.from_numpy(entries.data),
        entries.shape,
        check_invariants=True,
    ).coalesce()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        width = min(rank + _OVERSAMPLING, *bags.shape)
        _, values, vectors = torch.svd_lowrank(sparse, q=width, niter=_POWER_ITERATIONS)
    return vectors[:, :rank].numpy(), values[:rank].numpy()
