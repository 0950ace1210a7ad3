from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from recall.errors import ConfigError, QuotaError
from recall.serving.methods import Scope
from recall.serving.quota import Quota
from recall.serving.tokens import TokenEntry, TokenTable, new_token, read_entries, token_hash

HASH = token_hash("recall_x")


def test_tokens_are_random_and_match_their_hash_alone() -> None:
    made = [new_token() for _ in range(100)]
    assert len(set(made)) == 100
    assert all(re.fullmatch(r"recall_[A-Za-z0-9_-]{43}", token) for token in made)
    entries = [TokenEntry(name=f"n{i}", sha256=token_hash(token), scopes=("read",)) for i, token in enumerate(made)]
    table = TokenTable(entries)
    assert [table.caller(token).name for token in made] == [entry.name for entry in entries]
    assert [table.caller(t) for t in ("", "recall_", HASH, made[0].upper(), made[0] + "\n", "\ud800", "\0")] == [
        None
    ] * 7


def test_entries_read_as_they_were_written(tmp_path: Path) -> None:
    entries = (
        TokenEntry(name="a.b-c_1", sha256=HASH, scopes=("read", "write"), requests_per_second=0.5),
        TokenEntry(name="z", sha256=token_hash("y"), scopes=("write",)),
    )
    file = tmp_path / "tokens.toml"
    file.write_text("\n".join(entry.to_toml() for entry in entries))
    assert read_entries(file) == entries


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", "names no token; add one with `recall token --file"),
        ("tokens = []", "names no token"),
        ("[[tokens]\n", "no valid TOML"),
        ("[[token]]\nname = 'a'", "token: Extra inputs"),
        ("[[tokens]]\nname = 'a'\nscopes = ['read']", r"tokens\[0\].sha256: Field required"),
        ("[[tokens]]\nname = 'a'\nscopes = ['read']\nsha256 = 'recall_secret'", r"tokens\[0\].sha256: String should"),
        (f"[[tokens]]\nname = 'a'\nscopes = ['admin']\nsha256 = '{HASH}'", r"scopes\[0\]: Input should be 'read'"),
        (f"[[tokens]]\nname = 'a'\nscopes = []\nsha256 = '{HASH}'", "scopes"),
        (f"[[tokens]]\nname = 'a b'\nscopes = ['read']\nsha256 = '{HASH}'", "name: String should match"),
        (f"[[tokens]]\nname = 'a'\nscopes = ['read']\nsha256 = '{HASH}'\nrequests_per_second = 0", "greater than 0"),
        (f"[[tokens]]\nname = 'a'\nscopes = ['read']\nsha256 = '{HASH}'\nrequests_per_second = nan", "finite"),
    ],
)
def test_a_wrong_file_is_refused_without_its_values(tmp_path: Path, content: str, wanted: str) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=wanted) as error:
        read_entries(file)
    assert str(file) in str(error.value)
    assert "recall_secret" not in str(error.value)


def test_a_missing_file_and_one_of_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_entries(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_entries(tmp_path / "bytes.toml")


def test_entries_of_one_name_are_alike_and_one_token_has_one_name(write_tokens: Callable[..., Path]) -> None:
    file = write_tokens(a=("t", "read"), b=("t", "read"))
    with pytest.raises(ConfigError, match="'a' and 'b' have the same token"):
        read_entries(file)
    one, two = (TokenEntry(name="a", sha256=token_hash(t), scopes=(s,)) for t, s in (("t", "read"), ("u", "write")))
    file.write_text(one.to_toml() + two.to_toml())
    with pytest.raises(ConfigError, match="entries of 'a' differ in scopes or quota"):
        read_entries(file)


def test_tokens_of_one_name_share_a_quota_that_outlives_a_change_of_the_file() -> None:
    entries = [
        TokenEntry(name="a", sha256=token_hash(t), scopes=("read",), requests_per_second=3) for t in ("old", "new")
    ]
    table = TokenTable(entries)
    old, new = table.caller("old"), table.caller("new")
    assert old.scopes == new.scopes == {Scope.READ}
    assert old.quota is new.quota is not None
    assert TokenTable(entries[1:], table).caller("new").quota is new.quota
    raised = entries[1].model_copy(update={"requests_per_second": 4.0})
    assert TokenTable([raised], table).caller("new").quota.requests_per_second == 4


def test_a_quota_holds_one_second_of_requests_and_fills_evenly() -> None:
    now = [100.0]
    quota = Quota("a", 2.0, clock=lambda: now[0])
    quota.take()
    quota.take()
    with pytest.raises(QuotaError) as error:
        quota.take()
    assert error.value.retry_seconds == pytest.approx(0.5)
    now[0] += 0.5
    quota.take()
    now[0] += 100.0  # it holds no more than it did at first
    quota.charge(4)
    with pytest.raises(QuotaError) as error:
        quota.take()
    assert error.value.retry_seconds == pytest.approx(1.5)


def test_a_quota_below_one_a_second_lets_one_pass() -> None:
    now = [0.0]
    quota = Quota("a", 0.1, clock=lambda: now[0])
    quota.take()
    with pytest.raises(QuotaError, match="send the next one in 10 s"):
        quota.take()
