"""Requests that a lake in a bucket costs: counted in the log of an S3 server on the loopback, for each part."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import text
from bench.chain import ASSAY, CORPUS, STAGES
from bench.process import run
from bench.report import Table

PARTS = (4, 12)  # of a megabyte of raw text each, on the disk
KINDS = ("GET", "HEAD", "LIST", "PUT", "DELETE", "POST")
REQUEST = re.compile(r'"(?:\x1b\[\d+m)*(GET|HEAD|PUT|DELETE|POST) (\S+) HTTP')  # some in colour
SERVE = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
input()
"""


def figures(raw: Path, tokenizer: Path, runs: int) -> Iterator[Table]:
    """One table: requests of each stage for one more part, and of a run that finds all up to date."""
    with _server(raw.parent / "requests.log") as (environment, log):
        few, many = (_counted(raw, tokenizer, n, environment, log) for n in PARTS)
    rows = []
    for when, stage in few:
        n = PARTS[1] - PARTS[0]
        more = [(many[when, stage][kind] - few[when, stage][kind]) / n for kind in KINDS]
        rows.append([when, stage, *more, sum(few[when, stage].values())])
    columns = ["run", "stage", *(f"{kind} per part" for kind in KINDS), f"all, of {PARTS[0]} parts"]
    yield Table("Requests to a bucket", columns, rows)


@contextmanager
def _server(log: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """The environment that leads to a server, and its log."""
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as server,
    ):
        yield (
            {
                "AWS_ENDPOINT_URL": next(line.strip() for line in server.stdout if line.startswith("http")),
                "AWS_ACCESS_KEY_ID": "bench",
                "AWS_SECRET_ACCESS_KEY": "bench",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_CONFIG_FILE": os.devnull,
            },
            log,
        )
        server.kill()


def _counted(
    raw: Path, tokenizer: Path, parts: int, environment: dict[str, str], log: Path
) -> dict[tuple[str, str], Counter[str]]:
    """(run, stage) -> requests of each kind."""
    some = text.head(raw, parts << 20)
    bucket = f"bench-{parts}"
    create = f"import fsspec; fsspec.filesystem('s3').mkdir({bucket!r})"
    subprocess.run([sys.executable, "-c", create], check=True, env=os.environ | environment)
    options = {"ingest": [CORPUS, "--raw", some, "--part-mb", "1"], "tokenize": [CORPUS, "--tokenizer", tokenizer]}
    found = {}
    for when in ("first", "up to date"):
        for stage in STAGES:
            before = _log(log)
            command = [ASSAY, stage, *options.get(stage, []), "--lake", f"s3://{bucket}/lake", "--workers", "1"]
            run(command, 1, raw.parent, environment)
            found[when, stage] = _log(log) - before
    return found


def _log(log: Path) -> Counter[str]:
    found = REQUEST.findall(log.read_text("utf-8", "replace"))
    return Counter("LIST" if method == "GET" and "list-type" in path else method for method, path in found)
