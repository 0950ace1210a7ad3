"""Client commands that show what is stored and served: `recall get`, `list` and `status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from recall.cli.arguments import DEFAULT_TIMEOUT_SECONDS, Json, MinSequence, Timeout
from recall.cli.connection import Server, with_server_flags
from recall.cli.output import pair_lines, report, say, table_lines

if TYPE_CHECKING:
    from recall.client import ItemReply
    from recall.live.records import ItemRecord
    from recall.schema import FeatureMap


@with_server_flags
def get(
    server: Server,
    item_id: Annotated[str, typer.Argument(help="A stored item.", show_default=False)],
    min_sequence: MinSequence = 0,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Show what is stored of an item."""
    with server.client(timeout) as client:
        reply = client.get(item_id, min_sequence=min_sequence)
    value = {**_item_value(reply), "model_id": reply.model_id, "sequence": reply.sequence}
    report(pair_lines(_flat(value)), value, json)


@with_server_flags
def list_items(
    server: Server,
    page: Annotated[str, typer.Option("--page", help="Token of the page, as the page before gave it.")] = "",
    limit: Annotated[int, typer.Option("--limit", help="Items wanted, 1 to 1,000; 0 for 100.")] = 0,
    min_sequence: MinSequence = 0,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Show one page of the stored items, in the order of their ids."""
    with server.client(timeout) as client:
        reply = client.page(token=page, size=limit, min_sequence=min_sequence)
    value: dict[str, object] = {
        "items": [_item_value(item) for item in reply.items],
        "damaged_item_ids": list(reply.damaged_item_ids),
        "next_page": reply.next_token,
        "model_id": reply.model_id,
        "sequence": reply.sequence,
    }
    rows = [(item.item.item_id, item.item_sequence, item.retrievable) for item in reply.items]
    report(table_lines(("item_id", "sequence", "retrievable"), rows), value, json)
    for item_id in reply.damaged_item_ids:
        say(f"item {item_id!r} is damaged; upsert or delete it again")
    say(f"{len(rows)} items, " + (f"more with --page {reply.next_token}" if reply.next_token else "the last ones"))


@with_server_flags
def status(server: Server, timeout: Timeout = DEFAULT_TIMEOUT_SECONDS, json: Json = None) -> None:
    """Show what a server serves."""
    with server.client(timeout) as client:
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
    return entry


def _item_value(reply: ItemReply) -> dict[str, object]:
    return {
        "item_id": reply.item.item_id,
        "features": _plain(reply.item.features),
        "attributes": _plain(reply.item.attributes),
        **_window(reply.item),
        "item_sequence": reply.item_sequence,
        "retrievable": reply.retrievable,
    }


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
