"""What a live index is asked with: vectors, the profiles that are matched exactly, and what may be returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.bags import Bags
from index.live import LiveIndex
from index.live_view import LiveView
from index.protocols import FloatArray, Hits, SearchOptions
from recall.errors import NotFoundError
from recall.live.generation import Generation
from recall.live.item_vectors import indexed_bags
from recall.live.profiles import emptied, profiles_of, user_profiles
from recall.live.query import AnsweredFrom
from recall.live.questions import Question
from recall.schema import FeatureMap


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchInput:
    """One search for some questions.

    Attributes:
        vectors: [n, dim] float32.
        profiles: n bags, an empty one to match by the vector alone; None where the model has no sparse part.
        options: n restrictions of what may be returned.
    """

    vectors: FloatArray
    profiles: Bags | None
    options: Sequence[SearchOptions]

    def search(self, index: LiveIndex | LiveView, places: Sequence[int], limit: int) -> list[Hits]:
        """Returns the best `limit` items for the questions at `places`."""
        rows = np.array(places, dtype=np.int64)
        profiles = None if self.profiles is None else self.profiles.take(rows)
        k = max(1, min(limit, index.num_items))
        return index.search(self.vectors[rows], k, [self.options[place] for place in places], profiles=profiles)

    def take(self, places: Sequence[int], options: Sequence[SearchOptions]) -> SearchInput:
        """Returns the input for the questions at `places`, any of them several times, with options of their own."""
        rows = np.array(places, dtype=np.int64)
        profiles = None if self.profiles is None else self.profiles.take(rows)
        return SearchInput(vectors=self.vectors[rows], profiles=profiles, options=options)


def of_users(generation: Generation, questions: Sequence[Question]) -> SearchInput:
    """Returns what finds the best items of users."""
    return SearchInput(
        vectors=_user_vectors(generation, questions),
        profiles=_profiles(generation, questions),
        options=[question.options for question in questions],
    )


def stored_item(generation: Generation, item_id: str, options: SearchOptions) -> SearchInput:
    """Returns what finds the neighbours of an item that the index holds.

    Raises:
        NotFoundError: It does not hold the item.
    """
    vectors, held = generation.index.gather([item_id])
    bags = None
    if generation.model.fusion.is_on:
        bags, held = generation.index.gather_bags([item_id])
    if len(vectors) == 0 or not held.all():
        raise NotFoundError(f"item {item_id!r} is not retrievable; upsert it, or send its features")
    return _of_item(generation, vectors, bags, options)


def described_item(generation: Generation, item_id: str, features: FeatureMap, options: SearchOptions) -> SearchInput:
    """Returns what finds the neighbours of an item that need not be stored; its features are checked."""
    encoded = generation.model.encode_items([item_id], [features])
    return _of_item(generation, encoded.vectors, indexed_bags(encoded), options)


def _of_item(generation: Generation, vectors: FloatArray, bags: Bags | None, options: SearchOptions) -> SearchInput:
    profiles = None if bags is None else profiles_of(bags, generation.model.fusion.between_items())
    return SearchInput(vectors=vectors, profiles=profiles, options=[options])


def _profiles(generation: Generation, questions: Sequence[Question]) -> Bags | None:
    weights = generation.model.fusion
    if not weights.is_on:
        return None
    profiles = user_profiles(generation.index, [question.recent for question in questions], weights)
    by_vector = np.array([q.answered_from is AnsweredFrom.VECTOR for q in questions], dtype=np.bool_)
    return emptied(profiles, by_vector) if by_vector.any() else profiles


def _user_vectors(generation: Generation, questions: Sequence[Question]) -> FloatArray:
    vectors = np.empty((len(questions), generation.model.dim), dtype=np.float32)
    made = [place for place, q in enumerate(questions) if q.answered_from is not AnsweredFrom.VECTOR]
    if made:
        vectors[made] = generation.model.embed_users([questions[place].user for place in made])
    for place, question in enumerate(questions):
        if question.query.vector is not None:
            vectors[place] = question.query.vector
    return vectors
