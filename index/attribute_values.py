"""Attributes of items as values, to show them; filters compare whole columns instead (`index.filtering`)."""

from __future__ import annotations

from collections.abc import Sequence

from index.attributes import AttributeValue
from index.errors import InvalidQueryError
from index.view import View


def attribute_values(
    view: View, item_ids: Sequence[str], names: Sequence[str]
) -> dict[str, list[AttributeValue | None]]:
    """Returns attributes by name, one value an item; None where the item has none, or is not held.

    Raises:
        InvalidQueryError: Items have no attributes, or none of some name.
    """
    base, growing = view.attributes, view.fresh.attributes
    if base is None or growing is None:
        raise InvalidQueryError("this index or snapshot holds no attributes; rebuild it")
    located, fresh = view.locate(item_ids), growing.until(view.num_fresh_rows)
    in_fresh = located.fresh >= 0
    columns: dict[str, list[AttributeValue | None]] = {}
    for name in names:
        values = columns.setdefault(name, [None] * len(item_ids))
        for part, rows, kept in ((base, located.base, ~in_fresh), (fresh, located.fresh, in_fresh)):
            for place, value in zip(located.places[kept].tolist(), part.values_at(name, rows[kept]), strict=True):
                values[place] = value
    return columns
