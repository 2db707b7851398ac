"""The wheel holds all that the verbs need: unpacked elsewhere, they run outside the clone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the tree, unpacked as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    built = subprocess.run([sys.executable, "-c", build, folder], cwd=ROOT, check=True, capture_output=True, text=True)
    with zipfile.ZipFile(folder / built.stdout.split()[-1]) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_the_verbs_run_from_the_wheel_alone(unpacked: Path, sample_lake: Path, tmp_path: Path) -> None:
    # A path hook of an editable install would find the clone: what is imported must lie in the wheel.
    script = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import assay, corpora, pipelines, planner, tokenizer
assert all(module.__file__.startswith(sys.path[0]) for module in (assay, corpora, pipelines, planner, tokenizer))
assay.main()
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for arguments in (
        ["tokenize", "inhouse", "--sample"],
        ["sql", "FROM composition", "--lake", sample_lake],
        ["mix", "bloomberggpt", "--lake", sample_lake],
        ["plan", "--gpu", "h100", "--gpu-hours", "8", "--sequence", "256", "--lake", sample_lake],
        ["launch", "plans/proportional/plan.json", "--out", "launch"],
        ["tokenize", "--help"],
    ):
        done = subprocess.run(
            [sys.executable, "-P", "-c", script, unpacked, *arguments],
            cwd=tmp_path, env=environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr)
    assert (tmp_path / "plans" / "proportional" / "report.html").is_file()
    assert (tmp_path / "launch" / "torchrun.sh").is_file()
