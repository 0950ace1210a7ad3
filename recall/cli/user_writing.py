"""Client commands that write users and what they chose: `recall upsert-user`, `delete-users` and `record`."""

from __future__ import annotations

from typing import Annotated

import typer

from recall.cli.arguments import DEFAULT_TIMEOUT_SECONDS, Features, Json, RequestId, Timeout, json_object
from recall.cli.connection import Server, with_server_flags
from recall.cli.output import report, say


@with_server_flags
def upsert_user(
    server: Server,
    user_id: Annotated[str, typer.Argument(help="The user.", show_default=False)],
    features: Features = None,
    validate_only: Annotated[bool, typer.Option("--validate-only", help="Check, but store nothing.")] = False,
    request_id: RequestId = None,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Insert or replace a user; the next recall reflects it."""
    from recall.client import UserRecord, checked_features

    user = UserRecord(user_id=user_id, features=checked_features(json_object(features, "--features") or {}))
    with server.client(timeout) as client:
        result = client.upsert_users([user], validate_only=validate_only, request_id=request_id)
    value: dict[str, object] = {
        "sequence": result.sequence,
        "model_id": result.model_id,
        "warnings": [{"user_id": w.user_id, "code": w.code, "message": w.message} for w in result.warnings],
    }
    verb = "checked" if validate_only else "stored"
    report([f"{verb} user {user_id!r}, sequence {result.sequence}, model {result.model_id}"], value, json)
    for warning in result.warnings:
        say(f"warning: user {warning.user_id!r}: {warning.code}: {warning.message}")


@with_server_flags
def delete_users(
    server: Server,
    user_ids: Annotated[list[str], typer.Argument(help="Users to erase.", show_default=False)],
    request_id: RequestId = None,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Erase users with everything that was recorded of them."""
    with server.client(timeout) as client:
        result = client.delete_users(user_ids, request_id=request_id)
    value: dict[str, object] = {
        "num_deleted": result.num_deleted,
        "sequence": result.sequence,
        "model_id": result.model_id,
    }
    report([f"erased {result.num_deleted} of {len(user_ids)} users, sequence {result.sequence}"], value, json)


@with_server_flags
def record(
    server: Server,
    user_id: Annotated[str, typer.Argument(help="Who.", show_default=False)],
    item_ids: Annotated[list[str], typer.Argument(help="What the user chose.", show_default=False)],
    timestamp: Annotated[int, typer.Option("--timestamp", help="When, in seconds since 1970; 0 for now.", min=0)] = 0,
    request_id: RequestId = None,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    json: Json = None,
) -> None:
    """Record that a user chose items; the next recall of the user reflects it."""
    from recall.client import InteractionRecord

    events = [InteractionRecord(user_id=user_id, item_id=item_id, timestamp=timestamp) for item_id in item_ids]
    with server.client(timeout) as client:
        result = client.record(events, request_id=request_id)
    value: dict[str, object] = {
        "num_recorded": result.num_recorded,
        "sequence": result.sequence,
        "model_id": result.model_id,
    }
    report([f"recorded {result.num_recorded} of {len(events)} events, sequence {result.sequence}"], value, json)
