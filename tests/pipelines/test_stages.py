"""The three stages on small raw files: what is read, done again, stale, refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import fsspec
import pytest

from corpora import catalog
from corpora.errors import AssayError, ConfigError, LakeError
from corpora.lake import Lake
from corpora.state import states
from pipelines import chain, ingest
from pipelines.ingest import TooManyQuarantined
from pipelines.quality import profile
from planner import ledger
from planner.reconcile import reconcile


def holds(project) -> bool:
    return all(check.holds for check in reconcile(project.lake))


def stale(project) -> dict[str, tuple[str, ...]]:
    profiles = {name: wanted.fingerprint for name, wanted in profile.of_lake(project.lake).items()}
    return {state.corpus: state.stale for state in states(project.lake, profiles) if state.stale}


def test_every_document_has_one_outcome(project) -> None:
    good = [project.prose(i) for i in range(5)]
    project.write("news", "a.jsonl", [*good, good[0], "too short", {"id": "x"}, {"text": 3}])
    project.ingest("news")
    project.tokenize()
    assert project.outcomes("news") == {"quarantined": 2, "dropped": 1, "duplicate": 1, "kept": 5}
    rows = project.ledger("news")
    kept = {row["doc_id"] for row in rows if row["outcome"] == "kept"}
    duplicate = next(row for row in rows if row["outcome"] == "duplicate")
    dropped = next(row for row in rows if row["outcome"] == "dropped")
    assert duplicate["duplicate_of"] in kept and duplicate["reason"] == "exact"
    assert (dropped["reason"], dropped["measured"], dropped["threshold"]) == ("word_count", 2.0, 50.0)
    assert all((row["n_tokens"] is None) == (row["outcome"] == "quarantined") for row in rows)
    assert holds(project)


def test_a_second_run_does_nothing(project) -> None:
    project.write("news", "a.jsonl", [project.prose(1)])
    project.ingest("news")
    project.tokenize()
    before = project.published()
    assert project.ingest("news").done == 0
    project.said.clear()
    project.tokenize()
    assert project.said == ["duplicates: up to date.", "news: ledger and tokens: up to date."]
    assert project.published() == before


def test_new_changed_and_deleted_files(project) -> None:
    files = [project.write("news", f"{i}.jsonl", [project.prose(i)]) for i in range(6)]
    project.ingest("news", part_bytes=1200)
    project.write("news", "6.jsonl", [project.prose(6)])
    assert project.ingest("news", part_bytes=1200).done == 1  # tomorrow's files make tomorrow's parts
    project.write("news", "3.jsonl", [project.prose(33)])
    assert project.ingest("news", part_bytes=1200).done in (1, 2)
    files[0].unlink()
    done = project.ingest("news", part_bytes=1200)
    assert done.manifest["totals"]["records"] == 6
    project.tokenize()
    assert sorted(row["source_file"] for row in project.ledger("news")) == [f"{i}.jsonl" for i in range(1, 7)]
    assert holds(project)


def test_the_row_digest_does_not_depend_on_history(project, new_project) -> None:
    daily, once = project, new_project()
    for day in range(5):
        for p in (daily, once):
            p.write("news", f"{day}.jsonl", [p.prose(10 * day + i) for i in range(3)])
        daily.ingest("news")
    once.ingest("news")
    manifests = [p.lake.room("news").manifest("ingest") for p in (daily, once)]
    assert [len(manifest["tasks"]) for manifest in manifests] == [5, 1]
    assert manifests[0]["row_digest"] == manifests[1]["row_digest"]


def test_across_corpora_the_copy_of_the_lowest_priority_number_is_kept(project) -> None:
    shared = [project.prose(i) for i in range(3)]
    project.write("c4", "a.jsonl", [*shared, project.prose(10)])
    project.ingest("c4")
    project.tokenize()
    assert project.outcomes("c4") == {"kept": 4}
    project.write("news", "a.jsonl", [*shared, project.prose(20)])
    project.ingest("news")
    project.tokenize("news")
    assert project.outcomes("news") == {"kept": 4}
    assert stale(project) == {"c4": ("duplicates changed in 1 of 1 parts",)}
    project.tokenize()
    assert project.outcomes("c4") == {"kept": 1, "duplicate": 3}
    assert stale(project) == {}
    assert holds(project)


def test_a_dropped_copy_takes_no_text_with_it(project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two copies the one that its profile drops takes no part: the other is kept, whatever their priorities."""
    monkeypatch.chdir(project.folder)
    own = Path("assay.d")
    for folder in ("corpora", "profiles"):
        (own / folder).mkdir(parents=True)
    rule = '[[rule]]\nname = "long"\ncolumn = "n_words"\nminimum = 1000\nsource = "test"\n'
    (own / "profiles" / "strict.toml").write_text(f'description = "drops all"\n{rule}')
    news = (Path(catalog.__file__).parent / "news.toml").read_text().replace('"base"', '"strict"')
    (own / "corpora" / "news.toml").write_text(news)
    for corpus in ("news", "c4"):
        project.write(corpus, "a.jsonl", [project.prose(1)])
        project.ingest(corpus)
    project.tokenize()
    assert project.outcomes("news") == {"dropped": 1}
    assert project.outcomes("c4") == {"kept": 1}
    assert holds(project)


def test_a_changed_profile_reads_no_text_and_touches_only_changed_tokens(project, monkeypatch) -> None:
    monkeypatch.chdir(project.folder)
    project.write("news", "a.jsonl.gz", [project.prose(i, 60 + i) for i in range(30)])
    project.write("news", "b.jsonl.gz", [project.prose(50 + i, 300) for i in range(30)])
    project.ingest("news", part_bytes=1)
    project.tokenize()
    before = project.lake.room("news").manifest("ledger")
    profiles = Path("assay.d/profiles")
    profiles.mkdir(parents=True)
    rule = '[[rule]]\nname = "short"\ncolumn = "n_words"\nminimum = 75\nsource = "test"\n'
    (profiles / "base.toml").write_text(f'description = "longer"\n{rule}')
    assert stale(project) == {"news": ("its profile changed",)}
    project.tokenize()
    after = project.lake.room("news").manifest("ledger")
    assert [a["counts"] for a in after["parts"]] == [b["counts"] for b in before["parts"]]
    assert after["parts"][0]["tokens"] != before["parts"][0]["tokens"]
    assert after["parts"][1]["tokens"] == before["parts"][1]["tokens"]
    assert project.outcomes("news")["dropped"] == 13
    assert holds(project)


def test_another_tokenizer_makes_every_count_stale(project, new_project, tmp_path: Path) -> None:
    import pyarrow as pa

    from tokenizer.train import train_bpe

    for corpus in ("news", "c4"):
        project.write(corpus, "a.jsonl", [project.prose(len(corpus))])
        project.ingest(corpus)
    project.tokenize()
    other = tmp_path / "other.json"
    other.write_bytes(train_bpe([pa.array([project.prose(7)], pa.large_string())], 300))
    project.tokenizer = other
    project.tokenize("news")
    assert any("every count made with the one before is stale" in sentence for sentence in project.said)
    assert stale(project) == {"c4": ("the tokenizer changed",)}
    project.tokenize()
    assert stale(project) == {}


def test_without_a_tokenizer_one_is_trained_and_marked(project, new_project) -> None:
    manifests = []
    for p in (project, new_project()):
        p.tokenizer = None
        p.write("news", "a.jsonl", [p.prose(i) for i in range(40)])
        p.ingest("news")
        p.tokenize()
        manifests.append(p.lake.room("tokenizer").manifest("tokenizer"))
    assert manifests[0] == manifests[1]
    assert manifests[0]["provisional"] is True
    assert manifests[0]["trained_on"]["documents"] == 40
    assert any("provisional" in sentence for sentence in project.said)


def test_bad_input_is_quarantined_with_a_reason_and_the_run_goes_on(project) -> None:
    raw = project.folder / "data" / "raw" / "news"
    project.write("news", "good.jsonl.gz", [project.prose(i) for i in range(30)])
    whole = project.write("news", "truncated.jsonl.gz", [project.prose(100 + i) for i in range(500)])
    whole.write_bytes(whole.read_bytes()[:-200])
    project.write("news", "invalid.jsonl", [project.prose(700)], end=b'{"text": "\xff\xfe"}\n')
    line = json.dumps({"text": "x" * 50_000_000}).encode() + b"\n"
    (raw / "long.jsonl.gz").write_bytes(
        gzip.compress(line, 1) + gzip.compress(json.dumps({"text": project.prose(800)}).encode())
    )
    (raw / "empty.jsonl").write_bytes(b"")
    project.ingest("news")
    project.tokenize()
    reasons = {row["reason"]: row["source_file"] for row in project.ledger("news") if row["outcome"] == "quarantined"}
    assert reasons == {
        "truncated gzip stream": "truncated.jsonl.gz",
        "invalid UTF-8": "invalid.jsonl",
        "line longer than 33554432 bytes": "long.jsonl.gz",
        "empty file": "empty.jsonl",
    }
    assert project.outcomes("news")["kept"] > 32
    assert project.lake.room("news").manifest("ingest")["totals"]["unreadable"] == 2
    assert any("2 raw files are damaged or empty" in sentence for sentence in project.said)
    assert holds(project)


def test_a_submission_without_documents_is_quarantined(project) -> None:
    raw = project.folder / "data" / "raw" / "filings"
    raw.mkdir(parents=True)
    (raw / "none.txt").write_text(
        "<SEC-DOCUMENT>x.txt\n<SEC-HEADER>\nACCESSION NUMBER: 1\n</SEC-HEADER>\n</SEC-DOCUMENT>\n"
    )
    project.ingest("filings")
    project.tokenize()
    assert [(row["outcome"], row["reason"]) for row in project.ledger("filings")] == [("quarantined", "no documents")]
    assert holds(project)


def test_too_much_quarantined_fails_the_run_and_leaves_what_was_in_force(project) -> None:
    project.write("news", "a.jsonl", [project.prose(i) for i in range(100)])
    project.ingest("news")
    before = project.lake.room("news").current()
    project.write("news", "b.jsonl", [project.prose(200)], end=b"not json\n" * 10)
    project.ingest("news")  # ten are passed over whatever their share
    assert project.lake.room("news").current() != before
    before = project.lake.room("news").current()
    project.write("news", "c.jsonl", [project.prose(300)], end=b"not json\n")
    with pytest.raises(TooManyQuarantined, match=r"11 of 113 records .* see .*quarantine\.tsv; nothing was published"):
        project.ingest("news")
    assert project.lake.room("news").current() == before
    listing = (project.folder / "lake/news/quarantine.tsv").read_text().splitlines()
    assert len(listing) == 12 and listing[1].split("\t")[2] == "not JSON"
    project.ingest("news", max_quarantined=0.2)
    assert project.lake.room("news").current() != before


def test_a_task_with_much_text_has_several_parts(project, new_project, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are cut at fixed byte counts of decoded text, between batches, and hold the same rows as one part does."""
    digests = []
    for p, output_bytes in ((project, 5_000), (new_project(), 256 << 20)):
        monkeypatch.setattr(ingest, "OUTPUT_BYTES", output_bytes)
        monkeypatch.setattr(ingest, "ROW_GROUP_ROWS", 4)
        for i in range(10):
            p.write("news", f"{i}.jsonl.gz", [p.prose(4 * i + j) for j in range(4)])
        p.ingest("news")
        p.tokenize()
        assert holds(p)
        digests.append(p.lake.room("news").manifest("ingest")["row_digest"])
    assert len(project.lake.room("news").manifest("ledger")["parts"]) > 2
    assert digests[0] == digests[1]


def test_raw_files_and_lake_behind_fsspec(project) -> None:
    """Nothing is local: files are listed, read, put and queried through fsspec."""
    memory = fsspec.filesystem("memory")
    name = project.folder.name
    lines = [json.dumps({"id": i, "text": project.prose(i % 20)}) for i in range(30)]
    memory.pipe(f"/{name}/raw/a.jsonl", "\n".join(lines).encode())
    lake, setup, news = Lake(f"memory://{name}/lake"), project.setup(), catalog.load("news")
    chain.run_ingest(lake, news, chain.raw_of(news, [f"memory://{name}/raw/*.jsonl"], None), setup)
    chain.run_deduplicate(lake, setup)
    chain.run_tokenize(lake, ["news"], chain.run_tokenizer(lake, None, setup), setup)
    profiles = {corpus: wanted.fingerprint for corpus, wanted in profile.of_lake(lake).items()}
    with ledger.connect(lake, profiles) as connection:
        assert connection.execute("SELECT source, documents, state FROM supply").fetchall() == [("news", 20, "current")]
    assert all(check.holds for check in reconcile(lake))


def test_a_corpus_without_a_document(project) -> None:
    project.write("news", "a.jsonl", [], end=b"\n\n")
    project.ingest("news")
    project.tokenize()
    assert project.outcomes("news") == {}
    assert holds(project)


def test_raw_that_matches_a_file_twice_is_an_error(project) -> None:
    file = project.write("news", "a.jsonl", [project.prose(1)])
    with pytest.raises(ConfigError, match=r"news: the raw file a\.jsonl is matched twice"):
        project.ingest("news", str(file.parent), f"{file.parent}/a*")


def test_raw_that_matches_nothing_is_an_error(project) -> None:
    with pytest.raises(ConfigError, match="matches no file"):
        chain.raw_of(catalog.load("news"), [str(project.folder / "nowhere" / "*.jsonl")], None)


def test_the_sample_never_joins_real_data(project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    project.write("news", "a.jsonl", [project.prose(1)])
    project.ingest("news")
    with pytest.raises(AssayError, match="the two are never mixed"):
        chain.choose_lake("lake", catalog.load("c4"), None, project.said.append)


def test_two_writers_of_one_corpus(project) -> None:
    project.write("news", "a.jsonl", [project.prose(1)])
    with (
        project.lake.room("news").lock("ingest"),
        pytest.raises(LakeError, match="news is being written by ingest, process"),
    ):
        project.ingest("news")


def test_press_reads_its_own_files_and_the_exhibits_of_filings(project) -> None:
    exhibit = project.prose(1)
    submission = (
        "<SEC-DOCUMENT>a.txt\n<SEC-HEADER>\nACCESSION NUMBER: 0000000001-24-000001\n</SEC-HEADER>\n"
        f"<DOCUMENT>\n<TYPE>8-K\n<SEQUENCE>1\n<TEXT>\n{project.prose(2)}\n</TEXT>\n</DOCUMENT>\n"
        f"<DOCUMENT>\n<TYPE>EX-99.1\n<SEQUENCE>2\n<TEXT>\n{exhibit}\n</TEXT>\n</DOCUMENT>\n</SEC-DOCUMENT>\n"
    )
    filings = project.folder / "data" / "raw" / "filings"
    filings.mkdir(parents=True)
    (filings / "a.txt").write_text(submission)
    project.write("press", "wire.jsonl", [project.prose(3)])
    wanted = catalog.load("press")
    root = str(project.folder / "data" / "raw" / "press")
    inputs = tuple(chain.RawInput(root, entry.raw, entry) for entry in wanted.inputs)
    chain.run_ingest(project.lake, wanted, chain.Raw(inputs), project.setup())
    project.ingest("filings")
    project.tokenize()
    files = [(row["source_file"], row["native_id"]) for row in project.ledger("press")]
    assert files == [("../filings/a.txt", "0000000001-24-000001:2"), ("wire.jsonl", "0")]
    totals = {name: project.lake.room(name).manifest("ingest")["totals"]["skipped"] for name in ("press", "filings")}
    assert totals == {"press": {"not selected": 1}, "filings": {"type EX-99*": 1}}
    assert holds(project)


def test_a_lake_among_the_raw_files_is_refused(project, monkeypatch) -> None:
    project.write("news", "a.jsonl", [project.prose(1)])
    monkeypatch.chdir(project.folder)
    Path("link").symlink_to("data/raw")
    wanted = catalog.load("news")
    for lake in ("data/raw/news/lake", "data/raw/news", "link/news/lake"):
        for raw in ("data/raw/news", "link/news", "data/raw/../raw/news/**"):
            with pytest.raises(ConfigError, match=r"the lake .*news.* lies in the raw folder .*: name another --lake"):
                chain.run_ingest(Lake(lake), wanted, chain.raw_of(wanted, [raw], None), project.setup())
    for lake, raw in (("data/raw/news", "data/raw/*/*.jsonl"), ("link", "data/raw/news/*.jsonl")):
        with pytest.raises(ConfigError, match=r"a\.jsonl lies in the lake .*: name another --lake"):
            chain.run_ingest(Lake(lake), wanted, chain.raw_of(wanted, [raw], None), project.setup())
    for lake in ("data/raw/news/.lake", "data/raw/news-lake", "data/raw/news/lake"):
        chain.run_ingest(Lake(lake), wanted, chain.raw_of(wanted, ["data/raw/news/*.jsonl"], None), project.setup())
