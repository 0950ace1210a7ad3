"""What is served at one moment: a model, the vectors it made and the popularity behind them, switched as one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from index.live import LiveIndex
from index.protocols import FloatArray
from recall.live.availability import Windows
from recall.live.popularity import Popularity
from recall.live.tuning import TuningFacts
from recall.live.twins import LiveTwins
from recall.schema import DataSchema, FeatureMap

if TYPE_CHECKING:
    from recall.model.audience import AudienceSource
    from recall.model.embedding import UserInput
    from recall.model.fusion import FusionWeights
    from recall.model.item_encoding import ItemEncoding


class Embedder(Protocol):
    """A two-tower model as the live system uses it; in production an `EmbeddingModel`."""

    @property
    def model_id(self) -> str:
        """Digest that names the model."""

    @property
    def dim(self) -> int:
        """Length of item and user vectors."""

    @property
    def max_history(self) -> int:
        """Longest history that shapes a user vector."""

    @property
    def schema(self) -> DataSchema:
        """Features that the model reads."""

    @property
    def fusion(self) -> FusionWeights:
        """What matching exact tokens adds to the product of vectors."""

    def encode_items(self, item_ids: Sequence[str], features: Sequence[FeatureMap]) -> ItemEncoding:
        """Returns vectors and, where `fusion` is on, bags."""

    @property
    def reads_audiences(self) -> bool:
        """Whether the vector of an item depends on who had it."""

    def with_audiences(self, source: AudienceSource) -> Embedder:
        """Returns the model with a source that says who had the items that it embeds."""

    def embed_users(self, users: Sequence[UserInput]) -> FloatArray:
        """Returns [len(users), dim] float32."""

    def knows_user(self, user_id: str) -> bool:
        """Returns whether training saw the user."""

    def item_counts(self, item_ids: Sequence[str]) -> FloatArray:
        """Returns about how often training saw each item, [len(item_ids)] float32; 0 for an unseen one."""


ModelLoader: TypeAlias = Callable[[Path], Embedder]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Model, index and popularity that belong together.

    Attributes:
        model: Made every vector of `index`.
        index: Live vectors by item id; the one mutable part, written by its follower alone.
        popularity: Interaction counts at the time of the snapshot.
        snapshot: Folder name of the snapshot; empty for one built in memory.
        unseen_popularity: The same for those items alone that the model has never seen in training, which `index` then
            tells apart; None where nothing looks for them (see `exploration.explorable`).
        skipped: Items stored at the time of the snapshot that were damaged or cannot be embedded, with the reason.
        twins: Token sets of the items of `index`, written with it; None where the snapshot holds none.
        tuning: How the base index was chosen; None where its kind was given, or the snapshot does not say.
        windows: Whether any item of `index` is not always available.
        is_filterable: Whether the snapshot holds attributes of items; an older one does not.
    """

    model: Embedder
    index: LiveIndex
    popularity: Popularity
    snapshot: str = ""
    unseen_popularity: Popularity | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    twins: LiveTwins | None = None
    tuning: TuningFacts | None = None
    windows: Windows = field(default_factory=Windows)
    is_filterable: bool = True

    def at_one_moment(self) -> Generation:
        """Returns the same with an index that stays as it is now, so that all that is read of it agrees."""
        return replace(self, index=self.index.frozen())


def load_model(folder: Path) -> Embedder:
    """Loads a model artifact for serving.

    Raises:
        ArtifactError: The artifact is missing, damaged or of another format.
    """
    from recall.model.artifact import load_artifact  # torch is loaded only where a model is

    return load_artifact(folder)
