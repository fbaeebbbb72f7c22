"""Consoles that lack characters."""

from __future__ import annotations

import io

import pytest

from cifar_lab.utils.console import echo, say


def test_a_character_that_the_console_lacks_is_an_escape() -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    echo("caf\u00e9 \u2713", console)
    console.flush()
    assert console.buffer.getvalue() == b"caf\\xe9 \\u2713"  # type: ignore[attr-defined]


def test_other_consoles_get_the_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say("caf\u00e9")
    assert capsys.readouterr().out == "caf\u00e9\n"
