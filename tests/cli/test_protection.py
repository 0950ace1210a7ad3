"""Commands against a server with TLS and tokens, and the command that makes tokens."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from recall.cli.connection import with_server_flags
from recall.cli.main import COMMANDS
from recall.live.service import RecallSystem
from recall.serving.server import RecallServer
from recall.serving.tokens import read_entries, token_hash

Run = Callable[..., tuple[int, str, str]]
READ, BOTH = "recall_reader", "recall_all"


@pytest.fixture
def protected(
    start_server: Callable[..., RecallServer], system: RecallSystem, certificates, write_tokens: Callable[..., Path]
) -> RecallServer:
    tokens = write_tokens(reader=(READ, "read"), both=(BOTH, "read,write"))
    server = start_server(tls={**certificates.tls, "client_ca": certificates.ca}, tokens_file=tokens)
    server.attach(system)
    return server


def test_commands_take_tls_and_tokens_from_flags_and_environment(
    run: Run, protected: RecallServer, certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = certificates.client
    file = tmp_path / "token"
    file.write_text(READ + "\n")
    flags = ("--tls-ca", certificates.ca, "--tls-certificate", certificate, "--tls-key", key, "--token-file", file)
    code, out, err = run("query", "--target", protected.address, *flags, "--user", "u1", "--json", "-")
    assert (code, json.loads(out)["item_ids"][:1]) == (0, ["a2"]), err
    code, _, err = run("delete", "--target", protected.address, *flags, "a0")
    assert (code, "the token of 'reader' allows to read only" in err) == (1, True)
    for name, value in {
        "RECALL_TARGET": protected.address,
        "RECALL_TLS_CA": certificates.ca,
        "RECALL_TLS_CERTIFICATE": certificate,
        "RECALL_TLS_KEY": key,
        "RECALL_TOKEN": BOTH,
    }.items():
        monkeypatch.setenv(name, str(value))
    assert run("delete", "a0")[0] == 0
    assert "reader" in run("delete", "--token-file", file, "a1")[2]  # the flag goes before the environment
    monkeypatch.setenv("RECALL_TOKEN", "recall_wrong")
    code, out, err = run("status")
    assert (code, out) == (1, "")
    assert err == "error: the token is not known to this server; ask its operator for one\n"


def test_no_command_has_a_flag_that_takes_a_secret(run: Run, protected: RecallServer) -> None:
    for command in COMMANDS:
        code, out, _ = run(command.__name__.replace("_", "-"), "--help")
        assert code == 0, command.__name__
        assert "--token " not in out
        assert "--password" not in out
    code, _, err = run("status", "--target", "10.0.0.1:50051", "--token-file", __file__)
    assert (code, "holds no token" in err) == (1, True)


def test_a_token_is_never_sent_in_plaintext_to_another_machine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALL_TOKEN", "recall_secret")
    code, out, err = run("status", "--target", "10.0.0.1:50051")
    assert (code, out) == (1, "")
    assert "a token would go to 10.0.0.1:50051 without encryption" in err
    assert "secret" not in err


def test_token_prints_the_token_once_and_stores_its_hash(run: Run, tmp_path: Path) -> None:
    code, out, err = run("token", "--name", "shop", "--scopes", "write,read", "--requests-per-second", 50)
    assert (code, len(out)) == (0, 51)
    assert out.strip() not in err
    (tmp_path / "pasted.toml").write_text(err)
    (entry,) = read_entries(tmp_path / "pasted.toml")
    assert (entry.sha256, entry.requests_per_second) == (token_hash(out.strip()), 50)

    file = tmp_path / "tokens.toml"
    made = [run("token", "--name", "shop", "--file", file, *more)[1].strip() for more in ((), ("--scopes", "read"), ())]
    assert run("token", "--name", "writer", "--scopes", "write", "--file", file)[0] == 0
    entries = read_entries(file)
    assert [entry.sha256 for entry in entries[:3]] == [token_hash(token) for token in made]
    assert [entry.name for entry in entries] == ["shop", "shop", "shop", "writer"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(token in file.read_text() for token in made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pasted.toml", "tokens.toml"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--name", "a b"), "--name"),
        (("--name", "a", "--scopes", "admin"), "--scopes"),
        (("--name", "a", "--scopes", ""), "--scopes"),
        (("--name", "a", "--requests-per-second", "0"), "--requests-per-second"),
        (("--name", "shop", "--scopes", "write"), "other scopes or quota"),
    ],
)
def test_token_refuses_what_makes_no_entry(run: Run, tmp_path: Path, arguments: tuple[str, ...], wanted: str) -> None:
    file = tmp_path / "tokens.toml"
    assert run("token", "--name", "shop", "--file", file)[0] == 0
    before = file.read_text()
    code, out, err = run("token", *arguments, "--file", file)
    assert (code, out, file.read_text()) == (2, "", before)
    assert wanted in err


def test_flags_of_a_server_stand_in_place_of_its_parameter() -> None:
    def command(server: object, name: str = "x") -> None:
        """Does nothing."""

    assert [*with_server_flags(command).__annotations__][-2:] == ["token_file", "name"]
