"""The command line: it answers at once, refuses in one sentence, speaks JSON, and imports nothing of the user's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpora.sample import CORPORA
from tokenizer.train import train_bpe

ASSAY = Path(sys.executable).parent / "assay"
VERBS = ("ingest", "deduplicate", "tokenize", "status", "reconcile", "gc", "compact", "sql", "mix", "plan", "launch")
HEAVY = ("apache_beam", "torch", "duckdb", "pyarrow", "numba", "numpy", "matplotlib", "jinja2")
Command = Callable[..., subprocess.CompletedProcess[str]]


def _run(arguments: list[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """A process of its own."""
    return subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=300, **options)


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(train_bpe([pa.array(["the market rose and rose"] * 9, pa.large_string())], 300))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two raw files and what looks like a tokenizer."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    text = " ".join(f"The market rose on day {n}." for n in range(20))
    for name in ("a", "b"):
        (tmp_path / "raw" / f"{name}.jsonl").write_text(json.dumps({"text": f"{name}: {text}"}) + "\n")
    (tmp_path / "no-tokenizer.json").write_text("{}")
    return tmp_path


# Help


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_imports_nothing_heavy(verb: str) -> None:
    script = f"""
import atexit, json, sys
atexit.register(lambda: print(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr))
sys.argv = ["assay", *{verb.split()}, "--help"]
import assay
assay.main()
"""
    done = _run([sys.executable, "-c", script])
    assert done.returncode == 0
    assert "Usage: assay" in done.stdout
    assert json.loads(done.stderr) == []


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(command: Command, verb: str) -> None:
    done = command(verb, "--help")
    assert done.returncode == 0
    assert f"Example: assay {verb}" in " ".join(done.stdout.split())


def test_help_lists_every_verb(command: Command) -> None:
    shown = command("--help").stdout
    for verb in VERBS:
        assert f" {verb} " in shown


# Refusals


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("ingest filing", "no corpus 'filing'; did you mean filings?"),
        ("tokenize wikipeda", "no corpus 'wikipeda'; did you mean wikipedia?"),
        ("tokenize ../filings", "no corpus '../filings'"),
        ("ingest news --raw raw --format docx", "format 'docx' has no reader; there are "),
        ("ingest news --format docx", "format 'docx' has no reader; there are "),
        ("ingest news --raw nothing", "--raw nothing matches no file"),
        ("ingest news --raw raw/*.gz", "--raw raw/*.gz matches no file"),
        ("ingest news --raw raw --raw nothing/**", "--raw nothing/** matches no file"),
        (
            "ingest news --raw raw --runner fast",
            "--runner 'fast' is none of threads, processes, dask, flink, spark, dataflow",
        ),
        ("tokenize", "name one corpus, or say --all"),
        ("tokenize news --all", "name one corpus, or say --all"),
        ("tokenize --all --raw raw", "--raw and --format go with one corpus of your own"),
        ("tokenize news --sample --raw raw", "--raw and --format go with one corpus of your own"),
    ],
)
def test_bad_usage_is_refused_in_one_sentence(command: Command, folder: Path, arguments: str, sentence: str) -> None:
    before = sorted(folder.rglob("*"))
    done = command(*arguments.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("assay: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments", ["weigh", "ingest", "ingest news --workers -1", "ingest news --part-mb 0", "--oops"]
)
def test_what_is_no_command_is_refused_with_usage(command: Command, folder: Path, arguments: str) -> None:
    done = command(*arguments.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["no-tokenizer.json", "raw/a.jsonl", "nowhere.json", "raw"])
def test_a_file_that_is_no_tokenizer_is_refused(command: Command, folder: Path, name: str) -> None:
    done = command("tokenize", "news", "--raw", "raw", "--tokenizer", name)
    assert done.returncode == 2
    assert name in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SELEC 1", 'Parser Error: syntax error at or near "SELEC"'),
        ("FROM suply", "Catalog Error: Table with name suply does not exist!"),
        ("SELECT tokns FROM supply", 'Referenced column "tokns" not found'),
        ("SELECT 1/'x'", "Conversion Error"),
        ("DROP TABLE totals", "read-only"),
        ("", "the query is empty"),
        ("/* nothing */", "the query is empty"),
    ],
)
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["", "json"])
def test_a_wrong_query_is_refused(
    command: Command, sample_lake: Path, query: str, sentence: str, as_json: list[str]
) -> None:
    done = command("sql", query, "--lake", sample_lake, *as_json)
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "verb",
    ["status", "reconcile", "gc", "compact", "sql", "deduplicate", "mix proportional", "plan --gpu h100 --gpu-hours 1"],
)
@pytest.mark.parametrize("lake", [[], ["--lake", "nowhere"]], ids=["default", "named"])
def test_nothing_in_the_lake_fails(command: Command, folder: Path, verb: str, lake: list[str]) -> None:
    before = sorted(folder.rglob("*"))
    done = command(*verb.split(), *lake)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "`assay tokenize CORPUS` puts a corpus there" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


def test_real_data_is_not_put_into_the_lake_of_the_sample(command: Command, folder: Path, sample_lake: Path) -> None:
    lake = shutil.copytree(sample_lake, folder / "mixed")
    done = command("tokenize", "news", "--raw", "raw", "--lake", lake)
    assert done.returncode == 1
    assert f"{lake} holds the embedded sample and news is real data: the two are never mixed" in done.stderr
    assert (lake / "news" / "current").read_bytes() == (sample_lake / "news" / "current").read_bytes()


def test_the_sample_can_be_asked_for_where_there_are_raw_files(command: Command, folder: Path) -> None:
    (folder / "data/raw/inhouse").mkdir(parents=True)
    (folder / "data/raw/inhouse/real.txt").write_text("Real text of ours. " * 50)
    done = command("tokenize", "inhouse", "--sample", "--json")
    assert done.returncode == 0
    assert _object(done.stdout)["lake"] == str(folder / "lake-sample")
    assert _object(done.stdout)["corpora"][0]["documents"] == 224
    assert not (folder / "lake").exists()


def test_the_sample_is_not_put_into_a_lake_of_real_data(command: Command, folder: Path) -> None:
    assert command("ingest", "news", "--raw", "raw", "--lake", "mixed").returncode == 0
    done = command("ingest", "inhouse", "--lake", "mixed")
    assert done.returncode == 1
    assert "mixed holds real data and inhouse is the embedded sample: the two are never mixed" in done.stderr
    assert not (folder / "mixed" / "inhouse" / "current").exists()


# JSON


def test_json_is_one_object_and_notes_go_to_stderr(command: Command, folder: Path, tokenizer_file: Path) -> None:
    common = ["--lake", "lake", "--json"]
    made = command("tokenize", "news", "--raw", "raw", "--tokenizer", tokenizer_file, *common)
    assert made.returncode == 0
    assert "news: documents: 1 of 1 tasks done." in made.stderr
    assert _object(made.stdout)["corpora"][0] == {
        "corpus": "news",
        "documents": 2,
        "quarantined": 0,
        "dropped": 0,
        "duplicate": 0,
        "kept": 2,
        "tokens": _object(made.stdout)["corpora"][0]["tokens"],
        "state": "current",
        "command": None,
    }
    again = command("ingest", "news", "--raw", "raw", *common)
    assert _object(again.stdout) == _object(made.stdout) == _object(command("status", *common).stdout)
    assert "news: documents: up to date." in again.stderr
    assert _object(command("deduplicate", *common).stdout) == {"duplicates": {"news": 0}}
    assert _object(command("reconcile", *common).stdout)["holds"] is True


def test_sql_gives_a_list_of_rows(command: Command, sample_lake: Path) -> None:
    done = command("sql", "SELECT source, tokens FROM supply", "--lake", sample_lake, "--json")
    rows = _object(done.stdout)
    assert done.stderr == ""
    assert {row["source"] for row in rows} == set(CORPORA)
    assert all(row.keys() == {"source", "tokens"} and isinstance(row["tokens"], int) for row in rows)
    assert _object(command("sql", "FROM supply WHERE false", "--lake", sample_lake, "--json").stdout) == []


def test_json_has_no_value_that_json_has_not(command: Command, sample_lake: Path) -> None:
    query = """SELECT 'nan'::DOUBLE AS nan, ['inf'::DOUBLE, 1.0::DOUBLE] AS list, DATE '2022-07-31' AS day,
        MAP {DATE '2022-07-31': 1} AS map, {'a': NULL} AS struct, 'ø\x1b' AS text,
        170141183460469231731687303715884105727 AS huge"""
    assert _object(command("sql", query, "--lake", sample_lake, "--json").stdout) == [
        {
            "nan": None,
            "list": [None, 1.0],
            "day": "2022-07-31",
            "map": {"2022-07-31": 1},
            "struct": {"a": None},
            "text": "ø\x1b",
            "huge": 170141183460469231731687303715884105727,
        }
    ]


def _object(text: str) -> object:
    """A JSON text, strictly."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


# Tables and the shell


def test_what_texts_hold_is_shown_not_obeyed(command: Command, sample_lake: Path) -> None:
    query = "SELECT chr(27) || '[31m[/]' AS \"[bold]\x1b[31m column\""
    done = command("sql", query, "--lake", sample_lake)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert r"[bold]\x1b[31m column" in done.stdout
    assert r"\x1b[31m[/]" in done.stdout


def test_what_paths_hold_is_shown_not_obeyed(command: Command, folder: Path) -> None:
    done = command("ingest", "news", "--raw", "[/]\x1b[31m:smile:")
    assert done.stderr == "assay: --raw [/]\\x1b[31m:smile: matches no file\n"


def test_the_shell_answers_and_goes_on_after_a_mistake(
    command: Command, sample_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = iter(["SELECT count(*) AS corpora", "FROM supply;", ";", "SELEC 1;", "SELECT 6 * 7 AS answer;"])

    def typed(_: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", typed)
    done = command("sql", "--lake", sample_lake)
    assert done.returncode == 0
    assert done.stdout.index("corpora") < done.stdout.index("8") < done.stdout.index("42")
    assert "syntax error" in done.stderr


def test_a_stale_corpus_is_said_with_the_command_that_helps(command: Command, folder: Path) -> None:
    command("ingest", "news", "--raw", "raw", "--lake", "lake")
    done = command("status", "--lake", "lake")
    assert done.returncode == 0
    assert "not tokenized" in done.stdout
    [row] = _object(command("status", "--lake", "lake", "--json").stdout)["corpora"]
    assert row["command"].startswith("assay tokenize --all")
    assert f"news; `{row['command']}` brings" in done.stderr


def test_gc_says_what_can_go_and_deletes_it_when_told(command: Command, sample_lake: Path, folder: Path) -> None:
    lake = shutil.copytree(sample_lake, folder / "copy")
    (lake / "news/documents" / f"part-{'0' * 64}.parquet").write_bytes(b"old")
    status = command("status", "--lake", lake, "--json").stdout
    before = sorted(lake.rglob("*"))
    said = _object(command("gc", "--lake", lake, "--json").stdout)
    assert {"room": "news", "kind": "documents", "files": 1, "bytes": 3} in said["found"]
    assert {row["kind"] for row in said["found"]} == {"documents", "edges", "keys", "receipts"}
    assert sorted(lake.rglob("*")) == before
    done = command("gc", "--yes", "--lake", lake)
    assert done.returncode == 0
    assert f"{said['files']:,} files, {said['bytes']:,} bytes are deleted" in done.stderr
    there = {path for path in lake.rglob("*") if path.is_file() and not path.name.endswith(".lock")}
    assert len(there) == len([path for path in before if path in there])
    assert _object(command("gc", "--lake", lake, "--json").stdout) == {"files": 0, "bytes": 0, "found": []}
    assert command("status", "--lake", lake, "--json").stdout == status
    assert command("reconcile", "--lake", lake).returncode == 0
    assert command("sql", "SELECT count(text) FROM documents", "--lake", lake).returncode == 0


# The installation is what runs


@pytest.mark.parametrize("mode", ["threads", "processes"])
def test_folders_of_the_same_name_are_not_imported(folder: Path, tokenizer_file: Path, mode: str) -> None:
    for name in ("pipelines", "corpora", "planner", "tokenizer"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"raise SystemExit('imported {name}/ of the user')\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    options = ["--raw", "raw", "--tokenizer", tokenizer_file, "--runner", mode, "--workers", "2", "--json"]
    done = _run([ASSAY, "tokenize", "news", *options], cwd=folder, env=clean)
    assert "of the user" not in done.stderr
    assert done.returncode == 0
    assert _object(done.stdout)["corpora"][0]["kept"] == 2


def test_it_works_from_any_folder(tmp_path: Path, sample_lake: Path) -> None:
    done = _run([ASSAY, "status", "--lake", sample_lake, "--json"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["corpus"] for row in _object(done.stdout)["corpora"]} == set(CORPORA)


def test_the_lake_of_the_sample_is_found_where_there_is_no_other(sample_lake: Path) -> None:
    done = _run([ASSAY, "status", "--json"], cwd=sample_lake.parent)
    assert done.returncode == 0
    assert _object(done.stdout)["lake"] == str(sample_lake)
