from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from recall.cli.settings import resolve
from recall.errors import ConfigError
from training.config import TrainConfig


class _Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: int = 1
    widths: tuple[int, ...] = ()


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = 1
    host: str = "here"
    inner: _Inner = _Inner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "serve.toml"
    path.write_text('port = 2\nhost = "file"\n[inner]\ndepth = 2\n')
    return path


def test_flag_beats_environment_beats_file_beats_default(file: Path) -> None:
    environ = {"RECALL_SERVE_PORT": "3", "RECALL_SERVE_HOST": "environment", "RECALL_TRAIN_PORT": "9"}
    config = resolve(_Config, "serve", file=file, flags={"port": 4, "host": None}, environ=environ)
    assert config == _Config(port=4, host="environment", inner=_Inner(depth=2))


def test_environment_reaches_nested_keys_and_lists(file: Path) -> None:
    environ = {"RECALL_SERVE_INNER__DEPTH": "7", "RECALL_SERVE_INNER__WIDTHS": "[1, 2]"}
    assert resolve(_Config, "serve", file=file, environ=environ).inner == _Inner(depth=7, widths=(1, 2))


def test_unknown_key_names_key_file_and_known_keys(file: Path) -> None:
    file.write_text("prot = 2\n")
    with pytest.raises(ConfigError, match=r"serve\.toml: prot is no known key; known keys are host, inner, port"):
        resolve(_Config, "serve", file=file, environ={})
    file.write_text("[inner]\ndept = 2\n")
    with pytest.raises(ConfigError, match=r"serve\.toml: inner\.dept is no known key; known keys are depth, widths"):
        resolve(_Config, "serve", file=file, environ={})


def test_unknown_environment_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="RECALL_SERVE_PROT: prot is no known key"):
        resolve(_Config, "serve", environ={"RECALL_SERVE_PROT": "1"})


def test_wrong_value_names_origin_and_value(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"RECALL_SERVE_PORT: port = 'x': .*integer"):
        resolve(_Config, "serve", file=file, environ={"RECALL_SERVE_PORT": "x"})


def test_every_wrong_value_stands_in_one_line(file: Path) -> None:
    file.write_text('port = "x\\ny"\n[inner]\ndepth = "deep"\n')
    with pytest.raises(ConfigError, match=r"port = .*; .*inner\.depth = 'deep'") as error:
        resolve(_Config, "serve", file=file, environ={})
    assert "\n" not in str(error.value)


def test_value_of_two_types_is_named_once_with_both(file: Path) -> None:
    file.write_text("[fusion]\nseen = -1.0\n")
    with pytest.raises(ConfigError) as error:
        resolve(TrainConfig, "train", file=file, environ={})
    wanted = "fusion.seen = -1.0: Input should be greater than or equal to 0, or 'fitted'"
    assert str(error.value) == f"{file}: {wanted}"


def test_key_left_out_of_a_table_takes_the_default_of_its_place(file: Path) -> None:
    file.write_text("[towers]\nfeature_decoder = {width = 64}\ncategory_code.m = 1000\n")
    towers, default = resolve(TrainConfig, "train", file=file, environ={}).towers, TrainConfig().towers
    assert towers.feature_decoder == default.feature_decoder.model_copy(update={"width": 64})
    assert towers.category_code == default.category_code.model_copy(update={"m": 1000})
    assert towers.dim == default.dim


def test_item_of_a_list_is_named_by_its_place(file: Path) -> None:
    file.write_text("[inner]\nwidths = [1, 'wide']\n")
    with pytest.raises(ConfigError, match=r"serve\.toml: inner\.widths\.1 = 'wide': .*integer"):
        resolve(_Config, "serve", file=file, environ={})


def test_keys_that_do_not_go_together_are_named_with_all_their_origins(file: Path) -> None:
    file.write_text("fusion.content = 'dense'\n")
    with pytest.raises(ConfigError) as error:
        resolve(TrainConfig, "train", file=file, environ={"RECALL_TRAIN_TOWERS__CONTENT": "codes"})
    origins = f"{file} and environment variable RECALL_TRAIN_TOWERS__CONTENT"
    assert str(error.value).startswith(f"{origins}: fusion.content = 'dense' with towers.content = 'codes'")


def test_file_that_is_no_toml_or_missing_is_named(file: Path) -> None:
    file.write_text("port = = 2\n")
    with pytest.raises(ConfigError, match=r"serve\.toml is no valid TOML: .*line 1"):
        resolve(_Config, "serve", file=file, environ={})
    with pytest.raises(ConfigError, match=r"absent\.toml cannot be read"):
        resolve(_Config, "serve", file=file.with_name("absent.toml"), environ={})


def test_value_where_a_table_belongs_is_refused(file: Path) -> None:
    file.write_text("inner = 3\n")
    with pytest.raises(ConfigError):
        resolve(_Config, "serve", file=file, environ={"RECALL_SERVE_INNER__DEPTH": "7"})
