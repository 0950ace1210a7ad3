"""Several server processes on one catalogue, of which some are killed and started again while clients use them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from deployment import Deployment
from recall.client import RecallClient, RetryPolicy
from server_process import ServerProcess

_TIMEOUT_SECONDS = 10.0
_ONCE = RetryPolicy(attempts=1)


@dataclass(slots=True)
class _Place:
    """Where one server runs; after a restart it is another process at another port."""

    process: ServerProcess | None = None
    client: RecallClient | None = None


class Servers:
    """Servers by number, from 0. As a context all of them are killed at the end.

    Threads may share it; starts and kills are the business of the main thread.
    """

    def __init__(self, deployment: Deployment, count: int) -> None:
        """Takes what they serve; none runs yet."""
        self._deployment = deployment
        self._places = [_Place() for _ in range(count)]
        self._stack = ExitStack()

    def __enter__(self) -> Servers:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kills every server and closes every connection."""
        self._stack.close()

    @property
    def names(self) -> Sequence[str]:
        """What the servers are called, by number."""
        return [f"server {number}" for number in range(len(self._places))]

    def start(self, number: int) -> None:
        """Starts a server that does not run, and returns once it answers.

        Raises:
            ProcessError: It does not.
        """
        place = self._places[number]
        place.process = self._stack.enter_context(self._deployment.serve(name=f"serve-{number}"))
        address = place.process.address
        # Neither retries nor waits that nobody asked for: both would hide what is looked for. Clients of killed servers
        # stay open to the end: threads may be within a call of them.
        client = RecallClient(address, timeout_seconds=_TIMEOUT_SECONDS, retry=_ONCE, reads_own_writes=False)
        place.client = self._stack.enter_context(client)

    def kill(self, number: int) -> None:
        """Ends a server with SIGKILL; clients find out by themselves."""
        process = self._places[number].process
        assert process is not None
        process.kill()

    def client(self, number: int) -> RecallClient:
        """Returns a client of a server that was started, whether it runs now or not."""
        client = self._places[number].client
        assert client is not None
        return client
