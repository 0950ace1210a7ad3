"""Client commands that ask for items: `recall query`, `batch`, `explain` and `similar`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recall.cli.arguments import (
    DEFAULT_TIMEOUT_SECONDS,
    Attributes,
    Exact,
    Exclude,
    Features,
    Filter,
    Json,
    Limit,
    MinSequence,
    Timeout,
    filter_condition,
    id_list,
    json_object,
    number_list,
)
from recall.cli.connection import Server, with_server_flags
from recall.cli.output import pair_lines, report, say, table_lines

if TYPE_CHECKING:
    from recall.live.explanation import Explanation
    from recall.live.query import Channel, RecallQuery, Result

User = Annotated[str | None, typer.Option("--user", help="User id, stored or not.")]
History = Annotated[
    str | None, typer.Option("--history", help="Item ids, oldest first, instead of those stored: a,b,c or @FILE.")
]
Vector = Annotated[str | None, typer.Option("--vector", help="User vector: 0.1,0.2,...")]
Candidates = Annotated[
    str | None, typer.Option("--candidates", help="The only ids that may be returned: a,b,c or @FILE.")
]
IncludeHistory = Annotated[bool, typer.Option("--include-history", help="Return items of the history too.")]


@with_server_flags
def query(
    server: Server,
    user: User = None,
    history: History = None,
    vector: Vector = None,
    features: Features = None,
    limit: Limit = 10,
    candidates: Candidates = None,
    exclude: Exclude = None,
    condition: Filter = None,
    channels: Annotated[
        str | None, typer.Option("--channels", help="Some of served,exact,content,popularity, taken in turn.")
    ] = None,
    attributes: Attributes = None,
    exact: Exact = False,
    include_history: IncludeHistory = False,
    min_sequence: MinSequence = 0,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Show the best items for a user."""
    question = replace(
        _asked(user, history, vector=vector, features=features),
        limit=limit,
        candidates=id_list(candidates, "--candidates"),
        exclude=id_list(exclude, "--exclude") or (),
        filter=filter_condition(condition, "--filter"),
        channels=_channels(channels),
        attributes=id_list(attributes, "--attributes") or (),
        exact=exact,
        exclude_history=not include_history,
    )
    with server.client(timeout) as client:
        result = client.recall(question, min_sequence=min_sequence)
    _show(result, {"answered_from": result.answered_from.value}, json)


@with_server_flags
def batch(
    server: Server,
    users: Annotated[str, typer.Option("--users", help="User ids: a,b,c or @FILE with one a line, at most 1,000.")],
    limit: Limit = 10,
    exclude: Exclude = None,
    condition: Filter = None,
    exact: Exact = False,
    min_sequence: MinSequence = 0,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Show the best items for each of many users, in one call."""
    from recall.client import RecallQuery

    question = RecallQuery(
        limit=limit,
        exclude=id_list(exclude, "--exclude") or (),
        filter=filter_condition(condition, "--filter"),
        exact=exact,
    )
    user_ids = id_list(users, "--users") or ()
    with server.client(timeout) as client:
        queries = [replace(question, user_id=user_id) for user_id in user_ids]
        results = client.batch_recall(queries, min_sequence=min_sequence)
    columns = ("user_id", "rank", "item_id", "score")
    rows = [
        (user_id, rank, item_id, score)
        for user_id, result in zip(user_ids, results, strict=True)
        for rank, (item_id, score) in enumerate(zip(result.item_ids, result.scores.tolist(), strict=True), start=1)
    ]
    last = results[-1]
    value: dict[str, object] = {
        "results": [_value(result, {"answered_from": result.answered_from.value}) for result in results],
        "model_id": last.model_id,
        "sequence": last.sequence,
    }
    report(table_lines(columns, rows), value, json)
    say(f"{len(rows)} items for {len(results)} users, model {last.model_id}, sequence {last.sequence}")


@with_server_flags
def explain(
    server: Server,
    item_id: Annotated[str, typer.Argument(help="The item.", show_default=False)],
    user: User = None,
    history: History = None,
    vector: Vector = None,
    features: Features = None,
    limit: Limit = 10,
    candidates: Candidates = None,
    exclude: Exclude = None,
    condition: Filter = None,
    exact: Exact = False,
    include_history: IncludeHistory = False,
    min_sequence: MinSequence = 0,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Show why an item is or is not in the answer to a query with the same flags."""
    question = replace(
        _asked(user, history, vector=vector, features=features),
        limit=limit,
        candidates=id_list(candidates, "--candidates"),
        exclude=id_list(exclude, "--exclude") or (),
        filter=filter_condition(condition, "--filter"),
        exact=exact,
        exclude_history=not include_history,
    )
    with server.client(timeout) as client:
        explanation = client.explain(question, item_id, min_sequence=min_sequence)
    _show_explanation(explanation, json)


@with_server_flags
def similar(
    server: Server,
    item_id: Annotated[str | None, typer.Option("--item-id", help="A stored item.")] = None,
    features: Features = None,
    by: Annotated[
        Literal["vector", "twins"],
        typer.Option("--by", help="Near vectors, or twins: at least half of all words and tags in common."),
    ] = "vector",
    limit: Limit = 10,
    exclude: Exclude = None,
    condition: Filter = None,
    attributes: Attributes = None,
    exact: Exact = False,
    min_sequence: MinSequence = 0,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Show the nearest neighbours or the twins of a stored item, or of features that need not be stored."""
    from recall.client import SimilarBy, SimilarQuery, checked_features

    given = json_object(features, "--features")
    if item_id is None and given is None:
        raise typer.BadParameter("give --item-id for a stored item, or --features", param_hint="--item-id")
    question = SimilarQuery(
        item_id=item_id,
        features=None if given is None else checked_features(given),
        limit=limit,
        exclude=id_list(exclude, "--exclude") or (),
        exact=exact,
        by=SimilarBy(by),
        filter=filter_condition(condition, "--filter"),
        attributes=id_list(attributes, "--attributes") or (),
    )
    with server.client(timeout) as client:
        result = client.similar(question, min_sequence=min_sequence)
    _show(result, {}, json)


def _asked(user: str | None, history: str | None, *, vector: str | None, features: str | None) -> RecallQuery:
    """Returns the question of whoever the flags describe."""
    import numpy as np

    from recall.client import RecallQuery, checked_features

    given, numbers = json_object(features, "--features"), number_list(vector, "--vector")
    return RecallQuery(
        user_id=user,
        features=None if given is None else checked_features(given),
        history=id_list(history, "--history"),
        vector=None if numbers is None else np.array(numbers, dtype=np.float32),
    )


def _channels(text: str | None) -> tuple[Channel, ...]:
    from recall.client import Channel

    names = [channel.value for channel in Channel]
    wanted = id_list(text, "--channels") or ()
    if unknown := [name for name in wanted if name not in names]:
        known = ", ".join(names)
        raise typer.BadParameter(f"{unknown[0]!r} is no channel; name some of {known}", param_hint="--channels")
    return tuple(map(Channel, wanted))


def _value(result: Result, more: dict[str, object]) -> dict[str, object]:
    value: dict[str, object] = {
        "item_ids": result.item_ids,
        "scores": result.scores.tolist(),
        "model_id": result.model_id,
        "sequence": result.sequence,
        "short_reason": result.short_reason,
        **more,
    }
    if result.item_channels:
        value["item_channels"] = [channel.value for channel in result.item_channels]
    if result.attributes:
        value["attributes"] = {name: list(values) for name, values in result.attributes.items()}
    return value


def _show(result: Result, more: dict[str, object], json: str | None) -> None:
    value = _value(result, more)
    columns: dict[str, Sequence[object]] = {
        "rank": range(1, len(result.item_ids) + 1),
        "item_id": result.item_ids,
        "score": result.scores.tolist(),
    }
    if result.item_channels:
        columns["channel"] = [channel.value for channel in result.item_channels]
    for name, values in result.attributes.items():
        columns[name] = values
    report(table_lines(list(columns), list(zip(*columns.values(), strict=True))), value, json)
    origin = "".join(f", answered from {origin}" for origin in more.values())
    say(f"{len(result.item_ids)} items{origin}, model {result.model_id}, sequence {result.sequence}")
    if result.short_reason:
        say(result.short_reason)


def _show_explanation(explanation: Explanation, json: str | None) -> None:
    value = asdict(explanation)
    value["answered_from"] = explanation.answered_from.value
    value["missing"] = [{"reason": m.reason.value, "message": m.message} for m in explanation.missing]
    lines = pair_lines({name: entry for name, entry in value.items() if name != "missing"})
    reasons = [(missing.reason.value, missing.message) for missing in explanation.missing]
    report([*lines, "", *table_lines(("missing because", "that is"), reasons)] if reasons else lines, value, json)
