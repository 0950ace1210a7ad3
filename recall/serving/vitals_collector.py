"""What the system says of itself as Prometheus metrics, read at each scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from recall.live.audit_figures import AuditFigures
from recall.live.canary import BOUNDS_SECONDS, CanaryFigures
from recall.live.query import AnsweredFrom
from recall.live.service import RecallSystem
from recall.live.status import Status
from recall.live.tallies import Tallies
from recall.live.vitals import Vitals


class VitalsCollector(Collector):
    """Reads the attached system; without one it says only that nothing is served."""

    def __init__(self) -> None:
        """Starts without a system."""
        self.system: RecallSystem | None = None
        """What is read; None while nothing is served."""

    def attach(self, system: RecallSystem | None) -> None:
        """Reads `system` from now on, None once nothing is served any more."""
        self.system = system

    def collect(self) -> Iterator[Metric]:
        """Yields every metric; see the table in docs/operations.md."""
        system = self.system
        yield _gauge("recall_serving", "Whether calls are answered.", float(system is not None))
        if system is None:
            return
        vitals = system.vitals()
        yield from _of_status(vitals.status)
        yield from _of_snapshot(vitals)
        yield from _of_tallies(vitals)
        yield _gauge(
            "recall_audit_below_floor", "Whether audited recall is below its floor.", float(vitals.audit_is_low)
        )
        if vitals.status.audit is not None:
            yield from _of_audit(vitals.status.audit)
        if vitals.canary is not None:
            yield from _of_canary(vitals.canary)


def _of_status(status: Status) -> Iterator[Metric]:
    items = GaugeMetricFamily("recall_index_items", "Rows of the parts of the index.", labels=["part"])
    for part, count in (("base", status.num_base), ("fresh", status.num_fresh), ("deleted", status.num_deleted)):
        items.add_metric([part], count)
    yield items
    yield _gauge("recall_items", "Items that can be retrieved.", status.num_items)
    yield _gauge("recall_skipped_items", "Stored items that cannot be retrieved.", status.num_skipped)
    yield _gauge("recall_sequence", "Last write that answers reflect.", status.sequence)
    yield _gauge("recall_catalog_sequence", "Last write in the catalogue.", status.catalog_sequence)
    yield _gauge("recall_lag_seconds", "How long the oldest write not reflected has waited.", status.lag_seconds)
    yield _gauge("recall_rebuild_advised", "Whether a rebuild is advised.", float(status.advice.rebuild))


def _of_snapshot(vitals: Vitals) -> Iterator[Metric]:
    status = vitals.status
    info = {"model_id": status.model_id, "snapshot": status.snapshot, "index_kind": status.index_kind}
    yield InfoMetricFamily("recall_model", "What is served.", value=info)
    if vitals.snapshot_seconds is not None:
        yield _gauge("recall_snapshot_age_seconds", "Age of the served snapshot.", vitals.snapshot_seconds)
    yield _counter("recall_snapshot_switches", "Snapshots switched to.", vitals.num_switches)
    failures = vitals.num_switch_failures
    yield _counter("recall_snapshot_switch_failures", "Snapshots that could not be switched to.", failures)
    is_failing = float(bool(status.last_switch_error))
    yield _gauge("recall_snapshot_switch_failing", "Whether the current snapshot is not the served one.", is_failing)


def _of_tallies(vitals: Vitals) -> Iterator[Metric]:
    tallies = vitals.tallies
    yield _counter("recall_written_items", "Items written whole.", tallies.num_items)
    lacking = "Items written whole that lack a feature that the model reads."
    yield _counter("recall_written_items_missing_features", lacking, tallies.num_items_lacking)
    names = [spec.name for spec in vitals.status.item_features]
    what = "Items written whole that lack a feature, by feature."
    yield _by_feature("recall_written_item_feature_missing", what, _with_zeros(names, tallies.item_features))
    yield _answers(tallies)
    yield _counter("recall_short_answers", "Recalls answered with fewer items than asked for.", tallies.num_short)
    lacking = "Recalls that lack a feature of the user that the model reads."
    yield _counter("recall_answers_missing_features", lacking, tallies.num_recalls_lacking)
    names = [spec.name for spec in vitals.status.user_features]
    what = "Recalls that lack a feature of the user, by feature."
    yield _by_feature("recall_answer_feature_missing", what, _with_zeros(names, tallies.recall_features))


def _answers(tallies: Tallies) -> Metric:
    answers = CounterMetricFamily("recall_answers", "Recalls answered, by what from.", labels=["answered_from"])
    for source in AnsweredFrom:
        answers.add_metric([source.value], tallies.answered_from.get(source, 0))
    return answers


def _of_audit(audit: AuditFigures) -> Iterator[Metric]:
    yield _gauge("recall_audit_recall", "Share of exact results that live recalls returned.", audit.recall)
    yield _gauge("recall_audit_recall_low", "Lower end of its 95% interval.", audit.low)
    yield _gauge("recall_audit_recall_high", "Upper end of its 95% interval.", audit.high)
    yield _gauge("recall_audit_window", "Recalls that the audited recall is of.", audit.num_recalls)
    yield _counter("recall_audits", "Recalls audited.", audit.num_audited)


def _of_canary(canary: CanaryFigures) -> Iterator[Metric]:
    total, buckets = 0, []
    for bound, count in zip([*map(str, BOUNDS_SECONDS), "+Inf"], canary.counts, strict=True):
        total += count
        buckets.append((bound, total))
    what = "Time from the acknowledgement of a write to its retrieval."
    yield HistogramMetricFamily("recall_canary_seconds", what, buckets=buckets, sum_value=canary.sum_seconds)
    yield _counter("recall_canary_failures", "Probe writes not acknowledged or not found.", canary.num_failed)
    yield _gauge("recall_canary_failing", "Whether the last probe failed.", float(bool(canary.last_error)))
    if canary.last_write_seconds is not None:
        yield _gauge("recall_canary_write_seconds", "How long the last probe write took.", canary.last_write_seconds)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(name, what, value=value)


def _by_feature(name: str, what: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, what, labels=["feature"])
    for feature, count in sorted(counts.items()):
        family.add_metric([feature], count)
    return family


def _with_zeros(names: list[str], counts: Mapping[str, int]) -> Mapping[str, int]:
    return {**dict.fromkeys(names, 0), **counts}
