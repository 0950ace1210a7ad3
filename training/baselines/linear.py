"""Linear map: what an affine map from content to collaborative factors gets, the classic answer to cold items.

1. *Factors.* Confidence-weighted factorisation of the train interactions by alternating least squares (Hu, Koren and
   Volinsky 2008, "Collaborative filtering for implicit feedback datasets"): 128 factors, confidence 10 for a pair that
   occurs and 1 for one that does not, regularisation 10, 15 rounds. A pair counts once, whatever its weight.
2. *Content.* Truncated SVD of the bags of all items (`training.bags`): U S of the 300 greatest singular values, fewer
   where the bags have fewer.
3. *Map.* Ridge regression with an intercept from content to factors over the warm items, each weighing the same however
   often it occurs. Its penalty is the one with the least generalised cross-validation error on these items, so nothing
   held out is looked at.
4. *Scores.* Dot product of user and item factors. An item with a train interaction has the factors of 1, any other the
   image of its content under 3. A user's factors solve the least squares of 1 for the user's history, in which cold
   items have no part; a user without one scores every item 0 and gets them in id order.

The constants are the same for every data set. Regularisation, confidence and the equal weights were compared on the
validation parts of two sets with cold items. The same seed gives the same factors: all of it runs on one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recall.errors import ConfigError
from recall.schema import FeatureMap, FeatureSpec
from recall.tables import ITEM_ID, USER_ID
from training.bags import build_bags
from training.baselines.content_map import content_vectors, ridge_map
from training.baselines.ranking import ItemRows, rank_by_score
from training.recommender import CandidateSet, EvaluationUser

if TYPE_CHECKING:
    from implicit.cpu.als import AlternatingLeastSquares

FACTORS = 128
CONFIDENCE = 10.0
REGULARIZATION = 10.0
ROUNDS = 15
CONTENT_RANK = 300


class LinearMap:
    """Ranks items by factors learned from interactions, those of cold items guessed from their content."""

    channel = "linear"

    def __init__(
        self,
        item_ids: Sequence[str],
        features: Sequence[FeatureMap],
        *,
        specs: Sequence[FeatureSpec],
        train: pl.DataFrame,
        seed: int = 0,
    ) -> None:
        """Fits factors and map.

        Args:
            item_ids: All items of the data folder.
            features: Raw features, one map an item.
            specs: Features that enter the bag; other kinds than text and set add nothing.
            train: `user_id` and `item_id` of the train interactions, at least one.
            seed: Of the first factors and of the decomposition.

        Raises:
            ConfigError: The package `implicit` is not installed.
        """
        require_implicit()
        from threadpoolctl import threadpool_limits

        self._items = ItemRows.of(item_ids)
        by_id = dict(zip(item_ids, features, strict=True))
        bags = build_bags([by_id[item_id] for item_id in self._items.item_ids], specs).rows
        pairs = _pairs(train, self._items)
        is_warm = np.diff(pairs.tocsc().indptr) > 0
        # The solvers of implicit call BLAS for small matrices, which its own threads make ten times slower.
        with threadpool_limits(1, "blas"):
            self._solver = _factorized(pairs, seed)
            content = content_vectors(bags, rank=CONTENT_RANK, seed=seed)
            matrix, intercept = ridge_map(content[is_warm], self._solver.item_factors[is_warm].astype(np.float64))
        mapped = (content @ matrix + intercept).astype(np.float32)
        self._factors: NDArray[np.float32] = np.where(is_warm[:, None], self._solver.item_factors, mapped)

    def recommend(self, users: Sequence[EvaluationUser], k: int, candidates: CandidateSet) -> list[list[str]]:
        """Returns up to `k` candidates a user by dot product of factors; see `Recommender`."""
        return rank_by_score(users, k, candidates, items=self._items, score=self._scores)

    def _scores(self, users: Sequence[EvaluationUser], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        from threadpoolctl import threadpool_limits

        histories = [np.unique(self._items.rows(user.history)) for user in users]
        indptr = np.concatenate([[0], np.cumsum([len(history) for history in histories])])
        items = np.concatenate(histories)
        had = sparse.csr_matrix(
            (np.ones(len(items), dtype=np.float32), items, indptr), shape=(len(users), len(self._factors))
        )
        with threadpool_limits(1, "blas"):
            user_factors = self._solver.recalculate_user(np.arange(len(users)), had)
            scores: NDArray[np.float32] = user_factors @ self._factors[rows].T
        return scores


def require_implicit() -> None:
    """Checks that the package of the factorisation is there.

    Raises:
        ConfigError: It is not.
    """
    try:
        import implicit  # noqa: F401  # looked for only
    except ImportError as error:
        raise ConfigError(
            f"channel {LinearMap.channel!r} needs the package implicit ({error}); "
            "install it with pip install 'dhe-recall[baselines]'"
        ) from error


def _pairs(train: pl.DataFrame, items: ItemRows) -> sparse.csr_matrix:
    """Returns [num_users, num_items] float32 ones."""
    distinct = train.select(USER_ID, ITEM_ID).unique().sort(USER_ID, ITEM_ID)
    users = distinct[USER_ID].rank("dense").to_numpy().astype(np.int64) - 1
    rows = items.rows(distinct[ITEM_ID].to_list())
    shape = (int(users[-1]) + 1, len(items.item_ids))
    return sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (users, rows)), shape=shape)


def _factorized(pairs: sparse.csr_matrix, seed: int) -> AlternatingLeastSquares:
    from implicit.cpu.als import AlternatingLeastSquares

    solver = AlternatingLeastSquares(
        factors=FACTORS,
        regularization=REGULARIZATION,
        alpha=CONFIDENCE,
        iterations=ROUNDS,
        num_threads=1,
        random_state=seed,
    )
    solver.fit(pairs, show_progress=False)
    return solver
