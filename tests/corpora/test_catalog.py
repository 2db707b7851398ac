"""The catalogue: eight corpora built in, the user's own before them, and clear words for what is wrong."""

from __future__ import annotations

import pytest

from corpora import catalog
from corpora.catalog import Clean
from corpora.config import canonical
from corpora.errors import ConfigError
from corpora.readers import jsonl

EIGHT = ["c4", "filings", "inhouse", "news", "pile", "press", "web", "wikipedia"]
BASE = 'description = "d"\ngroup = "public"\nlicense = "l"\npriority = 1\nprofile = "base"\n'
INPUT = '[[input]]\nformat = "jsonl"\n'


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """A project folder with a catalogue of the user's own."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "assay.d" / "corpora"
    folder.mkdir(parents=True)
    return folder


def test_there_are_eight():
    assert catalog.names() == EIGHT


@pytest.mark.parametrize("name", EIGHT)
def test_built_in_corpora_load(name):
    corpus = catalog.load(name)
    assert corpus.name == name
    assert corpus.clean == Clean(newlines=True, control=True)
    for entry in corpus.inputs:
        canonical(entry.reader_options(name))  # goes into the ingest's hash


def test_no_two_have_the_same_priority():
    priorities = [catalog.load(name).priority for name in EIGHT]
    assert len(set(priorities)) == len(EIGHT)


def test_the_users_own_goes_first(own):
    (own / "web.toml").write_text(BASE + INPUT + "[clean]\ncontrol = false\n")
    (own / "memos.toml").write_text(BASE + INPUT)
    web = catalog.load("web")
    assert (web.description, web.clean) == ("d", Clean(control=False))
    assert catalog.load("memos").name == "memos"
    assert catalog.names() == sorted([*EIGHT, "memos"])


@pytest.mark.parametrize(("typo", "meant"), [("filing", "filings"), ("wikpedia", "wikipedia"), ("pres", "press")])
def test_nearest_names_for_a_typo(typo, meant):
    with pytest.raises(ConfigError, match=f"no corpus '{typo}'; did you mean {meant}"):
        catalog.load(typo)


@pytest.mark.parametrize("name", ["../corpora/web", "", "x/../web", "duplicates", "tokenizer", "pins"])
def test_names_that_no_corpus_can_have(own, name):
    (own / "x").mkdir()
    if name in ("duplicates", "tokenizer", "pins"):
        (own / f"{name}.toml").write_text(BASE + INPUT)
    with pytest.raises(ConfigError, match="no corpus"):
        catalog.load(name)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BASE, r"\[\[input\]\] is missing: where does x come from"),
        (BASE + INPUT + 'colour = "red"\n', r"\[\[input\]\]: unknown key 'colour'"),
        (BASE + "pirority = 2\n" + INPUT, "unknown key 'pirority'"),
        (BASE.replace("priority = 1\n", "") + INPUT, "'priority' is missing"),
        (BASE.replace("priority = 1", 'priority = "1"') + INPUT, "priority must be an integer, not '1'"),
        (BASE + "[[input]]\n", r"\[\[input\]\]: 'format' is missing"),
        (BASE + '[[input]]\nformat = "docx"\n', "format 'docx' has no reader; there are"),
        (BASE + '[input]\nformat = "jsonl"\n', r"write \[\[input\]\]"),
        (BASE + 'input = ["jsonl"]\n', r"\[\[input\]\] must be a table, not 'jsonl'"),
        (BASE + "clean = false\n" + INPUT, r"\[clean\] must be a table, not False"),
        (BASE + INPUT + "[clean]\nnew_lines = true\n", r"\[clean\]: unknown key 'new_lines'"),
        (BASE + 'name = "y"\n' + INPUT, "unknown key 'name'"),
        (BASE + "inputs = []\n" + INPUT, "unknown key 'inputs'"),
        (BASE + INPUT + "options = 3\n", "options must be a table, not 3"),
        (BASE + INPUT + "[input.options]\nfield = 3\n", r"\[input.options\]: unknown key 'field'"),
        (BASE + INPUT + "[input.options.fields]\ntext = 3\n", "fields: text must be the name of a JSON field"),
        (BASE + INPUT + '[input.options.fields]\ntitle = "t"\n', "fields must say where the text is"),
        (
            BASE + INPUT + '[input.options.fields]\ntext = "t"\ncolour = "c"\n',
            "fields names 'colour', which is no column",
        ),
        (BASE + INPUT + '[input.options.fields]\ntext = "t"\nraw_bytes = "c"\n', "fields names 'raw_bytes'"),
        (BASE + '[[input]]\nformat = "edgar"\n[input.options]\nselect = "EX-99*"\n', "select must be a list"),
        (BASE + '[[input]]\nformat = "plain"\n[input.options]\nencoding = "klingon"\n', "unknown encoding: klingon"),
        ("description = ", "x.toml: "),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_the_file(own, text, sentence):
    (own / "x.toml").write_text(text)
    with pytest.raises(ConfigError, match=sentence) as caught:
        catalog.load("x")
    assert "x.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_that_mean_the_same_hash_the_same():
    one = jsonl.Options(fields={"text": "body", "title": ["a", "b"]})
    two = jsonl.Options(fields={"title": ("a", "b"), "text": ("body",)})
    assert one == two
    assert canonical(one) == canonical(two)
    assert canonical(jsonl.Options()) == canonical(jsonl.Options(fields=dict(reversed(jsonl.Options().fields.items()))))
