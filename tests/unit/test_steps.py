"""Steps are told as lines, and on a terminal with their seconds."""

from __future__ import annotations

import io
import sys

import pytest

from lookalike.cli import steps


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_a_step_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with steps.Steps() as step:
        step("one")
        step("two")
    assert capsys.readouterr().err == "lookalike: one\nlookalike: two\n"


def test_on_a_terminal_a_step_counts_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(steps, "_EVERY_SECONDS", 0.01)
    with steps.Steps() as step:
        step("one")
        step("two")
    lines = terminal.getvalue().split("\n")
    assert len(lines) == 3
    assert lines[0].endswith("\rlookalike: one (0 s)")
    assert lines[1].endswith("\rlookalike: two (0 s)")
    assert lines[2] == ""
