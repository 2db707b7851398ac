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
ASSAY = [line for line in LINES if line.startswith("assay ") and "tokenize" not in line]
ON_THE_LAKE = [line for line in ASSAY if "--supply" not in line and "launch" not in line]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", ON_THE_LAKE)
def test_a_verb_runs_on_the_sample(line: str, command: Callable, sample_lake: Path, folder: Path) -> None:
    done = command(*shlex.split(line)[1:], "--lake", str(sample_lake))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_plan_without_data_and_one_that_is_launched(command: Callable, sample_lake: Path, folder: Path) -> None:
    (folder / "supply.csv").write_text("source,group,documents,tokens\nweb,financial,1,297.8B\n", "utf-8")
    without, launch = ([line for line in ASSAY if word in line] for word in ("--supply", "launch"))
    assert without and launch
    for line in without:
        assert command(*shlex.split(line)[1:]).returncode == 0
    planned = next(shlex.split(line) for line in ASSAY if line.startswith("assay plan --mix"))
    assert command(*planned[1:], "--lake", str(sample_lake)).returncode == 0
    for line in launch:
        assert command(*shlex.split(line)[1:]).returncode == 0
    script = next(line for line in LINES if line.endswith("torchrun.sh"))
    assert (folder / script).stat().st_mode & 0o100


def test_the_first_two_commands_are_targets_of_make() -> None:
    assert [line.split() for line in LINES if line.startswith("make ")][:2] == [["make", "demo"], ["make", "test"]]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in (line.split()[1] for line in LINES if line.startswith("make ")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / name).read_text("utf-8")):
            assert (ROOT / link).exists(), link
