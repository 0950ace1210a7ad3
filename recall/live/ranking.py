"""Lists of items for questions, by the learned score or by popularity, with the share held open for unseen items.

Everything here is asked of one generation, whose index should be frozen where several answers have to agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from index.live import LiveIndex
from index.live_view import LiveView
from index.protocols import Hits, SearchOptions
from recall.live.exploration import Searches, with_unseen, worth_widening
from recall.live.generation import Generation
from recall.live.popularity import Popularity
from recall.live.questions import Question
from recall.live.search_input import SearchInput, of_users


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """How lists are made.

    Attributes:
        generation: What is served.
        fresh_share: Share of a list that goes to items unseen in training, in [0, 1); see `exploration.py`.
    """

    generation: Generation
    fresh_share: float

    def learned(self, questions: Sequence[Question], asked: Sequence[tuple[int, bool]]) -> list[Hits]:
        """Returns lists by the learned score.

        Args:
            questions: All have a user vector.
            asked: Position of a question, and whether to search exhaustively, one a list.
        """
        users = of_users(self.generation, questions)
        by_limit: dict[int, list[int]] = {}
        for place, (position, _) in enumerate(asked):
            by_limit.setdefault(questions[position].query.limit, []).append(place)
        found: dict[int, Hits] = {}
        for limit, places in by_limit.items():  # one call a limit: an answer never depends on its neighbours' limits
            some = [asked[place] for place in places]
            options = [_asked(users.options[position], exact=exact) for position, exact in some]
            found.update(zip(places, self._ranked(users.take([p for p, _ in some], options), limit), strict=True))
        return [found[place] for place in range(len(asked))]

    def popular(self, question: Question) -> Hits:
        """Returns the most popular items."""

        def search(popularity: Popularity, index: LiveIndex | LiveView, _: Sequence[int], k: int) -> list[Hits]:
            return [popularity.top(index, k, question.options)]

        limit, unseen, generation = question.query.limit, self._unseen(), self.generation
        everything = partial(search, generation.popularity, generation.index)
        if unseen is None or generation.unseen_popularity is None:
            return everything([0], limit)[0]
        searches = Searches(everything=everything, unseen=partial(search, generation.unseen_popularity, unseen))
        return with_unseen(searches, 1, limit, model=generation.model, share=self.fresh_share)[0]

    def _ranked(self, part: SearchInput, limit: int) -> list[Hits]:
        index, share, num_questions = self.generation.index, self.fresh_share, len(part.options)
        everything, unseen = partial(part.search, index), self._unseen()
        if unseen is None:
            return everything(range(num_questions), limit)
        widened = worth_widening(index, unseen, limit, share=share)
        searches = Searches(everything=everything, unseen=partial(part.search, unseen), widened=widened)
        return with_unseen(searches, num_questions, limit, model=self.generation.model, share=share)

    def _unseen(self) -> LiveView | None:
        """Returns the unseen items where the lists are to have some and there are any."""
        unseen = self.generation.index.subset() if self.fresh_share else None
        return unseen if unseen is not None and unseen.num_items else None


def _asked(options: SearchOptions, *, exact: bool) -> SearchOptions:
    return options if options.exact == exact else replace(options, exact=exact)
