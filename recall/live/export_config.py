"""The `dataset.toml` of an exported catalogue: it restores kinds, domains and attributes of the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from recall.live.export_columns import Storage, Table
from recall.schema import DataSchema, FeatureSpec

_KINDS: dict[Storage, str] = {"text": "category", "number": "number", "texts": "set", "numbers": "vector"}
_TIMED = """
# All of it is train. For a measured model give the latest part to test, say test = 0.1.
[split]
rule = "time"
validation = 0.0
test = 0.0
"""
_TIMELESS = _TIMED.replace("the latest part", "a part").replace('"time"', '"random"')


def dataset_toml(schema: DataSchema, *, items: Table, users: Table, has_times: bool) -> str:
    """Returns the text of the file.

    Args:
        schema: That of the catalogue.
        items: The written items.
        users: The written users.
        has_times: Whether any interaction has a time.
    """
    lines = [
        f"name = {quoted(schema.name)}",
        *_section("item_features", items.declared(items.features), items),
        *_section("user_features", users.declared(users.features), users),
        *_section("item_attributes", items.declared(items.attributes)),
        *_domains(items, users),
    ]
    return "\n".join(lines) + "\n" + (_TIMED if has_times else _TIMELESS)


def quoted(text: str) -> str:
    """Returns a basic string of TOML: JSON escapes the same, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _section(name: str, specs: Sequence[FeatureSpec], table: Table | None = None) -> Iterator[str]:
    yield f"\n[{name}]"
    for spec in specs:
        yield f'{quoted(spec.name)} = "{spec.kind}"'
    for column in () if table is None else table.unknown:
        yield f"# Unknown to the catalogue's schema; {column.num_values} rows have it. To train on it:"
        yield f'# {quoted(column.name)} = "{_KINDS[column.storage]}"'


def _domains(items: Table, users: Table) -> Iterator[str]:
    yield "\n[domains]"
    domains: dict[str, str] = {}
    for name, table in (("items", items), ("users", users)):
        specs = (*table.declared(table.attributes), *table.declared(table.features))
        domains |= {f"{name}.{spec.name}": spec.domain for spec in specs if spec.domain != spec.name}
    for column, domain in domains.items():
        yield f"{quoted(column)} = {quoted(domain)}"
