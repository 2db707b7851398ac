"""The reference loader: rows of token ids in one global order that does not depend on the number of ranks.

The order is a pure function of data.json and pretrain.toml, so the state of a run is one integer, its step: the rows of
the run are apportioned to the sources exactly, spread evenly over it, and each source is a stream of its documents in a
permuted order, pass after pass. Every rank walks the global order and takes its slice of each global batch.

The price: whatever the number of ranks, each decodes every row group that one of its rows lies in, in the worst case
all. 48 million tokens/s on one core (docs/bench.md; `make bench ARGS=launch`). LLaMA-65B was trained at 0.78 million
tokens/s (380 on each of 2,048 GPUs: arXiv:2302.13971, section 2.4), so that a rank waits at most 2 % of a step for it.
data.json holds the training tokens of every row group, so that the start reads no file and going on from step n none of
what lies before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.config import canonical
from corpora.errors import AssayError
from corpora.lake import Lake
from corpora.part import mix
from planner.launch.parts import read
from planner.launch.settings import Settings, Source, dealt

MOST_ROWS = 6_000_000_000  # products of two sources' rows stay below 2^63


class Batch(NamedTuple):
    """What one rank trains on in one step, and what all ranks together have trained on."""

    ids: np.ndarray
    """int32, (rows of this rank, sequence + 1): inputs are all but the last, labels all but the first."""
    consumed: np.ndarray
    """int64, (sources,): rows of each source since the beginning of the run, this batch included."""


class Loader:
    """The batches of a run, for one rank of `world`.

    Raises AssayError where the batch cannot be dealt to the ranks evenly, or a part cannot be read.
    """

    def __init__(self, settings: Settings, sources: Sequence[Source], rank: int = 0, world: int = 1) -> None:
        schedule, local = settings.schedule, dealt(settings, world)
        self._mine = slice(rank * local, (rank + 1) * local)
        self._batch = schedule.batch
        lake = Lake(settings.data.lake)
        self.sources = [source.source for source in sources]
        most = {
            source.source: max(0, source.available - 1) // settings.data.sequence  # a row reads one token more
            for source in sources
            if source.tokens <= source.available
        }
        asked = {source.source: source.tokens for source in sources}
        self.rows = apportion(asked, schedule.steps * schedule.batch, most)
        self._streams = [Stream(lake, source, settings) for source in sources if self.rows[source.source]]
        self._index = np.flatnonzero([self.rows[name] for name in self.sources])

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
            consumed = consumed + self._count(batch)
            yield Batch(ids, consumed)

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
        self._groups = [(part.sha256, group) for part in source.parts for group in range(len(part.groups))]
        self._lengths = [length for part in source.parts for length in part.groups]
        if not any(self._lengths):
            raise AssayError(f"{self.source} has no document of the split train: plan again without it")
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
        while self._at >= (length := self._lengths[self._order[self._next]]):
            self._at -= length
            self._next, self._ids = self._next + 1, None
            if self._next == len(self._groups):
                self.passes += 1
                self._begin_pass()

    def _begin_pass(self) -> None:
        self._order = permutation(len(self._groups), self._data.seed, self.source, self.passes)
        self._next, self._ids = 0, None

    def _decode(self) -> np.ndarray:
        """The row group's training tokens, documents in the order of this pass: int32."""
        at = self._order[self._next]
        part, group = self._groups[at]
        table = read(self._room, part, group, ("split", "tokens"))
        train = np.flatnonzero(pc.equal(table["split"], "train").to_numpy())
        documents = train[permutation(len(train), self._data.seed, self.source, self.passes, part, group)]
        lists = table["tokens"].combine_chunks().take(pa.array(documents))
        ids = lists.flatten().to_numpy()
        where = self._room.path("tokens", part)
        if len(ids) and not (ids.min() >= 0 and ids.max() < self._vocabulary):
            raise AssayError(
                f"{where} has the token id {ids.max() if ids.min() >= 0 else ids.min()}, and the model of "
                f"pretrain.toml ids from 0 to {self._vocabulary - 1}: plan again for the tokenizer of this lake"
            )
        ids = np.insert(ids, np.cumsum(lists.value_lengths().to_numpy()), self._data.end_of_document)
        if len(ids) != self._lengths[at]:
            raise AssayError(
                f"row group {group} of {where} has {len(ids):,} training tokens, and data.json says "
                f"{self._lengths[at]:,}: run `assay reconcile`"
            )
        return ids


def permutation(n: int, *key: object) -> np.ndarray:
    """A permutation of range(n), int64, that depends on n and the key alone: no generator whose stream may change."""
    begin = np.frombuffer(sha256(canonical(key)).digest(), np.uint64, 1)
    return np.argsort(mix(begin + np.arange(n, dtype=np.uint64)), kind="stable")


def apportion(tokens: Mapping[str, int], rows: int, most: Mapping[str, int]) -> dict[str, int]:
    """Whole rows for each source, in proportion to its tokens by largest remainder (Hamilton), that sum to `rows`.

    No source has more than `most` says; those without an entry may have any number. What a source cannot take goes to
    those with room, by remainder; what none has room for is apportioned without `most`. Ties go by name.
    """
    total = sum(tokens.values())
    if not total:
        raise AssayError("data.json asks for no tokens of any source")
    room = {name: most.get(name, rows) for name in tokens}
    given = {name: min(rows * asked // total, room[name]) for name, asked in tokens.items()}
    by_remainder = sorted(tokens, key=lambda name: (-(rows * tokens[name] % total), name))
    while rest := rows - sum(given.values()):
        takers = [name for name in by_remainder if given[name] < room[name]]
        if not takers:
            break
        each = max(1, rest // len(takers))
        for name in takers[:rest]:
            given[name] += min(each, room[name] - given[name])
    if rest:
        given = {name: given[name] + more for name, more in apportion(tokens, rest, {}).items()}
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
