"""The table of methods is that of the descriptor."""

from __future__ import annotations

import pytest

from recall.serving import authorization, methods
from recall.serving.config import ServerConfig
from recall.serving.methods import RECALL_METHODS, MethodRule, Scope, method_rules, served_rules
from recall.serving.server import RecallServer
from recall.v1 import recall_pb2

SERVICE = recall_pb2.DESCRIPTOR.services_by_name["RecallService"]


def test_every_method_of_the_descriptor_reads_or_writes() -> None:
    assert set(RECALL_METHODS) == set(SERVICE.methods_by_name)
    assert all(rule.scope in (Scope.READ, Scope.WRITE) for rule in RECALL_METHODS.values())
    open_to_all = {path for path, rule in served_rules().items() if rule.scope is None}
    assert {path.rpartition("/")[0] for path in open_to_all} == {"/grpc.health.v1.Health"}


def test_the_fields_whose_entries_count_are_lists_of_their_requests() -> None:
    counted = {name: rule.entries for name, rule in RECALL_METHODS.items() if rule.entries is not None}
    writes = {name for name, rule in RECALL_METHODS.items() if rule.scope is Scope.WRITE}
    assert set(counted) == writes | {"BatchRecall"}
    for name, field in counted.items():
        assert SERVICE.methods_by_name[name].input_type.fields_by_name[field].is_repeated


def test_a_method_without_a_rule_cannot_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {name: rule for name, rule in RECALL_METHODS.items() if name != "ExplainItem"}
    with pytest.raises(ValueError, match=r"recall.v1.RecallService: ExplainItem stand only in"):
        method_rules(SERVICE, rules)
    with pytest.raises(ValueError, match="Gone"):
        method_rules(SERVICE, {**RECALL_METHODS, "Gone": MethodRule(scope=Scope.READ)})
    monkeypatch.setattr(methods, "RECALL_METHODS", rules)
    with pytest.raises(ValueError, match="ExplainItem"):
        RecallServer(ServerConfig(port=0))


def test_a_method_that_got_past_the_table_is_refused_to_everyone() -> None:
    with pytest.raises(authorization.PermissionDeniedError, match="nobody may"):
        authorization._refuse_forbidden(None, None, "/recall.v1.RecallService/New")
