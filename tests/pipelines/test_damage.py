"""A part damaged on disk is found and named by `reconcile`, and made anew by the next run, with the same bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora.errors import AssayError, LakeError
from pipelines import deduplicate
from pipelines.quality import profile
from planner.reconcile import reconcile

LISTED = ("documents", "signals", "signatures", "counts", "ledger", "tokens", "findings")  # in manifests


ROOMS = ("news", "press", "duplicates", "tokenizer")


def _flip(part: Path) -> None:
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)


def _cut(part: Path) -> None:
    os.truncate(part, part.stat().st_size - 1)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, project_in: Callable) -> Path:
    """A corpus of two parts, with a duplicate in each."""
    project = project_in(tmp_path_factory.mktemp("built"))
    for name in ("a", "b"):
        texts = [project.prose(1), project.prose(1), project.prose(ord(name)), "too short"]
        project.write("news", f"{name}.jsonl.gz", texts)
    run(project)
    return project.folder


@pytest.fixture
def lake(built: Path, tmp_path: Path, project_in: Callable):
    return project_in(shutil.copytree(built, tmp_path / "project"))


def run(project) -> None:
    project.ingest("news", part_bytes=1)
    project.tokenize()


def failures(project) -> list[str]:
    return [check.detail for check in reconcile(project.lake) if not check.holds]


def parts_of(project, *kinds: str) -> list[Path]:
    return sorted(path for kind in kinds for path in project.folder.glob(f"lake/*/{kind}/part-*"))


@pytest.mark.parametrize("kind", LISTED)
def test_a_flipped_bit_is_named_and_its_part_made_anew(lake, kind: str) -> None:
    before = lake.published()
    part = parts_of(lake, kind)[0]
    _flip(part)
    (found,) = failures(lake)
    assert str(part) in found and "the next `assay tokenize` makes it anew" in found
    run(lake)
    assert lake.published() == before
    assert failures(lake) == []


@pytest.mark.parametrize("damage", [_flip, _cut, Path.unlink])
def test_all_damaged_parts_are_named_at_once(lake, damage: Callable[[Path], None]) -> None:
    before = lake.published()
    parts = parts_of(lake, *LISTED)
    for part in parts:
        damage(part)
    assert {str(part) for part in parts} == {found.partition(" is ")[0] for found in failures(lake)}
    assert len(parts) > 12
    run(lake)
    assert lake.published() == before
    assert failures(lake) == []


def test_cut_and_deleted_parts_are_made_anew_without_being_named_first(lake) -> None:
    before = lake.published()
    for index, part in enumerate(parts_of(lake, *LISTED)):
        _cut(part) if index % 2 else part.unlink()
    run(lake)
    assert lake.published() == before


@pytest.mark.parametrize("kind", ["keys", "edges"])
def test_no_run_goes_on_from_damaged_keys(lake, new_project: Callable, kind: str) -> None:
    """No manifest lists them: once they are noted, the lake in force adds up."""
    for part in parts_of(lake, kind):
        _flip(part)
    assert all(f"/{kind}/part-" in found for found in failures(lake))
    assert failures(lake) == []
    for part in parts_of(lake, "findings"):
        part.unlink()
    fresh = new_project()
    for project in (lake, fresh):
        project.write("news", "a.jsonl.gz", [project.prose(1), project.prose(1), project.prose(ord("a")), "too short"])
        project.write("news", "b.jsonl.gz", [project.prose(1), project.prose(1), project.prose(ord("b")), "too short"])
        run(project)
    assert lake.published() == fresh.published()


@pytest.mark.parametrize("kind", ["documents", "signals", "signatures", "counts", "keys", "edges", "findings"])
def test_a_run_that_reads_a_damaged_part_makes_nothing_of_it(lake, new_project: Callable, kind: str) -> None:
    """Nobody has noted it yet. The next runs make it anew, and all that follows from it."""
    for part in parts_of(lake, kind):
        _flip(part)
    whole = new_project()
    for project in (lake, whole):
        for name in ("a", "b"):
            texts = [project.prose(1), project.prose(1), project.prose(ord(name)), "too short"]
            project.write("news", f"{name}.jsonl.gz", texts)
        project.write("press", "a.jsonl", [project.prose(1), project.prose(ord("a"))])  # whose copies are kept
    for _ in range(6):
        try:
            lake.ingest("press")
            run(lake)
            break
        except AssayError as error:
            assert "is damaged" in str(error)
    failures(lake)  # notes edges that no run has read since
    run(lake)
    assert failures(lake) == []
    whole.ingest("press")
    run(whole)
    assert {name: lake.lake.room(name).current() for name in ROOMS} == {
        name: whole.lake.room(name).current() for name in ROOMS
    }


def test_findings_of_an_older_version_are_made_anew(lake, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = profile.of_lake(lake.lake)
    assert deduplicate.up_to_date(lake.lake, profiles)
    monkeypatch.setattr(deduplicate, "VERSIONS", {"exact": -1})
    assert not deduplicate.up_to_date(lake.lake, profiles)


def test_a_tokenizer_that_is_gone_or_changed_is_set_again(lake) -> None:
    path = next(lake.folder.glob("lake/tokenizer/tokenizer-*"))
    before = path.read_bytes()
    for damage in (_flip, Path.unlink):
        damage(path)
        lake.write("news", "c.jsonl.gz", [lake.prose(len(before) + path.exists())])
        lake.tokenizer, given = None, lake.tokenizer
        lake.ingest("news", part_bytes=1)
        with pytest.raises(LakeError, match=r"tokenizer-.*`assay tokenize --tokenizer FILE` sets it again"):
            lake.tokenize()
        lake.tokenizer = given
        lake.tokenize()
        assert path.read_bytes() == before


def test_readers_of_a_lake_that_they_cannot_write_to_are_told_what_to_do(lake, monkeypatch: pytest.MonkeyPatch) -> None:
    part = next(lake.folder.glob("lake/news/tokens/part-*"))
    _flip(part)

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(lake.lake.fs), "pipe_file", refuse)
    (found,) = failures(lake)
    assert f"{part} is damaged" in found and "delete it to have it made anew" in found


def _no_json(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _one_digit(file: Path) -> None:
    """Another number of rows: still JSON."""
    text = file.read_text()
    at = text.index('"rows": ') + len('"rows": ')
    file.write_text(text[:at] + str(9 - int(text[at])) + text[at + 1 :])


@pytest.mark.parametrize("damage", [_no_json, _one_digit])
def test_a_damaged_receipt_counts_as_none(lake, damage: Callable[[Path], None]) -> None:
    before, damaged = lake.published(), 0
    for receipt in lake.folder.glob("lake/*/receipts/*/*.json"):
        if damage is _no_json or '"rows": ' in receipt.read_text():
            damage(receipt)
            damaged += 1
    assert damaged > 9
    run(lake)
    assert lake.published() == before
    assert failures(lake) == []


@pytest.mark.parametrize("room", ["news", "duplicates", "tokenizer"])
@pytest.mark.parametrize("name", ["current", "manifests/*", "no manifests"])
def test_what_is_said_about_damaged_json_in_force_brings_it_back(lake, command: Callable, room: str, name: str) -> None:
    before, where = lake.published(), lake.folder / "lake" / room
    for file in where.glob(name.removeprefix("no ")):
        if name == "no manifests":
            shutil.rmtree(file)
        else:
            _no_json(file)
    for verb in ("status", "gc"):
        done = command(verb, "--lake", lake.lake.url)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert f"delete {where}/current and run `assay tokenize --all" in done.stderr
        assert ("--tokenizer" in done.stderr) is (room == "tokenizer")
    assert command("reconcile", "--lake", lake.lake.url).returncode == 1
    (where / "current").unlink()
    run(lake)
    after = lake.published()
    assert {name: data for name, data in before.items() if "catalog" not in name}.items() <= after.items()
    assert failures(lake) == []


def test_what_is_no_part_is_not_taken_for_one(lake, command: Callable) -> None:
    """A folder in the place of a part is named and nothing is lost; files of others are left alone."""
    before, part = lake.published(), parts_of(lake, "tokens")[0]
    for name in ("notes.txt", "news/notes.txt", "news/tokens/notes.txt", "mine/notes.txt"):
        (lake.folder / "lake" / name).parent.mkdir(exist_ok=True)
        (lake.folder / "lake" / name).write_text("a person's own")
    others = {name: data for name, data in lake.published().items() if name not in before}
    assert failures(lake) == []
    part.unlink()
    part.mkdir()
    assert f"{part} cannot be read: Is a directory" in failures(lake)
    done = command("tokenize", "news", "--tokenizer", lake.tokenizer, "--lake", lake.lake.url, "--workers", "1")
    assert done.returncode == 1
    assert str(part) in done.stderr.splitlines()[-1]
    part.rmdir()
    run(lake)
    assert {n: data for n, data in lake.published().items() if n in before} == before
    assert others.items() <= lake.published().items()
