from __future__ import annotations

from cifar_lab.utils.markdown import markdown_table


def test_a_table_has_a_header_a_rule_and_its_rows() -> None:
    assert markdown_table(["name", "images"], [["a", 1], ["b", ""]]).splitlines() == [
        "| name | images |",
        "|---|---|",
        "| a | 1 |",
        "| b |  |",
    ]
