"""Channels that are evaluated besides the baselines: the live system in memory, from a snapshot, or behind gRPC.

In memory and from a snapshot the rankings come from the `Retriever` that serves, on the index that serves (`served`),
by exhaustive search (`exact`), or on a FAISS or LSH index built over the same vectors (`faiss`, `lsh`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from index.factory import IndexConfig, build_index
from index.live import LiveIndex
from index.sparse import SparseIndex
from recall.client import RecallClient
from recall.errors import RecallError
from recall.live.generation import Generation
from recall.live.query import RecallQuery, Result
from recall.live.retriever import Retriever
from training.recommender import CandidateSet, EvaluationUser

_REMOTE_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveChannel:
    """Rankings by one generation, through the code that serves.

    Attributes:
        channel: Name of the channel.
        generation: Model and index.
        exact: Whether to search exhaustively.
    """

    channel: str
    generation: Generation
    exact: bool = False

    def recommend(self, users: Sequence[EvaluationUser], k: int, candidates: CandidateSet) -> list[list[str]]:
        """Returns up to `k` candidates a user; see `Recommender`."""
        queries = [_query(user, k, candidates, exact=self.exact) for user in users]
        return [result.item_ids for result in Retriever(users=None).recall(self.generation, queries)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteChannel:
    """Rankings by a running server, one call a user.

    Attributes:
        channel: `served` or `exact`.
        client: Connected to the server.
        model_id: What it served at the start.
        exact: Whether to ask for exhaustive search.
    """

    channel: str
    client: RecallClient
    model_id: str
    exact: bool = False

    def recommend(self, users: Sequence[EvaluationUser], k: int, candidates: CandidateSet) -> list[list[str]]:
        """Returns up to `k` candidates a user; see `Recommender`.

        Raises:
            RecallError: The server cannot be reached or refuses, or it has switched to another model.
        """
        with ThreadPoolExecutor(_REMOTE_THREADS) as pool:
            return list(pool.map(lambda user: self._ask(_query(user, k, candidates, exact=self.exact)), users))

    def _ask(self, query: RecallQuery) -> list[str]:
        result: Result = self.client.recall(query)
        if result.model_id != self.model_id:  # figures of two models would be mixed under one name
            seen = f"the server switched from model {self.model_id} to {result.model_id} while it was evaluated"
            raise RecallError(f"{seen}; evaluate it again")
        return result.item_ids


def live_channel(name: str, generation: Generation, config: IndexConfig) -> LiveChannel:
    """Returns the channel `served`, `exact`, `faiss` or `lsh` over one generation.

    Raises:
        RecallError: The name is another.
    """
    if name in ("served", "exact"):
        return LiveChannel(channel=name, generation=generation, exact=name == "exact")
    if name not in ("faiss", "lsh"):
        raise RecallError(f"channel {name!r} is unknown; choose from served, exact, faiss, lsh")
    kind = "hnsw" if name == "faiss" else "lsh"
    chosen = config if config.kind == kind else IndexConfig(kind=kind)
    return LiveChannel(channel=name, generation=_reindexed(generation, chosen))


def _reindexed(generation: Generation, config: IndexConfig) -> Generation:
    item_ids = sorted(generation.index.item_ids())
    vectors, _ = generation.index.gather(item_ids)
    vectors = np.ascontiguousarray(vectors)
    content = SparseIndex(generation.index.gather_bags(item_ids)[0]) if generation.index.has_content else None
    base = build_index(vectors, config)
    index = LiveIndex(item_ids, vectors, base, sequence=generation.index.sequence, content=content)
    return replace(generation, index=index)


def _query(user: EvaluationUser, k: int, candidates: CandidateSet, *, exact: bool) -> RecallQuery:
    return RecallQuery(
        user_id=user.user_id,
        features=user.features,
        history=user.history,
        limit=k,
        candidates=None if candidates.is_everything else candidates.item_ids,
        exclude=tuple(user.exclude),
        # What may be ranked is the protocol's business: an item of the history may be a test item again.
        exclude_history=False,
        exact=exact,
    )
