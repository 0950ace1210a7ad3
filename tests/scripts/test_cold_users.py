"""Users that the shop's model has never seen, with one to three items of one topic."""

from __future__ import annotations

from collections import Counter

import pytest

from recall.live.config import ServeConfig
from recall.live.query import AnsweredFrom, RecallQuery
from recall.live.service import RecallSystem
from recall.tables import DataFolder
from training.synthetic_topics import TOPICS

pytestmark = pytest.mark.slow
PLACES = 10


@pytest.fixture(scope="module")
def system(demo_folder):
    running = RecallSystem.start(demo_folder / "snapshots", demo_folder / "catalog.sqlite", ServeConfig())
    yield running
    running.close()


@pytest.fixture(scope="module")
def topic_of(demo_folder):
    """Returns the topic that most tags of an item belong to, by item."""
    item_ids, features, _ = DataFolder.open(demo_folder / "data").items()
    found = {}
    for item_id, values in zip(item_ids, features, strict=True):
        tags = values.get("tags", ())
        counts = Counter(place for place, topic in enumerate(TOPICS) for tag in tags if tag in topic.tags)
        if counts:
            found[item_id] = counts.most_common(1)[0][0]
    return found


@pytest.mark.parametrize("num_items", [1, 2, 3])
def test_a_few_items_of_a_topic_bring_more_of_it(system, topic_of, num_items):
    """Tastes are wider than a topic, so not every place; popular items alone take a 24th of the places each topic."""
    shares, firsts = [], []
    for topic in range(len(TOPICS)):
        of_topic = [item_id for item_id, own in topic_of.items() if own == topic]
        history = tuple(of_topic[:num_items])
        result = system.recall(RecallQuery(user_id="stranger", history=history, limit=PLACES))
        assert result.answered_from is AnsweredFrom.HISTORY
        own = [topic_of.get(item_id) == topic for item_id in result.item_ids]
        shares.append(sum(own) / PLACES)
        firsts.append(own[0])
    chance = 1 / len(TOPICS)
    assert sum(shares) / len(TOPICS) > 3 * chance
    assert sum(firsts) / len(TOPICS) > 4 * chance


def test_another_country_gives_another_list(system):
    lists = [
        system.recall(RecallQuery(user_id="stranger", features={"country": country}, limit=PLACES))
        for country in ("DE", "JP")
    ]
    assert {result.answered_from for result in lists} == {AnsweredFrom.FEATURES}
    assert lists[0].item_ids != lists[1].item_ids
