"""Loads a snapshot until it can be served: checked, read, and used once in each of the ways in which it will be.

What is slow or fails at its first use then does so beside the old generation: kernels that are compiled, layers that
take memory, pages of mapped files.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from recall.live.exploration import explorable
from recall.live.generation import Generation, ModelLoader, load_model
from recall.live.lineage import Lineage
from recall.live.query import Channel, RecallQuery, SimilarBy, SimilarQuery
from recall.live.retriever import Retriever
from recall.live.snapshot import load_generation

_NUM_ITEMS = 3


def load_warm(
    folder: Path, *, lineage: Lineage | None, fresh_share: float = 0.0, load_model: ModelLoader = load_model
) -> Generation:
    """Returns a snapshot ready to be served.

    Args:
        folder: The snapshot.
        lineage: The catalogue that is served with it; None takes the snapshot of any.
        fresh_share: Share of a recall that goes to items unseen in training, which are then told apart.
        load_model: How the model is loaded from the snapshot; the usual way checks its golden vectors.

    Raises:
        SnapshotDamagedError: A part is missing or damaged.
        SnapshotMismatchError: It cannot be served with this catalogue; see `load_generation`.
        ArtifactError: The model cannot be used.
        RecallError: It cannot answer; so do `VectorIndexError` and `RuntimeError` of index and model.
    """
    generation = load_generation(folder, lineage=lineage, load_model=load_model)
    ready = explorable(generation) if fresh_share else generation
    warm(ready, fresh_share=fresh_share)
    return ready


def warm(generation: Generation, *, fresh_share: float) -> None:
    """Answers a few questions from a generation; nothing of it changes.

    Raises:
        RecallError: It cannot answer.
        VectorIndexError: Its index cannot.
        RuntimeError: Its model cannot.
    """
    retriever = Retriever(None, fresh_share=fresh_share)
    item_ids = tuple(islice(generation.index.item_ids(), _NUM_ITEMS))
    questions = [RecallQuery(history=item_ids, exact=exact) for exact in (False, True)]
    if generation.index.has_content:
        questions.append(RecallQuery(history=item_ids, channels=(Channel.CONTENT,)))
    retriever.recall(generation, [*questions, RecallQuery()])
    retriever.similar(generation, SimilarQuery(features={}))
    for item_id in item_ids[:1]:
        retriever.similar(generation, SimilarQuery(item_id=item_id))
        if generation.twins is not None:
            retriever.similar(generation, SimilarQuery(item_id=item_id, by=SimilarBy.TWINS))
