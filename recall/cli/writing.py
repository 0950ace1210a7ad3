"""Client commands that write items: `recall upsert` and `delete`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recall.cli.arguments import Features, Json, RequestId, Timeout, id_list, json_object
from recall.cli.connection import Server, with_server_flags
from recall.cli.output import report, say

if TYPE_CHECKING:
    from recall.client import ItemRecord, RecallClient, WriteResult

_BATCH = 1_000
_TIMEOUT_SECONDS = 60.0
_MAX_SHOWN_WARNINGS = 20

AvailableFrom = Annotated[
    int | None, typer.Option("--available-from", help="First second since 1970 at which it may be returned.")
]
AvailableUntil = Annotated[
    int | None, typer.Option("--available-until", help="First second since 1970 at which it may not be any more.")
]


@with_server_flags
def upsert(
    server: Server,
    item_id: Annotated[str | None, typer.Option("--item-id", help="Id of the one item to write.")] = None,
    features: Features = None,
    attributes: Annotated[str | None, typer.Option("--attributes", help="JSON object for filters.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Items as .jsonl or .parquet, in batches of 1,000.", dir_okay=False)
    ] = None,
    available_from: AvailableFrom = None,
    available_until: AvailableUntil = None,
    update_mask: Annotated[
        str | None,
        typer.Option(
            "--update-mask",
            help="Change only these fields of stored items: features.NAME,attributes.NAME,available_until.",
        ),
    ] = None,
    validate_only: Annotated[bool, typer.Option("--validate-only", help="Check, but store nothing.")] = False,
    request_id: RequestId = None,
    timeout: Timeout = _TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Insert or replace items; when it returns they are durable and retrievable."""
    from recall.cli.item_files import batches, read_items
    from recall.client import ItemRecord, checked_features

    if (item_id is None) == (file is None):
        raise typer.BadParameter("give either --item-id with --features, or --file", param_hint="--item-id")
    if file is not None and (available_from, available_until) != (None, None):
        raise typer.BadParameter(
            "it is of one item; in a .jsonl file each line may have it", param_hint="--available-from"
        )
    settings = _Settings(id_list(update_mask, "--update-mask"), validate_only=validate_only, request_id=request_id)
    with server.client(timeout) as client:
        if file is not None:
            status = client.status()
            rows = read_items(file, status.item_features, attributes=status.item_attributes)
            groups = batches(rows, _BATCH)
        else:
            given = checked_features(json_object(features, "--features") or {})
            more = checked_features(json_object(attributes, "--attributes") or {}, path="attributes")
            window = {"available_from": available_from, "available_until": available_until}
            groups = iter([[ItemRecord(item_id=item_id or "", features=given, attributes=more, **window)]])
        num_items, replies = _written(client, groups, settings)
    _report_upsert(num_items, replies, "checked" if validate_only else "stored", json)


@with_server_flags
def delete(
    server: Server,
    item_ids: Annotated[list[str], typer.Argument(help="Items to delete.", show_default=False)],
    request_id: RequestId = None,
    timeout: Timeout = _TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Delete items; when it returns they are never returned again."""
    with server.client(timeout) as client:
        batches = [item_ids[start : start + _BATCH] for start in range(0, len(item_ids), _BATCH)]
        replies = [client.delete(ids, request_id=_id_of(request_id, number)) for number, ids in enumerate(batches)]
    num_deleted = sum(reply.num_deleted for reply in replies)
    last = replies[-1]
    value: dict[str, object] = {
        "num_deleted": num_deleted,
        "sequence": last.sequence,
        "model_id": last.model_id,
    }
    report([f"deleted {num_deleted} of {len(item_ids)} items, sequence {last.sequence}"], value, json)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What all batches of an upsert have in common."""

    update_mask: tuple[str, ...] | None
    validate_only: bool
    request_id: str | None


def _id_of(request_id: str | None, batch: int) -> str | None:
    """Returns the request id of one of the batches of a command, the same each time."""
    return request_id if request_id is None or batch == 0 else f"{request_id}/{batch}"


def _written(
    client: RecallClient, groups: Iterator[list[ItemRecord]], settings: _Settings
) -> tuple[int, list[WriteResult]]:
    from recall.errors import RecallError

    num_items, replies = 0, []
    try:
        for number, group in enumerate(groups):
            replies.append(
                client.upsert(
                    group,
                    update_mask=settings.update_mask,
                    validate_only=settings.validate_only,
                    request_id=_id_of(settings.request_id, number),
                )
            )
            num_items += len(group)
    except RecallError:
        if num_items:
            say(f"the first {num_items:,} items were written before this failed:")
        raise
    return num_items, replies


def _report_upsert(num_items: int, replies: list[WriteResult], verb: str, json: str | None) -> None:
    warnings = [warning for reply in replies for warning in reply.warnings]
    sequence, model_id = (replies[-1].sequence, replies[-1].model_id) if replies else (0, "")
    value: dict[str, object] = {
        "num_items": num_items,
        "sequence": sequence,
        "model_id": model_id,
        "warnings": [{"item_id": w.item_id, "code": w.code, "message": w.message} for w in warnings],
    }
    report([f"{verb} {num_items:,} items, sequence {sequence}, model {model_id}"], value, json)
    for warning in warnings[:_MAX_SHOWN_WARNINGS]:
        say(f"warning: item {warning.item_id!r}: {warning.code}: {warning.message}")
    if len(warnings) > _MAX_SHOWN_WARNINGS:
        say(f"and {len(warnings) - _MAX_SHOWN_WARNINGS:,} more warnings; --json lists them all")
