"""Supply: from a lake or a table, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from corpora.errors import AssayError, ConfigError
from corpora.lake import Lake
from pipelines.quality import profile
from planner import supply
from planner.schema import Supply
from tokenizer import identity

HEADER = "source,group,documents,tokens\n"


def profiles(lake: Lake) -> dict[str, str]:
    return {name: found.fingerprint for name, found in profile.of_lake(lake).items()}


def test_bloomberggpts_table_gives_its_shares(bloomberggpt: Supply) -> None:
    assert bloomberggpt.tokens == 708_800_000_000
    assert bloomberggpt.documents == 2_266_300_000
    assert bloomberggpt.training_tokens == bloomberggpt.tokens + bloomberggpt.documents
    financial = bloomberggpt.groups["financial"]
    assert round(financial.share, 4) == 0.5127  # Table 1: 51.27 %
    assert round(financial.training_share, 4) == 0.5135
    assert sum(group.share for group in bloomberggpt.groups.values()) == pytest.approx(1)
    assert {source.known for source in bloomberggpt.sources} == {"given"}
    assert not bloomberggpt.lake and bloomberggpt.vocabulary is None


def test_a_lake_gives_what_its_ledger_holds(sample_lake: Path) -> None:
    lake = Lake(sample_lake)
    found = supply.of_lake(lake, profiles(lake))
    rows = duckdb.read_parquet(f"{sample_lake}/*/ledger/*.parquet").filter("outcome = 'kept'")
    counted = rows.aggregate("corpus, count(*), sum(n_tokens)").fetchall()
    assert {(s.source, s.documents, s.tokens) for s in found.sources} == set(counted)
    assert found.training_tokens == found.tokens + found.documents
    assert found.sample and found.provisional and found.lake
    assert found.vocabulary == identity.vocabulary(lake.tokenizer_json(found.tokenizer))
    for source in found.sources:
        assert source.manifest == lake.room(source.source).current()["ledger"]


def test_a_stale_corpus_is_refused_with_the_command_that_helps(sample_lake: Path) -> None:
    lake = Lake(sample_lake)
    with pytest.raises(AssayError, match=r"stale: web \(its profile changed\); `assay tokenize --all --lake"):
        supply.of_lake(lake, profiles(lake) | {"web": "another"})


def forged(room_folder: Path, stage: str, **changes: object) -> None:
    """Put another manifest of a stage in force."""
    with Lake(room_folder.parent).room(room_folder.name).lock("test") as room:
        room.publish(**{stage: room.manifest(stage) | changes})


def test_counts_of_two_tokenizers_are_refused(sample_lake: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(sample_lake, tmp_path / "lake")
    forged(copy / "web", "ledger", tokenizer="0" * 64)
    (copy / "catalog.duckdb").unlink()
    lake = Lake(copy)
    with pytest.raises(AssayError, match="counts of 2 tokenizers, which do not add: `assay tokenize --all"):
        supply.of_lake(lake, profiles(lake))


def test_the_sample_beside_real_data_is_refused(sample_lake: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(sample_lake, tmp_path / "lake")
    forged(copy / "web", "ingest", sample=False)
    (copy / "catalog.duckdb").unlink()
    lake = Lake(copy)
    with pytest.raises(AssayError, match=r"the embedded sample .* beside real data.*--lake OTHER"):
        supply.of_lake(lake, profiles(lake))


def test_an_empty_lake_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"nothing in .* yet"):
        supply.of_lake(Lake(tmp_path), {})


def test_counts_are_read_as_people_write_them(write_supply: Callable) -> None:
    found = supply.of_csv(write_supply(HEADER + "a,g,1.2M,297.8B\nb,g,0,1_000\n"))
    assert [(s.documents, s.tokens) for s in found.sources] == [(1_200_000, 297_800_000_000), (0, 1000)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source,group,documents\nweb,g,1\n", "column 'tokens' is missing"),
        ("source,group,documents,tokens,tokeniser\nweb,g,1,1,x\n", "unknown column 'tokeniser'"),
        (HEADER, "no tokens"),
        (HEADER + "web,g,1,0\n", "no tokens"),
        (HEADER + "web,g,1,-5\n", r"line 2: tokens: '-5' is no positive number"),
        (HEADER + "web,g,1,many\n", r"line 2: tokens: 'many' is no positive number"),
        (HEADER + "web,g,1\n", "line 2: it has 3 fields, and the header 4"),
        (HEADER + "web,g,1,2,3\n", "line 2: it has 5 fields, and the header 4"),
        (HEADER + '"we\nb",g,1,2\n\nnews,g,1,x\n', "line 5: tokens: 'x' is no positive number"),
        (HEADER + "web,g,1,1e30\n", "line 2: tokens: '1e30' is more than there can be"),
        ("source,group,documents,tokens,tokens\nweb,g,1,2,3\n", "the column 'tokens' is there twice"),
        ("source;group;documents;tokens\nweb;g;1;2\n", "separated by semicolons"),
        (HEADER + ",g,1,2\n", "source and group must not be empty"),
        (HEADER + "web,g,1,2\nweb,g,1,2\n", "web has two rows"),
        ("source,group,documents,tokens,known\nweb,g,1,2,guessed\n", "known is 'guessed', none of measured, estimated"),
        ("source,group,documents,tokens,tokenizer\na,g,1,2,gpt2\nb,g,1,2,llama\n", "do not add: gpt2, llama"),
        ("", "column 'source' is missing"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(text: str, said: str, write_supply: Callable) -> None:
    with pytest.raises(AssayError, match=said):
        supply.of_csv(write_supply(text))


def test_white_space_around_names_means_nothing(write_supply: Callable) -> None:
    found = supply.of_csv(write_supply("source, group, documents , tokens\r\nweb, g, 1, 2\r\n"))
    assert [(s.source, s.group, s.tokens) for s in found.sources] == [("web", "g", 2)]


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder: name the supply file"):
        supply.of_csv(tmp_path)
    with pytest.raises(ConfigError, match="no supply file"):
        supply.of_csv(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no CSV file"):
        supply.of_csv(tmp_path / "bytes.csv")
