"""Which calls read and which write: one table by method name, held against the descriptors of what is served.

A method without an entry cannot be served: `method_rules` refuses its service when the server is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from recall.v1 import recall_pb2


class Scope(Enum):
    """What a token allows."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRule:
    """What a call needs.

    Attributes:
        scope: What the token must allow; None where the method is open to everyone.
        entries: Field of the request whose entries count as requests each; None where the call is one request.
    """

    scope: Scope | None
    entries: str | None = None


_READS = MethodRule(scope=Scope.READ)
_OPEN = MethodRule(scope=None)

RECALL_METHODS: Mapping[str, MethodRule] = {
    "Recall": _READS,
    "BatchRecall": MethodRule(scope=Scope.READ, entries="requests"),
    "SimilarItems": _READS,
    "UpsertItems": MethodRule(scope=Scope.WRITE, entries="items"),
    "DeleteItems": MethodRule(scope=Scope.WRITE, entries="item_ids"),
    "GetItem": _READS,
    "ListItems": _READS,
    "UpsertUsers": MethodRule(scope=Scope.WRITE, entries="users"),
    "DeleteUsers": MethodRule(scope=Scope.WRITE, entries="user_ids"),
    "RecordInteractions": MethodRule(scope=Scope.WRITE, entries="interactions"),
    "ExplainItem": _READS,
    "GetStatus": _READS,
}
_HEALTH_METHODS: Mapping[str, MethodRule] = {"Check": _OPEN, "List": _OPEN, "Watch": _OPEN}
_REFLECTION_METHODS: Mapping[str, MethodRule] = {"ServerReflectionInfo": _READS}


def served_rules() -> dict[str, MethodRule]:
    """Returns the rule of every method that a server may have, by its path.

    Raises:
        ValueError: A method has no rule, or a rule no method.
    """
    return {
        **method_rules(recall_pb2.DESCRIPTOR.services_by_name["RecallService"], RECALL_METHODS),
        **method_rules(health_pb2.DESCRIPTOR.services_by_name["Health"], _HEALTH_METHODS),
        **method_rules(reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"], _REFLECTION_METHODS),
    }


def method_rules(service: ServiceDescriptor, rules: Mapping[str, MethodRule]) -> dict[str, MethodRule]:
    """Returns the rule of every method of a service by its path, such as `/recall.v1.RecallService/Recall`.

    Raises:
        ValueError: A method has no rule, or a rule no method.
    """
    methods = set(service.methods_by_name)
    if wrong := sorted(methods ^ set(rules)):
        raise ValueError(
            f"{service.full_name}: {', '.join(wrong)} stand only in the descriptor or only in the table of "
            f"{__name__}; say there whether each method reads or writes"
        )
    return {f"/{service.full_name}/{name}": rule for name, rule in rules.items()}
