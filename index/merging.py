"""A new base from everything that a view holds: live rows of base and fresh part, in the order of their ids.

It is of the kind of the old base, with its parameters; nothing is tuned again. Building reads one frozen view and
touches nothing that others read, so searches and writes go on meanwhile (`index.live`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from index import bitmap
from index.attribute_joins import Placed, joined
from index.attributes import Attributes
from index.bags import Bags
from index.filtering import KeptBitmaps
from index.flat import FlatIndex
from index.fresh import FreshPart, NewRows
from index.kinds import build_kind
from index.protocols import FloatArray, RowArray
from index.sparse import SparseIndex
from index.subset import Subset
from index.view import View, empty_view

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One step of writing, as it is applied again to a new base.

    Attributes:
        new: Items to add.
        gone: Items whose rows die: those replaced and those deleted.
        sequence: Number of the last write in it.
    """

    new: NewRows
    gone: Sequence[str]
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moves:
    """Which rows live on, and where: the parts' rows in the order of their ids, and their rows in the new base."""

    base_rows: RowArray
    base_places: RowArray
    fresh_rows: RowArray
    fresh_places: RowArray

    @property
    def num_rows(self) -> int:
        """Rows of the new base."""
        return int(self.base_rows.size + self.fresh_rows.size)


def merged(view: View) -> View:
    """Returns a view of the same items, all of them in a new base.

    Raises:
        MissingBackendError: The kind needs a library that is not installed.
        InvalidIndexConfigError: The base is of a kind that cannot be built.
    """
    moves = _moves(view)
    vectors = _vectors(view, moves)
    base = build_kind(view.base.kind, vectors, view.base.parameters())
    exact = base if isinstance(base, FlatIndex) else FlatIndex(vectors)
    made = empty_view(_item_ids(view, moves), base, exact, content=_content(view, moves), sequence=view.sequence)
    made = replace(made, subset=_subset(view, moves))
    attributes = _attributes(view, moves)
    if attributes is None:
        return made
    fresh = FreshPart(base.dim, has_content=view.content is not None, specs=attributes.specs)
    return replace(made, fresh=fresh, attributes=attributes, kept=KeptBitmaps())


def replayed(view: View, writes: Sequence[Write]) -> View:
    """Returns a view that nobody else holds after some more writes."""
    for write in writes:
        view = view.written(write.new, gone=write.gone, sequence=write.sequence)
    return view


def _moves(view: View) -> _Moves:
    base_rows = bitmap.to_rows(view.base_live, view.base.num_rows)
    ids = view.fresh.item_ids
    fresh = sorted(bitmap.to_rows(view.fresh_live, view.num_fresh_rows).tolist(), key=ids.__getitem__)
    # A fresh row comes before the base rows from here on: those whose ids are greater.
    following = np.searchsorted(base_rows, [bisect_left(view.item_ids, ids[row]) for row in fresh])
    shifts = np.cumsum(np.bincount(following, minlength=base_rows.size + 1))[: base_rows.size]
    return _Moves(
        base_rows=base_rows,
        base_places=np.arange(base_rows.size) + shifts,
        fresh_rows=np.array(fresh, dtype=np.int64),
        fresh_places=following.astype(np.int64) + np.arange(len(fresh)),
    )


def _item_ids(view: View, moves: _Moves) -> list[str]:
    item_ids = [""] * moves.num_rows
    for row, place in zip(moves.base_rows.tolist(), moves.base_places.tolist(), strict=True):
        item_ids[place] = view.item_ids[row]
    for row, place in zip(moves.fresh_rows.tolist(), moves.fresh_places.tolist(), strict=True):
        item_ids[place] = view.fresh.item_ids[row]
    return item_ids


def _vectors(view: View, moves: _Moves) -> FloatArray:
    vectors = np.empty((moves.num_rows, view.exact.dim), dtype=np.float32)
    for start in range(0, moves.base_rows.size, _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        vectors[moves.base_places[some]] = view.exact.vectors[moves.base_rows[some]]
    vectors[moves.fresh_places] = view.fresh.index.vectors[moves.fresh_rows]
    return vectors


def _content(view: View, moves: _Moves) -> SparseIndex | None:
    if view.content is None or view.fresh.sparse is None:
        return None
    parts = [view.content.bags.take(moves.base_rows), view.fresh.sparse.bags.take(moves.fresh_rows)]
    order = np.argsort(np.concatenate((moves.base_places, moves.fresh_places)))
    return SparseIndex(Bags.joined(parts).take(order))


def _attributes(view: View, moves: _Moves) -> Attributes | None:
    if view.attributes is None or view.fresh.attributes is None:
        return view.attributes
    fresh = view.fresh.attributes.until(view.num_fresh_rows)
    return joined(
        [
            Placed(attributes=view.attributes, rows=moves.base_rows, places=moves.base_places),
            Placed(attributes=fresh, rows=moves.fresh_rows, places=moves.fresh_places),
        ]
    )


def _subset(view: View, moves: _Moves) -> Subset | None:
    if view.subset is None:
        return None
    mask = np.zeros(moves.num_rows, dtype=np.bool_)
    mask[moves.base_places] = bitmap.to_mask(view.subset.base, 0, view.base.num_rows)[moves.base_rows]
    mask[moves.fresh_places] = bitmap.to_mask(view.subset.fresh, 0, view.num_fresh_rows)[moves.fresh_rows]
    return Subset(test=view.subset.test, base=bitmap.from_mask(mask), fresh=bitmap.empty(0))
