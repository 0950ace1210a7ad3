"""Content as short vectors, and an affine map from them: a truncated SVD of bags and a ridge regression.

The SVD is the randomised one of Halko, Martinsson and Tropp 2011 (algorithms 4.4 and 5.1, four power iterations).
The penalty of the regression is the one of 10^-4, 10^-3.5, ... 10^4 with the least generalised cross-validation error
(Golub, Heath and Wahba 1979), residual / (n - trace of the hat matrix)^2, over all targets at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_PENALTIES = 10.0 ** np.arange(-4.0, 4.5, 0.5)
_OVERSAMPLING = 16
_POWER_ITERATIONS = 4


def content_vectors(bags: sparse.csr_matrix, *, rank: int, seed: int) -> NDArray[np.float64]:
    """Returns the rows of U S of the truncated SVD of the bags, [num_items, at most rank] float64.

    Args:
        bags: [num_items, num_tokens].
        rank: Singular values kept; all where there are fewer.
        seed: Of the random start.
    """
    width = min(rank + _OVERSAMPLING, *bags.shape)
    basis = np.linalg.qr(bags @ np.random.default_rng(seed).standard_normal((bags.shape[1], width)))[0]
    for _ in range(_POWER_ITERATIONS):
        basis = np.linalg.qr(bags @ np.linalg.qr(bags.T @ basis)[0])[0]
    left, values, _ = np.linalg.svd((bags.T @ basis).T, full_matrices=False)
    vectors: NDArray[np.float64] = (basis @ left[:, :rank]) * values[:rank]
    return vectors


def ridge_map(
    inputs: NDArray[np.float64], targets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fits targets = inputs @ matrix + intercept with the penalty of least generalised cross-validation error.

    Args:
        inputs: [n, width] float64, n at least 1.
        targets: [n, dim] float64.

    Returns:
        The matrix [width, dim] and the intercept [dim], both float64.
    """
    centre, level = inputs.mean(axis=0), targets.mean(axis=0)
    inputs, targets = inputs - centre, targets - level
    squares, vectors = np.linalg.eigh(inputs.T @ inputs)
    squares = np.maximum(squares, 0.0)
    products = vectors.T @ (inputs.T @ targets)
    energy, strength = float((targets**2).sum()), (products**2).sum(axis=1)

    def error(penalty: float) -> float:
        shrunk = 1.0 / (squares + penalty)
        residual = energy - float(((2.0 * shrunk - squares * shrunk**2) * strength).sum())
        return residual / (len(inputs) - float((squares * shrunk).sum())) ** 2

    penalty = min(_PENALTIES.tolist(), key=error)
    matrix: NDArray[np.float64] = vectors @ (products / (squares + penalty)[:, None])
    return matrix, level - centre @ matrix
