"""The name of each call, by which its reply, log lines and trace are brought together.

A caller gives one in the metadata `x-request-id`; what it leaves out, or gives in a form that does not belong into a
log, is made up here. Every reply carries it in its trailing metadata under the same key.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from contextvars import ContextVar

KEY = "x-request-id"

_FORM = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_CURRENT: ContextVar[str] = ContextVar("recall-request-id", default="")


def request_id_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """Returns the request id that a caller sent, or a new one."""
    for key, value in metadata or ():
        if key == KEY and isinstance(value, str) and _FORM.fullmatch(value):
            return value
    return new_request_id()


def new_request_id() -> str:
    """Returns an id that no other call has."""
    return uuid.uuid4().hex[:16]


def set_request_id(request_id: str) -> None:
    """Names the call that this thread answers; gRPC gives each call a context of its own."""
    _CURRENT.set(request_id)


def current_request_id() -> str:
    """Returns the id of the call that this thread answers; empty outside of calls."""
    return _CURRENT.get()
