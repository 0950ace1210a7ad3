"""Which catalogue a file is, and which snapshots reflect it.

A catalogue has a uuid. A restored one (`recall/live/restore.py`) gets a uuid of its own, since from then on its writes
are others than those of the catalogue that it was copied from, under the same numbers. What it has in common with that
one ends with the last write before the copy was made: a snapshot of it that reflects no later write may be served.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from recall.errors import CatalogError
from recall.live.catalog_rows import meta_checksum

NEW_COPY = "restore a backup, or load the data into a new file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """A catalogue that this one was copied from.

    Attributes:
        uuid: Its name.
        sequence: Its last write that this one holds.
    """

    uuid: str
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A catalogue and those that it was copied from.

    Attributes:
        uuid: Its name for ever; it stands in every snapshot made from it.
        ancestors: Oldest first.
    """

    uuid: str
    ancestors: tuple[Ancestor, ...] = ()

    @property
    def first_uuid(self) -> str:
        """The oldest name, which request ids are known under."""
        return self.ancestors[0].uuid if self.ancestors else self.uuid

    def is_of_family(self, uuid: str) -> bool:
        """Returns whether a catalogue of this name is this one or an ancestor."""
        return uuid == self.uuid or any(uuid == ancestor.uuid for ancestor in self.ancestors)

    def refusal(self, uuid: str, sequence: int) -> str:
        """Returns why what reflects the writes of a catalogue up to `sequence` does not fit this one; empty: it does.

        That this catalogue has come as far where the name is its own is not looked at here.
        """
        if uuid == self.uuid:
            return ""
        ancestor = next((a for a in self.ancestors if a.uuid == uuid), None)
        if ancestor is None:
            return (
                f"was made from catalogue {uuid}, not from {self.uuid}; serve it with its own catalogue, or rebuild"
                " from this one into another folder"
            )
        if sequence <= ancestor.sequence:
            return ""
        return (
            f"reflects write {sequence} of catalogue {uuid}, and this one was restored from a backup that ends with its"
            f" write {ancestor.sequence}: the writes between are not in it; rebuild from this catalogue"
        )

    def require_name(self, uuid: str, path: Path) -> None:
        """Checks the name of a file that was opened as this catalogue.

        Raises:
            CatalogError: It has another one now.
        """
        if uuid != self.uuid:
            seen = f"{path} was restored while it was open: it is catalogue {uuid} now, and was {self.uuid}"
            raise CatalogError(f"{seen}; start this program again")

    def child(self, uuid: str, *, sequence: int) -> Lineage:
        """Returns the lineage of a copy that is named `uuid` and holds the writes up to `sequence`."""
        return Lineage(uuid=uuid, ancestors=(*self.ancestors, Ancestor(uuid=self.uuid, sequence=sequence)))

    def shown(self) -> str:
        """Returns the ancestors as they stand in the table meta: JSON of [uuid, sequence], empty for none."""
        return json.dumps([[a.uuid, a.sequence] for a in self.ancestors]) if self.ancestors else ""


def read_meta(connection: sqlite3.Connection, path: Path) -> tuple[Lineage, str]:
    """Returns the lineage of a catalogue and its data schema as JSON.

    Raises:
        CatalogError: The table meta is damaged.
    """
    row = connection.execute("SELECT uuid, schema, ancestors, checksum FROM meta").fetchone()
    if row is None:
        raise CatalogError(f"{path} is damaged: its table meta is empty; {NEW_COPY}")
    catalog_uuid, schema, ancestors, checksum = row
    if checksum != meta_checksum(str(catalog_uuid), str(schema), str(ancestors)):
        raise CatalogError(f"{path} is damaged: its table meta does not fit its checksum; {NEW_COPY}")
    found = (Ancestor(uuid=str(u), sequence=int(s)) for u, s in json.loads(ancestors or "[]"))
    return Lineage(uuid=catalog_uuid, ancestors=tuple(found)), schema


def write_lineage(connection: sqlite3.Connection, lineage: Lineage) -> None:
    """Renames the catalogue of a connection."""
    (schema,) = connection.execute("SELECT schema FROM meta").fetchone()
    row = lineage.uuid, lineage.shown(), meta_checksum(lineage.uuid, schema, lineage.shown())
    connection.execute("UPDATE meta SET uuid = ?, ancestors = ?, checksum = ?", row)
