"""The lake as SQL: the views add up, the catalog follows the lake, and others can open all of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora import catalog
from corpora.lake import Lake
from corpora.sample import CORPORA, PLANTED
from corpora.schema import SIGNALS
from pipelines.quality import profile
from planner import ledger
from planner.ledger import VIEWS
from tokenizer.train import train_bpe

Command = Callable[..., subprocess.CompletedProcess[str]]


def _profiles(lake: Lake) -> dict[str, str]:
    return {name: profile.load(catalog.load(name).profile).fingerprint for name in lake.corpora()}


def _connect(lake: Path) -> duckdb.DuckDBPyConnection:
    return ledger.connect(Lake(lake), _profiles(Lake(lake)))


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict]:
    result = connection.execute(query)
    columns = [column[0] for column in result.description]
    return [dict(zip(columns, row)) for row in result.fetchall()]


@pytest.fixture(scope="module")
def sample(sample_lake: Path) -> duckdb.DuckDBPyConnection:
    """The sample lake, to query."""
    return _connect(sample_lake)


@pytest.fixture
def lake(sample_lake: Path, tmp_path: Path) -> Path:
    """A copy of the sample lake, to change."""
    return shutil.copytree(sample_lake, tmp_path / "lake-sample")


# What the views say


def test_supply_is_what_the_ledger_keeps(sample: duckdb.DuckDBPyConnection) -> None:
    counted = """
        SELECT corpus AS source, count(*) AS documents, sum(n_chars)::BIGINT AS chars, sum(n_tokens)::BIGINT AS tokens,
            (sum(n_tokens) + count(*))::BIGINT AS training_tokens
        FROM ledger WHERE outcome = 'kept' GROUP BY corpus ORDER BY tokens DESC, source"""
    columns = "source, documents, chars, tokens, training_tokens"
    assert _rows(sample, f"SELECT {columns} FROM supply") == _rows(sample, counted)


def test_supply_says_what_its_counts_are(sample: duckdb.DuckDBPyConnection) -> None:
    rows = _rows(sample, "FROM supply")
    assert {row["source"] for row in rows} == set(CORPORA)
    for row in rows:
        assert row["training_tokens"] == row["tokens"] + row["documents"]
        assert row["group"] == catalog.load(row["source"]).group
        assert (row["known"], row["state"], row["provisional"], row["sample"]) == ("measured", "current", True, True)
    assert len({row["tokenizer"] for row in rows}) == 1


def test_totals_are_the_rows_aggregated(sample: duckdb.DuckDBPyConnection) -> None:
    aggregated = """
        SELECT corpus, outcome, reason, count(*) AS documents, sum(raw_bytes)::BIGINT AS raw_bytes,
            coalesce(sum(n_bytes), 0)::BIGINT AS bytes, coalesce(sum(n_chars), 0)::BIGINT AS chars,
            coalesce(sum(n_tokens), 0)::BIGINT AS tokens
        FROM ledger GROUP BY ALL ORDER BY ALL"""
    assert _rows(sample, "FROM totals ORDER BY ALL") == _rows(sample, aggregated)


def test_composition_adds_up(sample: duckdb.DuckDBPyConnection) -> None:
    rows = {row["dataset"]: row for row in _rows(sample, "FROM composition")}
    groups = {name: catalog.load(name).group.upper() for name in CORPORA}
    assert rows.keys() == {*CORPORA, *groups.values(), "TOTAL"}

    for column in ("documents", "chars", "tokens", "percent"):
        for group in groups.values():
            members = [name for name in CORPORA if groups[name] == group]
            assert sum(rows[name][column] for name in members) == pytest.approx(rows[group][column])
        assert sum(rows[name][column] for name in CORPORA) == pytest.approx(rows["TOTAL"][column])
    assert rows["TOTAL"]["percent"] == pytest.approx(100)

    for row in rows.values():
        assert row["chars_per_document"] == pytest.approx(row["chars"] / row["documents"])
        assert row["chars_per_token"] == pytest.approx(row["chars"] / row["tokens"])


def test_composition_totals_the_supply(sample: duckdb.DuckDBPyConnection) -> None:
    sums = ", ".join(f"sum({column})::BIGINT AS {column}" for column in ("documents", "chars", "tokens"))
    supply = _rows(sample, f"SELECT {sums} FROM supply")
    assert _rows(sample, "SELECT documents, chars, tokens FROM composition WHERE dataset = 'TOTAL'") == supply


def test_composition_is_ordered_like_the_paper(sample: duckdb.DuckDBPyConnection) -> None:
    """Each group above its sources, those by tokens, the total last."""
    rows = _rows(sample, "FROM composition")
    assert rows[-1]["dataset"] == "TOTAL"
    starts = [i for i, row in enumerate(rows) if row["dataset"].isupper()]
    assert starts[0] == 0
    for start, end in pairwise(starts):
        sources = rows[start + 1 : end]
        assert {catalog.load(row["dataset"]).group.upper() for row in sources} == {rows[start]["dataset"]}
        assert [row["tokens"] for row in sources] == sorted((row["tokens"] for row in sources), reverse=True)


def test_drops_are_all_that_is_not_kept(sample: duckdb.DuckDBPyConnection) -> None:
    counted = """
        SELECT corpus AS source, outcome, reason, count(*) AS documents
        FROM ledger WHERE outcome <> 'kept' GROUP BY ALL ORDER BY source, outcome, documents DESC, reason"""
    assert _rows(sample, "SELECT source, outcome, reason, documents FROM drops") == _rows(sample, counted)
    for row in _rows(sample, "FROM drops"):
        assert row["percent"] == pytest.approx(100 * row["documents"] / PLANTED[row["source"]].records)


def test_ledger_has_every_document_once(sample: duckdb.DuckDBPyConnection) -> None:
    records = sum(planted.records for planted in PLANTED.values())
    assert sample.execute("SELECT count(*), count(DISTINCT doc_id) FROM ledger").fetchone() == (records, records)


def test_documents_are_text_and_signals(sample: duckdb.DuckDBPyConnection) -> None:
    both = sample.execute("SELECT count(*) FROM documents JOIN ledger USING (doc_id)").fetchone()[0]
    assert both == sum(planted.records for planted in PLANTED.values())
    assert {"text", "title", *SIGNALS.names} <= {row["column_name"] for row in _rows(sample, "DESCRIBE documents")}
    wrong = """
        SELECT count(*) FROM documents d JOIN ledger l USING (doc_id)
        WHERE (text IS NULL) <> (outcome = 'quarantined') OR length(text) <> l.n_chars OR d.n_words <> l.n_words"""
    assert sample.execute(wrong).fetchone() == (0,)


def test_skipped_pieces_are_counted_by_reason(sample: duckdb.DuckDBPyConnection) -> None:
    rows = _rows(sample, "FROM skipped")
    for name in CORPORA:
        assert {row["reason"]: row["pieces"] for row in rows if row["corpus"] == name} == PLANTED[name].skipped


# The catalog follows the lake


def test_the_catalog_is_built_once(lake: Path) -> None:
    first = ledger.refresh(Lake(lake), _profiles(Lake(lake))).stat()
    again = ledger.refresh(Lake(lake), _profiles(Lake(lake))).stat()
    assert (first.st_ino, first.st_mtime_ns) == (again.st_ino, again.st_mtime_ns)


def test_a_moved_lake_gets_a_catalog_of_its_own(lake: Path, sample_lake: Path) -> None:
    with duckdb.connect(str(lake / "catalog.duckdb"), read_only=True) as before:
        assert before.execute("SELECT lake FROM assay_catalog").fetchone() == (str(sample_lake),)
    with _connect(lake) as after:
        assert after.execute("SELECT lake FROM assay_catalog").fetchone() == (str(lake),)
        views = "\n".join(row["sql"] for row in _rows(after, "FROM duckdb_views() WHERE NOT internal"))
        assert str(lake) in views
        assert str(sample_lake) not in views


@pytest.mark.parametrize("data", [b"", b"no database"])
def test_a_damaged_catalog_is_built_anew(lake: Path, data: bytes) -> None:
    (lake / "catalog.duckdb").write_bytes(data)
    with _connect(lake) as connection:
        assert len(_rows(connection, "FROM supply")) == len(CORPORA)


def test_a_catalog_that_cannot_be_written_is_made_in_memory(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise PermissionError(13, "Permission denied", str(lake / ".catalog.lock"))

    monkeypatch.setattr(ledger, "refresh", refuse)
    with _connect(lake) as connection:
        assert {view: len(_rows(connection, f"SELECT 1 FROM {view}")) for view in VIEWS}["supply"] == len(CORPORA)


def test_another_tokenizer_makes_the_other_corpora_stale(command: Command, lake: Path, tmp_path: Path) -> None:
    old = lake.joinpath("catalog.duckdb").read_bytes()
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_bytes(train_bpe([pa.array(["the market rose and rose"] * 9, pa.large_string())], 300))

    done = command("tokenize", "filings", "--lake", lake, "--tokenizer", tokenizer)

    assert done.returncode == 0
    assert "every count made with the one before is stale" in done.stderr
    assert lake.joinpath("catalog.duckdb").read_bytes() != old
    with _connect(lake) as connection:
        rows = {row["source"]: row for row in _rows(connection, "FROM supply")}
        composition = {row["dataset"]: row for row in _rows(connection, "FROM composition")}
    for dataset in ("FINANCIAL", "TOTAL"):  # counts of different tokenizers never add
        assert (composition[dataset]["tokens"], composition[dataset]["percent"]) == (None, None)
    assert composition["PUBLIC"]["tokens"] > 0
    assert (rows["filings"]["state"], rows["filings"]["provisional"]) == ("current", False)
    others = [rows[name] for name in CORPORA if name != "filings"]
    assert {row["state"] for row in others} == {"stale: the tokenizer changed"}
    assert {row["tokenizer"] for row in others} != {rows["filings"]["tokenizer"]}
    status = json.loads(command("status", "--lake", lake, "--json").stdout)
    helps = {row["corpus"]: row["command"] for row in status["corpora"]}
    assert helps.pop("filings") is None
    assert all(help_.startswith("assay tokenize --all") for help_ in helps.values())
    assert command("reconcile", "--lake", lake).returncode == 0


def test_a_changed_profile_makes_a_corpus_stale(lake: Path) -> None:
    profiles = _profiles(Lake(lake)) | {"web": "another"}
    with ledger.connect(Lake(lake), profiles) as connection:
        states = {row["source"]: row["state"] for row in _rows(connection, "FROM supply")}
    assert states.pop("web") == "stale: its profile changed"
    assert set(states.values()) == {"current"}


@pytest.mark.parametrize("names", [["web"], CORPORA], ids=["one corpus", "no corpus"])
def test_what_is_not_tokenized_supplies_nothing(lake: Path, names: list[str]) -> None:
    for name in names:
        current = json.loads((lake / name / "current").read_text())
        (lake / name / "current").write_text(json.dumps({"ingest": current["ingest"]}))
    with _connect(lake) as connection:
        rows = {row["source"]: row for row in _rows(connection, "FROM supply")}
        assert rows.keys() == set(CORPORA)
        for name in names:
            assert (rows[name]["tokens"], rows[name]["state"]) == (0, "stale: not tokenized")
        assert not set(names) & {row["source"] for row in _rows(connection, "FROM drops")}
        assert not set(names) & {row["corpus"] for row in _rows(connection, "SELECT DISTINCT corpus FROM ledger")}
        assert set(names) <= {row["corpus"] for row in _rows(connection, "SELECT DISTINCT corpus FROM documents")}
        assert _rows(connection, "FROM composition")[-1]["dataset"] == "TOTAL"


def test_quotes_in_names_and_texts_are_only_text(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "assay.d" / "corpora" / "o'brien.toml"
    own.parent.mkdir(parents=True)
    own.write_text(
        'description = "O\'Brien\'s \\"papers\\"; DROP TABLE totals; --"\n'
        'group = "it\'s"\nlicense = "\'"\npriority = 1\nprofile = "base"\n[[input]]\nformat = "jsonl"\n'
    )
    text = "She said 'it''s' and \"so\"; DROP TABLE totals; -- " * 20
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "o'clock.jsonl").write_text(json.dumps({"text": text, "title": "'; --"}) + "\n")
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_bytes(train_bpe([pa.array([text], pa.large_string())], 300))
    where = tmp_path / 'it\'s a "lake" [1] {x}'

    done = command("tokenize", "o'brien", "--raw", "raw", "--lake", where, "--tokenizer", tokenizer)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)

    for sibling in ('it\'s a "lake" 1 {x}', 'it\'s a "lake" * {x}'):  # no name is a pattern that matches another lake
        shutil.copytree(where, tmp_path / sibling)
    where = tmp_path / sibling
    [row] = json.loads(command("sql", "FROM documents", "--lake", where, "--json").stdout)
    assert (row["corpus"], row["title"], row["source_file"], row["text"]) == ("o'brien", "'; --", "o'clock.jsonl", text)
    [row] = json.loads(command("sql", "FROM supply", "--lake", where, "--json").stdout)
    assert (row["source"], row["group"], row["documents"]) == ("o'brien", "it's", 1)
    assert [
        row["dataset"] for row in json.loads(command("sql", "FROM composition", "--lake", where, "--json").stdout)
    ] == [
        "IT'S",
        "o'brien",
        "TOTAL",
    ]
    assert command("reconcile", "--lake", where).returncode == 0


# Others open it


@pytest.fixture(scope="session")
def older_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with DuckDB 1.1.3, as a released shell of two years ago: that of `make test`, or installed now."""
    folder = Path(sys.prefix, "older-duckdb")
    if not folder.is_dir():
        folder = tmp_path_factory.mktemp("older-duckdb")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", folder, "duckdb==1.1.3"], check=True, capture_output=True)
    return folder


def test_an_older_duckdb_opens_the_catalog_from_any_folder(
    older_duckdb: Path, sample_lake: Path, sample: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    script = """
import duckdb, json, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
counts = {view: connection.execute(f"FROM {view}").fetchall() for view in sys.argv[2:]}
print(json.dumps({"version": duckdb.__version__, "rows": {view: len(rows) for view, rows in counts.items()}}))
"""
    found = subprocess.run(
        [sys.executable, "-c", script, sample_lake / "catalog.duckdb", *VIEWS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(older_duckdb)},
        check=True,
        capture_output=True,
    )
    assert json.loads(found.stdout) == {
        "version": "1.1.3",
        "rows": {view: sample.execute(f"SELECT count(*) FROM {view}").fetchone()[0] for view in VIEWS},
    }
    assert list(tmp_path.iterdir()) == []


def test_tokens_are_the_same_to_every_reader(
    sample_lake: Path, sample: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    manifests = [Lake(sample_lake).room(name).manifest("ledger") for name in CORPORA]
    parts = [part["tokens"]["sha256"] for manifest in manifests for part in manifest["parts"]]
    files = [str(path) for path in sorted(sample_lake.glob("*/tokens/*.parquet"))]
    assert len(files) == len(parts)

    by_pyarrow = [row for file in files for row in pq.read_table(file).to_pylist()]
    by_duckdb = duckdb.read_parquet(files).to_arrow_table().to_pylist()
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    by_datasets = loaded.with_format("arrow")[:].to_pylist()

    assert by_pyarrow == by_duckdb == by_datasets
    assert sum(len(row["tokens"]) for row in by_pyarrow) == sum(row["n_tokens"] for row in by_pyarrow)
    assert sum(row["n_tokens"] for row in by_pyarrow) == sample.execute("SELECT sum(tokens) FROM supply").fetchone()[0]
