"""A log line a call: of all of them where that is asked for, else of those that are slow. None says what was asked."""

from __future__ import annotations

import logging

import grpc

from recall.serving.operations_config import LogConfig

_LOG = logging.getLogger(__name__)


class CallLog:
    """Writes the lines."""

    def __init__(self, config: LogConfig) -> None:
        """Takes which calls are to be logged."""
        self._all = config.calls
        self._slow_seconds = config.slow_seconds or float("inf")

    def note(self, method: str, code: grpc.StatusCode, seconds: float) -> None:
        """Takes one call that ended; `method` is its path."""
        is_slow = seconds > self._slow_seconds
        if not (is_slow or self._all):
            return
        milliseconds = round(seconds * 1000, 3)
        name = method.removeprefix("/")
        fields = {"method": name, "code": code.name, "milliseconds": milliseconds}
        level, what = (logging.WARNING, "slow call") if is_slow else (logging.INFO, "call")
        _LOG.log(level, "%s: %s %s in %.1f ms", what, name, code.name, milliseconds, extra={"fields": fields})
