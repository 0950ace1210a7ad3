"""Near-duplicates of items ("twins") by what their texts and sets say, found as soon as they are written.

Two items are twins if their token sets have a Jaccard similarity of at least `THRESHOLD`: half of all words and tags of
the two are common to both. Among the items of the snapshot the bands of MinHash signatures propose candidates, where a
twin has at least the chance `PROBABILITY` to be one; of those written since, each is one. All candidates are compared
exactly.

Readers take the reference to one frozen view and hold no lock, and the writer swaps it, as in `index.live`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from index import bitmap
from index.protocols import FloatArray, Hits, RowArray, RowBitmap
from recall.live.twin_fresh import FreshTwins
from recall.live.twin_tables import THRESHOLD, TwinTables
from recall.model.codes import IdArray
from recall.model.jaccard import jaccard
from recall.model.token_sets import TokenSets
from recall.schema import FeatureSpec

_MIN_DEAD_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinView:
    """One moment of the token sets of all items.

    Attributes:
        item_ids: Ids of the rows of `tables`, ascending.
        tables: Items of the snapshot.
        base_live: Rows of them neither deleted nor replaced.
        fresh: Rows written since; may already hold rows of later views.
        num_fresh_rows: Fresh rows that exist in this view.
        fresh_live: Those neither deleted nor replaced.
    """

    item_ids: Sequence[str]
    tables: TwinTables
    base_live: RowBitmap
    fresh: FreshTwins
    num_fresh_rows: int
    fresh_live: RowBitmap

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The text and set features that tokens are from."""
        return self.tables.specs

    def tokens_of(self, item_id: str) -> IdArray | None:
        """Returns the tokens of a live item, [num_tokens] uint64, None where it is not held."""
        row = self._fresh_row(item_id)
        if row >= 0:
            return self.fresh.sets(self.num_fresh_rows).row(row)
        row = self._base_row(item_id)
        return self.tables.sets.row(row) if row >= 0 else None

    def search(self, tokens: IdArray, limit: int, *, exclude: Collection[str] = (), exact: bool = False) -> Hits:
        """Returns the most similar twins of a token set: score descending, then item id ascending.

        Args:
            tokens: [num_tokens] uint64, ascending and distinct; nothing is a twin of an empty one.
            limit: Items wanted at most, at least 1.
            exclude: Items never returned.
            exact: Whether to compare every item instead of those that the tables propose.
        """
        if len(tokens) == 0:
            return Hits([], np.empty(0, dtype=np.float32))
        base = self._base_hits(tokens, exclude, exact=exact)
        fresh = self._fresh_hits(tokens, exclude)
        found = [(-score, item_id) for score, item_id in (*base.best(limit), *fresh.best(limit))]
        best = sorted(found)[:limit]
        return Hits([item_id for _, item_id in best], -np.array([score for score, _ in best], dtype=np.float32))

    def written(self, item_ids: Sequence[str], sets: TokenSets, *, gone: Sequence[str]) -> TwinView:
        """Returns the view after a write.

        Args:
            item_ids: Items to add, distinct.
            sets: One an item.
            gone: Items whose rows die: those replaced and those deleted.
        """
        dead_base, dead_fresh = _held(map(self._base_row, gone)), _held(map(self._fresh_row, gone))
        added = self.fresh.append(item_ids, sets)
        fresh_live = bitmap.resized(self.fresh_live, self.fresh.num_rows)
        after = replace(
            self,
            base_live=bitmap.without_rows(self.base_live, dead_base) if dead_base.size else self.base_live,
            num_fresh_rows=self.fresh.num_rows,
            fresh_live=bitmap.with_rows(bitmap.without_rows(fresh_live, dead_fresh), added),
        )
        return after._compacted()

    def _base_hits(self, tokens: IdArray, exclude: Collection[str], *, exact: bool) -> _Scored:
        sets, num_rows = self.tables.sets, self.tables.num_rows
        if exact:
            rows = bitmap.to_rows(self.base_live, num_rows)
        else:
            proposed = self.tables.candidates(tokens)
            is_live = self.base_live[proposed >> 3] >> (proposed & 7).astype(np.uint8) & 1  # without unpacking it all
            rows = proposed[is_live.astype(np.bool_)]
        rows = _without(rows, _held(map(self._base_row, exclude)))
        return _Scored.of(rows, jaccard(tokens, sets, rows, least=THRESHOLD), self.item_ids)

    def _fresh_hits(self, tokens: IdArray, exclude: Collection[str]) -> _Scored:
        rows = bitmap.to_rows(self.fresh_live, self.num_fresh_rows)
        rows = _without(rows, _held(map(self._fresh_row, exclude)))
        scores = jaccard(tokens, self.fresh.sets(self.num_fresh_rows), rows, least=THRESHOLD)
        return _Scored.of(rows, scores, self.fresh.item_ids)

    def _base_row(self, item_id: str) -> int:
        row = bisect_left(self.item_ids, item_id)
        found = row < len(self.item_ids) and self.item_ids[row] == item_id and bitmap.contains(self.base_live, row)
        return row if found else -1

    def _fresh_row(self, item_id: str) -> int:
        return self.fresh.find(item_id, self.fresh_live, self.num_fresh_rows)

    def _compacted(self) -> TwinView:
        """Drops dead fresh rows once they outnumber the live ones, or an item rewritten for ever would fill memory."""
        num_live = bitmap.count(self.fresh_live, self.num_fresh_rows)
        if self.num_fresh_rows - num_live <= max(_MIN_DEAD_ROWS, num_live):
            return self
        fresh = self.fresh.compacted(self.fresh_live, self.num_fresh_rows)
        return replace(self, fresh=fresh, num_fresh_rows=fresh.num_rows, fresh_live=bitmap.full(fresh.num_rows))


class LiveTwins:
    """Token sets of items, written by one thread at a time and read by any."""

    def __init__(self, item_ids: Sequence[str], tables: TwinTables) -> None:
        """Starts with the items of a snapshot.

        Args:
            item_ids: [n] ids of the rows of `tables`, strictly ascending in UTF-8 byte order.
            tables: Their token sets.
        """
        assert len(item_ids) == tables.num_rows
        self._write_lock = Lock()
        self._view = TwinView(
            item_ids=item_ids,
            tables=tables,
            base_live=bitmap.full(tables.num_rows),
            fresh=FreshTwins(),
            num_fresh_rows=0,
            fresh_live=bitmap.empty(0),
        )

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The text and set features that tokens are from."""
        return self._view.specs

    def view(self) -> TwinView:
        """Returns this moment, to look an item up and search in one state."""
        return self._view

    def apply(self, item_ids: Sequence[str], sets: TokenSets, *, deleted: Sequence[str] = ()) -> None:
        """Upserts and deletes as one step; views see all of it or nothing.

        Args:
            item_ids: Items to insert or replace, each once and none of them in `deleted`.
            sets: One an item; empty for one without tokens.
            deleted: Items to remove; unknown ids are ignored.
        """
        assert len(item_ids) == len(sets)
        with self._write_lock:
            self._view = self._view.written(item_ids, sets, gone=[*item_ids, *deleted])


@dataclass(frozen=True, slots=True)
class _Scored:
    """Twins of one part.

    Attributes:
        rows: [num_found] int64.
        scores: [num_found] float32.
        item_ids: By row.
    """

    rows: RowArray
    scores: FloatArray
    item_ids: Sequence[str]

    @classmethod
    def of(cls, rows: RowArray, scores: FloatArray, item_ids: Sequence[str]) -> _Scored:
        """Keeps those rows that have a score."""
        found = scores > 0
        return cls(rows[found], scores[found], item_ids)

    def best(self, limit: int) -> list[tuple[float, str]]:
        """Returns scores and ids of at least the best `limit` in the one order, itself in no order."""
        kept = np.arange(len(self.rows))
        if len(kept) > limit:  # ties with the last one stay in, as their ids decide
            kept = np.flatnonzero(self.scores >= np.partition(self.scores, -limit)[-limit])
        return [(float(self.scores[place]), self.item_ids[self.rows[place]]) for place in kept]


def _without(rows: RowArray, excluded: RowArray) -> RowArray:
    return rows[~np.isin(rows, excluded)] if excluded.size else rows


def _held(rows: Iterable[int]) -> RowArray:
    return np.array([row for row in rows if row >= 0], dtype=np.int64)
