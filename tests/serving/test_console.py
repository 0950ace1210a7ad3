"""The console over HTTP: what it answers, and whom it refuses."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recall.errors import ConfigError
from recall.live.service import RecallSystem
from recall.schema import FeatureSpec
from recall.serving.console.answers import label_of
from recall.serving.console.gate import Gate
from recall.serving.operations_config import ConsoleConfig, MetricsConfig
from recall.serving.server import RecallServer

JSON = {"content_type": "application/json"}
UPSERT = json.dumps({"items": [{"item_id": "new", "features": {"topic": {"string_value": "a"}}}]})


def _ask(server: RecallServer, path: str, body: str | None = None, **headers: str) -> tuple[int, str, dict[str, str]]:
    """Returns code, content and headers; names of headers have `_` for `-`."""
    address = str(server.metrics_address)
    connection = http.client.HTTPConnection(address, timeout=10)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET" if body is None else "POST", path, body, sent)
    reply = connection.getresponse()
    content = reply.read().decode()
    connection.close()
    return reply.status, content, {name.lower(): value for name, value in reply.getheaders()}


def _post(server: RecallServer, name: str, **body: object) -> dict[str, object]:
    code, content, _ = _ask(server, f"/api/{name}", json.dumps(body), **JSON)
    assert code == 200, content
    value: dict[str, object] = json.loads(content)
    return value


def test_page_its_files_and_the_metrics_are_served_on_loopback_without_being_asked_for(watched: RecallServer) -> None:
    code, page, headers = _ask(watched, "/")
    assert (code, headers["x-content-type-options"]) == (200, "nosniff")
    assert headers["content-security-policy"].startswith("default-src 'self';")
    for name in ("console.css", "console.js", "charts.js", "icon.svg"):
        assert f'"{name}"' in page
        assert _ask(watched, f"/{name}")[0] == 200
    assert "http" not in page.replace("http-equiv", "")  # nothing comes from elsewhere
    code, text, headers = _ask(watched, "/metrics")
    assert (code, headers["content-type"].partition(";")[0]) == (200, "text/plain")
    assert "recall_serving 1.0" in text
    assert [_ask(watched, path)[0] for path in ("/../app.py", "/static/index.html", "/none")] == [404] * 3


def test_calls_answer_as_on_the_wire_with_labels(watched: RecallServer) -> None:
    result = _post(watched, "Recall", user_id="u1", limit=2)
    assert (result["item_ids"], result["answered_from"]) == (["a2", "a3"], "ANSWERED_FROM_HISTORY")
    assert result["labels"] == {"a2": "a", "a3": "a"}
    assert _post(watched, "SimilarItems", item_id="a0", limit=1)["item_ids"] == ["a1"]
    explained = _post(watched, "ExplainItem", item_id="a0", recall={"user_id": "u1"})
    assert [one["reason"] for one in explained["missing"]] == ["MISSING_REASON_IN_HISTORY"]  # type: ignore[attr-defined]  # a list
    assert _post(watched, "UpsertItems", **json.loads(UPSERT))["sequence"] == "9"
    assert _post(watched, "GetItem", item_id="new")["retrievable"] is True
    overview = json.loads(_ask(watched, "/api/overview")[1])
    assert (overview["serving"], overview["status"]["num_items"], overview["written"]) == (True, "9", 1)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"limit": -1}, ["limit"]),
        ({"nonsense": 1}, ["request"]),
        ({"user_id": "\x1fcanary"}, ["user_id"]),
    ],
)
def test_invalid_calls_name_every_field(watched: RecallServer, body: dict[str, object], fields: list[str]) -> None:
    code, content, _ = _ask(watched, "/api/Recall", json.dumps(body), **JSON)
    error = json.loads(content)
    assert (code, error["code"]) == (400, "INVALID_ARGUMENT")
    assert [violation["field"] for violation in error["violations"]] == fields


@pytest.mark.parametrize("body", ["", "{", "[]", "3", "[" * 100_000])
def test_what_is_no_json_object_is_refused(watched: RecallServer, body: str) -> None:
    assert _ask(watched, "/api/Recall", body, **JSON)[0] == 400


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({}, 415),
        ({**JSON, "origin": "http://evil.example"}, 403),
        ({**JSON, "origin": "null"}, 403),
        ({**JSON, "sec_fetch_site": "cross-site"}, 403),
        ({**JSON, "host": "evil.example"}, 421),
        ({**JSON, "host": "127.0.0.1.evil.example:80"}, 421),
    ],
)
def test_other_pages_cannot_write(
    watched: RecallServer, system: RecallSystem, headers: dict[str, str], code: int
) -> None:
    assert _ask(watched, "/api/UpsertItems", UPSERT, **headers)[0] == code
    assert system.status().sequence == 8


def test_a_page_of_the_same_origin_can_write(watched: RecallServer) -> None:
    origin = f"http://{watched.metrics_address}"
    headers = {**JSON, "origin": origin, "sec_fetch_site": "same-origin"}
    assert _ask(watched, "/api/UpsertItems", UPSERT, **headers)[0] == 200


def test_names_that_pretend_to_be_this_machine_are_refused_to_read_too(watched: RecallServer) -> None:
    assert _ask(watched, "/api/overview", host="evil.example")[0] == 421
    assert _ask(watched, "/", host="localhost:1")[0] == 200


def test_writing_can_be_turned_off(start_server: Callable[..., RecallServer], system: RecallSystem) -> None:
    server = start_server(metrics={"port": 0}, console={"writes": False})
    server.attach(system)
    assert _ask(server, "/api/UpsertItems", UPSERT, **JSON)[0] == 404
    assert json.loads(_ask(server, "/api/overview")[1])["can_write"] is False


def test_console_can_be_turned_off_and_metrics_go_on(start_server: Callable[..., RecallServer]) -> None:
    server = start_server(metrics={"port": 0}, console={"enabled": False})
    assert "recall_serving 0.0" in _ask(server, "/")[1]
    assert "recall_serving 0.0" in _ask(server, "/api/overview")[1]  # every path of it is metrics


def test_without_a_system_the_page_says_so(start_server: Callable[..., RecallServer]) -> None:
    server = start_server(metrics={"port": 0})
    assert json.loads(_ask(server, "/api/overview")[1])["serving"] is False
    assert _ask(server, "/api/Recall", "{}", **JSON)[0] == 503


def test_with_a_token_nothing_but_metrics_is_open(
    start_server: Callable[..., RecallServer], system: RecallSystem, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(hashlib.sha256(b"open sesame").hexdigest() + "\n")
    server = start_server(metrics={"port": 0}, console={"token_file": str(file)})
    server.attach(system)
    basic = base64.b64encode(b"me:open sesame").decode()
    wrong = base64.b64encode(b"me:open").decode()
    assert _ask(server, "/metrics")[0] == 200
    code, _, headers = _ask(server, "/")
    assert (code, headers["www-authenticate"]) == (401, 'Basic realm="recall"')
    for refused in (f"Basic {wrong}", "Basic !", "Bearer open", "open sesame", f"Digest {basic}"):
        assert _ask(server, "/api/overview", authorization=refused)[0] == 401
        assert _ask(server, "/api/UpsertItems", UPSERT, **JSON, authorization=refused)[0] == 401
    for good in (f"Basic {basic}", "Bearer open sesame"):
        assert _ask(server, "/api/overview", authorization=good, host="recall.example")[0] == 200
    assert system.status().sequence == 8


@pytest.mark.parametrize(
    ("console", "metrics", "problem"),
    [
        ({"enabled": True}, {}, r"would be open to other machines; set console\.token_file"),
        ({"enabled": True, "token_file": "TOKEN"}, {}, r"could be read on the way; set metrics\.certificate"),
        ({"enabled": True, "token_file": "none"}, {}, r"console\.token_file none cannot be read"),
        ({"enabled": True, "token_file": "BAD"}, {}, r"does not hold 64 hexadecimal digits"),
    ],
)
def test_console_for_other_machines_needs_a_token_and_a_certificate(
    console: dict[str, object], metrics: dict[str, object], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "TOKEN").write_text("0" * 64)
    (tmp_path / "BAD").write_text("open sesame")
    if console.get("token_file") in ("TOKEN", "BAD"):
        console = {**console, "token_file": tmp_path / str(console["token_file"])}
    with pytest.raises(ConfigError, match=problem):
        Gate.of(ConsoleConfig.model_validate(console), MetricsConfig.model_validate({"host": "0.0.0.0", **metrics}))


def test_console_without_its_extra_is_refused_where_asked_for_and_else_left_out(
    start_server: Callable[..., RecallServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recall.serving.operations.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the extra console; install it with: pip install 'dhe-recall"):
        start_server(metrics={"port": 0}, console={"enabled": True})
    assert "recall_serving" in _ask(start_server(metrics={"port": 0}), "/")[1]


def test_console_port_in_use_is_refused(watched: RecallServer, start_server: Callable[..., RecallServer]) -> None:
    port = int(str(watched.metrics_address).rpartition(":")[2])
    with pytest.raises(ConfigError, match=rf"port {port}: .*in use"):
        start_server(metrics={"port": port}, console={"enabled": False})


@pytest.mark.parametrize(
    ("features", "label"),
    [
        ({"title": "A film", "about": "long"}, "A film"),
        ({"about": "long", "Name": "Trail shoe"}, "Trail shoe"),
        ({"color": "red", "about": "long"}, "long"),
        ({"tags": ("a",), "price": 3.0}, ""),
        ({"title": "x" * 500}, "x" * 159 + "…"),
    ],
)
def test_label_is_the_title_or_what_comes_next(features: dict[str, object], label: str) -> None:
    specs = (
        FeatureSpec(name="about", kind="text", domain="about"),
        FeatureSpec(name="color", kind="category", domain="c"),
    )
    assert label_of(specs, features) == label  # type: ignore[arg-type]  # values of features
