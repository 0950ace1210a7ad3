"""Search of one view: base and fresh part, or an allow-list, merged in the one order by item id.

Base rows ascend by id, so a tie at the last place of a base search is cut in id order. Fresh rows are in insertion
order: one row more than needed is fetched, and while that last one ties with the last result the search widens.
An exclusion fetches as many rows more as it may remove, so it never leaves a result short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from index.errors import InvalidQueryError
from index.flat import exact_search
from index.protocols import FloatArray, Hits, Neighbors, SearchOptions
from index.view import View

_Scored: TypeAlias = list[tuple[float, str]]
"""Negated scores and item ids: these tuples sort in the one order."""

_WIDENING = 4
_NO_OPTIONS = SearchOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What the queries of one batched search have in common.

    Attributes:
        k: Items wanted.
        fetch: Rows to fetch from each part, so many that exclusions leave k.
        exact: Whether the base is searched exhaustively.
        candidates: The allow-list, None for all items.
    """

    k: int
    fetch: int
    exact: bool
    candidates: Sequence[str] | None


def search_view(view: View, queries: FloatArray, k: int, options: Sequence[SearchOptions] | None) -> list[Hits]:
    """Returns up to `k` items a query; queries are checked, [num_queries, dim] float32.

    Raises:
        InvalidQueryError: There is not one options value a query.
    """
    choices = [_NO_OPTIONS] * queries.shape[0] if options is None else list(options)
    if len(choices) != queries.shape[0]:
        raise InvalidQueryError(f"{len(choices)} options for {queries.shape[0]} queries; want one each, or None")
    # Grouped by identity of the allow-list: one that many queries share is resolved once.
    groups: dict[tuple[int, bool, int], list[int]] = {}
    for i, choice in enumerate(choices):
        groups.setdefault((_fetch(k, choice), choice.exact, id(choice.candidates)), []).append(i)
    hits: dict[int, Hits] = {}
    for (fetch, exact, _), members in groups.items():
        plan = _Plan(k=k, fetch=fetch, exact=exact, candidates=choices[members[0]].candidates)
        banned = [frozenset(choices[i].exclude) for i in members]
        search = _search_parts if plan.candidates is None else _search_candidates
        hits.update(zip(members, search(view, queries[members], plan, banned), strict=True))
    return [hits[i] for i in range(queries.shape[0])]


def _fetch(k: int, choice: SearchOptions) -> int:
    # Rounded up to a power of two, so that histories of different lengths still share a batch.
    return k + (1 << (len(choice.exclude) - 1).bit_length() if choice.exclude else 0)


def _search_candidates(view: View, queries: FloatArray, plan: _Plan, banned: Sequence[frozenset[str]]) -> list[Hits]:
    # Sorted, so that row order within the gathered matrix is id order.
    wanted = sorted(set(plan.candidates or ()))
    vectors, places = view.gather(wanted)
    item_ids = [wanted[place] for place in places]
    found = exact_search(vectors, queries, plan.fetch, allowed=None, largest_norm=view.largest_norm)
    return [_hits(_scored(found, i, item_ids), banned[i], plan.k) for i in range(queries.shape[0])]


def _search_parts(view: View, queries: FloatArray, plan: _Plan, banned: Sequence[frozenset[str]]) -> list[Hits]:
    base = _search_base(view, queries, plan)
    num_fetched = min(plan.fetch + 1, view.num_fresh_live)
    fresh = _search_fresh(view, queries, num_fetched)
    hits = []
    for i in range(queries.shape[0]):
        from_base, from_fresh, num_seen = base[i], fresh[i], num_fetched
        best = _hits(from_base + from_fresh, banned[i], plan.k)
        while num_seen < view.num_fresh_live and _may_miss(best, from_fresh, plan.k):
            num_seen = min(num_seen * _WIDENING, view.num_fresh_live)
            from_fresh = _search_fresh(view, queries[i : i + 1], num_seen)[0]
            best = _hits(from_base + from_fresh, banned[i], plan.k)
        hits.append(best)
    return hits


def _search_base(view: View, queries: FloatArray, plan: _Plan) -> list[_Scored]:
    if view.num_base_live == 0:
        return [[] for _ in queries]
    index = view.exact if plan.exact else view.base
    allowed = None if view.num_base_live == view.base.num_rows else view.base_live
    found = index.search(queries, min(plan.fetch, view.num_base_live), allowed=allowed)
    return [_scored(found, i, view.item_ids) for i in range(queries.shape[0])]


def _search_fresh(view: View, queries: FloatArray, num_wanted: int) -> list[_Scored]:
    if num_wanted == 0:
        return [[] for _ in queries]
    found = view.fresh.index.search(queries, num_wanted, allowed=view.fresh_live, num_rows=view.num_fresh_rows)
    return [_scored(found, i, view.fresh.item_ids) for i in range(queries.shape[0])]


def _may_miss(best: Hits, from_fresh: _Scored, k: int) -> bool:
    """Whether a fresh row that was not fetched may belong into a result of `k`: it ties, or the result is short."""
    return len(best.item_ids) < k or -from_fresh[-1][0] >= best.scores[-1]


def _scored(found: Neighbors, query: int, item_ids: Sequence[str]) -> _Scored:
    used = int(found.counts[query])
    scores = (-found.scores[query, :used]).tolist()
    return [(score, item_ids[row]) for score, row in zip(scores, found.rows[query, :used].tolist(), strict=True)]


def _hits(scored: _Scored, banned: frozenset[str], k: int) -> Hits:
    ordered = sorted(pair for pair in scored if pair[1] not in banned)[:k]
    scores = -np.array([score for score, _ in ordered], dtype=np.float32)
    return Hits(item_ids=[item_id for _, item_id in ordered], scores=scores)
