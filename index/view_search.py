"""Search of one view: base and fresh part, or an allow-list, merged in the one order by item id.

Base rows ascend by id, so a tie at the last place of a base search is cut in id order. Fresh rows are in insertion
order. While they are few they are scanned, and every one that scores at least what the base has to offer is taken
(`index.fresh_scan`). Where many are hashed, and where bags are scored, one row more than needed is fetched, and while
that last one ties with the last result the search widens.
An exclusion fetches as many rows more as it may remove, so it never leaves a result short. A filter is taken for a view
with fewer live rows (`index.filtering`), which is searched as any other.

A query with a profile is scored by both parts of a row (`index.fused`): exactly over a flat base, the fresh part and an
allow-list; over an approximate base by listing several times as many rows by vectors as are wanted and adding those
whose bags may lift them among the best. A query with an empty profile takes the dense path, whatever comes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index import checks
from index.bags import Bags
from index.conditions import Condition
from index.errors import InvalidQueryError
from index.filtering import filtered
from index.flat import exact_search
from index.fresh_scan import Wanted, scan
from index.fused import FusedQueries, fused_search
from index.protocols import FloatArray, Hits, Neighbors, SearchOptions
from index.topk import gather_neighbors
from index.view import View
from index.view_base import fused_base, search_base
from index.view_join import Banned, Parts, found_alone

_WIDENING = 4
_NO_OPTIONS = SearchOptions()
_NOTHING = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is asked.

    Attributes:
        vectors: [num_queries, dim] float32, checked.
        profiles: One a query; None asks by vectors alone.
    """

    vectors: FloatArray
    profiles: Bags | None

    def __len__(self) -> int:
        """Returns the number of queries."""
        return int(self.vectors.shape[0])

    def take(self, queries: Sequence[int], *, fused: bool) -> Questions:
        """Returns some of them, with their profiles where they are to be scored by both parts."""
        some = np.asarray(queries, dtype=np.int64)
        profiles = self.profiles.take(some) if self.profiles is not None and fused else None
        return Questions(vectors=self.vectors[some], profiles=profiles)

    def has_profile(self, query: int) -> bool:
        """Returns whether one query has a profile that is not empty."""
        return self.profiles is not None and bool(self.profiles.offsets[query] < self.profiles.offsets[query + 1])

    def fused(self) -> FusedQueries | None:
        """Returns them as queries with both parts, None where they ask by vectors alone."""
        return None if self.profiles is None else FusedQueries(vectors=self.vectors, profiles=self.profiles)


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


def search_checked(
    view: View, queries: FloatArray, k: int, options: Sequence[SearchOptions] | None, *, profiles: Bags | None
) -> list[Hits]:
    """Checks what is asked, and returns up to `k` items a query; see `LiveIndex.search`."""
    queries = checks.check_queries(queries, k, dim=view.exact.dim)
    if profiles is not None and view.content is None:
        raise InvalidQueryError("profiles were given to an index without content; leave them out, or rebuild")
    if profiles is not None and len(profiles) != queries.shape[0]:
        raise InvalidQueryError(f"{len(profiles)} profiles for {queries.shape[0]} queries; want one each, or None")
    if options is None and profiles is None and view.num_fresh_live == 0 and view.num_base_live:
        # What follows comes to the same; a search of a graph is so quick that its steps would be a tenth of the time.
        found = search_base(view, queries, min(k, view.num_base_live), exact=False)
        return found_alone(found, view.id_array, k, ())
    return search_view(view, Questions(vectors=queries, profiles=profiles), k, options)


def search_view(view: View, questions: Questions, k: int, options: Sequence[SearchOptions] | None) -> list[Hits]:
    """Returns up to `k` items a query.

    Raises:
        InvalidQueryError: There is not one options value a query, or a filter does not fit the attributes.
    """
    if options is None and questions.profiles is None:
        return _search_parts(view, questions, _Plan(k=k, fetch=k, exact=False, candidates=None), ())
    choices = [_NO_OPTIONS] * len(questions) if options is None else list(options)
    if len(choices) != len(questions):
        raise InvalidQueryError(f"{len(choices)} options for {len(questions)} queries; want one each, or None")
    # Grouped by identity of the allow-list: one that many queries share is resolved once.
    groups: dict[tuple[int, bool, int, Condition | None, bool], list[int]] = {}
    for i, choice in enumerate(choices):
        key = (_fetch(k, choice), choice.exact, id(choice.candidates), choice.filter, questions.has_profile(i))
        groups.setdefault(key, []).append(i)
    views: dict[Condition | None, View] = {None: view}
    hits: dict[int, Hits] = {}
    for (fetch, exact, _, condition, fused), members in groups.items():
        if condition is not None and condition not in views:
            views[condition] = filtered(view, condition)
        plan = _Plan(k=k, fetch=fetch, exact=exact, candidates=choices[members[0]].candidates)
        banned = [frozenset(choices[i].exclude) for i in members] if fetch > k else ()
        search = _search_parts if plan.candidates is None else _search_candidates
        found = search(views[condition], questions.take(members, fused=fused), plan, banned)
        hits.update(zip(members, found, strict=True))
    return [hits[i] for i in range(len(questions))]


def _fetch(k: int, choice: SearchOptions) -> int:
    # Rounded up to a power of two, so that histories of different lengths still share a batch.
    return k + (1 << (len(choice.exclude) - 1).bit_length() if choice.exclude else 0)


def _search_candidates(view: View, questions: Questions, plan: _Plan, banned: Banned) -> list[Hits]:
    # Sorted, so that row order within the gathered rows is id order.
    wanted = sorted(set(plan.candidates or ()))
    located = view.locate(wanted)
    item_ids = np.array(wanted, dtype=object)[located.places]
    queries = questions.fused()
    rows = None if queries is None else view.listed_rows(located)
    if queries is None or rows is None:
        vectors = view.vectors_at(located)
        found = exact_search(vectors, questions.vectors, plan.fetch, allowed=None, largest_norm=view.largest_norm)
    else:
        found = fused_search(rows, queries, plan.fetch, allowed=None)
    return found_alone(found, item_ids, plan.k, banned)


def _search_parts(view: View, questions: Questions, plan: _Plan, banned: Banned) -> list[Hits]:
    base = _search_base(view, questions, plan)
    if view.num_fresh_live == 0:
        return found_alone(base, view.id_array, plan.k, banned)
    parts = Parts(view.id_array, view.fresh.item_ids)
    if questions.profiles is None and (plan.exact or view.fresh.hashed is None):
        fresh = _scan_fresh(view, questions, plan, base)
        return parts.joined(base, fresh, plan.k, fetch=plan.fetch, banned=banned)
    num_seen = min(plan.fetch + 1, view.num_fresh_live)
    fresh = _search_fresh(view, questions, num_seen)
    hits = parts.joined(base, fresh, plan.k, fetch=plan.fetch, banned=banned)
    if num_seen < view.num_fresh_live:
        last = fresh.scores[:, -1].tolist()
        for i, one in enumerate(hits):
            if _may_miss(one, last[i], plan.k):
                hits[i] = _widened(view, questions.take([i], fused=True), plan, _one(base, i), banned[i : i + 1])
    return hits


def _widened(view: View, question: Questions, plan: _Plan, base: Neighbors, banned: Banned) -> Hits:
    """Fetches more and more fresh rows until none that is left can belong into the result."""
    parts = Parts(view.id_array, view.fresh.item_ids)
    num_seen = plan.fetch + 1
    while True:
        num_seen = min(num_seen * _WIDENING, view.num_fresh_live)
        fresh = _search_fresh(view, question, num_seen)
        hits = parts.joined(base, fresh, plan.k, fetch=plan.fetch, banned=banned)[0]
        if num_seen == view.num_fresh_live or not _may_miss(hits, float(fresh.scores[0, -1]), plan.k):
            return hits


def _one(found: Neighbors, query: int) -> Neighbors:
    some = slice(query, query + 1)
    return Neighbors(rows=found.rows[some], scores=found.scores[some], counts=found.counts[some])


def _search_base(view: View, questions: Questions, plan: _Plan) -> Neighbors:
    if view.num_base_live == 0:
        return gather_neighbors([_NOTHING] * len(questions), 0)
    queries = questions.fused()
    if queries is None or view.content is None:
        return search_base(view, questions.vectors, min(plan.fetch, view.num_base_live), exact=plan.exact)
    return fused_base(view, queries, plan.fetch, exact=plan.exact, spare=plan.fetch - plan.k)


def _scan_fresh(view: View, questions: Questions, plan: _Plan, base: Neighbors) -> Neighbors:
    """Returns every fresh row that may belong into a result: those that score at least the last row of the base."""
    is_full = base.rows.shape[1] >= plan.fetch and base.counts.min() >= plan.fetch
    floors = np.ascontiguousarray(base.scores[:, plan.fetch - 1]) if is_full else None
    wanted = Wanted(
        k=min(plan.fetch, view.num_fresh_live),
        floors=floors,
        allowed=view.fresh_live,
        norm=view.fresh.index.largest_norm,
        codes=view.fresh.codes.published,
    )
    return scan(view.fresh.index.vectors[: view.num_fresh_rows], questions.vectors, wanted)


def _search_fresh(view: View, questions: Questions, num_wanted: int) -> Neighbors:
    """Returns the best fresh rows, by hashes or by both parts of a score, so many that a tie may be cut by rows."""
    queries, rows = questions.fused(), view.fresh_rows()
    if queries is None or rows is None:
        hashed, bound = view.fresh.hashed, view.num_fresh_rows
        index = view.fresh.index if hashed is None else hashed
        return index.search(questions.vectors, num_wanted, allowed=view.fresh_live, num_rows=bound)
    return fused_search(rows, queries, num_wanted, allowed=view.fresh_live)


def _may_miss(best: Hits, last: float, k: int) -> bool:
    """Whether a fresh row that was not fetched may belong into a result of `k`: it ties, or the result is short."""
    return len(best.item_ids) < k or last >= best.scores[-1]
