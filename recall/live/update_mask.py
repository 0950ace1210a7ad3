"""Partial updates of items: which fields of a stored item a request replaces.

Paths are `features.NAME`, `attributes.NAME`, `available_from` and `available_until`, or a whole map, `features` or
`attributes`; NAME is everything behind the first dot. A named field that the request leaves out is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recall.errors import FieldViolation, InvalidRequestError
from recall.live.records import ItemRecord, StoredItem
from recall.schema import FeatureMap

_WHOLE = frozenset({"features", "attributes", "available_from", "available_until"})
_MAPS = ("features.", "attributes.")
_KNOWN = "features.NAME, attributes.NAME, available_from, available_until, features or attributes"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateMask:
    """The fields that an update replaces; checked paths."""

    paths: frozenset[str]

    @classmethod
    def of(cls, paths: Sequence[str]) -> UpdateMask:
        """Returns the mask of some paths.

        Raises:
            InvalidRequestError: There is none, or some are unknown; all of these are listed.
        """
        violations = [
            FieldViolation(field=f"update_mask.paths[{place}]", description=f"{path!r} is no field; send {_KNOWN}")
            for place, path in enumerate(paths)
            if not _is_known(path)
        ]
        if not paths:
            text = f"it is empty; send {_KNOWN}, or no mask to replace whole items"
            violations.append(FieldViolation(field="update_mask", description=text))
        if violations:
            raise InvalidRequestError(violations)
        return cls(paths=frozenset(paths))

    def merged(self, stored: ItemRecord | StoredItem, update: ItemRecord) -> ItemRecord:
        """Returns a stored item with the named fields of an update.

        Raises:
            InvalidRequestError: The update names one end of the window, which does not fit the other.
        """
        starts = update if "available_from" in self.paths else stored
        ends = update if "available_until" in self.paths else stored
        start, end = starts.available_from, ends.available_until
        if start is not None and end is not None and start >= end:
            text = f"available_until {end} of {update.item_id!r} is not after available_from {start}; update both"
            raise InvalidRequestError([FieldViolation(field="update_mask", description=text)])
        return ItemRecord(
            item_id=update.item_id,
            features=self._map("features", stored.features, update.features),
            attributes=self._map("attributes", stored.attributes, update.attributes),
            available_from=start,
            available_until=end,
        )

    def _map(self, name: str, stored: FeatureMap, update: FeatureMap) -> FeatureMap:
        if name in self.paths:
            return update
        named = {path.removeprefix(f"{name}.") for path in self.paths if path.startswith(f"{name}.")}
        kept = {key: value for key, value in stored.items() if key not in named}
        return kept | {key: value for key, value in update.items() if key in named}


def _is_known(path: str) -> bool:
    return path in _WHOLE or any(path.startswith(prefix) and path != prefix for prefix in _MAPS)
