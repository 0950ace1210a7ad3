from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import grpc
import pytest
import trustme

from recall.client import Credentials, RecallClient, RetryPolicy
from recall.errors import ConfigError, RecallError, UnavailableError
from recall.live.service import RecallSystem
from recall.serving.config import ServerConfig
from recall.serving.server import RecallServer, _refuse_unencrypted, _warnings

ONCE = RetryPolicy(attempts=1)
Start = Callable[..., RecallServer]
Issue = Callable[..., tuple[Path, Path]]


def _num_items(address: str, **credentials: object) -> int:
    with RecallClient(address, credentials=Credentials(**credentials), retry=ONCE) as client:
        return client.status().num_items


def _served_certificate(server: RecallServer) -> str:
    return ssl.get_server_certificate(("127.0.0.1", server.port))


def test_only_who_trusts_the_ca_is_served_and_nothing_in_plaintext(
    start_server: Start, system: RecallSystem, certificates, tmp_path: Path
) -> None:
    server = start_server(tls=certificates.tls)
    server.attach(system)
    assert _num_items(server.address, ca=certificates.ca) == 8
    assert _num_items(f"localhost:{server.port}", ca=certificates.ca) == 8
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    for wrong in ({"ca": tmp_path / "other.pem"}, {"tls": True}, {}):
        with pytest.raises(UnavailableError):
            _num_items(server.address, **wrong)


def test_a_client_ca_asks_for_a_certificate_of_it(
    start_server: Start, system: RecallSystem, certificates, issue: Issue, tmp_path: Path
) -> None:
    server = start_server(tls={**certificates.tls, "client_ca": certificates.ca})
    server.attach(system)
    own = {"certificate": certificates.client[0], "key": certificates.client[1]}
    assert _num_items(server.address, ca=certificates.ca, **own) == 8
    certificate, key = issue(trustme.CA(), tmp_path / "stranger", "caller@example.org")
    for wrong in ({}, {"certificate": certificate, "key": key}):
        with pytest.raises(UnavailableError):
            _num_items(server.address, ca=certificates.ca, **wrong)


def test_renewed_files_are_picked_up_and_those_that_do_not_fit_are_not(
    start_server: Start, system: RecallSystem, certificates, issue: Issue, tmp_path: Path, caplog
) -> None:
    hosts = ("127.0.0.1", "localhost")
    certificate, key = issue(certificates.authority, tmp_path / "served", *hosts)
    server = start_server(tls={"certificate": certificate, "key": key})
    server.attach(system)
    first = _served_certificate(server)
    assert first == certificate.read_text()
    with RecallClient(server.address, credentials=Credentials(ca=certificates.ca)) as connected:
        connected.status()
        renewed, renewed_key = issue(certificates.authority, tmp_path / "renewed", *hosts)
        shutil.copy(renewed, certificate)  # the key does not belong to it yet
        assert _within(30.0, lambda: len(server.reload_problems) == 1)
        assert "cannot be used together: KEY_VALUES_MISMATCH" in server.reload_problems[0]
        assert _served_certificate(server) == first
        shutil.copy(renewed_key, key)
        assert _within(30.0, lambda: _served_certificate(server) == renewed.read_text())
        assert server.reload_problems == ()
        assert connected.status().num_items == _num_items(server.address, ca=certificates.ca) == 8
    assert "TLS certificates stay as they were" in caplog.text
    assert "PRIVATE" not in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("certificate", None, "tls.certificate: .* cannot be read: No such file"),
        ("key", None, "tls.key: .* cannot be read"),
        ("certificate", "nothing", "tls.certificate: .* holds no CERTIFICATE"),
        ("key", "nothing", "tls.key: .* holds no PRIVATE KEY"),
        ("key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END ENCRYPTED PRIVATE KEY-----", "is encrypted"),
        ("key", "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----", "cannot be used together"),
        ("client_ca", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "tls.client_ca: .* no PEM"),
    ],
)
def test_files_that_cannot_be_used_are_named_at_the_start(
    certificates, tmp_path: Path, name: str, content: str | None, wanted: str
) -> None:
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=wanted) as error:
        RecallServer(ServerConfig(port=0, tls={**certificates.tls, name: file}))
    assert str(file) in str(error.value)
    assert "secret" not in str(error.value)


def test_other_machines_may_not_call_in_plaintext_unless_told_so(certificates) -> None:
    with pytest.raises(ConfigError, match=r"host '0\.0\.0\.0' lets other machines call.*\[tls\].*plaintext = true"):
        RecallServer(ServerConfig(host="0.0.0.0", port=0))
    for allowed in ({"plaintext": True}, {"tls": certificates.tls}):
        _refuse_unencrypted(ServerConfig(host="0.0.0.0", **allowed))
    _refuse_unencrypted(ServerConfig(host="localhost"))


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"host": "h", "plaintext": True}, ["without encryption", "without authentication"]),
        ({"host": "h", "plaintext": True, "tokens_file": "t"}, ["without encryption"]),
        ({"host": "h", "tls": {"certificate": "c", "key": "k"}}, ["without authentication"]),
        ({"host": "h", "tls": {"certificate": "c", "key": "k", "client_ca": "a"}}, []),
        ({"host": "127.0.0.1"}, []),
    ],
)
def test_what_is_missing_of_the_protection_is_warned_about(settings: dict[str, object], missing: list[str]) -> None:
    warnings = _warnings(ServerConfig.model_validate(settings))
    assert len(warnings) == len(missing)
    assert all(text in warning for text, warning in zip(missing, warnings, strict=True))


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"tls": {"certificate": "c"}}, "certificate and key belong together"),
        ({"tls": {"key": "k"}}, "certificate and key belong together"),
        ({"tls": {"client_ca": "k"}}, "client_ca needs certificate and key"),
        ({"tls": {"certificate": "c", "key": "k"}, "plaintext": True}, "plaintext and tls exclude each other"),
    ],
)
def test_halves_of_a_configuration_are_refused(settings: dict[str, object], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        ServerConfig.model_validate(settings)


def test_several_servers_are_checked_by_the_name_that_they_share(
    start_server: Start, system: RecallSystem, certificates
) -> None:
    ports = []
    for _ in range(2):
        server = start_server(tls=certificates.tls)
        server.attach(system)
        ports.append(server.port)
    assert _num_items(",".join(f"localhost:{port}" for port in ports), ca=certificates.ca) == 8
    targets = f"localhost:{ports[0]},127.0.0.1:{ports[1]}"
    with pytest.raises(ConfigError, match=r"several names.*server_name"):
        _num_items(targets, ca=certificates.ca)
    assert _num_items(targets, ca=certificates.ca, server_name="localhost") == 8
    with pytest.raises(UnavailableError):
        _num_items(targets, ca=certificates.ca, server_name="elsewhere")


@pytest.mark.parametrize(
    ("target", "is_refused"),
    [
        ("127.0.0.1:1", False),
        ("localhost:1", False),
        ("[::1]:1", False),
        ("10.0.0.1:1", True),
        ("localhost.example.org:1", True),
        ("127.0.0.1:1,recall:1", True),
        ("dns:///127.0.0.1:1", True),
    ],
)
def test_a_token_goes_to_other_machines_encrypted_alone(target: str, is_refused: bool) -> None:
    expected = pytest.raises(ConfigError, match="without encryption") if is_refused else nullcontext()
    with expected as error:
        RecallClient(target, credentials=Credentials(token="recall_secret")).close()
    assert "recall_secret" not in str(error and error.value)


@pytest.mark.parametrize("token", ["", " ", "two words", "line\nbreak", "é", "x" * 513])
def test_what_is_no_token_is_refused_without_being_quoted(token: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the token holds no token") as error:
        RecallClient("localhost:1", credentials=Credentials(token=token))
    assert token.strip() == "" or token not in str(error.value)
    file = tmp_path / "token"
    file.write_text(token)
    with pytest.raises(ConfigError, match="holds no token"):
        RecallClient("localhost:1", credentials=Credentials(token_file=file))


def test_credentials_keep_their_secret_and_refuse_halves(tmp_path: Path) -> None:
    assert "secret" not in repr(Credentials(token="recall_secret"))
    with pytest.raises(ConfigError, match="certificate and key of the client belong together"):
        Credentials(certificate=tmp_path / "c.pem")
    with pytest.raises(ConfigError, match="exclude each other"):
        Credentials(token="a", token_file=tmp_path / "t")
    with pytest.raises(RecallError, match="a token itself") as error:  # in place of its file
        RecallClient("localhost:1", credentials=Credentials(token_file=Path("recall_secret")))
    assert "secret" not in str(error.value)
    with pytest.raises(ConfigError, match=r"none\.pem cannot be read"):
        RecallClient("localhost:1", credentials=Credentials(ca=tmp_path / "none.pem"))


def test_tokens_and_tls_go_together(
    start_server: Start, system: RecallSystem, certificates, write_tokens: Callable[..., Path]
) -> None:
    server = start_server(tls=certificates.tls, tokens_file=write_tokens(reader=("recall_reader", "read")))
    server.attach(system)
    assert _num_items(server.address, ca=certificates.ca, token="recall_reader") == 8
    with RecallClient(server.address, credentials=Credentials(ca=certificates.ca)) as client:
        client.wait_until_serving(5)  # health needs none
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary("/recall.v1.RecallService/GetStatus")(b"", timeout=2)


def _within(seconds: float, is_true: Callable[[], bool]) -> bool:
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        if is_true():
            return True
        time.sleep(0.05)
    return False
