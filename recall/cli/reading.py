"""Client commands that only read: `recall query`, `similar`, `get` and `status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recall.cli.arguments import (
    DEFAULT_TIMEOUT_SECONDS,
    Exact,
    Exclude,
    Features,
    Json,
    Limit,
    Target,
    Timeout,
    id_list,
    json_object,
    number_list,
)
from recall.cli.output import pair_lines, report, say, table_lines

if TYPE_CHECKING:
    from recall.live.query import Result
    from recall.live.records import ItemRecord
    from recall.schema import FeatureMap


def query(
    target: Target,
    user: Annotated[str | None, typer.Option("--user", help="User id, stored or not.")] = None,
    history: Annotated[
        str | None, typer.Option("--history", help="Item ids, oldest first, instead of those stored: a,b,c or @FILE.")
    ] = None,
    vector: Annotated[str | None, typer.Option("--vector", help="User vector: 0.1,0.2,...")] = None,
    features: Features = None,
    limit: Limit = 10,
    candidates: Annotated[
        str | None, typer.Option("--candidates", help="The only ids that may be returned: a,b,c or @FILE.")
    ] = None,
    exclude: Exclude = None,
    exact: Exact = False,
    include_history: Annotated[
        bool, typer.Option("--include-history", help="Return items of the history too.")
    ] = False,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Show the best items for a user."""
    import numpy as np

    from recall.client import RecallClient, RecallQuery, checked_features

    given = json_object(features, "--features")
    numbers = number_list(vector, "--vector")
    question = RecallQuery(
        user_id=user,
        features=None if given is None else checked_features(given),
        history=id_list(history, "--history"),
        vector=None if numbers is None else np.array(numbers, dtype=np.float32),
        limit=limit,
        candidates=id_list(candidates, "--candidates"),
        exclude=id_list(exclude, "--exclude") or (),
        exclude_history=not include_history,
        exact=exact,
    )
    with RecallClient(target, timeout_seconds=timeout) as client:
        result = client.recall(question)
    _show(result, {"answered_from": result.answered_from.value}, json)


def similar(
    target: Target,
    item_id: Annotated[str | None, typer.Option("--item-id", help="A stored item.")] = None,
    features: Features = None,
    by: Annotated[
        Literal["vector", "twins"],
        typer.Option("--by", help="Near vectors, or twins: at least half of all words and tags in common."),
    ] = "vector",
    limit: Limit = 10,
    exclude: Exclude = None,
    exact: Exact = False,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Show the nearest neighbours or the twins of a stored item, or of features that need not be stored."""
    from recall.client import RecallClient, SimilarBy, SimilarQuery, checked_features

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
    )
    with RecallClient(target, timeout_seconds=timeout) as client:
        result = client.similar(question)
    _show(result, {}, json)


def get(
    target: Target,
    item_id: Annotated[str, typer.Argument(help="A stored item.", show_default=False)],
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Show what is stored of an item."""
    from recall.client import RecallClient

    with RecallClient(target, timeout_seconds=timeout) as client:
        reply = client.get(item_id)
    value: dict[str, object] = {
        "item_id": reply.item.item_id,
        "features": _plain(reply.item.features),
        "attributes": _plain(reply.item.attributes),
        **_window(reply.item),
        "item_sequence": reply.item_sequence,
        "retrievable": reply.retrievable,
        "model_id": reply.model_id,
        "sequence": reply.sequence,
    }
    report(pair_lines(_flat(value)), value, json)


def status(target: Target, timeout: Timeout = DEFAULT_TIMEOUT_SECONDS, json: Json = None) -> None:
    """Show what a server serves."""
    from recall.client import RecallClient

    with RecallClient(target, timeout_seconds=timeout) as client:
        served = client.status()
    value = asdict(served)
    if served.index_tuning is not None:
        value["index_tuning"] = served.index_tuning.model_dump()
    report(_status_lines(value), value, json)


def _status_lines(value: dict[str, object]) -> list[str]:
    """Returns what is served and, where the index was tuned, a table of what was tried."""
    tuning = value["index_tuning"]
    if not isinstance(tuning, dict):
        return pair_lines(_flat({name: entry for name, entry in value.items() if name != "index_tuning"}))
    goal = {name: entry for name, entry in tuning.items() if name != "tried"}
    columns = ("kind", "parameters", "recall", "microseconds", "resident_bytes", "build_seconds", "verdict")
    rows = [[_trial_cell(trial[name]) for name in columns] for trial in tuning["tried"]]
    return [*pair_lines(_flat({**value, "index_tuning": goal})), "", *table_lines(columns, rows)]


def _trial_cell(entry: object) -> object:
    if isinstance(entry, dict):
        return " ".join(f"{name}={inner}" for name, inner in sorted(entry.items())) or "-"
    return "-" if entry is None else entry


def _show(result: Result, more: dict[str, object], json: str | None) -> None:
    scores = result.scores.tolist()
    value: dict[str, object] = {
        "item_ids": result.item_ids,
        "scores": scores,
        "model_id": result.model_id,
        "sequence": result.sequence,
        "short_reason": result.short_reason,
        **more,
    }
    rows = [(rank, *row) for rank, row in enumerate(zip(result.item_ids, scores, strict=True), start=1)]
    report(table_lines(("rank", "item_id", "score"), rows), value, json)
    origin = "".join(f", answered from {origin}" for origin in more.values())
    say(f"{len(rows)} items{origin}, model {result.model_id}, sequence {result.sequence}")
    if result.short_reason:
        say(result.short_reason)


def _window(item: ItemRecord) -> dict[str, object]:
    """Returns the ends of the window that the item has."""
    ends = {"available_from": item.available_from, "available_until": item.available_until}
    return {name: end for name, end in ends.items() if end is not None}


def _plain(features: FeatureMap) -> dict[str, object]:
    return {
        name: value if isinstance(value, (str, float)) else list(map(_element, value))
        for name, value in features.items()
    }


def _element(value: object) -> object:
    return value if isinstance(value, str) else float(str(value))


def _flat(value: dict[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, entry in value.items():
        if isinstance(entry, dict):
            flat.update({f"{name}.{key}": inner for key, inner in entry.items()})
        else:
            flat[name] = entry
    return flat
