from __future__ import annotations

from pathlib import Path

import pytest

from recall.cli.settings import resolve
from recall.errors import ConfigError
from recall.serving.config import ServerConfig, joined_address


def test_file_sets_server_and_live_keys(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text("threads = 3\n[live]\nwatch_interval_seconds = 2.5\n")
    config = resolve(ServerConfig, "serve", file=file, flags={"port": 7}, environ={"RECALL_SERVE_REFLECTION": "true"})
    assert (config.threads, config.port, config.reflection) == (3, 7, True)
    assert config.live.watch_interval_seconds == 2.5


def test_unknown_live_key_is_named_with_those_known(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text("[live]\nwatch = 2.5\n")
    with pytest.raises(ConfigError, match=r"live\.watch is no known key; known keys are .*watch_interval_seconds"):
        resolve(ServerConfig, "serve", file=file, environ={})


@pytest.mark.parametrize(
    ("share", "wanted"),
    [
        ("1.0", "less than 1"),
        ("-0.1", "greater than or equal to 0"),
        ("nan", "less than 1"),
        ("'half'", "valid number"),
    ],
)
def test_share_of_unseen_items_out_of_range_is_refused_with_key_and_file(
    share: str, wanted: str, tmp_path: Path
) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(f"[live]\nfresh_share = {share}\n")
    with pytest.raises(ConfigError, match=rf"serve\.toml: live\.fresh_share = {share}: .*{wanted}"):
        resolve(ServerConfig, "serve", file=file, environ={})


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1:5"), ("::1", "[::1]:5"), ("h", "h:5")])
def test_address_brackets_ipv6(host: str, address: str) -> None:
    assert joined_address(host, 5) == address
