"""Whether a load generator that is not ours, h2load of nghttp2, gets answers from a server.

It speaks HTTP/2 and knows nothing of gRPC: a request is the message with its prefix as a body. Every response must have
the status 200, none the `grpc-status` of a failure, and together they must carry as many bytes as that many replies,
each as long as one of the same request through gRPC. Exit 1 otherwise. Where h2load is missing nothing is checked, and
the report says `skipped`.

A call that fails has its `grpc-status` among its first headers, which h2load writes out; that of one that succeeds
stands behind the message, where h2load does not look.

    apt-get install nghttp2-client
    python scripts/check_h2load.py
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import grpc
import typer

from deployment import Data, Model, deployed
from job import fail_on, run
from load_client import RECALL_PATH
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recall.errors import ConfigError
from recall.v1 import recall_pb2 as pb

_PROGRAM = "h2load"
_REQUESTS = re.compile(r"requests: (\d+) total.* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")
_CODES = re.compile(r"status codes: (\d+) 2xx")
_RATE = re.compile(r"finished in [^,]+, ([\d.]+) req/s")
_DATA = re.compile(r"traffic: .* \((\d+)\) data$", re.MULTILINE)
_FAILURE = re.compile(r"^\[stream_id=\d+\] grpc-status: (?!0$)\d+$", re.MULTILINE)
_TIMEOUT_SECONDS = 300.0


def main(
    calls: Annotated[int, typer.Option("--calls", min=1, help="Requests in all.")] = 20_000,
    clients: Annotated[int, typer.Option("--clients", min=1, help="Connections.")] = 4,
    streams: Annotated[int, typer.Option("--streams", min=1, help="Requests under way on each.")] = 8,
    quick: Annotated[bool, typer.Option("--quick", help="500 requests.")] = False,
    data: Data = None,
    model: Model = None,
    json: Json = None,
) -> None:
    """Check that h2load is answered."""
    if shutil.which(_PROGRAM) is None:
        missing = {"skipped": f"{_PROGRAM} is not installed; on Debian: apt-get install nghttp2-client"}
        report(pair_lines(missing), missing, json)
        return
    calls = 500 if quick else calls
    message = pb.RecallRequest(user_id="u0", limit=100).SerializeToString()
    with deployed(data, model) as deployment, deployment.serve() as server:
        reply = _reply(server.address, message)
        say(f"{calls:,} requests by {_PROGRAM}")
        text = _loaded(server.address, message, calls=calls, clients=clients, streams=streams)
    value = _counted(text)
    problems = _problems(value, calls=calls, least_bytes=calls * (5 + len(reply)))
    report(pair_lines(value), {**value, "problems": problems}, json)
    fail_on(problems)


def _reply(address: str, message: bytes) -> bytes:
    """Returns the bytes of the reply through gRPC.

    Raises:
        RpcError: It fails.
    """
    with grpc.insecure_channel(address) as channel:
        return bytes(channel.unary_unary(RECALL_PATH, None, None)(message, timeout=_TIMEOUT_SECONDS))


def _loaded(address: str, message: bytes, *, calls: int, clients: int, streams: int) -> str:
    """Runs h2load and returns what it writes."""
    with tempfile.TemporaryDirectory(prefix="recall-h2load-") as folder:
        body = Path(folder) / "body"
        body.write_bytes(b"\x00" + len(message).to_bytes(4, "big") + message)
        sizes = ("-n", str(calls), "-c", str(clients), "-m", str(streams), "-t", "1")
        headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
        command = (_PROGRAM, "--verbose", *sizes, *headers, "-d", str(body), f"http://{address}{RECALL_PATH}")
        return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True).stdout


def _counted(text: str) -> dict[str, float]:
    """Returns what it counted."""
    requests, codes, rate, data = (one.search(text) for one in (_REQUESTS, _CODES, _RATE, _DATA))
    if requests is None or codes is None or rate is None or data is None:
        raise ConfigError(f"{_PROGRAM} wrote what cannot be read:\n{text}")
    total, succeeded, failed, errored, timeout = map(int, requests.groups())
    counts = {"requests": total, "succeeded": succeeded, "failed": failed, "errored": errored, "timeout": timeout}
    counts |= {"status_2xx": int(codes[1]), "grpc_failures": len(_FAILURE.findall(text))}
    return {**counts, "per_second": float(rate[1]), "data_bytes": int(data[1])}


def _problems(value: dict[str, float], *, calls: int, least_bytes: int) -> list[str]:
    found = {
        f"{value['succeeded']:g} of {calls} requests succeeded": value["succeeded"] != calls,
        f"{value['status_2xx']:g} of {calls} had the status 200": value["status_2xx"] != calls,
        f"{value['grpc_failures']:g} of {calls} had the grpc-status of a failure": value["grpc_failures"] != 0,
        f"{value['data_bytes']:g} bytes came, less than {least_bytes}": value["data_bytes"] < least_bytes,
    }
    return [what for what, is_so in found.items() if is_so]


if __name__ == "__main__":
    run(main)
