"""Whether a server or a rebuild that is killed loses anything that was acknowledged, or leaves anything half-written.

Each round starts a server, compares what it holds with all that was ever acknowledged, and lets writers upsert, replace
and delete items and record events while the server merges what is written into new bases without a pause. In turn, a
round only writes, or ends a `recall rebuild` with SIGKILL, or lets one finish, so that the server switches; then the
server is ended with SIGKILL at a random moment. A write that was not acknowledged may be stored or not, but never in
part; the current snapshot is whole after every kill. At the end a rebuild clears up what killed ones left. Exit 1 on
any difference.

    python scripts/check_kill.py --rounds 200
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Annotated

import numpy as np
import typer

from deployment import Data, Deployment, Model, Seed, deployed
from index.errors import VectorIndexError
from index.snapshot import current, verify
from job import fail_on, run
from latency import Latencies
from ledger import Writer
from reader import Reader
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recall.client import RecallClient, RetryPolicy
from recall.errors import UnavailableError
from recorder import Recorder
from server_process import ProcessError, ServerProcess
from traffic import Findings, compare
from workload import Workload, workload

_NUM_WRITERS = 3
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.05, 1.0
_EARLIEST_SHARE = 0.5  # of a rebuild's time; before that it loads libraries
_TIMEOUT_SECONDS = 60.0
_ONCE = RetryPolicy(attempts=1)
_MERGING = """[live]
merge_least_rows = 1
merge_fresh_share = 0.0001
merge_deleted_share = 0.0001
merge_time_share = 1.0
upkeep_interval_seconds = 0.01
watch_interval_seconds = 0.05
vacuum_interval_seconds = 0.2
"""


@dataclass(slots=True)
class _Summary:
    kills: int = 0
    killed_rebuilds: int = 0
    switches: int = 0
    merges: int = 0
    acknowledged_writes: int = 0
    unacknowledged_stored: int = 0
    unacknowledged_lost: int = 0
    item_checks: int = 0
    differences: list[str] = field(default_factory=list)


class _Check:
    """A deployment, who writes to it, and what was found."""

    def __init__(self, deployment: Deployment, *, seed: int) -> None:
        """Prepares writers; nothing runs yet."""
        self.summary, self.starts = _Summary(), Latencies()
        self._deployment = deployment
        self._load: Workload = workload(deployment, num_writers=_NUM_WRITERS, seed=seed)
        self._recorder = Recorder([i for i in self._load.ledger.settled() if i not in self._load.written], seed=seed)
        self._writers: tuple[Writer | Recorder, ...] = (*self._load.writers, self._recorder)
        self._rng = np.random.default_rng(seed)
        self._rebuilds = Latencies()

    def measure_rebuild(self) -> None:
        """Finds out how long a rebuild takes."""
        with self._rebuilds.measured():
            self._deployment.rebuild(self._deployment.model)

    def round(self, number: int) -> None:
        """Starts a server, compares, and kills it in the middle of writes, merges and whatever the round's turn is."""
        with self._serving() as server:
            self._compare(server)
            with self._writing(server):
                (self._only_write, self._kill_rebuild, self._switch)[number % 3]()
                time.sleep(self._rng.uniform(_SHORTEST_SECONDS, _LONGEST_SECONDS))
        self.summary.kills += 1
        self.summary.merges += self._deployment.log().count("merged ")
        self._require_whole_snapshot()

    def finish(self) -> None:
        """Compares once more, and has a rebuild clear up."""
        with self._serving() as server:
            self._compare(server)
            server.stop()
        self._deployment.rebuild(self._deployment.model)
        remnants = [path.name for path in self._deployment.snapshots.iterdir() if ".tmp-" in path.name]
        if remnants:
            self.summary.differences.append(f"a rebuild left what killed ones had left: {remnants}")
        self._require_whole_snapshot()
        self.summary.acknowledged_writes = self.num_acknowledged()

    def num_acknowledged(self) -> int:
        """Returns how many requests of all writers were acknowledged."""
        return sum(writer.num_acknowledged for writer in self._writers)

    def _serving(self) -> ServerProcess:
        with self.starts.measured():
            return self._deployment.serve(config=_MERGING)

    def _compare(self, server: ServerProcess) -> None:
        findings = Findings()
        with RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS) as client:
            num_stored, num_lost, halves = Reader(client, self._load.ledger, probe=self._load.probe).resolve()
            compare(client, self._load, findings)
            differences = [*halves, *findings.differences, *self._recorder.differences(client)]
            status = client.status()
        named = current(self._deployment.snapshots)
        if status.snapshot != named or status.last_switch_error:
            differences.append(f"{status.snapshot} is served and {named} is current: {status.last_switch_error!r}")
        self.summary.unacknowledged_stored += num_stored
        self.summary.unacknowledged_lost += num_lost
        self.summary.item_checks += findings.item_checks
        self.summary.differences += [f"after {self.summary.kills} kills: {difference}" for difference in differences]

    @contextmanager
    def _writing(self, server: ServerProcess) -> Iterator[None]:
        """Writes and records to the end of the context, where the server is killed, which ends the writers."""
        for_ever = threading.Event()
        with (
            RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS, retry=_ONCE) as client,
            ThreadPoolExecutor(len(self._writers)) as pool,
        ):
            try:
                writing = [pool.submit(writer.write_until, for_ever, client) for writer in self._writers]
                yield
                early = [task for task in writing if task.done()]
            finally:
                server.kill()
        for task in writing:
            error = task.exception()
            if task in early or not isinstance(error, UnavailableError):
                raise ProcessError(f"a writer ended before the kill, or not by it: {error}") from error

    def _only_write(self) -> None:
        pass

    def _kill_rebuild(self) -> None:
        seconds = self._rebuilds.milliseconds(50) / 1e3
        after_seconds = seconds * self._rng.uniform(_EARLIEST_SHARE, 1.0)
        self.summary.killed_rebuilds += self._deployment.kill_rebuild(
            self._deployment.model, after_seconds=after_seconds
        )
        self._require_whole_snapshot()

    def _switch(self) -> None:
        self.measure_rebuild()
        self.summary.switches += 1

    def _require_whole_snapshot(self) -> None:
        root = self._deployment.snapshots
        try:
            verify(root / str(current(root)))
        except (VectorIndexError, OSError) as error:
            self.summary.differences.append(
                f"after {self.summary.kills} kills: the current snapshot is damaged: {error}"
            )


def main(
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often the server is killed.")] = 200,
    data: Data = None,
    model: Model = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check that nothing acknowledged is lost and nothing half-written is served after kill -9."""
    with deployed(data, model) as deployment:
        check = _Check(deployment, seed=seed)
        check.measure_rebuild()
        for number in range(1, rounds + 1):
            check.round(number)
            say(f"round {number} of {rounds}: {check.num_acknowledged():,} writes so far")
        check.finish()
    summary = check.summary
    value = asdict(summary)
    lines = pair_lines(value | {"differences": len(summary.differences), "start": check.starts.line()})
    report(lines, value | {"start": check.starts.summary()}, json)
    fail_on(summary.differences)


if __name__ == "__main__":
    run(main)
