"""The examples of docs/api.md, one of Python and one of the command line for each call.

They follow each other: what one writes, a later one may read. `tests/scripts/test_api_docs.py` runs them as they stand
on the page, in its order, against a server.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """How one call is made.

    Attributes:
        python: Statements that use `client`.
        command: One line for a shell.
    """

    python: str
    command: str


ADDRESS = "localhost:50051"
IMPORTS = f"""\
from recall.client import And, Channel, Equals, InteractionRecord, ItemRecord, Not, Present
from recall.client import RecallClient, RecallQuery, SimilarBy, SimilarQuery, UserRecord

client = RecallClient("{ADDRESS}")"""
TARGET = f"export RECALL_TARGET={ADDRESS}"

EXAMPLES = {
    "UpsertItems": Example(
        python="""\
features = {"title": "Maps of the north", "tags": ("maps", "north"), "brand": "acme", "year": 2024.0}
written = client.upsert([ItemRecord(item_id="atlas", features=features, available_until=4_102_444_800)])
print(written.sequence, written.warnings)
client.upsert([ItemRecord(item_id="atlas", features={"year": 2025.0})], update_mask=["features.year"])""",
        command="""recall upsert --item-id atlas-2 --features '{"title": "Maps of the south", "brand": "acme"}'""",
    ),
    "UpsertUsers": Example(
        python="""\
client.upsert_users([UserRecord(user_id="ada", features={"age": 36.0})])""",
        command="""recall upsert-user ben --features '{"age": 41}'""",
    ),
    "RecordInteractions": Example(
        python="""\
client.record([InteractionRecord(user_id="ada", item_id="atlas", timestamp=1_760_000_000)], request_id="order-1001")""",
        command="recall record ben atlas atlas-2",
    ),
    "Recall": Example(
        python="""\
result = client.recall(RecallQuery(user_id="ada", limit=5))
for item_id, score in zip(result.item_ids, result.scores, strict=True):
    print(item_id, score)
acme = Equals("brand", "acme")
print(client.recall(RecallQuery(user_id="ada", filter=acme, attributes=("brand",))).attributes["brand"])
print(client.recall(RecallQuery(user_id="ada", filter=And((Present("brand"), Not(acme))), limit=5)).item_ids)
taken_in_turn = (Channel.SERVED, Channel.POPULARITY)
print(client.recall(RecallQuery(user_id="ada", channels=taken_in_turn)).item_channels)""",
        command="""\
recall query --user ada --attributes brand --filter '{"equals": {"attribute": "brand", "stringValue": "acme"}}'""",
    ),
    "BatchRecall": Example(
        python="""\
results = client.batch_recall([RecallQuery(user_id=user_id, limit=3) for user_id in ("ada", "ben")])
print([result.item_ids for result in results])""",
        command="recall batch --users ada,ben --limit 3",
    ),
    "ExplainItem": Example(
        python="""\
explanation = client.explain(RecallQuery(user_id="ada", limit=5), "atlas")
print(explanation.is_returned, explanation.rank, [reason.message for reason in explanation.missing])""",
        command="recall explain atlas --user ada --limit 5",
    ),
    "SimilarItems": Example(
        python="""\
print(client.similar(SimilarQuery(item_id="atlas", limit=3)).item_ids)
print(client.similar(SimilarQuery(features={"tags": ("maps", "north")}, by=SimilarBy.TWINS)).item_ids)""",
        command="""recall similar --features '{"title": "Maps of the east"}' --limit 3""",
    ),
    "GetItem": Example(
        python="""\
stored = client.get("atlas")
print(stored.item.features["year"], stored.retrievable)""",
        command="recall get atlas",
    ),
    "ListItems": Example(
        python="""\
for stored in client.items():  # page by page
    print(stored.item.item_id, stored.item_sequence)""",
        command="recall list-items --limit 5",
    ),
    "GetStatus": Example(
        python="""\
status = client.status()
print(status.model_id, status.num_items, status.advice, status.audit, status.lag_seconds)""",
        command="recall status",
    ),
    "DeleteItems": Example(
        python="""\
print(client.delete(["atlas", "never-stored"]).num_deleted)""",
        command="recall delete atlas-2",
    ),
    "DeleteUsers": Example(
        python="""\
print(client.delete_users(["ada"]).num_deleted)""",
        command="recall delete-users ben",
    ),
}
