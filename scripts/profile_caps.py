"""What the cap on a profile's tokens (`recall.live.profiles`) costs in recall, and what it saves in time.

Recall is that of the validation part: lists by the fused score, and by exact content alone, which is the cosine of the
profile and the bag. A result is {"set", "model_id", "seed", "command", "commit", "date", "machine", "rows", "times"}:

- a row for each of `ablations.FIGURES` that the part has, each score and each cap: {"figure", "score", "tokens",
  "value", "low", "high", "users", "difference", "difference_low", "difference_high"}, `tokens` null for no cap; a
  difference is that to no cap, paired by user, with its 95% interval;
- a time for each cap: {"tokens", "cut", "profile_us", "scoring_us", "heaviest_us"}, `cut` being the share of users with
  more tokens, and `heaviest_us` the sum of both times over the tenth of users with the most tokens.

The sparse part of a query makes the profile from the bags of the history and scores every item by it. It is timed for
one query after the other on one thread. All caps take turns at each user in a random order, drawn anew in each round,
since a cap finds warm what a wider one has just read. A time is the mean over users of the least over rounds: what else
the machine does can only add to it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ablations import FIGURES, METRIC, K
from index.bags import Bags
from index.factory import IndexConfig
from index.protocols import FloatArray, SearchOptions
from index.sparse import SparseIndex
from kept import Json
from recall.bootstrap import mean_intervals
from recall.errors import ConfigError
from recall.live.generation import Generation, load_model
from recall.live.profiles import user_profiles
from recall.live.rebuild import generation_in_memory
from recall.model.artifact import training_seed
from recall.model.embedding import UserInput
from recall.model.fusion import FusionWeights
from recall.tables import VALIDATION, DataFolder
from training.protocol import EvaluationCase, EvaluationData, candidate_set, evaluation_case, evaluation_data
from training.recommender import CandidateSet, EvaluationUser
from training.report import BOOTSTRAP_SEED, VALUE, figures
from training.split import assign_split, carve_validation
from training.trained_on import EvaluatedPart, refuse_other_split

CAPS: tuple[int | None, ...] = (64, 128, 256, 512, 1024, 2048, None)
FUSED, CONTENT = "fused", "content"
_CONTENT_ALONE = FusionWeights(seen=1.0, unseen=1.0)
_ROUNDS = 15

Values: TypeAlias = dict[str, tuple[Json, NDArray[np.float64]]]
"""By slice: the figure, and its values by user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model with its items indexed, and the users of the validation part.

    Attributes:
        name: Of the data set.
        seed: Of the training.
        generation: Model and index.
        evaluation: Users, histories and what they should get.
    """

    name: str
    seed: int
    generation: Generation
    evaluation: EvaluationData

    @classmethod
    def of(cls, data: Path, model: Path) -> Served:
        """Embeds and indexes the items of a data folder.

        Raises:
            ArtifactError: The model cannot be loaded.
            ConfigError: It does not match words exactly.
            DataError: The data folder cannot be evaluated, or the model may have been trained on its validation part.
        """
        folder = DataFolder.open(data)
        split = assign_split(folder.interactions(), folder.config.split)
        part = EvaluatedPart(data=folder.schema.name, path=folder.path, split=split, part=VALIDATION)
        refuse_other_split(model, part)
        loaded, seed = load_model(model), training_seed(model)
        if not loaded.fusion.is_on:
            raise ConfigError(
                f"{model} adds no exact words to its scores, so it makes no profiles; name another --model"
            )
        item_ids, features, _ = folder.items()
        users = dict(zip(*folder.users(), strict=True))
        interactions = carve_validation(split, seed)
        flat = IndexConfig(kind="flat")
        return cls(
            name=folder.schema.name,
            seed=seed,
            generation=generation_in_memory(loaded, item_ids, features, counts={}, config=flat),
            evaluation=evaluation_data(interactions, item_ids, user_features=users, part=VALIDATION),
        )

    def histories(self, users: Sequence[EvaluationUser]) -> list[list[str]]:
        """Returns the latest items of each history that a recall reads, oldest first."""
        index, most = self.generation.index, self.generation.model.max_history
        return [[item_id for item_id in user.history if item_id in index][-most:] for user in users]

    def vectors(self, users: Sequence[EvaluationUser]) -> FloatArray:
        """Returns the vectors of users, [len(users), dim] float32."""
        index, model = self.generation.index, self.generation.model
        inputs = [
            UserInput(user_id=user.user_id, features=user.features, history=index.gather(history)[0])
            for user, history in zip(users, self.histories(users), strict=True)
        ]
        return model.embed_users(inputs)

    def profiles(self, users: Sequence[EvaluationUser], weights: FusionWeights, num_tokens: int | None) -> Bags:
        """Returns the profiles of users."""
        return user_profiles(self.generation.index, self.histories(users), weights, num_tokens=num_tokens)

    def ranked(
        self, users: Sequence[EvaluationUser], candidates: CandidateSet, *, vectors: FloatArray, profiles: Bags
    ) -> list[list[str]]:
        """Returns the best `K` candidates of each user."""
        among = None if candidates.is_everything else candidates.item_ids
        options = [SearchOptions(exclude=user.exclude, candidates=among) for user in users]
        found = self.generation.index.search(vectors, K, options, profiles=profiles)
        return [hits.item_ids for hits in found]


def recall_rows(served: Served, candidate_names: Sequence[str]) -> Iterator[Json]:
    """Yields the rows of a result: figure after figure, score after score, cap after cap."""
    for name in candidate_names:
        case = evaluation_case(served.evaluation, candidate_set(served.evaluation, name))
        vectors = served.vectors(case.users)
        for score, vectors_of_score, weights in (
            (FUSED, vectors, served.generation.model.fusion),
            (CONTENT, np.zeros_like(vectors), _CONTENT_ALONE),
        ):
            by_cap = {}
            for cap in CAPS:
                profiles = served.profiles(case.users, weights, cap)
                lists = served.ranked(case.users, case.candidates, vectors=vectors_of_score, profiles=profiles)
                by_cap[cap] = _values(served, case, lists)
            yield from _compared(name, score, by_cap)


def _values(served: Served, case: EvaluationCase, lists: list[list[str]]) -> Values:
    found = figures("", lists, case, served.evaluation, (K,))
    return {
        row.slice: ({"value": row.value, "low": row.low, "high": row.high, "users": row.users}, table[VALUE].to_numpy())
        for row, table in found
        if row.metric == METRIC
    }


def _compared(candidates: str, score: str, by_cap: dict[int | None, Values]) -> Iterator[Json]:
    for figure in FIGURES:
        if figure.candidates != candidates or figure.slice not in by_cap[None]:
            continue
        for cap in CAPS:
            row, values = by_cap[cap][figure.slice]
            paired = values - by_cap[None][figure.slice][1]
            to_none = mean_intervals(paired[:, None], seed=BOOTSTRAP_SEED)
            difference = {
                "difference": float(to_none.means[0]),
                "difference_low": float(to_none.low[0]),
                "difference_high": float(to_none.high[0]),
            }
            yield {"figure": figure.name, "score": score, "tokens": cap, **row, **difference}


def sparse_times(served: Served, *, num_users: int) -> list[Json]:
    """Returns the times of a result.

    Args:
        served: Whose users are asked for.
        num_users: Those timed, drawn from the users with a history.
    """
    rng, index = np.random.default_rng(0), served.generation.index
    sparse = SparseIndex(index.gather_bags(list(index.item_ids()))[0])
    known = [user for user in served.evaluation.users if user.history]
    lengths = np.diff(served.profiles(known, FusionWeights(seen=1.0), None).offsets)
    drawn = rng.permutation(len(known))[:num_users]
    heaviest = np.argsort(-lengths[drawn], kind="stable")[: -(-len(drawn) // 10)]
    histories = served.histories([known[place] for place in drawn])
    rounds = [_round(served, sparse, histories, rng=rng) for _ in range(_ROUNDS)]
    microseconds = 1e6 * np.min(rounds, axis=0)
    return [
        {
            "tokens": cap,
            "cut": float((lengths > cap).mean()) if cap is not None else 0.0,
            "profile_us": float(microseconds[:, place, 0].mean()),
            "scoring_us": float(microseconds[:, place, 1].mean()),
            "heaviest_us": float(microseconds[heaviest, place].sum(axis=1).mean()),
        }
        for place, cap in enumerate(CAPS)
    ]


def _round(
    served: Served, sparse: SparseIndex, histories: Sequence[Sequence[str]], *, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Returns the seconds of making each profile and of scoring all items by it, [num_histories, len(CAPS), 2]."""
    index, weights = served.generation.index, served.generation.model.fusion
    seconds = np.empty((len(histories), len(CAPS), 2))
    for row, history in enumerate(histories):
        for column in rng.permutation(len(CAPS)):
            start = time.perf_counter()
            profile = user_profiles(index, [history], weights, num_tokens=CAPS[column])
            made = time.perf_counter()
            sparse.scores(profile)
            seconds[row, column] = made - start, time.perf_counter() - made
    return seconds
