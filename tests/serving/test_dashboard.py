"""Every metric that the dashboard, the alarms and their page name is in a scrape of a real server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from recall.live.query import RecallQuery
from recall.live.service import RecallSystem
from recall.serving.server import RecallServer

DOCS = Path(__file__).resolve().parents[2] / "docs"
LABELS = {"grpc_type", "grpc_service", "grpc_method", "grpc_code"}
METRIC = re.compile(r"\b(?:grpc|recall|process)_[a-z_]+")


@pytest.fixture
def scraped(
    open_system: Callable[..., RecallSystem],
    start_server: Callable[..., RecallServer],
    scrape: Callable[[RecallServer], Mapping[tuple[str, frozenset[tuple[str, str]]], float]],
) -> Iterator[set[str]]:
    """Names in a scrape of a server that audits and probes, after a recall."""
    system = open_system(audit_share=1.0, canary_interval_seconds=0.05)
    server = start_server(metrics={"port": 0})
    server.attach(system)
    system.recall(RecallQuery(user_id="u1", limit=2))
    deadline = time.perf_counter() + 20
    while not (system.status().audit and (canary := system.vitals().canary) and canary.num_found):
        assert time.perf_counter() < deadline
        time.sleep(0.02)
    yield {name for name, _ in scrape(server)}
    system.close()


def _panels(board: dict[str, list[dict[str, object]]]) -> Iterator[dict[str, object]]:
    for panel in board["panels"]:
        targets = panel.get("targets", [])
        assert isinstance(targets, list)
        yield from targets


def test_named_metrics_exist_and_every_own_metric_is_described(scraped: set[str]) -> None:
    board = json.loads((DOCS / "operations" / "dashboard.json").read_text())
    rules = yaml.safe_load((DOCS / "operations" / "alerts.yaml").read_text())
    shown = {name for target in _panels(board) for name in METRIC.findall(str(target["expr"]))}
    alarming = {name for rule in rules["groups"][0]["rules"] for name in METRIC.findall(rule["expr"])}
    page = (DOCS / "operations.md").read_text()
    section = page.split("## Metrics and what to alarm on")[1].split("\n## ")[0]
    described = set(METRIC.findall(section)) - LABELS
    assert (shown | alarming) - LABELS - scraped == set()
    kinds = ("", "_bucket", "_sum", "_count")
    assert {name for name in described if not {name + kind for kind in kinds} & scraped} == set()
    own = {re.sub(r"_(bucket|sum|count)$", "", name) for name in scraped if name.startswith(("recall_", "grpc_"))}
    assert own - described == set()


def test_every_alarm_says_what_to_do() -> None:
    rules = yaml.safe_load((DOCS / "operations" / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "action"}
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_panels_do_not_overlap_and_have_distinct_ids() -> None:
    board = json.loads((DOCS / "operations" / "dashboard.json").read_text())
    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
