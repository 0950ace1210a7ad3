from __future__ import annotations

from page_table import markdown_table, with_interval


def test_table_is_a_header_a_rule_and_the_rows():
    assert markdown_table(("a", "b"), [("1", ""), ("x", "y")]) == ["| a | b |", "|---|---|", "| 1 |  |", "| x | y |"]


def test_values_stand_without_leading_zeros_and_differences_with_signs():
    assert with_interval(0.5, 0.25, 1.0) == ".5000 [.2500, 1.0000]"
    assert with_interval(-0.25, -0.375, 0.0, sign="+") == "-.2500 [-.3750, +.0000]"
