"""Whether a server stands ten minutes of load while its snapshot and its model change.

50,000 items (`serving_data`). First the capacity: calls a second in a closed loop while a rebuild runs beside. Then an
open loop at 80% of it, with a rebuild every two minutes, the middle one with another model, and the server moving to
each new snapshot. No call may fail; the memory between two switches may not grow from the first switch on; and at the
end the audit of the server must find that .99 of the exact results were returned. Exit 1 otherwise.

    python scripts/check_endurance.py
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmark_options import BENCHMARKS
from deployment import Deployment, deployed, train
from job import fail_on, run
from load_client import Calls, LoadClient
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recall.client import RecallClient
from recall.v1 import recall_pb2 as pb
from server_process import ServerProcess, wait_for_snapshot
from serving_data import QUICK as FEW_ITEMS
from serving_data import TRAINING, Sizes, serving_deployment, user_ids
from serving_run import divided_cores, on_cores

_ITEMS = Sizes(items=50_000, users=5_000)
_SHARE = 0.8
_IN_FLIGHT = 32
_MOST_GROWTH = 1.1
"""Of the memory between two switches: pages that the allocator keeps."""
_LEAST_RECALL = 0.99
_SWITCH_SECONDS = 120.0
_TIMEOUT_SECONDS = 60.0
_SAMPLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How long is loaded, and how often the snapshot changes."""

    seconds: float
    rebuild_seconds: float
    capacity_seconds: float


def main(
    minutes: Annotated[float, typer.Option("--minutes", min=0.2, help="Length of the load.")] = 10.0,
    work: Annotated[Path, typer.Option("--work", help="Where data and model are kept.")] = BENCHMARKS / "serving",
    quick: Annotated[bool, typer.Option("--quick", help="3,000 items for some seconds; recall is not judged.")] = False,
    json: Json = None,
) -> None:
    """Check that nothing fails, grows or gets worse under load."""
    plan = _Plan(seconds=60 * minutes, rebuild_seconds=120.0, capacity_seconds=15.0)
    plan = _Plan(seconds=10.0, rebuild_seconds=5.0, capacity_seconds=2.0) if quick else plan
    made = serving_deployment(work, FEW_ITEMS if quick else _ITEMS)
    with deployed(made.data, made.model) as own:
        other = train(made.folder / "trained-on", own.folder / "other-model", seed=1, config=TRAINING)
        value = _measured(own, other, plan, user_ids(FEW_ITEMS if quick else _ITEMS))
    problems = _problems(value, judges_recall=not quick)
    report(pair_lines(value), value | {"problems": problems}, json)
    fail_on(problems)


def _measured(own: Deployment, other: Path, plan: _Plan, users: list[str]) -> dict[str, object]:
    servers, generator = divided_cores()
    messages = [pb.RecallRequest(user_id=user).SerializeToString() for user in users]
    with ExitStack() as stack:
        thread = stack.enter_context(ThreadPoolExecutor(1))
        load = stack.enter_context(LoadClient(messages, generator))
        stack.enter_context(on_cores(servers))
        server = stack.enter_context(own.serve())
        client = stack.enter_context(RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS))
        closed = partial(load.closed, server.address, in_flight=_IN_FLIGHT, seconds=plan.capacity_seconds)
        measuring = thread.submit(closed)
        wait_for_snapshot(client, own.rebuild(own.model), timeout_seconds=_SWITCH_SECONDS)
        capacity = measuring.result().per_second
        say(f"{capacity:,.0f} calls a second during a rebuild; {_SHARE * capacity:,.0f} for {plan.seconds:g} s")
        with _sampled_memory(server) as memory:
            loaded = thread.submit(load.opened, server.address, rate=_SHARE * capacity, seconds=plan.seconds)
            switches = _switch_on(client, own, other, plan)
            calls: Calls = loaded.result()
        audit = client.status().audit
    return {
        "capacity_per_second": round(capacity, 1),
        "rate": round(_SHARE * capacity, 1),
        **calls.summary(),
        "switches": len(switches) - 1,
        "memory_mib": _least_between(memory, switches),
        "most_memory_mib": round(max(mib for _, mib in memory)),
        "audited_recall": None if audit is None else audit.recall,
        "audited": 0 if audit is None else audit.num_audited,
    }


def _switch_on(client: RecallClient, own: Deployment, other: Path, plan: _Plan) -> list[float]:
    """Rebuilds and waits for the switch until the time is over; returns the beginning and when each switch was done."""
    start = time.perf_counter()
    number, moments = round(plan.seconds / plan.rebuild_seconds) - 1, [start]
    for place in range(number):
        time.sleep(max(0.0, start + (place + 1) * plan.rebuild_seconds - time.perf_counter()))
        model = other if place == number // 2 else own.model
        wait_for_snapshot(client, own.rebuild(model), timeout_seconds=_SWITCH_SECONDS)
        moments.append(time.perf_counter())
        say(f"switch {place + 1} of {number}" + (", to another model" if model == other else ""))
    time.sleep(max(0.0, start + plan.seconds - time.perf_counter()))
    return moments


@contextmanager
def _sampled_memory(server: ServerProcess) -> Iterator[list[tuple[float, float]]]:
    """Yields moments and resident MiB of the server, which grow while the context lasts."""
    samples: list[tuple[float, float]] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            status = Path(f"/proc/{server.pid}/status").read_text()
            kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))
            samples.append((time.perf_counter(), kib / 1024))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def _least_between(memory: list[tuple[float, float]], switches: list[float]) -> list[int]:
    """Returns the least memory after each switch and before the next."""
    ends = [*switches[1:], np.inf]
    spans = [[mib for at, mib in memory if begin <= at < end] for begin, end in zip(switches, ends, strict=True)]
    return [round(min(span)) for span in spans if span]


def _problems(value: dict[str, object], *, judges_recall: bool) -> list[str]:
    memory, recall = value["memory_mib"], value["audited_recall"]
    assert isinstance(memory, list)
    after = memory[1:] or memory
    found = {
        f"{value['failed']} calls failed": value["failed"] != 0,
        f"memory grew from {after[0]} to {after[-1]} MiB after the first switch": after[-1] > _MOST_GROWTH * after[0],
        f"audited recall is {recall}, less than {_LEAST_RECALL}": judges_recall
        and not (isinstance(recall, float) and recall >= _LEAST_RECALL),
    }
    return [what for what, is_so in found.items() if is_so]


if __name__ == "__main__":
    run(main)
