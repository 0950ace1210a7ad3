"""Log records as lines on stderr: text for people, or one JSON object a line.

A JSON line has `time` (RFC 3339, UTC), `level`, `logger`, `message`, in a call `request_id` and, where it is traced,
`trace_id`, of a call that ended `method`, `code` and `milliseconds`, and after an unexpected error `exception`: its
kind and the places in the code, without its text, which may quote what was asked. No line has ids of users or items, or
features.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import TypeAlias

from recall.serving.operations_config import LogConfig
from recall.serving.request_ids import current_request_id
from recall.serving.traces import current_trace_id

_Raised: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)  # as `logging` has it


class _WithoutMessage(logging.Formatter):
    """Formats exceptions without what they say."""

    def formatException(self, ei: _Raised) -> str:
        """Returns the kind of an exception and where it came from."""
        kind, _, trace = ei
        places = "".join(traceback.format_tb(trace)).rstrip()
        return f"{places}\n{'' if kind is None else kind.__qualname__}"


class TextLines(_WithoutMessage):
    """Lines for people; a line of a call ends with its request id."""

    def __init__(self) -> None:
        """Sets the one form."""
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Returns the line without the exception."""
        line, request_id = super().formatMessage(record), current_request_id()
        return f"{line} [request {request_id}]" if request_id else line


class JsonLines(_WithoutMessage):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        named = {"request_id": current_request_id(), "trace_id": current_trace_id()}
        line |= {name: value for name, value in named.items() if value}
        line |= vars(record).get("fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_lines(config: LogConfig) -> None:
    """Sends log records from INFO on to stderr in the configured form; instead of what was set before."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if config.format == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Until torch is wholly imported it logs statistics at its exit, which an interrupt would show.
    logging.getLogger("torch").setLevel(logging.WARNING)
