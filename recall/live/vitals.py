"""What a running system says of itself, for whoever watches it: its status, and counts since it started."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from index.snapshot import MANIFEST
from recall.live.canary import CanaryFigures
from recall.live.status import Status
from recall.live.tallies import Tallies


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """One reading.

    Attributes:
        status: What is served.
        snapshot_seconds: Age of the served snapshot; None where its folder is gone.
        num_switches: Snapshots switched to since the start.
        num_switch_failures: Snapshots that could not be switched to, each try counted.
        audit_is_low: Whether the audited recall is below its floor; see `ServeConfig.audit_floor`.
        canary: What the freshness canary found; None where it is off.
        tallies: What was written and answered.
    """

    status: Status
    snapshot_seconds: float | None
    num_switches: int
    num_switch_failures: int
    audit_is_low: bool
    canary: CanaryFigures | None
    tallies: Tallies


def snapshot_seconds(root: Path, name: str) -> float | None:
    """Returns how long ago a snapshot was written, by the time of its manifest; None where that cannot be told."""
    try:
        return max(0.0, time.time() - (root / name / MANIFEST).stat().st_mtime)
    except OSError:
        return None
