"""A server with metrics, and what a scrape of it says."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Mapping
from typing import TypeAlias

import pytest
from prometheus_client.parser import text_string_to_metric_families

from recall.live.service import RecallSystem
from recall.serving.server import RecallServer

Samples: TypeAlias = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def watched(system: RecallSystem, start_server: Callable[..., RecallServer]) -> RecallServer:
    """A server of the tiny system with metrics on a free port."""
    server = start_server(metrics={"port": 0})
    server.attach(system)
    return server


@pytest.fixture
def scrape() -> Callable[[RecallServer], Samples]:
    """Returns every sample of a server's metrics, by name and labels."""

    def read(server: RecallServer) -> Samples:
        with urllib.request.urlopen(f"http://{server.metrics_address}/metrics", timeout=10) as reply:
            text = reply.read().decode()
        families = text_string_to_metric_families(text)
        return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}

    return read
