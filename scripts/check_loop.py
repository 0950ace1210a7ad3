"""Whether the loop closes: train, serve, record, export, retrain from the last weights, rebuild and switch, no stop.

A model learns from the train part of a data folder and is served by a real process. The events of the validation part
are recorded through it; then the catalogue is exported as a data folder, a second model starts from the weights of the
first one and learns from it, and the server switches to its snapshot while it goes on answering. Recall@K on the test
part, which comes later, is asked of the server three times: before, with the events recorded, and after the switch.
Exit 1 where a call failed on the way or where recall did not rise. `--cold` starts the second model from random weights
instead, for comparison.

    python scripts/check_loop.py --data ../shared/datasets/ml-1m-time --users 2000
"""

from __future__ import annotations

import json as json_format
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from deployment import Data, Deployment, train
from job import fail_on, run
from loop_data import Periods, write_halved_synthetic
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recall.client import RecallClient, RecallQuery
from recall.errors import RecallError
from recall.live.records import InteractionRecord
from recall.tables import ITEM_ID, TIMESTAMP, USER_ID
from server_process import ServerProcess, run_recall, wait_for_snapshot

_FIRST = "first"
_BATCH = 1_000
_SWITCH_SECONDS = 300.0
_TIMEOUT_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class _Summary:
    """What happened; recall is the mean over users of the share of their later items among the first K."""

    k: int
    num_users: int = 0
    num_recorded: int = 0
    num_exported: int = 0
    recall_before: float = 0.0
    recall_recorded: float = 0.0
    recall_after: float = 0.0
    rise: float = 0.0
    rise_low: float = 0.0
    rise_high: float = 0.0
    num_answers_meanwhile: int = 0
    longest_wait_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def main(
    data: Data = None,
    users: Annotated[int | None, typer.Option("--users", min=1, help="Keep so many users; by default all.")] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Epochs of each training.")] = 1,
    k: Annotated[int, typer.Option("--k", min=1, help="Length of the lists.")] = 20,
    cold: Annotated[bool, typer.Option("--cold", help="Start the second model from random weights.")] = False,
    json: Json = None,
) -> None:
    """Check that what is recorded while a model serves makes the next one better, without a stop."""
    with tempfile.TemporaryDirectory(prefix="recall-loop-") as name:
        folder = Path(name)
        source = data or write_halved_synthetic(folder / "source")
        periods = Periods.of(source, num_users=users)
        summary = _Summary(k=k)
        say(f"{len(periods.past)} past, {len(periods.recorded)} recorded and {len(periods.later)} later interactions")
        configs = training_configs(folder / _FIRST, epochs=epochs, cold=cold)
        _go_round(folder, source, periods, summary, configs=configs)
    _report(summary, json)


def training_configs(first_model: Path, *, epochs: int, cold: bool) -> tuple[str, str]:
    """Returns the lines of TOML of both trainings; the second starts from the first model, or cold."""
    first = f"epochs = {epochs}\nthreads = 1\n"
    return first, first if cold else f'{first}warm_start = "{first_model}"\n'


def _go_round(folder: Path, source: Path, periods: Periods, summary: _Summary, *, configs: tuple[str, str]) -> None:
    past = periods.write_past(source, folder / "past")
    made = Deployment(folder=folder, data=past, model=train(past, folder / _FIRST, config=configs[0]))
    run_recall(("load", "--data", past, "--catalog", made.catalog), log=folder / "load.log")
    made.rebuild(made.model)
    wanted = periods.wanted()
    summary.num_users = len(wanted)
    with made.serve() as server, _traffic(server, next(iter(wanted)), summary), _client(server) as client:
        before = _recalls(client, wanted, k=summary.k)
        summary.num_recorded, sequence = _record(client, periods)
        recorded = _recalls(client, wanted, k=summary.k, min_sequence=sequence)
        say(f"recall@{summary.k} {before.mean():.4f}, with the events recorded {recorded.mean():.4f}")
        exported = run_recall(("export", "--catalog", made.catalog, "--out", folder / "exported", "--json", "-"))
        summary.num_exported = json_format.loads(exported)["num_interactions"]
        second = train(folder / "exported", folder / "second", config=configs[1])
        wait_for_snapshot(client, made.rebuild(second), timeout_seconds=_SWITCH_SECONDS)
        after = _recalls(client, wanted, k=summary.k)
    summary.recall_before, summary.recall_recorded = float(before.mean()), float(recorded.mean())
    summary.recall_after = float(after.mean())
    error = 1.96 * float((after - before).std()) / len(before) ** 0.5
    summary.rise = float((after - before).mean())
    summary.rise_low, summary.rise_high = summary.rise - error, summary.rise + error


def _client(server: ServerProcess) -> RecallClient:
    return RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS)


def _recalls(
    client: RecallClient, wanted: Mapping[str, frozenset[str]], *, k: int, min_sequence: int = 0
) -> NDArray[np.float64]:
    """Returns the recall of each user by what the server has stored of them."""
    values = []
    for user_id, item_ids in wanted.items():
        found = client.recall(RecallQuery(user_id=user_id, limit=k), min_sequence=min_sequence).item_ids
        values.append(len(item_ids.intersection(found)) / len(item_ids))
    return np.array(values)


def _record(client: RecallClient, periods: Periods) -> tuple[int, int]:
    """Records the events of the second period; returns how many were new, and the last write."""
    has_time = TIMESTAMP in periods.recorded.columns
    events = [
        InteractionRecord(user_id=row[USER_ID], item_id=row[ITEM_ID], timestamp=row[TIMESTAMP] if has_time else 0)
        for row in periods.recorded.iter_rows(named=True)
    ]
    num_recorded = sequence = 0
    for start in range(0, len(events), _BATCH):
        reply = client.record(events[start : start + _BATCH], request_id=f"check-loop-{start}")
        num_recorded, sequence = num_recorded + reply.num_recorded, reply.sequence
    return num_recorded, sequence


@contextmanager
def _traffic(server: ServerProcess, user_id: str, summary: _Summary) -> Iterator[None]:
    """Asks for recalls without a pause to the end of the context, and keeps what failed."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(_ask_until, stop, server, user_id, summary)
        try:
            yield
        finally:
            stop.set()
        task.result()


def _ask_until(stop: threading.Event, server: ServerProcess, user_id: str, summary: _Summary) -> None:
    with _client(server) as client:
        while not stop.wait(0.02):
            start = time.perf_counter()
            try:
                result = client.recall(RecallQuery(user_id=user_id, limit=summary.k))
            except RecallError as error:
                summary.failures.append(f"a recall failed: {error}")
                continue
            if not result.item_ids:
                summary.failures.append("a recall returned nothing")
            summary.num_answers_meanwhile += 1
            summary.longest_wait_seconds = max(summary.longest_wait_seconds, time.perf_counter() - start)


def _report(summary: _Summary, json: str | None) -> None:
    if summary.num_recorded > summary.num_exported:
        summary.failures.append(f"{summary.num_recorded} events recorded, {summary.num_exported} interactions exported")
    if summary.rise <= 0:
        summary.failures.append(f"recall did not rise: {summary.recall_before:.4f}, {summary.recall_after:.4f} after")
    value = asdict(summary)
    report(pair_lines(value | {"failures": len(summary.failures)}), value, json)
    fail_on(summary.failures)


if __name__ == "__main__":
    run(main)
