"""The check-up through the real command."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike import kernels
from lookalike.types import COLOUR_MEASURES

from .command import Command

compiled = pytest.mark.skipif(kernels.instructions() == "numpy", reason="no compiled kernels here")


@compiled
def test_a_healthy_library_has_no_advice(indexed: Command) -> None:
    answer = indexed("doctor", "--check", "--queries", "9").done()
    assert answer.talk == []
    head, table = answer.text.split("\n\n")
    words = [line.split()[0] for line in head.splitlines()]
    assert words == ["library", "holds", "disk", "rows", "kernels", "encoder"]
    assert str(indexed.library) in head
    assert f"kernels  {kernels.instructions()}; {kernels.cores()} cores to use" in head
    assert " on the " in head.splitlines()[-1], "what the encoder runs on"
    header, *rows = table.splitlines()
    assert " ".join(header.split()) == (
        "search by queries p50 ms p99 ms full ms recall@10 95 % compared exact"
    )
    assert [row.split("  ")[0] for row in rows] == [
        "meaning",
        *(f"colour, {metric}" for metric in COLOUR_MEASURES),
        "meaning, 50.00% of the records",
        "meaning, 5.00% of the records",
    ]
    assert all(row.endswith("yes") and " 1.000 " in row for row in rows)
    assert max(map(len, answer.text.splitlines()[1:])) <= 120


def test_json_has_the_same_numbers(indexed: Command) -> None:
    found = indexed("doctor", "--json", "--queries", "4").done().json()
    assert sorted(found) == ["advice", "filters", "library", "machine", "maps", "searches"]
    assert found["library"]["records"] == len(
        {row["record"] for row in indexed.ledger().values()} - {""}
    )
    assert [trial["queries"] for trial in found["searches"]] == [4] * 5
    assert all(trial["recall"] == 1.0 for trial in found["searches"])


def test_advice_is_on_stderr_and_decides_the_status_only_if_asked(indexed: Command) -> None:
    slow = indexed.environment(LOOKALIKE_KERNELS="numpy")
    answer = indexed("doctor", "--queries", "2", env=slow).done()
    assert len(answer.talk) == 1
    assert "LOOKALIKE_KERNELS=numpy asks for; unset it" in answer.talk[0]
    assert "kernels  numpy" in answer.text
    checked = indexed("doctor", "--queries", "2", "--check", env=slow)
    assert (checked.status, checked.talk) == (1, answer.talk)


def test_unusable_arguments_and_libraries_are_refused_in_one_line(
    indexed: Command, command: Command, tmp_path: Path
) -> None:
    indexed("doctor", "--queries", "0").refused(2, "--queries", "at least 1")
    command("doctor").refused(1, "no library here")
