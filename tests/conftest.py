"""What tests of every room share."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
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


SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of a server on the loopback that speaks the protocol of S3; it ends with this process."""
    command = [sys.executable, "-c", SERVE]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as server:
        yield server.stdout.readline().strip()
        server.kill()


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a new bucket, found as users' are: by the environment. Temporary folders are made in `tmp_path/tmp`."""
    environment = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    fs, name = fsspec.filesystem("s3"), f"test-{uuid.uuid4().hex}"
    fs.mkdir(name)
    yield f"s3://{name}"
    assert list((tmp_path / "tmp").iterdir()) == [], "a temporary folder was left"
    fs.clear_instance_cache()  # which would keep this environment


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
