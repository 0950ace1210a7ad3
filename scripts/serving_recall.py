"""Recalls of a server in turns with empty calls, the user tower and a batched search; see `benchmark_serving.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import numpy as np

from deployment import Deployment
from echo_server import EchoServer
from index.snapshot import snapshot_names
from kept import Json
from load_client import RECALL_PATH, Calls, LoadClient
from recall.cli.output import say
from recall.live.query import DEFAULT_LIMIT
from recall.model.threads import limit_threads
from recall.v1 import recall_pb2 as pb
from server_process import ServerProcess
from serving_data import Sizes, user_ids
from serving_run import Effort, Parts, Turn, divided_cores, on_cores, turn

_THREADS = 16
_NUM_MESSAGES = 2_000
_TIMEOUT_SECONDS = 30.0
_SHARES = (0.25, 0.5, 0.7, 0.85, 0.95)
"""Of what the closed loop gave: the rates of the curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contenders:
    """What takes turns."""

    server: ServerProcess
    echo: EchoServer
    load: LoadClient
    parts: Parts

    def closed(self, of: ServerProcess | EchoServer, effort: Effort) -> Turn:
        """Returns a turn of a closed loop."""
        call = partial(self.load.closed, of.address, in_flight=effort.in_flight, seconds=effort.seconds)
        return turn(of.pid, call)

    def opened(self, of: ServerProcess | EchoServer, rate: float, seconds: float, *, seed: int) -> Calls:
        """Returns the calls of an open loop."""
        return self.load.opened(of.address, rate=rate, seconds=seconds, seed=seed)


def measured_recalls(made: Deployment, sizes: Sizes, effort: Effort, temporary: Path) -> Json:
    """Returns `rounds`, with a turn of each contender, and `curve`, percentiles by rate."""
    with _contenders(made, sizes, effort, temporary) as contenders:
        say("warming up")
        for one in (contenders.server, contenders.echo):
            contenders.closed(one, effort)
        rounds, found = [], contenders.parts.recall()
        for number in range(effort.rounds):
            rounds.append(_round(contenders, effort, number))
            say(f"recalls, round {number + 1} of {effort.rounds}: {rounds[-1]['recall']['per_second']:,.0f} a second")
        capacity = float(np.median([one["recall"]["per_second"] for one in rounds]))
        curve = [_point(contenders, effort, share, capacity) for share in _SHARES]
    return {"rounds": rounds, "curve": curve, "recall_at_100": found}


@contextmanager
def _contenders(made: Deployment, sizes: Sizes, effort: Effort, temporary: Path) -> Iterator[_Contenders]:
    """Starts everything on its cores."""
    servers, generator = divided_cores()
    users = user_ids(sizes)
    drawn = np.random.default_rng(0).permutation(len(users))[:_NUM_MESSAGES].tolist()
    messages = [pb.RecallRequest(user_id=users[row], limit=DEFAULT_LIMIT).SerializeToString() for row in drawn]
    with ExitStack() as stack:
        with on_cores(servers):
            server = stack.enter_context(made.serve(config=f"threads = {_THREADS}\n"))
            reply = temporary / "reply"
            reply.write_bytes(_reply(server.address, messages[0]))
            echo = stack.enter_context(EchoServer(reply, threads=_THREADS, cores=servers))
        load = stack.enter_context(LoadClient(messages, generator))
        stack.enter_context(on_cores(servers))  # the parts are measured in this process
        limit_threads(1)
        parts = Parts(made.snapshots / snapshot_names(made.snapshots)[-1], made.catalog, users, batch=effort.batch)
        yield _Contenders(server=server, echo=echo, load=load, parts=parts)


def _reply(address: str, request: bytes) -> bytes:
    """Returns the bytes of a reply as they come."""
    with grpc.insecure_channel(address) as channel:
        return bytes(channel.unary_unary(RECALL_PATH, None, None)(request, timeout=_TIMEOUT_SECONDS))


def _round(contenders: _Contenders, effort: Effort, number: int) -> Json:
    recall, echo = (contenders.closed(one, effort) for one in (contenders.server, contenders.echo))
    tower, search = contenders.parts.tower(effort.seconds / 3), contenders.parts.search(effort.seconds / 3)
    rate = recall.per_second / 2
    opened = [
        contenders.opened(one, rate, effort.open_seconds, seed=number) for one in (contenders.server, contenders.echo)
    ]
    turns = {"recall": recall, "echo": echo, "tower": tower, "search": search}
    return {
        "step": "recall",
        "round": number,
        **{name: {"per_second": one.per_second, "microseconds": one.microseconds} for name, one in turns.items()},
        **{f"{name}_closed": one.calls.summary() for name, one in turns.items() if one.calls is not None},
        "half_load": rate,
        "recall_open": opened[0].summary(),
        "echo_open": opened[1].summary(),
    }


def _point(contenders: _Contenders, effort: Effort, share: float, capacity: float) -> Json:
    """Returns one rate of the curve."""
    rate = share * capacity
    recall, echo = (
        contenders.opened(one, rate, effort.open_seconds, seed=100).summary()
        for one in (contenders.server, contenders.echo)
    )
    return {"step": "curve", "share": share, "rate": rate, "recall": recall, "echo": echo}
