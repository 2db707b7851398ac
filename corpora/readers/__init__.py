"""Raw bytes -> batches of records: one module per format.

A reader is a module with

    VERSION   an integer, raised whenever the same bytes would give other records
    Options   a frozen dataclass: what the corpus TOML may set under `[input.options]`, each field with a docstring
    read(source: Source, options: Options, counts: Counts) -> Iterator[pa.RecordBatch]

`read` yields batches of `schema.RECORD`, never raises on data, and accounts for every piece it cuts from the source: a
piece is either a record (`counts.record`, and one row) or passed over (`counts.skip`, with the reason). What it cannot
read is a row with a null text and the reason in `quarantine`.
"""

from __future__ import annotations

import importlib
from types import ModuleType

FORMATS = ("edgar", "jsonl", "plain", "wikipedia")


def reader(format_: str) -> ModuleType:
    """The module that reads `format_`.

    Raises ValueError for a format that no module reads.
    """
    if format_ not in FORMATS:
        raise ValueError(f"no reader for the format {format_!r}; there are {', '.join(FORMATS)}")
    return importlib.import_module(f"corpora.readers.{format_}")
