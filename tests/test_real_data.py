"""The real commands on public data: what is served ranks items that nobody has met far better than chance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RECALL = str(Path(sys.executable).with_name("recall"))
DATA = Path(__file__).resolve().parents[1].parent / "shared" / "datasets" / "amazon-beauty-cold"
CONFIG = """epochs = 1
batch_size = 256
threads = 2
[loss]
uniform_negatives = 256
[towers]
dim = 64
max_history = 50
id_code = { k = 128 }
id_decoder = { width = 64, depth = 1 }
content_projection = { rank = 128 }
feature_decoder = { width = 128, depth = 1 }
"""


def _recall(*arguments: object) -> str:
    result = subprocess.run([RECALL, *map(str, arguments)], capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.realdata
@pytest.mark.slow
def test_served_cold_items_are_found_three_times_as_often_as_by_chance(tmp_path: Path) -> None:
    """Recall@20 among the cold items of the test part, against the held-out interactions; exact baseline `random`."""
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not here")
    model, catalog, snapshots = tmp_path / "model", tmp_path / "catalog.sqlite", tmp_path / "snapshots"
    config = tmp_path / "train.toml"
    config.write_text(CONFIG)
    _recall("train", "--data", DATA, "--out", model, "--config", config, "--device", "cpu")
    _recall("load", "--data", DATA, "--catalog", catalog)
    _recall("rebuild", "--model", model, "--catalog", catalog, "--out", snapshots)
    evaluate = ("--candidates", "cold-split", "--k", 20, "--channels", "served,random", "--json", "-")
    report = json.loads(_recall("evaluate", "--data", DATA, "--snapshot", snapshots, *evaluate))
    found = {
        row["channel"]: row["value"] for row in report["rows"] if (row["slice"], row["metric"]) == ("all", "recall")
    }
    assert found["random"] > 0
    assert found["served"] >= 3 * found["random"], found
