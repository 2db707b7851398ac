"""The README's commands, as it shows them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LINES = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines()]
VERBS = [line for line in LINES if line.startswith("assay ") and "tokenize" not in line]


@pytest.mark.parametrize("line", VERBS)
def test_a_verb_runs_on_the_sample(line: str, command: Callable, sample_lake: Path) -> None:
    done = command(*shlex.split(line)[1:], "--lake", str(sample_lake))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_first_two_commands_are_targets_of_make() -> None:
    assert [line.split()[:2] for line in LINES if line.startswith("make ")][:2] == [
        ["make", "tokenize"],
        ["make", "test"],
    ]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in (line.split()[1] for line in LINES if line.startswith("make ")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / name).read_text("utf-8")):
            assert (ROOT / link).exists(), link
