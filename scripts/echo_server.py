"""A gRPC server that does nothing: answers every call of `Recall` with bytes that are read from a file.

    python scripts/echo_server.py REPLY 16 0       # 16 handler threads, on core 0; writes its address to stdout

It has the settings of a recall server (`recall.serving.server`), and neither reads the request nor makes the reply:
what it takes for a call is what gRPC for Python takes, no more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import grpc

_SERVICE, _METHOD = "recall.v1.RecallService", "Recall"


class EchoServer:
    """The server as a process of its own. As a context it is killed at the end."""

    def __init__(self, reply: Path, *, threads: int, cores: Sequence[int]) -> None:
        """Starts it and returns once it answers."""
        arguments = [sys.executable, __file__, str(reply), str(threads), ",".join(map(str, cores))]
        self._process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def __enter__(self) -> EchoServer:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kills the process."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Serves until it is killed."""
    os.sched_setaffinity(0, {int(core) for core in sys.argv[3].split(",")})
    reply = Path(sys.argv[1]).read_bytes()

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        return reply

    server = grpc.server(ThreadPoolExecutor(int(sys.argv[2])), options=[("grpc.so_reuseport", 0)])
    handlers = {_METHOD: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
