"""Uses a generation once, before it is served, in each of the ways in which it will be.

What is slow or fails at its first use then does so beside the old generation: kernels that are compiled, layers that
take memory, pages of mapped files.
"""

from __future__ import annotations

from itertools import islice

from recall.live.generation import Generation
from recall.live.query import RecallQuery, SimilarBy, SimilarQuery
from recall.live.retriever import Retriever

_NUM_ITEMS = 3


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
    retriever.recall(generation, [*questions, RecallQuery()])
    retriever.similar(generation, SimilarQuery(features={}))
    for item_id in item_ids[:1]:
        retriever.similar(generation, SimilarQuery(item_id=item_id))
        if generation.twins is not None:
            retriever.similar(generation, SimilarQuery(item_id=item_id, by=SimilarBy.TWINS))
