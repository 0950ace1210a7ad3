"""What becomes of a server that is asked for five times of what it can take.

First one caller alone, then as many as it takes, then five times as many, then one alone again. As many as it takes is
`max_in_flight` less one a thread, for a caller may ask again before the call that answered it has left the count: all
threads are busy, the queue is full, nobody is refused. Callers live in another process, each asks again when it has its
answer, and pauses a tenth of a second after a refusal. Beyond what it takes the server must refuse, and do so sooner
than it answers; those it admits must not wait much longer than before; health must answer throughout; and afterwards
one caller must be answered as fast as at first within seconds. Exit 1 otherwise.

    python scripts/check_overload.py
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated

import grpc
import numpy as np
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deployment import Data, Model, deployed
from job import fail_on, run
from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

_MAX_IN_FLIGHT = 32
_NUM_THREADS = 8
_TIMES = 5
_PAUSE_SECONDS = 0.1
_TIMEOUT_SECONDS = 60.0
_HEALTH_EVERY_SECONDS = 0.05
_RECOVERY_SECONDS = 10.0
_CALM_CALLS = 10
_LIMIT = 100
_MOST_SLOWER = 3.0  # than with a full queue and nobody refused; twice is the noise of a shared machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What callers saw in one phase; times in milliseconds.

    Attributes:
        callers: How many there were.
        answered_per_second: Calls answered.
        p50_ms: Of those answered.
        p99_ms: Of those answered.
        refused_per_second: Calls refused with RESOURCE_EXHAUSTED.
        refusal_p50_ms: Of those refused; NaN without any.
        refusal_p99_ms: Of those refused; NaN without any.
        others: Calls that ended otherwise.
    """

    callers: int
    answered_per_second: float
    p50_ms: float
    p99_ms: float
    refused_per_second: float
    refusal_p50_ms: float
    refusal_p99_ms: float
    others: int


def main(
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, help="Length of each phase.")] = 15.0,
    quick: Annotated[bool, typer.Option("--quick", help="Phases of two seconds; times are not judged.")] = False,
    data: Data = None,
    model: Model = None,
    json: Json = None,
) -> None:
    """Check that a server refuses what it cannot take, and recovers."""
    stages = {"alone": 1, "full": _MAX_IN_FLIGHT - _NUM_THREADS, "overload": _TIMES * _MAX_IN_FLIGHT}
    length = 2.0 if quick else seconds
    config = f"threads = {_NUM_THREADS}\nmax_in_flight = {_MAX_IN_FLIGHT}\n"
    with deployed(data, model) as deployment, deployment.serve(config=config) as server, _callers() as callers:
        phases: dict[str, Phase] = {}
        with _watched_health(server.address) as health_seconds:
            for name, number in stages.items():
                say(f"{name}: {number} callers for {length:g} s")
                phases[name] = callers.submit(_phase, server.address, number, length).result()
            recovery = _recovery(server.address, phases["alone"])
            phases["after"] = callers.submit(_phase, server.address, 1, length).result()
    health_ms = float(np.percentile(health_seconds, 99)) * 1e3 if health_seconds else float("nan")
    problems = _problems(phases, recovery, health_ms) + ([] if quick else _slowness(phases))
    value: dict[str, object] = {
        "phases": {name: asdict(phase) for name, phase in phases.items()},
        "health_p99_ms": health_ms,
        "recovery_seconds": recovery,
        "problems": problems,
    }
    report(_lines(phases, recovery, health_ms), value, json)
    fail_on(problems)


def _phase(address: str, number: int, seconds: float) -> Phase:
    return asyncio.run(_called(address, number, seconds))


async def _called(address: str, number: int, seconds: float) -> Phase:
    """Runs so many callers for so long."""
    answered: list[float] = []
    refused: list[float] = []
    others: list[grpc.StatusCode] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = recall_pb2_grpc.RecallServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        await stub.Recall(pb.RecallRequest(user_id="u0", limit=1), timeout=_TIMEOUT_SECONDS)
        end = time.perf_counter() + seconds

        async def call_on(caller: int) -> None:
            request = pb.RecallRequest(user_id=f"u{caller}", limit=_LIMIT)
            while (start := time.perf_counter()) < end:
                try:
                    await stub.Recall(request, timeout=_TIMEOUT_SECONDS)
                    answered.append(time.perf_counter() - start)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                        others.append(error.code())
                        return
                    refused.append(time.perf_counter() - start)
                    await asyncio.sleep(_PAUSE_SECONDS)

        await asyncio.gather(*(call_on(caller) for caller in range(number)))
    return Phase(
        callers=number,
        answered_per_second=len(answered) / seconds,
        p50_ms=_milliseconds(answered, 50),
        p99_ms=_milliseconds(answered, 99),
        refused_per_second=len(refused) / seconds,
        refusal_p50_ms=_milliseconds(refused, 50),
        refusal_p99_ms=_milliseconds(refused, 99),
        others=len(others),
    )


@contextmanager
def _callers() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(time.perf_counter).result()  # its start is no part of a phase
        yield pool


@contextmanager
def _watched_health(address: str) -> Iterator[list[float]]:
    """Asks for the health again and again, and yields how long each answer takes; one that fails takes for ever."""
    seconds: list[float] = []
    ended = threading.Event()

    def ask() -> None:
        with grpc.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while not ended.wait(_HEALTH_EVERY_SECONDS):
                start = time.perf_counter()
                try:
                    stub.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_SECONDS)
                    seconds.append(time.perf_counter() - start)
                except grpc.RpcError:
                    seconds.append(float("inf"))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seconds
    finally:
        ended.set()
        thread.join()


def _recovery(address: str, alone: Phase) -> float:
    """Returns the seconds until calls are answered as fast as those of one caller alone, several in a row."""
    start = time.perf_counter()
    with grpc.insecure_channel(address) as channel:
        stub = recall_pb2_grpc.RecallServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        num_calm, calm_since = 0, start
        while num_calm < _CALM_CALLS and time.perf_counter() - start < 2 * _RECOVERY_SECONDS:
            called = time.perf_counter()
            try:
                stub.Recall(pb.RecallRequest(user_id="u1", limit=_LIMIT), timeout=_TIMEOUT_SECONDS)
                is_calm = (time.perf_counter() - called) * 1e3 <= 2 * alone.p99_ms
            except grpc.RpcError:
                is_calm = False
            num_calm = num_calm + 1 if is_calm else 0
            calm_since = called if num_calm <= 1 else calm_since
    return calm_since - start if num_calm == _CALM_CALLS else float("inf")


def _problems(phases: dict[str, Phase], recovery: float, health_ms: float) -> list[str]:
    full, overload = phases["full"], phases["overload"]
    found = {
        "nothing was refused under overload": overload.refused_per_second == 0,
        "calls were refused although the queue had room": full.refused_per_second > 0,
        "calls ended neither answered nor refused": any(phase.others for phase in phases.values()),
        "health did not answer throughout": not health_ms < _RECOVERY_SECONDS * 1e3,
        f"the server did not recover within {_RECOVERY_SECONDS:g} s": recovery > _RECOVERY_SECONDS,
    }
    return [what for what, is_so in found.items() if is_so]


def _slowness(phases: dict[str, Phase]) -> list[str]:
    full, overload = phases["full"], phases["overload"]
    found = {
        "a refusal took longer than an answer": overload.refusal_p50_ms > overload.p50_ms,
        f"admitted calls took more than {_MOST_SLOWER:g} times as long": overload.p99_ms > _MOST_SLOWER * full.p99_ms,
    }
    return [what for what, is_so in found.items() if is_so]


def _lines(phases: dict[str, Phase], recovery: float, health_ms: float) -> list[str]:
    columns = ("callers", "answered/s", "p50 ms", "p99 ms", "refused/s", "p50 ms", "p99 ms")
    rows = [[name, *(round(value, 1) for value in asdict(phase).values())][:-1] for name, phase in phases.items()]
    return [*table_lines(("phase", *columns), rows), f"health p99 {health_ms:.0f} ms, recovered in {recovery:.2f} s"]


def _milliseconds(seconds: list[float], percentile: float) -> float:
    return float(np.percentile(seconds, percentile)) * 1e3 if seconds else float("nan")


if __name__ == "__main__":
    run(main)
