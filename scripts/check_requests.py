"""Whether any request whatever can harm a server: random, malformed and extreme ones, over every method it serves.

Methods come from the descriptors. Requests are drawn by scripts/random_requests.py, each from a generator of its own,
so that a number and a seed say which it was. None of them may end with INTERNAL, UNKNOWN or another code that is no
answer, none may end the server or write anything: the catalogue must hold the same rows afterwards. Exit 1 otherwise.

    python scripts/check_requests.py --requests 100000
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import grpc
import typer
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from deployment import Data, Deployment, Model, Seed, deployed
from job import fail_on, run
from random_requests import Known, RandomRequests, long_request
from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines
from recall.client import RecallClient
from recall.v1 import recall_pb2
from server_process import ProcessError

_QUICK = 1_000
_SENDERS = 4
_TIMEOUT_SECONDS = 60.0
_LONG_SHARE, _SHORT_DEADLINE_SHARE = 0.0005, 0.02
_LONG = (100_000, 1_000_000, 9_000_000)
_SAID_EVERY = 10_000
_CONFIG = "max_wait_seconds = 0.05\n"  # so that a min_sequence that never comes costs no time
_Code = grpc.StatusCode
_ANSWERS = {
    _Code.OK,
    _Code.INVALID_ARGUMENT,
    _Code.NOT_FOUND,
    _Code.FAILED_PRECONDITION,
    _Code.RESOURCE_EXHAUSTED,
    _Code.DEADLINE_EXCEEDED,
}
_UPKEEP = "moments"
_SERVICES = (
    recall_pb2.DESCRIPTOR.services_by_name["RecallService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
)


@dataclass(slots=True)
class _Summary:
    codes: dict[str, Counter[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, method: str, code: grpc.StatusCode, problem: str) -> None:
        with self.lock:
            self.codes.setdefault(method, Counter())[code.name] += 1
            if problem:
                self.problems.append(problem)


def main(
    requests: Annotated[int, typer.Option("--requests", min=1, help="How many requests to send.")] = 100_000,
    quick: Annotated[bool, typer.Option("--quick", help=f"Send {_QUICK:,} only.")] = False,
    first: Annotated[int, typer.Option("--first", min=0, help="Number of the first one, to send one again.")] = 0,
    data: Data = None,
    model: Model = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check that no request harms a server."""
    num_requests = _QUICK if quick else requests
    summary = _Summary()
    with deployed(data, model) as deployment, deployment.serve(config=_CONFIG) as server:
        with RecallClient(server.address) as client:
            before, known = _rows(deployment.catalog), _known(deployment, client)
            start = time.perf_counter()
            with grpc.insecure_channel(server.address, options=[("grpc.max_receive_message_length", -1)]) as channel:
                _send(_Sender(channel, known, summary, seed=seed), range(first, first + num_requests))
            seconds = time.perf_counter() - start
            if _rows(deployment.catalog) != before:
                summary.problems.append("the catalogue does not hold the same rows as before")
        try:
            server.stop()
        except ProcessError as error:
            summary.problems.append(str(error))
        if "Traceback" in (log := deployment.log()):
            summary.problems.append(f"the server logged a traceback: {log[log.index('Traceback') :][:2000]}")
    value: dict[str, object] = {
        "requests": num_requests,
        "seconds": seconds,
        "codes": {method: dict(codes) for method, codes in sorted(summary.codes.items())},
        "problems": summary.problems,
    }
    report(_lines(summary), value, json)
    fail_on(summary.problems)


class _Sender:
    """Sends request by number."""

    def __init__(self, channel: grpc.Channel, known: Known, summary: _Summary, *, seed: int) -> None:
        self._channel, self._known, self._summary, self._seed = channel, known, summary, seed
        self._methods = [method for service in _SERVICES for method in service.methods]

    def send(self, number: int) -> None:
        rng = random.Random(f"{self._seed}/{number}")
        method = rng.choice(self._methods)
        if rng.random() < _LONG_SHARE and method.containing_service == _SERVICES[0]:
            content = long_request(method.name, rng.choice(_LONG)).SerializeToString()
        else:
            content = RandomRequests(rng, self._known).content(method.input_type)
        timeout = rng.choice((0.0, 0.001, 0.01)) if rng.random() < _SHORT_DEADLINE_SHARE else _TIMEOUT_SECONDS
        code, details = self._answer(method, content, timeout)
        problem = "" if code in _ANSWERS else f"request {number}, {method.name}: {code.name}: {details}"
        if code is _Code.DEADLINE_EXCEEDED and timeout == _TIMEOUT_SECONDS and "write" not in details:
            problem = f"request {number}, {method.name}: no answer in {timeout:g} s: {details}"
        self._summary.add(method.name, code, problem)

    def _answer(self, method: MethodDescriptor, content: bytes, timeout: float) -> tuple[grpc.StatusCode, str]:
        path = f"/{method.containing_service.full_name}/{method.name}"
        parse = GetMessageClass(method.output_type).FromString
        try:
            if method.name == "Watch":
                watch = self._channel.unary_stream(path, None, parse)(content, timeout=timeout)
                next(iter(watch))  # it would go on for ever
                watch.cancel()  # type: ignore[no-untyped-call]  # so the stubs have it
            elif method.containing_service == _SERVICES[2]:
                list(self._channel.stream_stream(path, None, parse)(iter([content]), timeout=timeout))
            else:
                self._channel.unary_unary(path, None, parse)(content, timeout=timeout)
        except grpc.RpcError as error:
            return (
                (error.code(), error.details() or "") if isinstance(error, grpc.Call) else (_Code.UNKNOWN, str(error))
            )
        return _Code.OK, ""


def _send(sender: _Sender, numbers: range) -> None:
    with ThreadPoolExecutor(_SENDERS) as pool:
        for start in range(numbers.start, numbers.stop, _SAID_EVERY):
            list(pool.map(sender.send, range(start, min(start + _SAID_EVERY, numbers.stop))))
            say(f"{min(start + _SAID_EVERY, numbers.stop):,} of {numbers.stop:,} requests")


def _known(deployment: Deployment, client: RecallClient) -> Known:
    status = client.status()
    return Known(
        item_ids=[item.item.item_id for item in client.page(size=200).items],
        user_ids=[f"u{number}" for number in range(200)],
        features={**status.item_features, **status.user_features},
        attributes=status.item_attributes,
        dim=status.dim,
    )


def _rows(catalog: Path) -> str:
    """Returns a digest of every row of every table but the one that the server's upkeep writes as time goes by."""
    digest = hashlib.sha256()
    connection = sqlite3.connect(f"{catalog.resolve().as_uri()}?mode=ro", uri=True)
    try:
        for line in _dumped(connection):
            digest.update(line.encode("utf-8", "surrogatepass"))
    finally:
        connection.close()
    return digest.hexdigest()


def _dumped(connection: sqlite3.Connection) -> Iterator[str]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    for (table,) in tables:
        if table == _UPKEEP:
            continue
        yield table
        yield from sorted(map(repr, connection.execute(f'SELECT * FROM "{table}"')))


def _lines(summary: _Summary) -> list[str]:
    codes = sorted({code for counts in summary.codes.values() for code in counts})
    rows = [[method, *(counts[code] for code in codes)] for method, counts in sorted(summary.codes.items())]
    return table_lines(["method", *map(str.lower, codes)], rows)


if __name__ == "__main__":
    run(main)
