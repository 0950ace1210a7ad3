"""The columns of an exported table: one for each name of the schema, and one for each feature that it does not know.

An item's feature and its attribute of one name share a column, as they do in a data folder. The feature's value stands
there, where it is missing the attribute's. Where a table of integers was read as a category on one side and as a number
on the other, the column is one of integers again; where that is no longer possible, the attribute is given up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from recall.column_names import ITEM_ID, USER_ID
from recall.schema import DataSchema, FeatureKind, FeatureMap, FeatureSpec, FeatureValue

Storage: TypeAlias = Literal["text", "number", "texts", "numbers"]

STORAGE: dict[FeatureKind, Storage] = {
    "category": "text",
    "text": "text",
    "number": "number",
    "set": "texts",
    "vector": "numbers",
}
_TYPES: dict[Storage, pl.DataType] = {
    "text": pl.String(),
    "number": pl.Float64(),
    "texts": pl.List(pl.String()),
    "numbers": pl.List(pl.Float32()),
}
_MAX_UNKNOWN = 100
_INT64 = range(-(1 << 63), 1 << 63)

Forms: TypeAlias = dict[str, Counter[Storage]]
"""How many rows hold each feature that a schema does not know, by name and form."""

Cell: TypeAlias = str | float | Sequence[str] | Sequence[float] | None


@dataclass(slots=True, kw_only=True)
class Column:
    """One column and what was seen while it was written.

    Attributes:
        name: Name of column, feature and attribute.
        storage: Form of its cells.
        is_shared: Whether a category and a number are to share it as integers.
        num_values: Cells that hold something.
        num_apart: Rows whose attribute is not the feature; the feature stands there.
        num_misfits: Values of another form than the column, which are left out.
        is_whole: Whether every value so far is an integer.
    """

    name: str
    storage: Storage
    is_shared: bool = False
    num_values: int = 0
    num_apart: int = 0
    num_misfits: int = 0
    is_whole: bool = True

    def cell(self, features: FeatureMap, attributes: FeatureMap) -> Cell:
        """Returns what stands in the column for one row."""
        feature, attribute = features.get(self.name), attributes.get(self.name)
        value = self._read(attribute if feature is None else feature)
        if feature is not None and attribute is not None and self._read(attribute) != value:
            self.num_apart += 1
        if value is not None:
            self.num_values += 1
            self.is_whole = self.is_whole and self.is_shared and _is_whole(value)
        return value

    @property
    def dtype(self) -> pl.DataType:
        """Type of the cells as they are collected; shared ones are text until all are known."""
        return pl.String() if self.is_shared else _TYPES[self.storage]

    @property
    def final_dtype(self) -> pl.DataType:
        """Type of the column in the file."""
        return pl.Int64() if self.is_shared and self.is_whole else _TYPES[self.storage]

    def _read(self, value: FeatureValue | None) -> Cell:
        if value is None:
            return None
        if self.is_shared and isinstance(value, str | float):
            return _shown(value)
        if storage_of(value) != self.storage:
            self.num_misfits += 1
            return None
        return value.tolist() if isinstance(value, np.ndarray) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What one exported table is made of.

    Attributes:
        id_column: Name of the column of ids.
        columns: All others that the schema names.
        features: The features that the schema declares.
        attributes: Its attributes.
        unknown: Columns of features that the schema does not know.
    """

    id_column: str
    columns: Sequence[Column]
    features: Sequence[FeatureSpec]
    attributes: Sequence[FeatureSpec] = ()
    unknown: Sequence[Column] = ()

    @property
    def schema(self) -> pl.Schema:
        """Types of the columns as they are collected."""
        return pl.Schema({self.id_column: pl.String(), **{column.name: column.dtype for column in self._all()}})

    def frame(self, rows: Sequence[tuple[str, FeatureMap, FeatureMap]]) -> pl.DataFrame:
        """Returns rows of id, features and attributes as a table of `schema`."""
        cells: dict[str, list[Cell]] = {self.id_column: [row[0] for row in rows]}
        for column in self._all():
            cells[column.name] = [column.cell(features, attributes) for _, features, attributes in rows]
        return pl.DataFrame(cells, schema=self.schema)

    def finished(self, collected: pl.LazyFrame) -> pl.LazyFrame:
        """Gives shared columns the type that all their values fit."""
        return collected.with_columns(
            pl.col(c.name).cast(c.final_dtype, strict=False) for c in self.columns if c.is_shared
        )

    def declared(self, specs: Sequence[FeatureSpec]) -> list[FeatureSpec]:
        """Returns those of some specs that the written column can be read as; call it when all rows are written."""
        columns = {column.name: column for column in self.columns}
        return [spec for spec in specs if spec.name not in columns or _readable(columns[spec.name], spec)]

    def notices(self, what: str) -> Iterator[str]:
        """Yields what the written table does not show as it is stored, one line each.

        Args:
            what: The word for a row.
        """
        for kind, specs in (("feature", self.features), ("attribute", self.attributes)):
            declared = self.declared(specs)
            for spec in specs:
                if spec not in declared:
                    yield f"{what} {kind} {spec.name!r} is not declared: its values cannot be read as {spec.kind}"
        for column in self._all():
            if column.num_apart:
                seen = f"{column.num_apart} {what}s have an attribute {column.name!r} that is not their feature"
                yield f"{seen} of that name; the feature's value is written"
            if column.num_misfits:
                yield f"{column.num_misfits} values of {what} column {column.name!r} of another form are left out"
        for column in self.unknown:
            yield f"{what} feature {column.name!r} is unknown to the schema; dataset.toml tells how to train on it"

    def _all(self) -> Sequence[Column]:
        return [*self.columns, *self.unknown]


def item_table(schema: DataSchema, unknown: Forms) -> Table:
    """Returns the columns of items.

    Args:
        schema: That of the catalogue.
        unknown: How many items hold each feature that the schema does not know, by name and form.
    """
    specs = {spec.name: spec for spec in schema.item_attributes} | {spec.name: spec for spec in schema.item_features}
    kinds = {spec.name: spec.kind for spec in schema.item_attributes}
    columns = [
        Column(
            name=name,
            storage=STORAGE[spec.kind],
            is_shared={spec.kind, kinds.get(name)} == {"category", "number"},
        )
        for name, spec in specs.items()
        if name != ITEM_ID
    ]
    return Table(
        id_column=ITEM_ID,
        columns=columns,
        features=schema.item_features,
        attributes=schema.item_attributes,
        unknown=_unknown_columns(unknown, taken={ITEM_ID, *specs}),
    )


def user_table(schema: DataSchema, unknown: Forms) -> Table:
    """Returns the columns of users; the arguments are those of `item_table`."""
    columns = [Column(name=s.name, storage=STORAGE[s.kind]) for s in schema.user_features if s.name != USER_ID]
    more = _unknown_columns(unknown, taken={USER_ID, *(spec.name for spec in schema.user_features)})
    return Table(id_column=USER_ID, columns=columns, features=schema.user_features, unknown=more)


def storage_of(value: FeatureValue) -> Storage:
    """Returns the form of a stored value."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, tuple):
        return "texts"
    return "numbers" if isinstance(value, np.ndarray) else "number"


def _unknown_columns(unknown: Forms, taken: AbstractSet[str]) -> list[Column]:
    """Returns the columns of the most frequent unknown features, each in the form that most rows have."""
    counts = {name: forms.total() for name, forms in unknown.items() if name not in taken}
    kept = sorted(counts, key=lambda name: (-counts[name], name))[:_MAX_UNKNOWN]
    return [Column(name=name, storage=unknown[name].most_common(1)[0][0]) for name in kept]


def _readable(column: Column, spec: FeatureSpec) -> bool:
    if spec.kind == "vector" and column.num_values == 0:
        return False  # its length is read from its values
    return STORAGE[spec.kind] == column.storage or (column.is_shared and column.is_whole)


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else str(int(value)) if value == int(value) else repr(value)


def _is_whole(value: Cell) -> bool:
    if not isinstance(value, str) or not value.removeprefix("-").isdecimal() or len(value) > 20:
        return False
    return value == str(int(value)) and int(value) in _INT64
