"""The reference loader: rows of token ids in one global order that does not depend on the number of ranks.

The order is a pure function of data.json and pretrain.toml, so the state of a run is one integer, its step: the rows of
the run are apportioned to the sources exactly, spread evenly over it, and each source is a stream of its documents in a
permuted order, pass after pass. Every rank walks the global order and takes its slice of each global batch.

The price: whatever the number of ranks, each decodes every row group that one of its rows lies in, in the worst case
all. 44 million tokens/s on one core (docs/bench.md; `make bench ARGS=launch`). LLaMA-65B was trained at 0.78 million
tokens/s (380 on each of 2,048 GPUs: arXiv:2302.13971, section 2.4), so that a rank waits at most 2 % of a step for it.
At the start the footer of every part is read; going on from step n reads the document lengths of what lies before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpora.config import canonical
from corpora.errors import AssayError
from corpora.lake import Lake
from corpora.part import mix
from planner.launch.settings import Settings, Source

MOST_ROWS = 6_000_000_000  # products of two sources' rows stay below 2^63


class Batch(NamedTuple):
    """What one rank trains on in one step, and what all ranks together do."""

    ids: np.ndarray
    """int32, (rows of this rank, sequence + 1): inputs are all but the last, labels all but the first."""
    rows: np.ndarray
    """int64, (sources,): rows of each source in the global batch."""
    consumed: np.ndarray
    """int64, (sources,): rows of each source since the beginning of the run, this batch included."""


class Loader:
    """The batches of a run, for one rank of `world`.

    Raises AssayError where the batch cannot be dealt to the ranks evenly, or a part cannot be read.
    """

    def __init__(self, settings: Settings, sources: Sequence[Source], rank: int = 0, world: int = 1) -> None:
        schedule = settings.schedule
        if schedule.batch % world:
            raise AssayError(
                f"a batch of {schedule.batch:,} rows cannot be dealt to {world} ranks evenly: start a number of ranks "
                "that divides it"
            )
        local = schedule.batch // world
        self._mine = slice(rank * local, (rank + 1) * local)
        self._batch = schedule.batch
        lake = Lake(settings.data.lake)
        self.sources = [source.source for source in sources]
        self.rows = apportion({source.source: source.share for source in sources}, schedule.steps * schedule.batch)
        self._streams = [Stream(lake, source, settings) for source in sources if self.rows[source.source]]
        self._index = np.flatnonzero([self.rows[name] for name in self.sources])

    @property
    def epochs(self) -> dict[str, int]:
        """Passes over each source that are complete."""
        passes = {stream.source: stream.passes for stream in self._streams}
        return {name: passes.get(name, 0) for name in self.sources}

    def batches(self, start_step: int = 0) -> Iterator[Batch]:
        """The batches from a step on, counted from 0, to the end of the run. One iteration at a time."""
        for stream in self._streams:
            stream.rewind()
        chosen = order([self.rows[name] for name in self.sources], self._batch)
        consumed = np.zeros(len(self.sources), np.int64)
        for batch in islice(chosen, start_step):
            consumed += self._count(batch)
        self._skip(consumed)
        streams = dict(zip(self._index.tolist(), self._streams))
        for batch in chosen:
            self._skip(self._count(batch[: self._mine.start]))
            ids = np.stack([streams[source].row() for source in batch[self._mine].tolist()])
            self._skip(self._count(batch[self._mine.stop :]))
            rows = self._count(batch)
            consumed = consumed + rows
            yield Batch(ids, rows, consumed)

    def _count(self, batch: np.ndarray) -> np.ndarray:
        return np.bincount(batch, minlength=len(self.sources))

    def _skip(self, rows: np.ndarray) -> None:
        for stream, count in zip(self._streams, rows[self._index].tolist()):
            stream.skip(count)


class Stream:
    """The rows of one source: its documents of the split `train`, each followed by end-of-document, without end.

    Row k has the sequence + 1 tokens from k x sequence on, so that each token is predicted once. Memory is that of one
    row group.
    """

    def __init__(self, lake: Lake, source: Source, settings: Settings) -> None:
        self.source, self._room = source.source, lake.room(source.source)
        self._data, self._vocabulary = settings.data, settings.model.vocabulary
        self._groups = [(p.sha256, group) for p in source.parts for group in range(self._number_of_groups(p.sha256))]
        self._lengths: dict[tuple[str, int], int] = {}
        self.rewind()

    def rewind(self) -> None:
        """Go back to the first row."""
        self.passes = 0
        """Passes that are complete."""
        self._at = 0  # tokens from the begin of the row group
        self._begin_pass()

    def row(self) -> np.ndarray:
        """The next row: int32, (sequence + 1,)."""
        row = np.empty(self._data.sequence + 1, np.int32)
        filled = 0
        while filled < len(row):
            self._settle()
            if self._ids is None:
                self._ids = self._decode()
            piece = self._ids[self._at : self._at + len(row) - filled]
            row[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._at += len(piece)
        self._at -= 1  # the last label is the next row's first input
        return row

    def skip(self, rows: int) -> None:
        """Pass over some rows, without decoding what they leave behind."""
        self._at += rows * self._data.sequence
        self._settle()

    def _settle(self) -> None:
        """Move on to the row group in which the next token lies."""
        while self._at >= (length := self._length()):
            self._at -= length
            self._next, self._ids = self._next + 1, None
            if self._next == len(self._groups):
                self.passes += 1
                self._begin_pass()

    def _begin_pass(self) -> None:
        if not self._groups or (self.passes and not any(self._lengths.values())):
            raise AssayError(f"{self.source} has no document of the split train: plan again without it")
        self._order = permutation(len(self._groups), self._data.seed, self.source, self.passes)
        self._next, self._ids = 0, None

    @property
    def _group(self) -> tuple[str, int]:
        return self._groups[self._order[self._next]]

    def _length(self) -> int:
        """Training tokens of the row group, end-of-document included."""
        if self._group not in self._lengths:
            table = self._read("split", "n_tokens")
            counts = table["n_tokens"].filter(pc.equal(table["split"], "train"))
            self._lengths[self._group] = (pc.sum(counts).as_py() or 0) + len(counts)
        return self._lengths[self._group]

    def _decode(self) -> np.ndarray:
        """The row group's training tokens, documents in the order of this pass: int32."""
        table = self._read("split", "tokens")
        train = np.flatnonzero(pc.equal(table["split"], "train").to_numpy())
        documents = train[permutation(len(train), self._data.seed, self.source, self.passes, *self._group)]
        lists = table["tokens"].combine_chunks().take(pa.array(documents))
        ids = lists.flatten().to_numpy()
        if len(ids) and not (ids.min() >= 0 and ids.max() < self._vocabulary):
            raise AssayError(
                f"{self._path} has the token id {ids.max() if ids.min() >= 0 else ids.min()}, and the model of "
                f"pretrain.toml ids from 0 to {self._vocabulary - 1}: plan again for the tokenizer of this lake"
            )
        ids = np.insert(ids, np.cumsum(lists.value_lengths().to_numpy()), self._data.end_of_document)
        if len(ids) != self._length():
            raise AssayError(f"{self._path} has other token lists than it counts: run `assay reconcile`")
        return ids

    @property
    def _path(self) -> str:
        return self._room.path("tokens", self._group[0])

    def _read(self, *columns: str) -> pa.Table:
        part, group = self._group
        with self._room.open("tokens", part) as file:
            return self._parquet(part, file).read_row_group(group, columns=columns, use_threads=False)

    def _number_of_groups(self, part: str) -> int:
        with self._room.open("tokens", part) as file:
            return self._parquet(part, file).num_row_groups

    def _parquet(self, part: str, file: object) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(file)
        except pa.ArrowException as error:
            raise AssayError(f"{self._room.path('tokens', part)} is damaged ({error}): run `assay reconcile`") from None


def permutation(n: int, *key: object) -> np.ndarray:
    """A permutation of range(n), int64, that depends on n and the key alone: no generator whose stream may change."""
    begin = np.frombuffer(sha256(canonical(key)).digest(), np.uint64, 1)
    return np.argsort(mix(begin + np.arange(n, dtype=np.uint64)), kind="stable")


def apportion(shares: Mapping[str, float], rows: int) -> dict[str, int]:
    """Whole rows for each share by largest remainder (Hamilton); ties go by name. They sum to `rows`.

    Shares are taken as the decimals that they are written as, and over their sum.
    """
    exact = {name: Fraction(repr(float(share))) for name, share in shares.items()}
    total = sum(exact.values())
    if not total:
        raise AssayError("data.json asks for no tokens of any source")
    quotas = {name: rows * share / total for name, share in exact.items()}
    given = {name: math.floor(quota) for name, quota in quotas.items()}
    by_remainder = sorted(shares, key=lambda name: (given[name] - quotas[name], name))
    for name in by_remainder[: rows - sum(given.values())]:
        given[name] += 1
    return given


def order(rows: Sequence[int], block: int) -> Iterator[np.ndarray]:
    """Which source each row of the run comes from: int64 indices into `rows`, `block` of them at a time.

    Tijdeman's algorithm for the chairman assignment problem (Discrete Mathematics 32, 1980): of every first k rows
    source i has k x rows[i] / sum(rows), less or more than 1 row, and of all rows exactly rows[i].
    """
    total = sum(rows)
    if total > MOST_ROWS:
        raise AssayError(f"{total:,} rows are more than the loader can order: plan with a longer --sequence")
    index = np.flatnonzero(rows)
    each = np.array(rows, np.int64)[index]
    scale = max(2, 2 * len(each) - 2)
    excess = np.zeros_like(each)
    deadline, rest = np.divmod((scale - 1) * total, each)
    for begin in range(0, total, block):
        chosen = np.empty(min(block, total - begin), np.int64)
        _choose(each, total, scale, excess, deadline, rest, chosen)
        yield index[chosen]


@numba.njit(nogil=True, cache=True)
def _choose(each, total, scale, excess, deadline, rest, chosen):
    """Fill `chosen`; `excess`, `deadline` and `rest` are the state, changed in place.

    After k rows of which source i has c: excess = scale (k each - c total), and deadline + rest / each =
    (scale - 1 + scale c) total / each, scale times the row at which the source would fall too far behind. A source may
    be chosen from excess >= total on; the one with the nearest deadline is. All of it in exact integers.
    """
    for k in range(len(chosen)):
        best = -1
        for i in range(len(each)):
            excess[i] += scale * each[i]
            if excess[i] >= total and (
                best < 0
                or deadline[i] < deadline[best]
                or (deadline[i] == deadline[best] and rest[i] * each[best] < rest[best] * each[i])
            ):
                best = i
        chosen[k] = best
        excess[best] -= scale * total
        rest[best] += scale * total % each[best]
        deadline[best] += scale * total // each[best] + rest[best] // each[best]
        rest[best] %= each[best]
