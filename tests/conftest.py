"""What tests of every room share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

import assay

settings.register_profile("untimed", deadline=None)  # no test asserts a time
settings.load_profile("untimed")
ASSAY = Path(sys.executable).parent / "assay"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder `shared/data` beside the repository; tests that need it are skipped where it is not."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture(scope="session")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of all eight corpora of the embedded sample, made once by the command line; who changes it copies it."""
    folder = tmp_path_factory.mktemp("sample")
    subprocess.run([ASSAY, "tokenize", "--all"], cwd=folder, check=True, capture_output=True)
    return folder / "lake-sample"


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `assay ARGUMENTS` in this process: its exit code and what it printed. A traceback fails the test."""

    def run(*arguments: str | os.PathLike) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["assay", *map(str, arguments)])
        monkeypatch.setenv("PYTHONSAFEPATH", "1")  # which `main` sets; here it is unset again
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            assay.main()
        return subprocess.CompletedProcess(sys.argv, ended.value.code or 0, *capsys.readouterr())

    return run
