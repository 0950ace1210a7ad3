"""Random items with attributes, random conditions on them, and what a condition means for one item, by plain Python."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from index.attributes import AttributeMap, ColumnSpec
from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range, Value

SPECS = (
    ColumnSpec(name="brand", kind="category"),
    ColumnSpec(name="tags", kind="set"),
    ColumnSpec(name="price", kind="number"),
    ColumnSpec(name="stock", kind="number"),
)
_BRANDS = ("", "acme", "Acme", "é", "zeta", "\U0001f600")
_TAGS = ("new", "red", "used", "blue", "café")
_NUMBERS = (-1.5, 0.0, 1.0, 2.0, 2.5, 1e300, 2.0**53)
_MISSING_SHARE = 0.3


def holds(condition: Condition, item_id: str, attributes: AttributeMap) -> bool:
    """Returns whether a condition holds for one item."""
    match condition:
        case And():
            return all(holds(part, item_id, attributes) for part in condition.conditions)
        case Or():
            return any(holds(part, item_id, attributes) for part in condition.conditions)
        case Not():
            return not holds(condition.condition, item_id, attributes)
        case ItemIn():
            return item_id in condition.item_ids
    value = attributes.get(condition.column)
    if value is None or value == ():
        return False
    return _compares(condition, value)


def _compares(condition: Equals | In | Range | AnyOf | AllOf | Present, value: object) -> bool:
    match condition:
        case Equals():
            return value == condition.value
        case In():
            return value in condition.values
        case Present():
            return True
        case Range():
            assert isinstance(value, int | float)
            low = condition.low is None or value > condition.low or (condition.includes_low and value == condition.low)
            high = condition.high is None or value < condition.high
            return low and (high or (condition.includes_high and value == condition.high))
    assert isinstance(value, tuple)
    wanted = set(condition.values)
    return bool(wanted & set(value)) if isinstance(condition, AnyOf) else wanted <= set(value)


@dataclass(slots=True)
class Draw:
    """Draws items and conditions; equal seeds draw the same.

    Attributes:
        rng: Where the randomness comes from.
        item_ids: Ids that conditions may name.
        least: Fewest parts, values and bounds of a condition; 1 for those that the wire knows.
    """

    rng: random.Random
    item_ids: Sequence[str]
    least: int = 0

    def attributes(self) -> dict[str, Value | tuple[str, ...]]:
        """Returns the attributes of one item, some of them missing."""
        rng = self.rng
        whole: dict[str, Value | tuple[str, ...]] = {
            "brand": rng.choice(_BRANDS),
            "tags": tuple(rng.choices(_TAGS, k=rng.randrange(4))),
            "price": rng.choice(_NUMBERS),
            "stock": rng.randrange(4),
        }
        return {name: value for name, value in whole.items() if rng.random() >= _MISSING_SHARE}

    def condition(self, depth: int = 3) -> Condition:
        """Returns a condition of at most so many within each other."""
        rng = self.rng
        if depth == 1 or rng.random() < 0.4:
            return self._leaf()
        kind = rng.choice((And, Or, Not))
        if kind is Not:
            return Not(self.condition(depth - 1))
        parts = [self.condition(depth - 1) for _ in range(rng.randrange(self.least, 4))]
        return And(parts) if kind is And else Or(parts)

    def _leaf(self) -> Condition:
        rng = self.rng
        number = rng.choice(("price", "stock"))
        made: Condition = rng.choice(
            (
                lambda: Equals("brand", rng.choice((*_BRANDS, "unknown"))),
                lambda: Equals(number, rng.choice((*_NUMBERS, 1, 3, 77))),
                lambda: In("brand", rng.choices(_BRANDS, k=rng.randrange(self.least, 4))),
                lambda: In(number, rng.choices(_NUMBERS, k=rng.randrange(self.least, 4))),
                lambda: self._range(number),
                lambda: AnyOf("tags", rng.choices((*_TAGS, "unknown"), k=rng.randrange(self.least, 4))),
                lambda: AllOf("tags", rng.choices(_TAGS, k=rng.randrange(self.least, 3))),
                lambda: Present(rng.choice(SPECS).name),
                lambda: ItemIn((*rng.sample(self.item_ids, min(5, len(self.item_ids))), "nobody")),
            )
        )()
        return made

    def _range(self, column: str) -> Range:
        low, high = sorted(self.rng.choices(_NUMBERS, k=2))
        ends = {name: self.rng.random() < 0.5 for name in ("includes_low", "includes_high")}
        has_low, has_high = self.rng.random() >= 0.3, self.rng.random() >= 0.3
        has_low |= self.least > 0 and not has_high
        return Range(column, low if has_low else None, high if has_high else None, **ends)
