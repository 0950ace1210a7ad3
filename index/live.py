"""The live index: an immutable base, a fresh part and tombstones, searched while they are written.

Readers take the reference to one frozen view (`index.view`) and hold no lock; the writer prepares the next view
beside it and swaps the reference. So a search sees an item in its old or its new state, never in neither or both,
and every search that starts after `apply` returned sees the new one. The fresh part is scanned while it is small and
hashed when it is large (`hash_fresh`); `merge` moves everything into a new base while searches and writes go on.

Items that a test of ids picks may be told apart (`index.subset`), to be searched by themselves.

Items may have bags beside their vectors (`content`). A query with a profile is then scored by the sum of both inner
products (`index.fused`), in every part and with every option.

Items may have attributes (`set_attributes`), which the conditions of a filter compare (`index.filtering`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from threading import Lock
from typing import Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from index import checks
from index.attribute_values import attribute_values
from index.attributes import AttributeMap, Attributes, AttributeValue, ColumnSpec
from index.bags import Bags
from index.conditions import Condition
from index.errors import InvalidQueryError
from index.filtering import KeptBitmaps, check_condition, filtered
from index.flat import FlatIndex
from index.fresh import FreshPart, NewRows
from index.live_checks import check_bags, check_ids_ascend, check_written_attributes, distinct
from index.live_view import LiveView
from index.merging import Write, merged, replayed
from index.protocols import FloatArray, Hits, SearchOptions, VectorIndex
from index.recent_queries import RecentQueries
from index.sparse import SparseIndex
from index.subset import Subset, Test
from index.view import Located, View, empty_view
from index.view_search import search_checked

_ROUNDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexCounts:
    """Sizes of the parts; `items == base - deleted + fresh`.

    Attributes:
        base: Rows of the base, live or not.
        fresh: Live items in the fresh part.
        deleted: Rows of the base that were deleted or replaced.
        items: Items that a search may return.
    """

    base: int
    fresh: int
    deleted: int
    items: int


class Beside(TypedDict, total=False):
    """What new items have beside their vectors.

    Attributes:
        bags: One an item, exactly where the index has content; not needed where there are no items.
        attributes: One mapping of column to value an item, exactly where the index has attributes; not needed where
            there are no items.
    """

    bags: Bags | None
    attributes: Sequence[AttributeMap] | None


class LiveIndex:
    """Items that are found as soon as they are written; implements `ItemIndex`."""

    def __init__(
        self,
        item_ids: Sequence[str],
        vectors: FloatArray,
        base: VectorIndex,
        *,
        sequence: int,
        content: SparseIndex | None = None,
    ) -> None:
        """Starts with the base alone.

        Args:
            item_ids: [n] ids of the base rows, strictly ascending in UTF-8 byte order.
            vectors: [n, dim] float32 of the base rows; may be a memory map. Nobody may write to it.
            base: Index over exactly these rows.
            sequence: Number of the last write that the base reflects.
            content: Bags of exactly these rows; None where items have vectors alone.

        Raises:
            InvalidQueryError: Ids, vectors, base and content do not belong together, or ids do not ascend.
            InvalidVectorError: A vector is not finite or is zero.
        """
        exact = (
            base if isinstance(base, FlatIndex) and np.may_share_memory(base.vectors, vectors) else FlatIndex(vectors)
        )
        if exact.vectors.shape != (len(item_ids), base.dim) or base.num_rows != len(item_ids):
            raise InvalidQueryError(
                f"{len(item_ids)} ids, vectors {list(exact.vectors.shape)} and a base of "
                f"{base.num_rows} rows x {base.dim} do not belong together"
            )
        if content is not None and content.num_rows != len(item_ids):
            raise InvalidQueryError(f"{len(item_ids)} ids and a content of {content.num_rows} rows; want one bag an id")
        check_ids_ascend(item_ids)
        self._write_lock, self._merge_lock = Lock(), Lock()
        self._writes: list[Write] | None = None
        self._asked = RecentQueries(base.dim)
        self._view = empty_view(item_ids, base, exact, content=content, sequence=sequence)

    def set_attributes(self, attributes: Attributes) -> None:
        """Gives the items of the base attributes, and every item that is written from now on; once an index.

        Args:
            attributes: Of the base rows. Nobody may write to them.

        Raises:
            InvalidQueryError: They are of another number of rows, or items have attributes or were written already.
        """
        with self._write_lock:
            view = self._view
            if view.attributes is not None or view.num_fresh_rows:
                raise InvalidQueryError(
                    "the index has attributes or fresh rows already; set attributes first, and once"
                )
            if attributes.num_rows != view.base.num_rows:
                raise InvalidQueryError(
                    f"attributes of {attributes.num_rows} rows for a base of {view.base.num_rows}; want one row each"
                )
            fresh = FreshPart(self.dim, has_content=self.has_content, specs=attributes.specs)
            self._view = replace(view, fresh=fresh, attributes=attributes, kept=KeptBitmaps())

    @property
    def base(self) -> VectorIndex:
        """The immutable part."""
        return self._view.base

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._view.exact.dim

    @property
    def has_content(self) -> bool:
        """Whether items have bags beside their vectors."""
        return self._view.content is not None

    @property
    def columns(self) -> tuple[ColumnSpec, ...] | None:
        """The attributes of items, which filters may compare; None where items have none."""
        attributes = self._view.attributes
        return None if attributes is None else attributes.specs

    @property
    def sequence(self) -> int:
        """Number of the last write that every search from now on reflects."""
        return self._view.sequence

    @property
    def num_items(self) -> int:
        """Items that a search may return."""
        return self.counts().items

    def counts(self, *, without: Sequence[str] = ()) -> IndexCounts:
        """Returns the sizes of the parts, all of one moment, as if some items, each once, had never been written."""
        view = self._view
        rows = view.base.num_rows - sum(view.any_base_row(item_id) >= 0 for item_id in without)
        live = view.num_base_live - sum(view.base_row(item_id) >= 0 for item_id in without)
        fresh = view.num_fresh_live - sum(view.fresh_row(item_id) >= 0 for item_id in without)
        return IndexCounts(base=rows, fresh=fresh, deleted=rows - live, items=live + fresh)

    def __contains__(self, item_id: str) -> bool:
        """Returns whether a search may return the item."""
        return self._view.holds(item_id)

    def item_ids(self) -> Iterator[str]:
        """Yields the items that a search may return at this moment, ascending in UTF-8 byte order."""
        return self._view.live_ids()

    def apply(
        self,
        item_ids: Sequence[str],
        vectors: FloatArray,
        *,
        deleted: Sequence[str] = (),
        sequence: int,
        **beside: Unpack[Beside],
    ) -> None:
        """Upserts and deletes as one step; see `ItemIndex.apply`.

        Args:
            item_ids: Items to insert or replace, each once and none of them in `deleted`.
            vectors: [len(item_ids), dim] float32; anything empty will do where there are no items.
            deleted: Items to remove; unknown ids are ignored.
            sequence: Number of the last write in this step, not below the present one.
            **beside: `bags` and `attributes`, see `Beside`. An item that is replaced has the new ones alone.

        Raises:
            InvalidQueryError: An id comes twice, counts differ, bags or attributes are missing, come unasked or do not
                fit their columns, or the sequence goes back; nothing was changed.
            InvalidVectorError: A vector is not finite, is zero or has another dimension; nothing was changed.
        """
        matrix = checks.as_matrix(vectors, dim=self.dim, what="vectors") if item_ids else np.empty((0, self.dim), "f4")
        if matrix.shape[0] != len(item_ids):
            raise InvalidQueryError(f"{matrix.shape[0]} vectors for {len(item_ids)} item_ids; want one each")
        checks.largest_norm(matrix, what="vectors", names=item_ids)
        new = NewRows(item_ids=item_ids, vectors=matrix, **beside)
        check_bags(item_ids, new.bags, has_content=self.has_content)
        check_written_attributes(item_ids, new.attributes, self.columns)
        gone = distinct(item_ids, deleted)
        with self._write_lock:
            if sequence < self._view.sequence:
                raise InvalidQueryError(f"sequence {sequence} is below {self._view.sequence}; apply writes in order")
            self._view = self._view.written(new, gone=gone, sequence=sequence)
            if self._writes is not None:
                self._writes.append(Write(new=new.copied(), gone=gone, sequence=sequence))

    def search(
        self,
        queries: FloatArray,
        k: int,
        options: Sequence[SearchOptions] | None = None,
        *,
        profiles: Bags | None = None,
    ) -> list[Hits]:
        """Returns up to `k` items a query, fewer only where fewer are eligible; see `ItemIndex.search`.

        Args:
            queries: [num_queries, dim] float32.
            k: Items wanted, at least 1.
            options: One a query; None means no restriction.
            profiles: One a query, scored against the items' bags and added; None and an empty profile leave the
                vectors alone. Needs an index with content.

        Raises:
            InvalidVectorError: A query is not finite or has another dimension.
            InvalidQueryError: `k` is below 1, there is not one options value or profile a query, there are profiles
                and no content, or a filter does not fit the attributes.
        """
        view = self._view
        hits = search_checked(view, queries, k, options, profiles=profiles)
        if view.num_fresh_rows and view.fresh.hashed is None:
            self._asked.add(np.atleast_2d(np.asarray(queries, dtype=np.float32)))
        return hits

    def check_filter(self, condition: Condition) -> None:
        """Checks that a condition fits the attributes of items.

        Raises:
            InvalidQueryError: It does not, or items have none.
        """
        check_condition(condition, self._view.attributes)

    def filtered(self, condition: Condition) -> LiveView:
        """Returns the items for which a condition holds, at this moment.

        Raises:
            InvalidQueryError: The condition does not fit the attributes, or there are none.
        """
        return LiveView(filtered(self._view, condition))

    def frozen(self) -> LiveIndex:
        """Returns an index that stays as this one is at this moment, without a copy. Nobody may write to it."""
        return copy(self)  # of references alone, the one to the view among them

    def attributes_of(self, item_ids: Sequence[str], names: Sequence[str]) -> dict[str, list[AttributeValue | None]]:
        """Returns attributes by name, one value an item; None where the item has none, or is not held.

        Raises:
            InvalidQueryError: Items have no attributes, or none of some name.
        """
        return attribute_values(self._view, item_ids, names)

    def tell_apart(self, test: Test) -> None:
        """Makes the items that a test of ids picks a subset, and keeps it in step with every write; once an index.

        Args:
            test: Asked for each id held now and each one written; where a test was given before, that one stays.
        """
        with self._write_lock:
            view = self._view
            if view.subset is None:
                fresh_ids = view.fresh.item_ids[: view.num_fresh_rows]
                self._view = replace(view, subset=Subset.of(test, view.item_ids, fresh_ids))

    def subset(self) -> LiveView | None:
        """Returns the subset at this moment, None where none is told apart."""
        view = self._view
        return None if view.subset is None else LiveView(view.subset.narrowed(view))

    def hash_fresh(self) -> None:
        """Puts the fresh part into hash tables, with which it is searched from then on; see `FreshPart.hashed`.

        How many tables and probes that takes is measured with the queries asked last, if there are some. Takes seconds;
        searches and writes go on meanwhile, by scans. What is hashed already is left alone.
        """
        view = self._view
        if view.fresh.hashed is not None:
            return
        hashed = view.fresh.as_hashed(view.num_fresh_rows, self._asked.vectors())
        with self._write_lock:
            if self._view.fresh is view.fresh:  # neither merged nor compacted since
                view.fresh.take_hashed(hashed)

    def merge(self, keep_going: Callable[[], bool] = lambda: True) -> bool:
        """Moves everything into a new base, of the kind and with the parameters of the old one; one caller at a time.

        Searches go on in the old view and writes are taken meanwhile; these are applied to the new base before it takes
        the place of the old one, by one change of a reference. Whatever fails leaves the old one as it is.

        Args:
            keep_going: Asked before each long step; where it says no the work is dropped.

        Returns:
            Whether the new base is in place.

        Raises:
            InvalidQueryError: Attributes were set meanwhile.
            VectorIndexError: The base cannot be built.
            MemoryError: There is not enough of it.
        """
        with self._merge_lock:
            with self._write_lock:
                start, self._writes = self._view, []
            try:
                return keep_going() and self._replace(merged(start), keep_going)
            finally:
                with self._write_lock:
                    self._writes = None

    def _replace(self, view: View, keep_going: Callable[[], bool]) -> bool:
        for _ in range(_ROUNDS):  # the long part of what was written meanwhile, beside the writers
            with self._write_lock:
                writes, self._writes = self._writes or [], []
            view = replayed(view, writes)
        if not keep_going():
            return False
        with self._write_lock:
            view, old = replayed(view, self._writes or []), self._view
            if (old.attributes is None) != (view.attributes is None):
                raise InvalidQueryError("attributes were set while a new base was built; merge again")
            if old.subset is not None and view.subset is None:
                fresh_ids = view.fresh.item_ids[: view.num_fresh_rows]
                view = replace(view, subset=Subset.of(old.subset.test, view.item_ids, fresh_ids))
            self._view = view
        return True

    def gather(self, item_ids: Sequence[str]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Returns the vectors of those ids that are held, [num_found, dim], and a [len(item_ids)] mask of which."""
        view = self._view
        located = view.locate(item_ids)
        return view.vectors_at(located), _mask(located, len(item_ids))

    def gather_bags(self, item_ids: Sequence[str]) -> tuple[Bags, NDArray[np.bool_]]:
        """Returns the bags of those ids that are held, num_found rows, and a [len(item_ids)] mask of which.

        Without content every bag is empty.
        """
        view = self._view
        located = view.locate(item_ids)
        return view.bags_at(located), _mask(located, len(item_ids))

    def part_of(self, item_id: str) -> Literal["base", "fresh"] | None:
        """Returns which part holds an item, None where none does."""
        view = self._view
        if view.fresh_row(item_id) >= 0:
            return "fresh"
        return "base" if view.base_row(item_id) >= 0 else None


def _mask(located: Located, num_items: int) -> NDArray[np.bool_]:
    mask = np.zeros(num_items, dtype=np.bool_)
    mask[located.places] = True
    return mask
