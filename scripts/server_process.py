"""Real processes of the `recall` command: run one to its end, or keep a server and stop or kill it.

A server listens on a free port, which is read from the line `serving on HOST:PORT` that it writes to stderr.
"""

from __future__ import annotations

import atexit
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from recall.client import RecallClient
from recall.errors import RecallError

_RECALL = str(Path(sys.executable).with_name("recall"))
_SERVING = re.compile(r"^serving on (\S+)$", re.MULTILINE)
_TAIL_LINES = 15
_POLL_SECONDS = 0.02


class ProcessError(RecallError):
    """A process failed, or did not do in time what was asked of it; the message ends with its log."""


def run_recall(arguments: Sequence[object], *, log: Path | None = None) -> str:
    """Runs `recall ARGUMENTS` to its end.

    Args:
        arguments: What stands behind `recall`.
        log: Takes stderr; None shows it as it comes.

    Returns:
        What it wrote to stdout.

    Raises:
        ProcessError: It failed.
    """
    process = _started(arguments, stdout=subprocess.PIPE, log=log)
    try:
        out, _ = process.communicate()
    except BaseException:
        _killed(process)
        raise
    if process.returncode != 0:
        raise ProcessError(f"recall {arguments[0]} exited with {process.returncode}{_tail(log)}")
    return out


def kill_recall(arguments: Sequence[object], *, after_seconds: float, log: Path) -> bool:
    """Runs `recall ARGUMENTS` and ends it with SIGKILL.

    Args:
        arguments: What stands behind `recall`.
        after_seconds: When it is ended.
        log: Takes stderr.

    Returns:
        Whether it was ended: it may have come to its end before.
    """
    process = _started(arguments, stdout=subprocess.DEVNULL, log=log)
    try:
        process.wait(after_seconds)
    except subprocess.TimeoutExpired:
        return True
    finally:
        _killed(process)
    return False


class ServerProcess:
    """One `recall serve` process. As a context it is killed at the end where it still runs."""

    def __init__(
        self, snapshots: Path, catalog: Path, *, log: Path, config: Path | None = None, timeout_seconds: float = 120.0
    ) -> None:
        """Starts the process and returns once it answers.

        Args:
            snapshots: Folder of snapshots.
            catalog: The catalogue that they were made from.
            log: Takes stderr; written anew.
            config: Its `serve.toml`; None takes the defaults.
            timeout_seconds: Longest wait for the start.

        Raises:
            ProcessError: It ended, or does not answer in time; it is killed then.
        """
        self._log = log
        arguments: tuple[object, ...] = ("serve", "--snapshots", snapshots, "--catalog", catalog, "--port", 0)
        if config is not None:
            arguments += ("--config", config)
        self._process = _started(arguments, stdout=subprocess.DEVNULL, log=log)
        try:
            deadline = time.perf_counter() + timeout_seconds
            self.address = self._wait_for_address(deadline)
            with RecallClient(self.address) as client:
                client.wait_until_serving(max(0.1, deadline - time.perf_counter()))
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> ServerProcess:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kills the process where it still runs."""
        self.kill()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def stop(self, *, timeout_seconds: float = 30.0) -> None:
        """Asks the process to stop with SIGTERM and waits for its end.

        Raises:
            ProcessError: It did not end in time or not with 0.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"the server did not stop within {timeout_seconds:g} s{_tail(self._log)}") from error
        if code != 0:
            raise ProcessError(f"the server exited with {code} after SIGTERM{_tail(self._log)}")

    def kill(self) -> None:
        """Ends the process at once with SIGKILL, as a power cut would; a second call does nothing."""
        _killed(self._process)

    def _wait_for_address(self, deadline: float) -> str:
        while time.perf_counter() < deadline:
            code = self._process.poll()
            if found := _SERVING.search(self._log.read_text(errors="replace")):
                return found[1]
            if code is not None:
                raise ProcessError(f"the server exited with {code} before it served{_tail(self._log)}")
            time.sleep(_POLL_SECONDS)
        raise ProcessError(f"the server did not start in time{_tail(self._log)}")


def wait_for_snapshot(client: RecallClient, name: str, *, timeout_seconds: float) -> None:
    """Returns once a server serves a snapshot.

    Raises:
        ProcessError: It does not in time.
    """
    deadline = time.perf_counter() + timeout_seconds
    while (status := client.status()).snapshot != name:
        if time.perf_counter() > deadline:
            reason = status.last_switch_error or "no reason is given"
            raise ProcessError(f"the server still serves {status.snapshot} instead of {name}: {reason}")
        time.sleep(_POLL_SECONDS)


def _started(arguments: Sequence[object], *, stdout: int, log: Path | None) -> subprocess.Popen[str]:
    """Starts `recall ARGUMENTS`. The process never outlives this one, whenever that is stopped."""
    with ExitStack() as stack:
        errors = None if log is None else stack.enter_context(log.open("w"))
        stack.enter_context(_signals_deferred())
        process = subprocess.Popen(
            [_RECALL, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=stdout, stderr=errors, text=True
        )
        atexit.register(_killed, process)
    return process


def _killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Holds back SIGINT and SIGTERM to the end of the context: an exception in Popen would leave its process behind."""
    came: list[int] = []
    before = {n: signal.signal(n, lambda number, _: came.append(number)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


def _tail(log: Path | None) -> str:
    if log is None:
        return ""
    lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    return "; the end of its log:\n" + "\n".join(f"  {line}" for line in lines)
