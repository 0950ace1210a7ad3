"""Generates docs/api.md from the comments of the proto and the examples. Run it after every change of either.

A call has its comment, its request and reply field by field, and an example in Python and on the command line; the
order is that of the examples, which follow each other. Messages and enums that calls share come after them.

    python scripts/generate_api_docs.py
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from api_examples import EXAMPLES, IMPORTS, TARGET

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"
PROTO = "recall/v1/recall.proto"

Place: TypeAlias = tuple[int, ...]
# Numbers of the fields of descriptors, of which the places of comments are made.
_SYNTAX, _MESSAGE, _ENUM, _SERVICE = 12, 4, 5, 6
_FIELD, _ONEOF, _METHOD, _VALUE = 2, 8, 2, 2
_SCALARS = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_FLOAT: "float",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_BOOL: "bool",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proto:
    """The compiled file with its comments by place."""

    file: FileDescriptorProto
    comments: dict[Place, str]

    def message(self, type_name: str) -> tuple[Place, DescriptorProto]:
        """Returns a message of this file and its place."""
        name = type_name.rpartition(".")[2]
        index = [message.name for message in self.file.message_type].index(name)
        return (_MESSAGE, index), self.file.message_type[index]


def compiled() -> Proto:
    """Compiles the proto.

    Raises:
        RuntimeError: The compiler refused it; its own message is on stderr.
    """
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "proto.binpb"
        folders = [f"-I{ROOT / 'proto'}", f"-I{files('grpc_tools') / '_proto'}"]
        if protoc.main(["protoc", *folders, "--include_source_info", f"--descriptor_set_out={out}", PROTO]) != 0:
            raise RuntimeError(f"{PROTO} does not compile; see the message above")
        (file,) = FileDescriptorSet.FromString(out.read_bytes()).file
    located = file.source_code_info.location
    comments = {tuple(place.path): " ".join(place.leading_comments.split()) for place in located}
    whole = next(place.leading_comments for place in located if tuple(place.path) == (_SYNTAX,))
    return Proto(file=file, comments={**comments, (_SYNTAX,): whole})


def page(proto: Proto) -> str:
    """Returns the page.

    Raises:
        RuntimeError: A call has no example, or an example no call.
    """
    (service,) = proto.file.service
    methods = {method.name: (place, method) for place, method in enumerate(service.method)}
    if methods.keys() != EXAMPLES.keys():
        odd = sorted(methods.keys() ^ EXAMPLES.keys())
        raise RuntimeError(f"calls and examples differ in {odd}; add them to scripts/api_examples.py or leave them out")
    lines = list(_head(proto))
    for name in EXAMPLES:
        place, method = methods[name]
        lines += _call(proto, method, comment=proto.comments[(_SERVICE, 0, _METHOD, place)])
    own = {name.rpartition(".")[2] for m in service.method for name in (m.input_type, m.output_type)}
    lines += ["## Messages", ""]
    for place, message in sorted(enumerate(proto.file.message_type), key=lambda pair: pair[1].name):
        if message.name not in own:
            lines += [f"### {message.name}", "", proto.comments[(_MESSAGE, place)], ""]
            lines += [*_fields(proto, (_MESSAGE, place), message), ""]
    lines += ["## Enums", ""]
    for place, enum in sorted(enumerate(proto.file.enum_type), key=lambda pair: pair[1].name):
        lines += _enum(proto, place, enum)
    return "\n".join(lines).rstrip() + "\n"


def _head(proto: Proto) -> Iterator[str]:
    paragraphs = [" ".join(part.split()) for part in proto.comments[(_SYNTAX,)].split("\n\n")]
    yield from ("# The API", "", *(line for part in paragraphs for line in (part, "")))
    yield from (
        "`python scripts/generate_api_docs.py` makes this page from the comments of "
        "[recall.proto](../proto/recall/v1/recall.proto) and examples that a test runs. What codes errors have: "
        "[serving.md](serving.md#errors). What is promised: [guarantees.md](guarantees.md).",
        "",
        "The examples follow each other, in Python after",
        "",
        f"```python\n{IMPORTS}\n```",
        "",
        "and on the command line, where every command has `--json` and `--help` too, after",
        "",
        f"```bash\n{TARGET}\n```",
        "",
        "## Calls",
        "",
    )


def _call(proto: Proto, method: MethodDescriptorProto, *, comment: str) -> Iterator[str]:
    example = EXAMPLES[method.name]
    yield from (f"### {method.name}", "", comment, "")
    yield from (f"```python\n{example.python}\n```", "", f"```bash\n{example.command}\n```", "")
    for name in (method.input_type, method.output_type):
        place, message = proto.message(name)
        yield from (f"**{message.name}.** {proto.comments[place]}", "", *_fields(proto, place, message), "")


def _fields(proto: Proto, place: Place, message: DescriptorProto) -> Iterator[str]:
    if not message.field:
        yield "It has no fields."
        return
    yield from ("| field | type | what |", "|---|---|---|")
    maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    for index, field in enumerate(message.field):
        said = proto.comments[(*place, _FIELD, index)].replace("|", "\\|")
        if field.HasField("oneof_index") and not field.proto3_optional:
            said = f"One of `{message.oneof_decl[field.oneof_index].name}`. {said}"
        yield f"| `{field.name}` | {_type(field, maps)} | {said} |"


def _type(field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
    name = field.type_name.rpartition(".")[2]
    if name in maps:
        key, value = maps[name].field
        return f"map of {_type(key, {})} to {_type(value, {})}"
    shown = _SCALARS.get(field.type, "")
    if not shown:
        heading = name.removesuffix("Request").removesuffix("Response").lower()
        shown = f"[{name}](#{heading})" if field.type_name.startswith(".recall.") else f"`{field.type_name[1:]}`"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {shown}"
    return f"optional {shown}" if field.proto3_optional else shown


def _enum(proto: Proto, place: int, enum: EnumDescriptorProto) -> Iterator[str]:
    yield from (f"### {enum.name}", "", proto.comments[(_ENUM, place)], "", "| value | what |", "|---|---|")
    for index, value in enumerate(enum.value):
        yield f"| `{value.name}` = {value.number} | {proto.comments.get((_ENUM, place, _VALUE, index), 'Not given.')} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(compiled()), encoding="utf-8")
    sys.stderr.write(f"generated {PAGE}\n")
