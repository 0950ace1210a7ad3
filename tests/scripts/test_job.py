"""How a check ends."""

from __future__ import annotations

import pytest

from job import fail_on


def test_check_without_problems_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    fail_on([])
    assert capsys.readouterr().err == ""


def test_check_with_problems_says_the_first_of_them_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        fail_on([f"problem {number}" for number in range(30)])
    assert end.value.code == 1
    assert capsys.readouterr().err.splitlines() == [f"problem {number}" for number in range(20)]
