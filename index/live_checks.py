"""Checks of what is written to a live index, before anything changes."""

from __future__ import annotations

from collections.abc import Sequence

from index.attributes import AttributeMap, ColumnSpec, check_attributes
from index.bags import Bags
from index.errors import InvalidQueryError


def check_ids_ascend(item_ids: Sequence[str]) -> None:
    """Checks that each id comes after the one before it.

    Raises:
        InvalidQueryError: One does not.
    """
    for row in range(1, len(item_ids)):
        if item_ids[row - 1] >= item_ids[row]:
            raise InvalidQueryError(
                f"item_ids[{row}] {item_ids[row]!r} does not come after {item_ids[row - 1]!r}; sort ids, each once"
            )


def check_bags(item_ids: Sequence[str], bags: Bags | None, *, has_content: bool) -> None:
    """Checks that there is one bag an item, exactly where the index has content.

    Raises:
        InvalidQueryError: There is not.
    """
    if has_content and item_ids and bags is None:
        raise InvalidQueryError(f"{len(item_ids)} item_ids without bags for an index with content; give one each")
    if not has_content and bags is not None and len(bags):
        raise InvalidQueryError(f"{len(bags)} bags for an index without content; leave them out, or rebuild")
    if bags is not None and len(bags) != len(item_ids):
        raise InvalidQueryError(f"{len(bags)} bags for {len(item_ids)} item_ids; want one each")


def check_written_attributes(
    item_ids: Sequence[str], attributes: Sequence[AttributeMap] | None, columns: tuple[ColumnSpec, ...] | None
) -> None:
    """Checks that there is one mapping an item that fits the columns, exactly where the index has attributes.

    Raises:
        InvalidQueryError: There is not.
    """
    if columns is None:
        if attributes:
            raise InvalidQueryError(
                f"{len(attributes)} attributes for an index without any; leave them out, or rebuild"
            )
    elif attributes is not None:
        check_attributes(columns, item_ids, attributes)
    elif item_ids:
        raise InvalidQueryError(
            f"{len(item_ids)} item_ids without attributes for an index with attributes; give one mapping each"
        )


def distinct(item_ids: Sequence[str], deleted: Sequence[str]) -> list[str]:
    """Returns every id of a step once, those to insert first.

    Raises:
        InvalidQueryError: An item comes twice, or is inserted and deleted.
    """
    inserted = set(item_ids)
    if len(inserted) != len(item_ids):
        twice = next(item_id for item_id in item_ids if item_ids.count(item_id) > 1)
        raise InvalidQueryError(f"item {twice!r} comes twice in item_ids; want each once per step")
    removed = set(deleted)
    both = sorted(inserted & removed)
    if both:
        raise InvalidQueryError(f"item {both[0]!r} is in item_ids and in deleted; want the last write of an item only")
    return [*item_ids, *removed]
