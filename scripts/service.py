"""One served deployment that can be merged, switched, rebuilt and restarted while a client uses it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from deployment import Deployment
from index.snapshot import set_current, snapshot_names
from recall.client import RecallClient
from recall.live.rebuild import rebuild
from server_process import ProcessError, ServerProcess, wait_for_snapshot

_TIMEOUT_SECONDS = 30.0
_SWITCH_SECONDS = 60.0
_POLL_SECONDS = 0.01
# Merges whatever was written, soon after it was.
_CONFIG = """\
[live]
watch_interval_seconds = 0.05
upkeep_interval_seconds = 0.3
merge_least_rows = 1
merge_fresh_share = 1e-9
merge_deleted_share = 1e-9
merge_time_share = 1.0
"""


class Service:
    """A server and its client. As a context it is started, and killed at the end."""

    def __init__(self, deployment: Deployment, models: Sequence[Path]) -> None:
        """Takes what is served, and the models that rebuilds take in turn."""
        self._deployment = deployment
        self._models = models
        self._num_rebuilds = 0
        self._server: ServerProcess | None = None
        self._client: RecallClient | None = None
        self.items = {item.item_id: item for item in deployment.items()[0]}
        """Items of the data folder."""
        self.num_steps = 0
        """Counts what was done, for those who use it."""

    def __enter__(self) -> Service:
        """Starts the server."""
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kills the server."""
        self._end(kill=True)

    @property
    def client(self) -> RecallClient:
        """A client of the server that runs now."""
        assert self._client is not None
        return self._client

    def restart(self, *, kill: bool) -> None:
        """Ends the server, by SIGKILL or as asked to, and starts another."""
        self._end(kill=kill)
        self._start()

    def merge(self) -> None:
        """Returns once everything written is part of the base.

        Raises:
            ProcessError: It is not in time.
        """
        deadline = time.perf_counter() + _SWITCH_SECONDS
        while (status := self.client.status()).num_fresh or status.num_deleted:
            if time.perf_counter() > deadline:
                raise ProcessError(f"{status.num_fresh} items are still fresh: {status.advice}")
            time.sleep(_POLL_SECONDS)

    def switch(self) -> None:
        """Has another snapshot served, of the same or another model, and forward or back."""
        names = snapshot_names(self._deployment.snapshots)
        served = self.client.status().snapshot
        self._serve(names[(names.index(served) + 1) % len(names)])

    def rebuild(self) -> None:
        """Builds a snapshot of what is stored with the next model, and has it served."""
        self._num_rebuilds += 1
        model = self._models[self._num_rebuilds % len(self._models)]
        name = rebuild(model, self._deployment.catalog, self._deployment.snapshots).name
        wait_for_snapshot(self.client, name, timeout_seconds=_SWITCH_SECONDS)

    def _serve(self, name: str) -> None:
        set_current(self._deployment.snapshots, name)
        wait_for_snapshot(self.client, name, timeout_seconds=_SWITCH_SECONDS)

    def _start(self) -> None:
        self._server = self._deployment.serve(config=_CONFIG)
        self._client = RecallClient(self._server.address, timeout_seconds=_TIMEOUT_SECONDS)

    def _end(self, *, kill: bool) -> None:
        assert self._server is not None
        assert self._client is not None
        self._client.close()
        if kill:
            self._server.kill()
        else:
            self._server.stop()
