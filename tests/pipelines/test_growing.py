"""A lake that grew is the lake that was built at once: by row digest day after day, by manifest corpus after corpus."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from corpora import catalog, garbage, sample
from corpora import manifest as manifest_files
from corpora.errors import AssayError
from pipelines import chain
from planner.reconcile import reconcile

DAYS = 10
CORPORA = ("filings", "press", "inhouse", "news", "wikipedia")  # every format, and one that reads two
TEXTS = {"news": (0, 1, 2, 3), "c4": (2, 3, 4), "web": (0, 4, 5)}  # each has copies of the others' documents


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw files of the embedded sample, in every format that is read."""
    folder = tmp_path_factory.mktemp("raw")
    sample.write_sample(folder, sorted(CORPORA))
    return folder


def add(project, raw: Path, days: range) -> None:
    """Put the files of some days into the raw folder: of each corpus every tenth is of one day."""
    for corpus in CORPORA:
        files = sorted(p for p in (raw / corpus).rglob("*") if p.is_file() and not p.name.startswith("."))
        for file in (file for day in days for file in files[day::DAYS]):
            target = project.folder / "data/raw" / file.relative_to(raw)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)


def ingest_all(project, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What `assay tokenize --all` does; how many tasks of each corpus were read now."""
    monkeypatch.chdir(project.folder)  # a corpus may read files of another: all inputs of its description
    done = {}
    for corpus in CORPORA:
        wanted = catalog.load(corpus)
        if files := chain.raw_of(wanted, [], None):
            done[corpus] = chain.run_ingest(project.lake, wanted, files, project.setup(max_quarantined=1)).done
    project.tokenize()
    return done


def manifests(project, stage: str) -> dict[str, dict]:
    return {name: project.lake.room(name).manifest(stage) for name in project.lake.corpora()}


def in_force(project) -> dict[str, dict[str, str]]:
    return {name: project.lake.room(name).current() for name in [*project.lake.corpora(), "duplicates", "tokenizer"]}


def test_ten_days_are_one_build(project, new_project: Callable, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_files, "PAGE_ENTRIES", 3)  # so that ten tasks take some
    before: dict[str, dict] = {}
    for day in range(DAYS):
        add(project, raw, range(day, day + 1))
        done = ingest_all(project, monkeypatch)
        after = manifests(project, "ingest")
        for corpus, manifest in before.items():  # what was there stays as it was, and only what came is read
            assert [task for task in after[corpus]["tasks"] if task in manifest["tasks"]] == manifest["tasks"]
            assert len(after[corpus]["tasks"]) - len(manifest["tasks"]) == done[corpus] <= 2
        before = after
    assert len(before["inhouse"]["tasks"]) == DAYS
    assert list((project.folder / "lake/inhouse/manifests").glob("page-*"))

    once = new_project()
    add(once, raw, range(DAYS))
    ingest_all(once, monkeypatch)
    assert len(manifests(once, "ingest")["inhouse"]["tasks"]) == 1
    for stage in ("ingest", "ledger"):
        daily, at_once = manifests(project, stage), manifests(once, stage)
        assert daily.keys() == at_once.keys() == set(CORPORA)
        for corpus in daily:
            assert daily[corpus]["row_digest"] == at_once[corpus]["row_digest"]
            assert daily[corpus]["totals"] == at_once[corpus]["totals"]
    assert all(check.holds for check in reconcile(project.lake))

    chain.run_compact(project.lake, project.lake.corpora(), project.setup(max_quarantined=1))
    assert in_force(project) == in_force(once)
    for p in (project, once):
        garbage.delete_from(p.lake, lambda found: None)
    assert project.published() == once.published()


def test_changed_and_deleted_files_leave_and_the_others_stay(project, new_project: Callable) -> None:
    once = new_project()
    for day in range(6):
        for i in range(3):
            project.write("news", f"{day}-{i}.jsonl", [project.prose(9 * day + 3 * i + j) for j in range(3)])
        project.ingest("news")
        project.tokenize()
    before = {row["source_file"]: row["doc_id"] for row in project.ledger("news")}
    shutil.copytree(project.folder / "data", once.folder / "data")
    for p in (project, once):
        p.write("news", "3-1.jsonl", [p.prose(100 + i) for i in range(4)])
        (p.folder / "data/raw/news/1-0.jsonl").unlink()
    assert project.ingest("news").done == 1  # the two files that came on the days of those two
    once.ingest("news")
    for p in (project, once):
        p.tokenize()
    for stage in ("ingest", "ledger"):
        daily, at_once = manifests(project, stage)["news"], manifests(once, stage)["news"]
        assert daily["row_digest"] == at_once["row_digest"]
    after = {row["source_file"]: row["doc_id"] for row in project.ledger("news")}
    assert before.keys() - after.keys() == {"1-0.jsonl"}
    assert {name for name in after if after[name] != before[name]} <= {"3-1.jsonl"}
    assert all(check.holds for check in reconcile(project.lake))


def test_a_slice_whose_receipt_is_gone_is_read_again(project) -> None:
    """A large file is covered by all of its slices or not at all: one slice in force does not stand for the others."""
    project.write("news", "large.jsonl", [project.prose(i) for i in range(40)])
    whole = project.ingest("news", part_bytes=8_000).manifest
    assert len(whole["tasks"]) > 2
    room = project.lake.room("news")
    receipts = sorted((project.folder / "lake/news/receipts/ingest").iterdir())
    room.drop_receipt("ingest", receipts[0].stem)
    assert project.ingest("news", part_bytes=8_000).done == 1
    assert room.manifest("ingest") == whole


def test_three_corpora_in_all_orders_end_alike(new_project: Callable, command: Callable) -> None:
    ends = []
    for order in permutations(TEXTS):
        project = new_project()
        for corpus in order:
            project.write(corpus, "a.jsonl", [project.prose(i) for i in TEXTS[corpus]])
            project.ingest(corpus)
            project.tokenize(corpus)
        if order == ("c4", "web", "news"):  # the one of highest priority came last: what is kept of c4 has changed
            lake = project.folder / "lake"
            for verb in (["mix", "proportional"], ["plan", "--gpu", "h100", "--gpu-hours", "1"]):
                done = command(*verb, "--lake", lake)
                assert done.returncode == 1
                assert "c4" in done.stderr
                assert f"assay tokenize --all --lake {lake}" in done.stderr
        project.tokenize()
        current = in_force(project)
        garbage.delete_from(project.lake, lambda found: None)
        assert in_force(project) == current
        # Every manifest, and with what the way there left gone, every part.
        ends.append({name: data for name, data in project.published().items() if "catalog" not in name})
    assert len(ends) == 6
    assert all(end == ends[0] for end in ends)


def test_after_gc_a_lake_grows_on_as_if_nothing_had_gone(project, new_project: Callable) -> None:
    kept = new_project()
    for p in (project, kept):
        for day in range(4):
            p.write("news", "changing.jsonl", [p.prose(50 + day)])
            p.write("news", f"{day}.jsonl", [p.prose(i) for i in range(day, day + 3)])  # copies of the day before
            p.write("c4", f"{day}.jsonl", [p.prose(i) for i in range(day, day + 4)])
            for corpus in ("news", "c4"):
                p.ingest(corpus)
            p.tokenize()
            if p is project:
                garbage.delete_from(p.lake, lambda found: None)
                assert garbage.find(p.lake) == []
                assert all(check.holds for check in reconcile(p.lake))
                assert p.ingest("news").done == 0
    assert in_force(project) == in_force(kept)


def test_one_corpus_of_a_lake_that_is_only_ingested_is_compacted(project) -> None:
    for day in range(3):
        for corpus in ("news", "c4"):
            project.write(corpus, f"{day}.jsonl", [project.prose(day)])
            project.ingest(corpus)
    before = in_force(project)
    chain.run_compact(project.lake, ["news"], project.setup())
    assert len(manifests(project, "ingest")["news"]["tasks"]) == 1
    assert in_force(project) == before | {"news": in_force(project)["news"]}
    assert in_force(project)["news"].keys() == {"ingest"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (shutil.rmtree, "its raw files are gone"),
        (lambda raw: (raw / "1.jsonl").unlink(), "its raw files are not those it was read from, 1.jsonl for one"),
        (lambda raw: (raw / "2.jsonl").write_text("{}"), "its raw files are not those it was read from, 2.jsonl"),
        (lambda raw: (raw / "1.jsonl").write_text("{}"), "its raw files or their reader have changed"),
    ],
    ids=["gone", "one gone", "one more", "changed"],
)
def test_what_would_change_a_document_is_not_compacted(project, change: Callable, why: str) -> None:
    for day in range(2):
        project.write("news", f"{day}.jsonl", [project.prose(day)])
        project.ingest("news")
    project.tokenize()
    before = in_force(project)
    change(project.folder / "data/raw/news")
    with pytest.raises(AssayError, match=f"news cannot be compacted: {why}"):
        chain.run_compact(project.lake, ["news"], project.setup())
    assert in_force(project) == before
