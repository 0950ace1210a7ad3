"""Signals to this very process: what they mean before the server serves, and while it does."""

from __future__ import annotations

import signal

import pytest

from recall.serving.stop import stop_signals


def test_signal_before_serving_ends_the_process_or_interrupts_it() -> None:
    with stop_signals():
        with pytest.raises(SystemExit) as ended:
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert ended.value.code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_while_serving_ends_the_wait(number: signal.Signals) -> None:
    with stop_signals() as stop:
        stop.expect()
        signal.raise_signal(number)
        stop.wait()


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
