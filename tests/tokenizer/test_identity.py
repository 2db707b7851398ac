"""Identity: one fingerprint per tokenizer, however its file is written; what is none is refused in one sentence."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tokenizer.identity import canonical, fingerprint, load


@pytest.fixture
def settings() -> dict:
    """A byte-level BPE tokenizer without merges, as the object its JSON holds."""
    vocab = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|é|>"])
    return json.loads(tokenizer.to_str())


def written(settings: dict, **how: object) -> bytes:
    return json.dumps(settings, **how).encode()


def test_layout_key_order_and_escapes_do_not_matter(settings):
    turned = dict(reversed(settings.items()))
    ways = [
        written(settings),
        written(settings, indent=2),
        written(settings, ensure_ascii=False, separators=(",", ":")),
        written(turned, sort_keys=False),
    ]
    assert len({canonical(way) for way in ways}) == 1
    assert len({fingerprint(way) for way in ways}) == 1


def test_canonical_form(settings):
    form = canonical(written(settings, indent=2))
    assert canonical(form) == form
    assert form.startswith(b'{"added_tokens":[{"content":"<|\xc3\xa9|>","id":256,')
    assert Tokenizer.from_buffer(form).get_vocab() == Tokenizer.from_buffer(written(settings)).get_vocab()


def test_truncation_and_padding_are_not_the_tokenizer(settings):
    tokenizer = Tokenizer.from_buffer(written(settings))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    called = tokenizer.to_str().encode()
    assert called != canonical(called)
    assert fingerprint(called) == fingerprint(written(settings))
    for key in ("truncation", "padding"):
        del settings[key]
    assert fingerprint(called) == fingerprint(written(settings))


def test_everything_else_is(settings):
    first = fingerprint(written(settings))
    assert re.fullmatch("[0-9a-f]{64}", first)
    settings["model"]["vocab"] |= {"a": settings["model"]["vocab"]["b"], "b": settings["model"]["vocab"]["a"]}
    assert fingerprint(written(settings)) != first


def test_order_of_lists_is_kept():
    assert canonical(b'{"merges":["b a","a b"]}') != canonical(b'{"merges":["a b","b a"]}')


def test_canonical_refuses_what_is_not_an_object():
    for bytes_ in (b"", b"{", b"\xff", b"[]", b"3"):
        with pytest.raises(ValueError):
            canonical(bytes_)


def test_load_reads_plain_and_gzip_by_content(settings, tmp_path):
    plain = written(settings, indent=1)
    for name, content in (("tokenizer.json", plain), ("no-suffix", gzip.compress(plain)), ("x.gz", plain)):
        (tmp_path / name).write_bytes(content)
        assert load(tmp_path / name) == plain
        assert load(str(tmp_path / name)) == plain


def test_load_refuses_in_one_sentence(settings, tmp_path):
    too_large = json.loads(written(settings))
    too_large["model"]["vocab"]["zz"] = 2**31
    random = json.loads(written(settings))
    random["model"]["dropout"] = 0.1
    file = tmp_path / "tokenizer.json"
    for content, says in (
        (b"", "is not a tokenizer.json"),
        (b"\xff\xfe{}", "is not a tokenizer.json"),
        (b"{}", "is not a tokenizer.json"),
        (b"[]", "is not a tokenizer.json"),
        (written(settings)[:-1], "is not a tokenizer.json"),
        (gzip.compress(b"{}"), "is not a tokenizer.json"),
        (gzip.compress(written(settings))[:-9], "cannot be unpacked"),
        (b"\x1f\x8bgarbage", "cannot be unpacked"),
        (written(too_large), "has the token id 2147483648, which does not fit int32"),
        (written(random), "has BPE dropout 0.1"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(f"{file} ")) as refusal:
            load(file)
        assert says in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_largest_id_that_fits(settings, tmp_path):
    settings["model"]["vocab"]["zz"] = 2**31 - 1
    (tmp_path / "tokenizer.json").write_bytes(written(settings))
    assert load(tmp_path / "tokenizer.json") == written(settings)


def test_load_of_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "tokenizer.json")
