"""The wire contract: named and commented as buf's STANDARD rules want it, and never broken since the last release.

The rules are those of https://buf.build/docs/lint/rules, category STANDARD, and COMMENTS. `tests/samples/proto/` holds
the descriptor of the last release; a release writes its own beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from recall.v1 import recall_pb2

ROOT = Path(__file__).resolve().parents[1]
PROTO = "recall/v1/recall.proto"
RELEASED = ROOT / "tests" / "samples" / "proto" / "recall-v1.binpb"

File: TypeAlias = descriptor_pb2.FileDescriptorProto
Messages: TypeAlias = dict[str, descriptor_pb2.DescriptorProto]
Enums: TypeAlias = dict[str, descriptor_pb2.EnumDescriptorProto]

PASCAL = re.compile(r"([A-Z][a-z0-9]*)+")
LOWER_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
# What a message, a service and an enum are made of: field number in the descriptor, then the children's own name.
MESSAGE, ENUM, SERVICE = 4, 5, 6
FIELD, NESTED, NESTED_ENUM, ONEOF, METHOD, VALUE = 2, 3, 4, 8, 2, 2


@pytest.fixture(scope="module")
def proto(tmp_path_factory: pytest.TempPathFactory) -> File:
    """Compiles the proto with its comments."""
    out = tmp_path_factory.mktemp("descriptor") / "recall.binpb"
    folders = [f"-I{ROOT / 'proto'}", f"-I{files('grpc_tools') / '_proto'}"]
    assert protoc.main(["protoc", *folders, "--include_source_info", f"--descriptor_set_out={out}", PROTO]) == 0
    (compiled,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    return compiled


def messages_of(file: File) -> Messages:
    found: Messages = {}
    waiting = [("", message) for message in file.message_type]
    while waiting:
        prefix, message = waiting.pop()
        found[prefix + message.name] = message
        waiting += [(f"{prefix}{message.name}.", nested) for nested in message.nested_type]
    return found


def enums_of(file: File) -> Enums:
    nested = {f"{name}.{e.name}": e for name, message in messages_of(file).items() for e in message.enum_type}
    return {enum.name: enum for enum in file.enum_type} | nested


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def test_package_syntax_and_file_are_named_by_the_rules(proto: File) -> None:
    """DIRECTORY_SAME_PACKAGE, PACKAGE_*, FILE_LOWER_SNAKE_CASE, SYNTAX_SPECIFIED, IMPORT_NO_PUBLIC, IMPORT_NO_WEAK."""
    assert re.fullmatch(r"[a-z]+(\.[a-z]+)*\.v[1-9][0-9]*", proto.package)
    assert Path(proto.name).parent == Path(*proto.package.split("."))
    assert LOWER_SNAKE.fullmatch(Path(proto.name).stem)
    assert proto.syntax == "proto3"
    assert not proto.public_dependency
    assert not proto.weak_dependency
    assert [p.name for p in (ROOT / "proto").rglob("*.proto")] == ["recall.proto"]


def test_every_import_is_used(proto: File) -> None:
    """IMPORT_USED; each dependency declares its types in a package of its own path."""
    used = {field.type_name for message in messages_of(proto).values() for field in message.field}
    for dependency in proto.dependency:
        folder = "." + ".".join(Path(dependency).parent.parts)
        assert any(name.startswith(folder + ".") for name in used), dependency


def test_messages_fields_and_oneofs_are_named_by_the_rules(proto: File) -> None:
    """MESSAGE_PASCAL_CASE, FIELD_LOWER_SNAKE_CASE, ONEOF_LOWER_SNAKE_CASE, FIELD_NOT_REQUIRED."""
    for name, message in messages_of(proto).items():
        assert PASCAL.fullmatch(message.name), name
        for field in message.field:
            assert LOWER_SNAKE.fullmatch(field.name), f"{name}.{field.name}"
            assert field.label != field.LABEL_REQUIRED, f"{name}.{field.name}"
        synthetic = {field.oneof_index for field in message.field if field.proto3_optional}
        for index, oneof in enumerate(message.oneof_decl):
            assert index in synthetic or LOWER_SNAKE.fullmatch(oneof.name), f"{name}.{oneof.name}"


def test_enums_are_named_by_the_rules(proto: File) -> None:
    """ENUM_PASCAL_CASE, ENUM_VALUE_PREFIX, ENUM_VALUE_UPPER_SNAKE_CASE, ENUM_*ZERO*, ENUM_NO_ALLOW_ALIAS."""
    assert enums_of(proto)
    for name, enum in enums_of(proto).items():
        assert PASCAL.fullmatch(enum.name), name
        assert not enum.options.allow_alias, name
        assert (enum.value[0].name, enum.value[0].number) == (f"{snake(enum.name)}_UNSPECIFIED", 0)
        for value in enum.value:
            assert UPPER_SNAKE.fullmatch(value.name), value.name
            assert value.name.startswith(f"{snake(enum.name)}_"), value.name


def test_services_and_their_messages_are_named_by_the_rules(proto: File) -> None:
    """SERVICE_PASCAL_CASE, SERVICE_SUFFIX, RPC_PASCAL_CASE, RPC_REQUEST_*, RPC_RESPONSE_*."""
    used: list[str] = []
    for service in proto.service:
        assert PASCAL.fullmatch(service.name), service.name
        assert service.name.endswith("Service"), service.name
        for method in service.method:
            assert PASCAL.fullmatch(method.name), method.name
            assert method.input_type == f".{proto.package}.{method.name}Request"
            assert method.output_type == f".{proto.package}.{method.name}Response"
            used += [method.input_type, method.output_type]
    assert used
    assert len(set(used)) == len(used)


def test_everything_has_a_comment(proto: File) -> None:
    """COMMENT_MESSAGE, _FIELD, _ONEOF, _ENUM, _ENUM_VALUE, _SERVICE, _RPC: docs are made from them."""
    commented = {tuple(place.path) for place in proto.source_code_info.location if place.leading_comments.strip()}
    # A zero value says no more than its name; that a value was not given.
    missing = [name for path, name in _declared(proto) if path not in commented and not name.endswith("_UNSPECIFIED")]
    assert missing == []


def _declared(file: File) -> Iterator[tuple[tuple[int, ...], str]]:
    for place, message in enumerate(file.message_type):
        yield from _message_parts((MESSAGE, place), message, message.name)
    for place, enum in enumerate(file.enum_type):
        yield (ENUM, place), enum.name
        yield from (((ENUM, place, VALUE, i), value.name) for i, value in enumerate(enum.value))
    for place, service in enumerate(file.service):
        yield (SERVICE, place), service.name
        yield from (((SERVICE, place, METHOD, i), method.name) for i, method in enumerate(service.method))


def _message_parts(
    path: tuple[int, ...], message: descriptor_pb2.DescriptorProto, name: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, name
    yield from (((*path, FIELD, i), f"{name}.{field.name}") for i, field in enumerate(message.field))
    for i, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from _message_parts((*path, NESTED, i), nested, f"{name}.{nested.name}")


def broken(old: File, new: File) -> list[str]:
    """Returns what a client of `old` cannot do any more with `new`; what is new alone breaks nobody."""
    found = [] if old.package == new.package else [f"package {old.package} is gone"]
    messages = messages_of(new)
    for name, message in messages_of(old).items():
        found += _broken_message(name, message, messages.get(name))
    enums = enums_of(new)
    for name, enum in enums_of(old).items():
        values = {(value.name, value.number) for value in enums[name].value} if name in enums else set()
        found += [f"{name}.{v.name} = {v.number} is gone" for v in enum.value if (v.name, v.number) not in values]
    methods = {(s.name, m.name): m for s in new.service for m in s.method}
    for service in old.service:
        found += [
            f"{service.name}.{method.name} is gone or changed"
            for method in service.method
            if methods.get((service.name, method.name)) != method
        ]
    return found


def _broken_message(
    name: str, old: descriptor_pb2.DescriptorProto, new: descriptor_pb2.DescriptorProto | None
) -> list[str]:
    if new is None:
        return [f"{name} is gone"]
    fields = {field.number: _shape(new, field) for field in new.field}
    return [
        f"{name}.{field.name} = {field.number} was {_shape(old, field)}, is {fields.get(field.number)}"
        for field in old.field
        if fields.get(field.number) != _shape(old, field)
    ]


def _shape(
    message: descriptor_pb2.DescriptorProto, field: descriptor_pb2.FieldDescriptorProto
) -> tuple[str, int, int, str, str]:
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
    return field.name, field.type, field.label, field.type_name, oneof


def current() -> File:
    file = File()
    recall_pb2.DESCRIPTOR.CopyToProto(file)
    return file


def test_nothing_of_the_last_release_is_broken() -> None:
    assert broken(File.FromString(RELEASED.read_bytes()), current()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.message_type.pop(0), "FeatureValue is gone"),
        (lambda file: file.message_type[0].field.pop(0), "FeatureValue.string_value = 1"),
        (lambda file: file.message_type[0].field[0].MergeFrom(_field(number=77)), "FeatureValue.string_value = 1"),
        (lambda file: file.message_type[0].field[0].MergeFrom(_field(type=5)), "FeatureValue.string_value = 1"),
        (lambda file: file.message_type[0].field[0].MergeFrom(_field(name="text")), "FeatureValue.string_value = 1"),
        (lambda file: file.message_type[0].field[0].ClearField("oneof_index"), "FeatureValue.string_value = 1"),
        (lambda file: file.message_type[1].field[0].MergeFrom(_field(label=1)), "StringList.values = 1"),
        (lambda file: file.enum_type[0].value.pop(), "Channel.CHANNEL_POPULARITY = 4 is gone"),
        (lambda file: file.service[0].method.pop(0), "RecallService.Recall is gone"),
    ],
)
def test_a_break_is_seen(change, said: str) -> None:  # type: ignore[no-untyped-def]
    changed = current()
    change(changed)
    (first, *_) = broken(current(), changed)
    assert first.startswith(said)


def _field(**values: object) -> descriptor_pb2.FieldDescriptorProto:
    return descriptor_pb2.FieldDescriptorProto(**values)  # type: ignore[arg-type]  # what a test gives


def test_a_new_field_breaks_nobody() -> None:
    changed = current()
    changed.message_type[0].field.add(name="new", number=99, type=9, label=1)
    assert broken(current(), changed) == []
