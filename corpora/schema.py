"""The Arrow schemas that stages exchange, written down once.

Every column carries its meaning (and unit, where it has one) in its field metadata. Strings are `large_string` with
int64 offsets everywhere, so that a kernel is compiled once. A schema is a contract: `docs/design.md` changes first.
"""

from __future__ import annotations

import pyarrow as pa

TEXT = pa.large_string()


def column(name: str, type_: pa.DataType, meaning: str, unit: str = "", nullable: bool = True) -> pa.Field:
    """An Arrow field whose metadata says what the column means."""
    metadata = {"meaning": meaning} | ({"unit": unit} if unit else {})
    return pa.field(name, type_, nullable=nullable, metadata=metadata)


DOC_ID = column(
    "doc_id", TEXT, "hash of corpus, source file and byte position: unique, the same everywhere", "32 hex digits"
)
PUBLISHED = column("published", pa.date32(), "date of publication; for a filing the date it was filed", "UTC day")
N_TOKENS = column("n_tokens", pa.int64(), "ids of the document's own text, without end-of-document", "tokens")

# What a reader knows of a record; the ingest adds identity and sizes.
_FOUND = [
    column("native_id", TEXT, "what a person would search for (accession:sequence, URL, page id); not always unique"),
    column("byte_offset", pa.int64(), "position of the record in its decoded source file", "bytes", nullable=False),
    column("raw_bytes", pa.int64(), "length of the record in its decoded source file", "bytes", nullable=False),
    column("uri", TEXT, "where the document can be found"),
    column("title", TEXT, "title as the source gives it"),
    PUBLISHED,
    column("license", TEXT, "licence or terms, of the record or of its corpus"),
]
_WHERE_FORMAT_HAS = [
    column("domain", TEXT, "host of the URI, or the set a collection names (The Pile's pile_set_name)"),
    column("cik", TEXT, "SEC Central Index Key of the first filer", "10 digits"),
    column("company", TEXT, "conformed name of the first filer"),
    column("form", TEXT, "SEC submission type, such as 10-K"),
    column("period", pa.date32(), "conformed period of report", "UTC day"),
]
_TEXT = column("text", TEXT, "extracted text, UTF-8; null where the record is quarantined")
_QUARANTINE = column("quarantine", TEXT, "why the record could not be read; null where it could")

RECORD = pa.schema([*_FOUND, *_WHERE_FORMAT_HAS, _TEXT, _QUARANTINE])

_IDENTITY = [
    DOC_ID,
    column("corpus", TEXT, "name of the corpus", nullable=False),
    column("source_file", TEXT, "path relative to the corpus root", nullable=False),
]
_SIZES = [
    column("content_hash", TEXT, "BLAKE2b-128 of the text's UTF-8 bytes: alone says equality", "32 hex digits"),
    column("n_bytes", pa.int64(), "length of the text in UTF-8", "bytes"),
    column("n_chars", pa.int64(), "length of the text", "code points"),
]

DOCUMENTS = pa.schema([*_IDENTITY, *_FOUND, *_WHERE_FORMAT_HAS, *_SIZES, _QUARANTINE, _TEXT])

SIGNALS = pa.schema(
    [
        DOC_ID,
        column("n_words", pa.int64(), "maximal runs of characters that are not Unicode white space", "words"),
        column(
            "gopher_mean_word_length",
            pa.float64(),
            "characters in words / words (Rae et al. 2021, Gopher, appendix A1.1); null without words",
            "code points",
        ),
        column(
            "gopher_alphabetic_word_fraction",
            pa.float64(),
            "words with at least one alphabetic character / words (Rae et al. 2021, appendix A1.1); null without words",
            "fraction",
        ),
    ]
)

SIGNATURES = pa.schema(
    [DOC_ID, column("content_hash", TEXT, "as in documents: the key of exact duplicates", "32 hex digits")]
)

FINDINGS = pa.schema(
    [
        column("row", pa.int64(), "row of the documents part that the finding speaks of", "rows", nullable=False),
        DOC_ID,
        column("duplicate_of", TEXT, "doc_id of the copy that is kept", "32 hex digits", nullable=False),
        column("kind", TEXT, "how the two are alike: exact", nullable=False),
    ]
)

COUNTS = pa.schema([DOC_ID, N_TOKENS])

LEDGER = pa.schema(
    [
        *_IDENTITY,
        *_FOUND,
        *_WHERE_FORMAT_HAS,
        *_SIZES,
        SIGNALS.field("n_words"),
        N_TOKENS,
        column("outcome", TEXT, "quarantined, dropped, duplicate or kept: decided in this order", nullable=False),
        column(
            "reason", TEXT, "why: of quarantine, the first rule that fails, or the kind of duplicate; null where kept"
        ),
        column("measured", pa.float64(), "value of the signal that failed the rule; null where it has none"),
        column("threshold", pa.float64(), "limit that the value failed"),
        column(
            "failed", pa.uint64(), "every rule of the profile that fails, as bits in the profile's order", "bit set"
        ),
        column("duplicate_of", TEXT, "doc_id of the copy that is kept", "32 hex digits"),
        column("split", TEXT, "train or validation", nullable=False),
        column("profile", TEXT, "fingerprint of the profile that decided", "sha256", nullable=False),
        column("tokenizer", TEXT, "fingerprint of the tokenizer that counted", "sha256", nullable=False),
    ]
)

TOKENS = pa.schema(
    [
        DOC_ID,
        PUBLISHED,
        LEDGER.field("split"),
        N_TOKENS,
        column("tokens", pa.list_(pa.int32()), "ids of the text, without end-of-document", "token ids", nullable=False),
    ]
)

OUTCOMES = ("quarantined", "dropped", "duplicate", "kept")


def empty(schema: pa.Schema) -> pa.RecordBatch:
    """A batch of `schema` without rows."""
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
