"""Profiles: what is a rule, what fails it, and what can be none."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError
from corpora.schema import SIGNALS
from pipelines.quality import profile
from pipelines.quality.profile import Profile, Rule, judge

COLUMNS = SIGNALS.names[1:]
RULE = '[[rule]]\nname = "a"\ncolumn = "n_words"\nsource = "s"\n'


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """A project folder with profiles of the user's own."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "assay.d" / "profiles"
    folder.mkdir(parents=True)
    return folder


def batch(rows: list[dict]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"doc_id": str(i), **row} for i, row in enumerate(rows)], SIGNALS)


def test_the_base_profile_loads_and_cites():
    base = profile.load("base")
    assert [rule.name for rule in base.rules] == ["word_count", "mean_word_length", "alphabetic_words"]
    assert all("Rae et al. 2021" in rule.source for rule in base.rules)


def test_the_users_own_goes_first(own):
    (own / "base.toml").write_text('description = "d"\n' + RULE + "minimum = 1\n")
    assert profile.load("base") == Profile("base", "d", (Rule("a", "n_words", "s", 1.0),))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (RULE, "'a' can never fail a document: give it a minimum or a maximum"),
        (RULE + "minimum = 0\n", "'a' can never fail a document: no signal is below 0.0"),
        (RULE + "minimum = 2\nmaximum = 1\n", "'a' fails every document: its minimum is above its maximum"),
        (RULE + "maximum = nan\n", "maximum must be a finite number, not nan"),
        (RULE + "maximum = inf\n", "maximum must be a finite number, not inf"),
        (RULE + 'maximum = "9"\n', "maximum must be a finite number, not '9'"),
        (RULE.replace("n_words", "n_wrods") + "minimum = 1\n", "unknown column 'n_wrods'; there are n_words,"),
        (RULE.replace("n_words", "doc_id") + "minimum = 1\n", "unknown column 'doc_id'"),
        (RULE + "minimum = 1\nmax = 2\n", "unknown key 'max'"),
        ('[[rule]]\nname = "a"\ncolumn = "n_words"\nminimum = 1\n', "'source' is missing"),
        ((RULE + "minimum = 1\n") * 2, "two rules are named 'a'"),
        (RULE.replace("[[rule]]", "[rule]") + "minimum = 1\n", r"write \[\[rule\]\]"),
        ('name = "y"\n' + RULE + "minimum = 1\n", "unknown key 'name'"),
        ("rules = []\n", "unknown key 'rules'"),
        ("".join(RULE.replace('"a"', f'"{i}"') + "minimum = 1\n" for i in range(65)), "65 rules, more than 64"),
        ("a = ", "Invalid value"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_that_names_the_file(own, text, sentence):
    (own / "x.toml").write_text('description = "d"\n' + text)
    with pytest.raises(ConfigError, match=sentence) as caught:
        profile.load("x")
    assert "x.toml" in str(caught.value)


def test_an_unknown_profile():
    with pytest.raises(ConfigError, match="no profile 'bsae'; did you mean base"):
        profile.load("bsae")


def test_the_fingerprint_is_of_what_decides():
    one = Profile("x", "d", (Rule("a", "n_words", "s", 1.0), Rule("b", "n_words", "s", None, 9.0)))
    renamed = Profile("y", "e", (Rule("a", "n_words", "other", 1.0), Rule("b", "n_words", "s", None, 9.0)))
    reordered = Profile("x", "d", one.rules[::-1])
    moved = Profile("x", "d", (Rule("a", "n_words", "s", 2.0), one.rules[1]))
    assert one.fingerprint == renamed.fingerprint
    assert len({one.fingerprint, reordered.fingerprint, moved.fingerprint}) == 3


VALUE = st.none() | st.integers(0, 6)
SIGNAL_ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, VALUE)))


@st.composite
def rules(draw, names=COLUMNS):
    """Some rules that can match something."""
    listed = []
    for i in range(draw(st.integers(0, 5))):
        low, high = sorted([draw(st.integers(1, 5)), draw(st.integers(1, 5))])
        kind = draw(st.sampled_from(["minimum", "maximum", "both"]))
        minimum, maximum = (None if kind == "maximum" else float(low)), (None if kind == "minimum" else float(high))
        listed.append(Rule(f"rule {i}", draw(st.sampled_from(names)), "s", minimum, maximum))
    return Profile("p", "d", tuple(listed))


@given(SIGNAL_ROWS, rules())
def test_verdicts_are_those_of_rule_by_rule(rows, wanted):
    found = judge(batch(rows), wanted)
    for i, row in enumerate(rows):
        failed = []
        for index, rule in enumerate(wanted.rules):
            value = row[rule.column]
            if value is None:
                continue
            if rule.minimum is not None and value < rule.minimum:
                failed.append((index, value, rule.minimum))
            elif rule.maximum is not None and value > rule.maximum:
                failed.append((index, value, rule.maximum))
        assert int(found.failed[i]) == sum(1 << index for index, *_ in failed)
        assert bool(found.dropped[i]) == bool(failed)
        if failed:
            assert (found.first[i], found.measured[i], found.threshold[i]) == failed[0]
        else:
            assert found.first[i] == -1
            assert found.measured[i] != found.measured[i]
            assert found.threshold[i] != found.threshold[i]


def test_limits_themselves_pass():
    found = judge(
        batch([{"n_words": n} for n in (1, 2, 3, 4)]), Profile("p", "d", (Rule("a", "n_words", "s", 2.0, 3.0),))
    )
    assert found.dropped.tolist() == [True, False, False, True]


def test_the_last_of_64_rules_has_the_last_bit():
    wanted = Profile("p", "d", tuple(Rule(str(i), "n_words", "s", None, float(i != 63)) for i in range(64)))
    assert int(judge(batch([{"n_words": 1}]), wanted).failed[0]) == 1 << 63
