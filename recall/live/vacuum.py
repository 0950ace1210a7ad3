"""Clears the catalogue's file, at intervals and when asked, of what was removed and of request ids that are over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from recall.errors import CatalogError
from recall.live.catalog import Catalog
from recall.live.periodic import Periodic

_logger = logging.getLogger(__name__)


class Vacuum:
    """A thread that tidies one catalogue. A failure is logged once, and tried again."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        keep_seconds: float,
        interval_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Starts the thread.

        Args:
            catalog: What to tidy.
            keep_seconds: How long request ids are kept.
            interval_seconds: Time between two clearings.
            clock: Tells the time, in seconds since 1970.
        """
        self._catalog = catalog
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._error = ""
        self._periodic = Periodic(self._tidy, interval_seconds=interval_seconds, name="recall-vacuum-catalog")

    def wake(self) -> None:
        """Has the file cleared now."""
        self._periodic.wake()

    def close(self, *, timeout_seconds: float) -> None:
        """Ends the thread; waits that long for a clearing under way."""
        self._periodic.close(timeout_seconds=timeout_seconds)

    def _tidy(self) -> None:
        try:
            self._catalog.tidy(forget_before=int(self._clock() - self._keep_seconds))
        except CatalogError as error:
            if str(error) != self._error:
                _logger.error("the catalogue's file cannot be cleared of what was removed, trying again: %s", error)
            self._error = str(error)
        else:
            self._error = ""
