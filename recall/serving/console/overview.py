"""The state of the server at a glance, and the same over time, kept in memory for an hour or so."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from recall.live.periodic import Periodic
from recall.live.service import RecallSystem
from recall.live.vitals import Vitals
from recall.serving.console.answers import Json, as_json
from recall.serving.replies import status_response

Point: TypeAlias = dict[str, float | None]

NUM_POINTS = 360


class Overview:
    """Reads the attached system at an interval, and once more when asked."""

    def __init__(self, system: Callable[[], RecallSystem | None], *, interval_seconds: float, can_write: bool) -> None:
        """Starts to read.

        Args:
            system: Returns what is served, None while nothing is.
            interval_seconds: Time between two points.
            can_write: What the page is told of writing.
        """
        self._system = system
        self._can_write = can_write
        self._points: deque[Point] = deque(maxlen=NUM_POINTS)
        self._thread = Periodic(self.note, interval_seconds=interval_seconds, name="recall-console")

    def note(self) -> None:
        """Adds a point."""
        system = self._system()
        if system is not None:
            self._points.append(_point(system.vitals()))

    def read(self) -> Json:
        """Returns everything that the page shows without being asked."""
        system, points = self._system(), list(self._points)
        if system is None:
            return {"serving": False, "can_write": self._can_write, "points": points}
        vitals = system.vitals()
        canary, tallies = vitals.canary, vitals.tallies
        return {
            "serving": True,
            "can_write": self._can_write,
            "status": as_json(status_response(vitals.status)),
            "snapshot_seconds": vitals.snapshot_seconds,
            "switches": vitals.num_switches,
            "switch_failures": vitals.num_switch_failures,
            "audit_is_low": vitals.audit_is_low,
            "canary": None
            if canary is None
            else {
                "found": canary.num_found,
                "failed": canary.num_failed,
                "last_seconds": canary.last_seconds,
                "last_error": canary.last_error,
            },
            "recalls": tallies.num_recalls,
            "written": tallies.num_items,
            "points": [*points, _point(vitals)],
        }

    def close(self) -> None:
        """Ends the thread."""
        self._thread.close(timeout_seconds=1.0)


def _point(vitals: Vitals) -> Point:
    audit, canary = vitals.status.audit, vitals.canary
    return {
        "time": time.time(),
        "audit": None if audit is None else audit.recall,
        "audit_low": None if audit is None else audit.low,
        "audit_high": None if audit is None else audit.high,
        "fresh_seconds": None if canary is None else canary.last_seconds,
        "items": float(vitals.status.num_items),
        "lag_seconds": vitals.status.lag_seconds,
        "recalls": float(vitals.tallies.num_recalls),
        "written": float(vitals.tallies.num_items),
    }
