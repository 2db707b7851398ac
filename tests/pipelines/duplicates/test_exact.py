"""Exact duplicates against a dictionary: who survives depends on priority and id alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.duplicates.exact import copies

# Few and extreme values, so that keys meet and every comparison is of unsigned 64 bits.
HALF = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1])
DOCUMENTS = st.lists(
    st.tuples(HALF, HALF, st.integers(-1, 2), HALF, st.integers(0, 2**64 - 1)), unique_by=lambda document: document[3:]
)


def found(documents: list[tuple]) -> dict[tuple, tuple]:
    """doc_id of each copy -> doc_id that is kept in its place."""
    columns = list(zip(*documents)) or [()] * 5
    key_high, key_low, doc_high, doc_low = (np.array(columns[i], np.uint64) for i in (0, 1, 3, 4))
    result = copies(key_high, key_low, np.array(columns[2], np.int64), doc_high, doc_low)
    assert len(result.copy) == len(result.kept) == len(set(result.copy.tolist()))
    return {documents[copy][3:]: documents[kept][3:] for copy, kept in zip(result.copy, result.kept)}


@given(DOCUMENTS, st.randoms())
def test_copies_are_those_of_a_dictionary_in_any_order(documents, random):
    groups: dict[tuple, list[tuple]] = {}
    for document in documents:
        groups.setdefault(document[:2], []).append(document)
    expected = {}
    for group in groups.values():
        survivor = min(group, key=lambda document: document[2:])
        expected |= {document[3:]: survivor[3:] for document in group if document is not survivor}
    assert found(documents) == expected
    assert found(random.sample(documents, len(documents))) == expected


def test_the_lowest_priority_number_is_kept_before_the_lowest_id():
    assert found([(1, 1, 20, 0, 0), (1, 1, 10, 9, 9), (1, 1, 10, 9, 8), (1, 2, 99, 5, 5)]) == {
        (0, 0): (9, 8),
        (9, 9): (9, 8),
    }
