"""Keeps the catalogue's file clean, at intervals and when asked: of what was removed, and of what is over.

After an erasure of users the log is emptied at once, and the whole file written anew within a stated time; writers wait
while it is, and a gigabyte takes some seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from recall.errors import CatalogError
from recall.live.catalog import Catalog
from recall.live.config import ServeConfig
from recall.live.periodic import Periodic
from recall.live.retention import Retention, Sweep

_logger = logging.getLogger(__name__)


class Vacuum:
    """A thread that tidies one catalogue. A failure is logged once, and tried again."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        config: ServeConfig,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Starts the thread.

        Args:
            catalog: What to keep clean.
            config: How long request ids, deletions and interactions are kept, and how long bytes of the erased.
            clock: Tells the time, in seconds since 1970.
        """
        self._upkeep = catalog.upkeep
        self._config = config
        self._sweep = Sweep(
            Retention(tombstone_seconds=config.tombstone_seconds, interaction_seconds=config.interaction_seconds)
        )
        self._clock = clock
        self._error = ""
        interval_seconds = config.vacuum_interval_seconds
        self._periodic = Periodic(self._run, interval_seconds=interval_seconds, name="recall-vacuum-catalog")

    def wake(self) -> None:
        """Has the file cleared now."""
        self._periodic.wake()

    def close(self, *, timeout_seconds: float) -> None:
        """Ends the thread; waits that long for a clearing under way."""
        self._periodic.close(timeout_seconds=timeout_seconds)

    def _run(self) -> None:
        try:
            self._clean()
        except CatalogError as error:
            if str(error) != self._error:
                _logger.error("the catalogue's file cannot be cleared of what was removed, trying again: %s", error)
            self._error = str(error)
        else:
            self._error = ""

    def _clean(self) -> None:
        now, erased_at = self._clock(), self._upkeep.erased_at()
        if erased_at is not None and now - erased_at >= self._config.erasure_seconds:
            self._upkeep.rewrite()
            _logger.info("the catalogue's file was written anew after erasures")
        self._upkeep.sweep(self._sweep, now=int(now))
        self._upkeep.tidy(forget_before=int(now - self._config.request_id_seconds))
