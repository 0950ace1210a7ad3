"""A small slice of the comparison of filtered search with brute force."""

from __future__ import annotations

import json

import pytest


@pytest.mark.slow
def test_filtered_search_equals_brute_force(run_script):
    result = run_script("check_filters.py", "--rounds", 15, "--json", "-")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["rounds"], report["filters"], report["differences"]) == (15, 300, [])
    assert report["items_returned"] > 1000
