"""The web application: the page and its files, the metrics, and what the page asks for."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from recall.live.service import RecallSystem
from recall.serving.console import answers
from recall.serving.console.gate import HEADERS, Gate
from recall.serving.console.overview import Overview
from recall.serving.status import failure_of

_MAX_BODY_BYTES = 4 * 2**20
_STATIC = Path(__file__).parent / "static"
FILES = {"/": "index.html", **{f"/{name}": name for name in ("console.css", "console.js", "charts.js", "icon.svg")}}
"""Every file of the page, by its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """What the application is made of.

    Attributes:
        registry: Metrics.
        system: Returns what is served, None while nothing is.
        gate: Who may use the page; the metrics are open.
        overview: State and history.
        can_write: Whether items can be written.
    """

    registry: CollectorRegistry
    system: Callable[[], RecallSystem | None]
    gate: Gate
    overview: Overview
    can_write: bool


_Handler = Callable[[Request], Awaitable[Response]]


def application(console: Console) -> Starlette:
    """Returns the application."""

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        content = await run_in_threadpool(encode, console.registry)
        return Response(content, headers={"content-type": content_type})

    async def overview(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(console.overview.read))

    def guarded(handler: _Handler) -> _Handler:
        async def handle(request: Request) -> Response:
            response = console.gate.refusal(request) or await handler(request)
            response.headers.update(HEADERS)
            return response

        return handle

    routes = [Route("/metrics", metrics), Route("/api/overview", guarded(overview))]
    routes += [Route(path, guarded(_file(name))) for path, name in FILES.items()]
    calls = {**answers.READS, **(answers.WRITES if console.can_write else {})}
    for name, answer in calls.items():
        routes.append(Route(f"/api/{name}", guarded(_call(console, answer)), methods=["POST"]))
    return Starlette(routes=routes)


def _file(name: str) -> _Handler:
    async def send(request: Request) -> Response:
        return FileResponse(_STATIC / name)

    return send


def _call(console: Console, answer: Callable[[RecallSystem, answers.Json], answers.Json]) -> _Handler:
    async def handle(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                return JSONResponse({"code": "TOO_LARGE", "message": "send at most 4 MiB"}, 413)
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            return JSONResponse({"code": "INVALID_ARGUMENT", "message": "send a JSON object"}, 400)
        system = console.system()
        if system is None:
            return JSONResponse({"code": "UNAVAILABLE", "message": "the server is starting or stopping"}, 503)
        return await run_in_threadpool(_answered, system, answer, value)

    return handle


def _answered(
    system: RecallSystem, answer: Callable[[RecallSystem, answers.Json], answers.Json], body: answers.Json
) -> Response:
    try:
        return JSONResponse(answer(system, body))
    except Exception as error:  # becomes the answer, as on the wire
        failure = failure_of(error)
        fields = [{"field": v.field, "description": v.description} for v in failure.violations]
        return JSONResponse({"code": failure.code.name, "message": failure.message, "violations": fields}, 400)
