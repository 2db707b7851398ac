"""Exact duplicates: documents whose texts have the same content hash."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VERSION = 1


@dataclass(frozen=True)
class Copies:
    """Documents that are copies, as indices (m,) into the keys, and of which key each is a copy (m,)."""

    copy: np.ndarray
    kept: np.ndarray


def copies(
    key_high: np.ndarray, key_low: np.ndarray, priority: np.ndarray, doc_high: np.ndarray, doc_low: np.ndarray
) -> Copies:
    """All but one of the documents of each key; arrays (n,) of one range of keys, in any order.

    The document that is kept has the lowest priority number, and among equals the lowest doc_id: a hash, so that
    neither the order of arrival nor the cut into parts decides.
    """
    if not len(key_high):
        return Copies(np.zeros(0, np.int64), np.zeros(0, np.int64))
    order = np.lexsort((doc_low, doc_high, priority, key_low, key_high))
    high, low = key_high[order], key_low[order]
    new = np.concatenate(([True], (high[1:] != high[:-1]) | (low[1:] != low[:-1])))
    first = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    return Copies(order[~new], order[first[~new]])
