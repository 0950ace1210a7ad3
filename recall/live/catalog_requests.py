r"""Request ids of writes that were acknowledged, so that a repeat gets the first reply and writes nothing.

Rows of the table `requests`; what stands in them says nothing of what was written:

    key      BLAKE2b-128 of the request id, keyed with the catalogue's uuid
    digest   BLAKE2b-256 of the digest of the request's content, keyed the same way
    written  when, in seconds since 1970
    reply    JSON: sequence, count, model_id, warnings as [item_id, code, message]; none about users
    checksum CRC-32 of key, digest, and in ASCII written, "\n", reply
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib

from recall.errors import CatalogError, FieldViolation, InvalidRequestError
from recall.live.writes import RequestKey, WriteWarning, Written


class RequestTable:
    """The table `requests` of one catalogue; the connection is the caller's."""

    def __init__(self, catalog_uuid: str) -> None:
        """Takes the uuid that digests are keyed with."""
        self._key = catalog_uuid.encode()

    def find(self, connection: sqlite3.Connection, request: RequestKey) -> Written | None:
        """Returns what the first request of this id wrote, None where there was none.

        Raises:
            InvalidRequestError: The first one had another content.
            CatalogError: The row is damaged.
        """
        key = self._digest(request.request_id.encode(), size_bytes=16)
        query = "SELECT digest, written, reply, checksum FROM requests WHERE key = ?"
        row = connection.execute(query, (key,)).fetchone()
        if row is None:
            return None
        digest, written, reply, checksum = row
        if not isinstance(reply, str) or checksum != _checksum(key, digest, written, reply):
            raise CatalogError(f"the row of request id {request.request_id!r} is damaged; send another request_id")
        if digest != self._digest(request.digest, size_bytes=32):
            text = f"{request.request_id!r} named another request before; send each request with an id of its own"
            raise InvalidRequestError([FieldViolation(field="request_id", description=text)])
        return _read(reply)

    def keep(self, connection: sqlite3.Connection, request: RequestKey, written: Written, *, now: int) -> None:
        """Keeps what a request wrote, as part of its transaction."""
        key = self._digest(request.request_id.encode(), size_bytes=16)
        digest, reply = self._digest(request.digest, size_bytes=32), _shown(written)
        row = key, digest, now, reply, _checksum(key, digest, now, reply)
        connection.execute("INSERT INTO requests (key, digest, written, reply, checksum) VALUES (?, ?, ?, ?, ?)", row)

    @staticmethod
    def forget(connection: sqlite3.Connection, before: int) -> int:
        """Removes what was kept before a moment, in seconds since 1970; returns how many."""
        return connection.execute("DELETE FROM requests WHERE written < ?", (before,)).rowcount

    def _digest(self, content: bytes, *, size_bytes: int) -> bytes:
        return hashlib.blake2b(content, digest_size=size_bytes, key=self._key).digest()


def _checksum(key: bytes, digest: bytes, written: int, reply: str) -> int:
    return zlib.crc32(f"{written}\n{reply}".encode(), zlib.crc32(digest, zlib.crc32(key)))


def _shown(written: Written) -> str:
    warnings = [[w.item_id, w.code, w.message] for w in written.warnings]
    values = {"sequence": written.sequence, "count": written.count, "model_id": written.model_id, "warnings": warnings}
    return json.dumps(values)


def _read(reply: str) -> Written:
    values = json.loads(reply)
    warnings = (WriteWarning(item_id=i, code=c, message=m) for i, c, m in values["warnings"])
    return Written(
        sequence=values["sequence"],
        count=values["count"],
        model_id=values["model_id"],
        warnings=tuple(warnings),
        is_repeat=True,
    )
