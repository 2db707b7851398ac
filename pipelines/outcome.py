"""What becomes of a document: the one pure function that decides, from what was measured and found."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.schema import FINDINGS, LEDGER, empty
from pipelines.quality.profile import Profile, judge

VERSION = 1

TRAIN = "train"
DECIDED = pa.schema(
    [LEDGER.field(n) for n in ("outcome", "reason", "measured", "threshold", "failed", "duplicate_of", "split")]
)


def decide(
    quarantine: pa.Array, signals: pa.RecordBatch, findings: pa.RecordBatch, first_row: int, profile: Profile
) -> pa.RecordBatch:
    """The columns `DECIDED` of n documents, whose rows in their part begin at `first_row`.

    `quarantine`: why a document could not be read, or null, (n,); `signals`: `schema.SIGNALS`, (n,); `findings`:
    `schema.FINDINGS` of the whole part, sorted by row. The outcome is the first of these that holds: `quarantined`,
    `dropped` (by the first rule that fails), `duplicate` (of a document that is itself kept), `kept`.
    """
    n = len(quarantine)
    rows = findings["row"].to_numpy()
    begin, end = np.searchsorted(rows, [first_row, first_row + n])
    mine = findings.slice(begin, end - begin)
    copy = np.full(n, -1)
    copy[rows[begin:end] - first_row] = np.arange(end - begin)

    verdicts = judge(signals, profile)
    quarantined = quarantine.is_valid().to_numpy(zero_copy_only=False)
    dropped = verdicts.dropped & ~quarantined
    duplicate = (copy >= 0) & ~quarantined & ~dropped
    outcome = np.select([quarantined, dropped, duplicate], [0, 1, 2], 3)
    names = pa.array(["quarantined", "dropped", "duplicate", "kept"], pa.large_string())
    rules = pa.array([rule.name for rule in profile.rules] or [None], pa.large_string())
    finding = pa.array(copy, mask=~duplicate)
    reason = pc.coalesce(
        quarantine,
        rules.take(pa.array(verdicts.first, mask=~dropped)),
        mine["kind"].take(finding),
    )
    columns = [
        names.take(pa.array(outcome)),
        reason,
        pa.array(verdicts.measured, mask=~dropped),
        pa.array(verdicts.threshold, mask=~dropped),
        pa.array(np.where(quarantined, 0, verdicts.failed).astype(np.uint64)),
        mine["duplicate_of"].take(finding),
        pa.repeat(pa.scalar(TRAIN, pa.large_string()), n),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=DECIDED)


def read_findings(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """The findings about one part as one batch, none where there are no batches."""
    return pa.concat_batches(batches) if batches else empty(FINDINGS)
