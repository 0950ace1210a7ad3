"""Keeps the index of one generation in step with the catalogue, whoever wrote to it.

The catalogue holds one row an item: its latest state under the sequence number of its latest write. Users and events
are read from it when they are asked for, so of their writes the index takes the numbers alone. A row that moves
on while it is being read would leave a gap below its new number, so the index names a new sequence only once a read
came back short: then every write up to that number is reflected.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from index.bags import Bags
from index.protocols import FloatArray
from recall.errors import CatalogError
from recall.live.attributes import indexed_attributes
from recall.live.availability import has_window
from recall.live.catalog import Catalog
from recall.live.generation import Generation
from recall.live.item_vectors import embed_stored, same_features
from recall.live.records import ItemRecord, StoredItem
from recall.live.reserved import is_reserved
from recall.live.trials import Trial
from recall.live.twin_search import stored_token_sets
from recall.schema import FeatureMap

_logger = logging.getLogger(__name__)
_BATCH_SIZE = 8192


class Follower:
    """Applies the catalogue's changes to the index of one generation. One caller at a time."""

    def __init__(self, catalog: Catalog, generation: Generation) -> None:
        """Starts where the index stands; nothing is applied yet."""
        self.generation = generation
        self._catalog = catalog
        self._skipped = dict(generation.skipped)

    @property
    def skipped(self) -> Mapping[str, str]:
        """Stored items that are damaged or that the model cannot embed, with the reason."""
        return self._skipped

    def catch_up(
        self, trials: Mapping[str, Trial] | None = None, known: Mapping[int, ItemRecord] | None = None
    ) -> None:
        """Applies every change that is committed now.

        Args:
            trials: Vectors made by this generation's model, used where the stored features are those embedded.
            known: Items that were written here, by number; see `Catalog.changes`.

        Raises:
            CatalogError: The catalogue cannot be read, or ends before the index.
        """
        index = self.generation.index
        committed = self._catalog.last_sequence()
        if committed < index.sequence:
            seen = f"{self._catalog.path} ends with write {committed}, and the index reflects {index.sequence} writes"
            cure = "an older copy is in its place: put the newer one back, or rebuild from this one and start again"
            raise CatalogError(f"{seen}; {cure}")
        if committed == index.sequence:
            return
        cursor = index.sequence
        while True:
            changes = self._catalog.changes(cursor, limit=_BATCH_SIZE, known=known)
            cursor = changes[-1].sequence if changes else cursor
            complete = len(changes) < _BATCH_SIZE
            reached = max(cursor, committed) if complete else index.sequence
            self._apply(changes, trials or {}, sequence=reached)
            if complete:
                return

    def _apply(self, changes: Sequence[StoredItem], trials: Mapping[str, Trial], *, sequence: int) -> None:
        damaged = {item.item_id: item.damage for item in changes if item.damage}
        live = [item for item in changes if not item.deleted and not item.damage]
        tried = {i.item_id: t for i in live if (t := trials.get(i.item_id)) and same_features(t.features, i.features)}
        rest = [item for item in live if item.item_id not in tried]
        embedded = embed_stored(self.generation.model, [i.item_id for i in rest], [i.features for i in rest])
        deleted = [*(item.item_id for item in changes if item.deleted), *embedded.skipped, *damaged]
        twins = (item for item in live if item.item_id not in embedded.skipped and not is_reserved(item.item_id))
        self._apply_twins({item.item_id: item.features for item in twins}, deleted)
        item_ids, columns = [*tried, *embedded.item_ids], self.generation.index.columns
        stored = {item.item_id: item for item in live}
        if any(map(has_window, live)):
            self.generation.windows.exist = True  # before one can be found
        self.generation.index.apply(
            item_ids,
            np.concatenate([_stacked(tried, self.generation.model.dim), embedded.vectors]),
            deleted=deleted,
            sequence=sequence,
            bags=_joined_bags(tried, embedded.bags),
            attributes=None if columns is None else indexed_attributes(columns, [stored[i] for i in item_ids]),
        )
        self._note(changes, embedded.skipped | damaged)

    def _apply_twins(self, features: Mapping[str, FeatureMap], deleted: Sequence[str]) -> None:
        """Writes twins; called before the index is, whose sequence says what both reflect."""
        twins = self.generation.twins
        if twins is not None and (features or deleted):
            twins.apply(list(features), stored_token_sets(twins.specs, list(features.values())), deleted=deleted)

    def _note(self, changes: Sequence[StoredItem], skipped: Mapping[str, str]) -> None:
        for item in changes:
            self._skipped.pop(item.item_id, None)
        for item in changes:
            if item.item_id in skipped and not is_reserved(item.item_id):
                # Named by its write: ids and features belong into no log.
                why = item.damage or "its features do not fit the served model"
                _logger.warning("the item of write %d is stored but cannot be retrieved: %s", item.sequence, why)
                self._skipped[item.item_id] = skipped[item.item_id]


def _stacked(trials: Mapping[str, Trial], dim: int) -> FloatArray:
    if not trials:
        return np.empty((0, dim), dtype=np.float32)
    return np.stack([trial.vector for trial in trials.values()])


def _joined_bags(trials: Mapping[str, Trial], embedded: Bags | None) -> Bags | None:
    if embedded is None:
        return None
    return Bags.joined([*(trial.bag for trial in trials.values() if trial.bag is not None), embedded])
