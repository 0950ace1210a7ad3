"""Pages of stored items, and the tokens that say where the next one begins.

A token is URL-safe base64 without padding of: version 1 (1 byte), CRC-32 of the rest (4 bytes, big endian), and the
last item id of the page before, in UTF-8. It holds no state of a server: any one takes it, at any time.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass

from recall.live.records import StoredItem

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
MAX_PAGE_BYTES = 3 * 2**20
"""A page ends before its items are longer, unless it would hold none: clients take replies of 4 MiB."""

_VERSION = b"\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Which items: up to `size` of those that follow the id `after`, empty for the first page."""

    after: str = ""
    size: int = DEFAULT_PAGE_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPage:
    """One page of the stored items, item id ascending in UTF-8 byte order.

    Attributes:
        items: As stored.
        retrievable: Whether a recall can return each of them, were it available.
        damaged: Ids of items whose rows are damaged.
        next_token: Where the next page begins; empty after the last one.
        model_id: Model that is served.
        sequence: Last write that the page reflects.
    """

    items: tuple[StoredItem, ...]
    retrievable: tuple[bool, ...]
    damaged: tuple[str, ...]
    next_token: str
    model_id: str
    sequence: int


def page_token(last_id: str) -> str:
    """Returns the token of the page that follows an item."""
    content = last_id.encode()
    raw = _VERSION + zlib.crc32(content).to_bytes(4) + content
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def page_start(token: str) -> str:
    """Returns the item that a page follows; empty for the first page.

    Raises:
        ValueError: No server made this token.
    """
    if not token:
        return ""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        version, checksum, content = raw[:1], raw[1:5], raw[5:]
        if version == _VERSION and int.from_bytes(checksum) == zlib.crc32(content):
            return content.decode()
    except (ValueError, binascii.Error):
        pass
    raise ValueError(f"{token[:60]!r} is no token of this service; send that of the page before, or none")
