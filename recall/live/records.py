"""What the catalogue stores, as frozen values: items, users and interactions."""

from __future__ import annotations

from dataclasses import dataclass, field

from recall.schema import FeatureMap


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRecord:
    """An item as its owner describes it.

    Attributes:
        item_id: What clients call it.
        features: Raw model inputs by name.
        attributes: Columns that only filters use.
        available_from: First second since 1970 at which it may be returned; None: it always was.
        available_until: First second at which it may not be any more; None: that never comes.
    """

    item_id: str
    features: FeatureMap = field(default_factory=dict)
    attributes: FeatureMap = field(default_factory=dict)
    available_from: int | None = None
    available_until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """The last write of an item, as it stands in the catalogue.

    Attributes:
        item_id: What clients call it.
        sequence: Number of that write.
        deleted: Whether it was a deletion; features and attributes are empty then.
        features: Raw model inputs by name; vectors are read-only.
        attributes: Columns that only filters use.
        available_from: First second since 1970 at which it may be returned; None: it always was.
        available_until: First second at which it may not be any more; None: that never comes.
        damage: What is wrong with the stored row and the cure; nothing else of it is known then. Empty for a whole row.
    """

    item_id: str
    sequence: int
    deleted: bool = False
    features: FeatureMap = field(default_factory=dict)
    attributes: FeatureMap = field(default_factory=dict)
    available_from: int | None = None
    available_until: int | None = None
    damage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """A user with raw features.

    Attributes:
        user_id: What clients call the user.
        features: Raw model inputs by name.
    """

    user_id: str
    features: FeatureMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionRecord:
    """One event: a user chose an item.

    Attributes:
        user_id: Who.
        item_id: What; the item need not be stored.
        timestamp: When, in seconds; 0 where it is not known.
    """

    user_id: str
    item_id: str
    timestamp: int = 0
