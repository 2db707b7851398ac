"""What people write is checked where it is read; what is hashed has one form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.config import build, canonical, digest, read, take_tables
from corpora.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    on: bool = True


@dataclass(frozen=True)
class Example:
    name: str
    count: int = 1
    share: float = 0.5
    limit: float | None = None
    tags: tuple[str, ...] = ()
    inner: Inner = Inner()
    any: dict[str, Any] = field(default_factory=dict)
    map: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count is negative")
        if self.name == "no codec":
            raise LookupError("unknown encoding: no codec")


def test_values_become_those_of_the_dataclass():
    table = {"name": "x", "share": 1, "limit": 2, "tags": ["a", "b"], "any": {"k": [1]}}
    assert build(Example, table, "f") == Example("x", 1, 1.0, 2.0, ("a", "b"), any={"k": [1]})
    assert type(build(Example, table, "f").limit) is float


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"name": "x", "nome": 1}, "f: unknown key 'nome'; there are name, count,"),
        ({}, "f: 'name' is missing"),
        ({"name": 3}, "f: name must be a string, not 3"),
        ({"name": "x", "count": "3"}, "f: count must be an integer, not '3'"),
        ({"name": "x", "count": True}, "f: count must be an integer, not True"),
        ({"name": "x", "count": 1.0}, "f: count must be an integer, not 1.0"),
        ({"name": "x", "share": "a"}, "f: share must be a finite number, not 'a'"),
        ({"name": "x", "share": True}, "f: share must be a finite number, not True"),
        ({"name": "x", "limit": float("nan")}, "f: limit must be a finite number, not nan"),
        ({"name": "x", "limit": float("inf")}, "f: limit must be a finite number, not inf"),
        ({"name": "x", "tags": "EX-99"}, "f: tags must be a list, each item a string, not 'EX-99'"),
        ({"name": "x", "tags": ["a", 1]}, "f: tags must be a list, each item a string, not ('a', 1)"),
        ({"name": "x", "inner": True}, "f: inner must be a table, not True"),
        ({"name": "x", "any": 1}, "f: any must be a table, not 1"),
        ({"name": "x", "map": "text"}, "f: map must be a table, not 'text'"),
        ({"name": "x", "count": -1}, "f: count is negative"),
        ({"name": "no codec"}, "f: unknown encoding: no codec"),
        ("x", "f must be a table, not 'x'"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(table, sentence):
    with pytest.raises(ConfigError) as caught:
        build(Example, table, "f")
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_tables_must_be_written_as_a_list():
    table = {"rule": [{"a": 1}], "other": 1}
    assert take_tables(table, "rule", "f") == [{"a": 1}]
    assert table == {"other": 1}
    assert take_tables(table, "rule", "f") == []
    with pytest.raises(ConfigError, match=r"f: 'rule' must be a list of tables: write \[\[rule\]\]"):
        take_tables({"rule": {"a": 1}}, "rule", "f")


@pytest.mark.parametrize("data", [b"a = ", b'a = "\xff"', b"a = 1\na = 2"])
def test_broken_toml_names_its_file(tmp_path, data):
    path = tmp_path / "broken.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"broken\.toml: "):
        read(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON), st.randoms())
def test_order_of_keys_does_not_matter(value, random):
    shuffled = dict(random.sample(list(value.items()), len(value)))
    assert canonical(shuffled) == canonical(value)
    assert digest(shuffled) == digest(value)


def test_canonical_form_of_what_is_hashed():
    assert canonical({"b": Inner(), "a": (1, {"y", "x"}), "é": 0.5}) == (
        '{"a":[1,["x","y"]],"b":{"on":true},"é":0.5}'.encode()
    )
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    with pytest.raises(TypeError):
        canonical(object())
