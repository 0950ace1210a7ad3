"""Fits what content counts beside the learned score, on the validation part.

Each number of exact words (`recall.model.fusion`) is chosen from a fixed grid by Recall@K, on the ranking that it alone
decides:

1. `seen`           warm items among all warm items
2. `unseen`         cold items of the validation part among each other
3. `unseen_offset`  all items among all items, with the two weights above, for users whose history has words; for all
   other users `unseen_offset_alone`

Of the values that are within one standard error of the best, paired by user, the nearest to 0 is taken (the rule of
Breiman, Friedman, Olshen and Stone, Classification and regression trees, 1984, section 3.4.3), for `unseen` the nearest
to `seen`: a handful of cold items in a validation part cannot tell, and what words say of warm ones holds until shown
otherwise.
Where the validation part holds one kind of item alone, its weight stands for both kinds and the offsets stay 0: nothing
shows how cold and warm items compare. So does the offset of a kind of user that it does not hold. A
profile holds as many tokens as in serving.

The one weight of a dense content part (`recall.model.content_part`) is chosen likewise, over the rankings 1 and 2.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from index.bags import Bags
from recall.live.profiles import unit_profiles
from recall.model.content_part import ContentPart, columns_beside, unit_rows
from recall.model.embedding import EmbeddingModel
from recall.model.fusion import FusionWeights
from training.config import FusionConfig, TrainConfig
from training.dataset import RowArray, TrainingData
from training.step import Stepper
from training.validation import ValidationPart, mixed_part, validation_parts

WEIGHTS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
OFFSETS = tuple(np.round(np.arange(-1.0, 1.001, 0.025), 3).tolist())

_CHUNK = 256
_LOG = logging.getLogger(__name__)

Matrix: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rankings:
    """What ranks the users of the validation part.

    Attributes:
        model: Trained, without fusion.
        stepper: Holds its item vectors and histories.
        histories: [num_users, num_items], how often an item is in a history.
        content: [num_items, num_tokens or dim] float32, rows of length 1 or empty.
        k: Length of the lists where there are enough candidates (`ValidationPart.depth`).
    """

    model: EmbeddingModel
    stepper: Stepper
    histories: csr_matrix
    content: csr_matrix | Matrix
    k: int

    @classmethod
    def of(
        cls,
        model: EmbeddingModel,
        stepper: Stepper,
        data: TrainingData,
        config: TrainConfig,
        *,
        content: csr_matrix | Matrix,
    ) -> _Rankings:
        """Returns what ranks by the towers as they are now, with the histories that they see."""
        stepper.refresh()
        histories = data.histories(config.towers.max_history)
        return cls(model=model, stepper=stepper, histories=histories, content=content, k=config.validation_k)

    def scores(self, part: ValidationPart) -> Iterator[tuple[slice, Matrix, Matrix]]:
        """Yields some users, and how learned vectors and content score the candidates, [n, c] float32 each."""
        vectors, content = self.stepper.pool.vectors[part.candidates], self.content[part.candidates].T
        for some in part.chunks(_CHUNK):
            rows = part.users[some]
            users = self.model.embed_prepared_users(self.stepper.users.take(rows), self.stepper.pool.whole(rows))
            learned = users @ vectors.T
            learned[part.seen[some].nonzero()] = -np.inf
            yield some, learned, self._matched(rows, content)

    def _matched(self, users: RowArray, content: csr_matrix | Matrix) -> Matrix:
        sums = self.histories[users] @ self.content
        if isinstance(sums, np.ndarray):
            return unit_rows(sums) @ content
        matched: Matrix = (_profiles(sums.tocsr()) @ content).toarray()
        return matched

    def recalls_by_weight(self, part: ValidationPart) -> Matrix:
        """Returns Recall@K of each user at each of `WEIGHTS`, [len(WEIGHTS), num_users]."""
        out = np.empty((len(WEIGHTS), len(part.users)), dtype=np.float32)
        for some, learned, exact in self.scores(part):
            relevant = part.relevant[some].toarray() > 0
            for place, weight in enumerate(WEIGHTS):
                rows, _ = _top(learned + np.float32(weight) * exact, part.depth(self.k))
                out[place, some] = np.take_along_axis(relevant, rows, 1).sum(1) / relevant.sum(1)
        return out

    def recalls_by_offset(self, part: ValidationPart, cold: NDArray[np.bool_], weights: FusionWeights) -> Matrix:
        """Returns Recall@K of each user at each of `OFFSETS`, [len(OFFSETS), num_users]."""
        out = np.empty((len(OFFSETS), len(part.users)), dtype=np.float32)
        factors = np.where(cold, weights.unseen, weights.seen).astype(np.float32)
        kinds, k = (np.flatnonzero(~cold), np.flatnonzero(cold)), part.depth(self.k)
        for some, learned, exact in self.scores(part):
            relevant, scores = part.relevant[some].toarray() > 0, learned + factors * exact
            # An offset moves all cold items alike, so the best of each kind are the same at any.
            (hits, best), (cold_hits, cold_best) = (self._best_of(scores, relevant, columns, k) for columns in kinds)
            for place, offset in enumerate(OFFSETS):
                rows, _ = _top(np.concatenate([best, cold_best + np.float32(offset)], axis=1), k)
                found = np.take_along_axis(np.concatenate([hits, cold_hits], axis=1), rows, 1)
                out[place, some] = found.sum(1) / relevant.sum(1)
        return out

    def has_words(self, users: RowArray) -> NDArray[np.bool_]:
        """Returns whose history has any word, [len(users)]."""
        words = np.abs(self.content).sum(axis=1)
        told: NDArray[np.bool_] = np.asarray(self.histories[users] @ np.asarray(words).reshape(-1)) > 0
        return told

    def _best_of(
        self, scores: Matrix, relevant: NDArray[np.bool_], columns: RowArray, k: int
    ) -> tuple[NDArray[np.bool_], Matrix]:
        rows, best = _top(scores[:, columns], k)
        return np.take_along_axis(relevant[:, columns], rows, 1), best


def fit_fusion(
    model: EmbeddingModel, stepper: Stepper, data: TrainingData, config: TrainConfig, *, seed: int
) -> FusionWeights:
    """Returns the weights that rank the validation part best; all 0 where there is none.

    Args:
        model: Trained.
        stepper: Made for it.
        data: With a validation part that the model has not learned from.
        config: `fusion` may fix numbers; `validation_k` and `validation_users` hold here too.
        seed: Chooses the users that are looked at.
    """
    if config.fusion.content != "sparse":
        return FusionWeights()
    rankings = _Rankings.of(model, stepper, data, config, content=_as_matrix(model, data))
    cold = data.item_counts() == 0
    parts = {
        bool(cold[part.candidates[0]]): part
        for part in validation_parts(data, max_users=config.validation_users, seed=seed)
    }
    fitted: dict[bool, float] = {}
    for kind, part in sorted(parts.items()):  # seen items first
        fitted[kind] = _chosen(WEIGHTS, rankings.recalls_by_weight(part), near=fitted.get(False, 0.0))
    weights = _fixed(config.fusion, fitted)
    if len(parts) == 2:
        mixed = mixed_part(data, max_users=config.validation_users, seed=seed)
        recalls, has_words = rankings.recalls_by_offset(mixed, cold, weights), rankings.has_words(mixed.users)
        fitted_offsets = {
            "unseen_offset": _chosen(OFFSETS, recalls[:, has_words]),
            "unseen_offset_alone": _chosen(OFFSETS, recalls[:, ~has_words]),
        }
        given = config.fusion.model_dump()
        weights = weights.model_copy(update={n: value for n, value in fitted_offsets.items() if given[n] == "fitted"})
    _LOG.info("added to the learned score: %s", weights)
    return weights


def fit_content_part(
    model: EmbeddingModel, stepper: Stepper, data: TrainingData, config: TrainConfig, *, seed: int
) -> ContentPart | None:
    """Returns the dense content part with the weight that ranks the validation part best.

    None where it is not asked for, where there is no projected content or no validation part, and where 0 is best.

    Args:
        model: Trained, without a content part.
        stepper: Made for it.
        data: With a validation part that the model has not learned from.
        config: `validation_k` and `validation_users` hold here too.
        seed: Chooses the users that are looked at.
    """
    projection = model.items.features.projection
    if config.fusion.content != "dense" or projection is None:
        return None
    parts = validation_parts(data, max_users=config.validation_users, seed=seed)
    if not parts:
        return None
    columns = columns_beside(config.towers.dim, projection.rank)
    content = unit_rows(stepper.items.features.content[:, :columns])
    rankings = _Rankings.of(model, stepper, data, config, content=content)
    weight = _chosen(WEIGHTS, np.concatenate([rankings.recalls_by_weight(part) for part in parts], axis=1))
    _LOG.info("%d columns of content weigh %g beside the learned score", columns, weight)
    return ContentPart(dim=columns, weight=weight) if weight else None


def _fixed(config: FusionConfig, fitted: dict[bool, float]) -> FusionWeights:
    """Returns the weights of the config, and where it leaves one open that of the kind, or of the other kind."""
    either = next(iter(fitted.values()), 0.0)
    return FusionWeights(
        seen=fitted.get(False, either) if config.seen == "fitted" else config.seen,
        unseen=fitted.get(True, either) if config.unseen == "fitted" else config.unseen,
        unseen_offset=0.0 if config.unseen_offset == "fitted" else config.unseen_offset,
        unseen_offset_alone=0.0 if config.unseen_offset_alone == "fitted" else config.unseen_offset_alone,
    )


def _chosen(grid: tuple[float, ...], recalls: Matrix, *, near: float = 0.0) -> float:
    """Returns the value nearest to `near` that the best one does not beat clearly.

    Args:
        grid: Values, ascending, with `near` among them.
        recalls: [len(grid), num_users] float32.
        near: What holds as long as nothing speaks against it, as without any user.
    """
    if recalls.shape[1] == 0:
        return near
    best = recalls[int(recalls.mean(axis=1, dtype=np.float64).argmax())]
    losses = (best - recalls).astype(np.float64)
    close = losses.mean(axis=1) <= losses.std(axis=1) / np.sqrt(losses.shape[1])
    return min((value for value, is_close in zip(grid, close, strict=True) if is_close), key=lambda v: abs(v - near))


def _profiles(sums: csr_matrix) -> csr_matrix:
    sums.sort_indices()
    whole = Bags.of(sums.indices.astype(np.uint64), sums.data.astype(np.float32), sums.indptr.astype(np.int64))
    kept = unit_profiles(whole)
    return csr_matrix((kept.weights, kept.tokens.astype(np.int64), kept.offsets), shape=sums.shape)


def _as_matrix(model: EmbeddingModel, data: TrainingData) -> csr_matrix:
    bags = model.bag_items(data.item_ids, data.items)
    tokens, columns = np.unique(bags.tokens, return_inverse=True)
    return csr_matrix((bags.weights, columns, bags.offsets), shape=(len(bags), len(tokens)))


def _top(scores: Matrix, k: int) -> tuple[RowArray, Matrix]:
    """Returns columns and scores of the `k` greatest in each row, in any order."""
    k = min(k, scores.shape[1])
    columns = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return columns, np.take_along_axis(scores, columns, 1)
