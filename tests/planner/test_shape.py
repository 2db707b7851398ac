"""Shapes: known models come out, counts are exact, and near the target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.shape import params, shape


def test_seven_billion_is_llama_7b() -> None:
    # Touvron et al. 2023, arXiv:2302.13971, Table 2: dimension 4096, 32 heads, 32 layers, and FFN 11008 in the code.
    found = shape(6.7e9, 32_000)
    assert (found.layers, found.width, found.heads, found.head_size, found.ffn) == (32, 4096, 32, 128, 11_008)
    # LLaMA-7B has 6,738,415,616 parameters with an output matrix of its own, which tied embeddings save.
    assert found.params == 6_738_415_616 - 32_000 * 4096


def test_gpt3s_size_has_gpt3s_depth_and_width() -> None:
    found = shape(175e9, 50_257)  # Brown et al. 2020, arXiv:2005.14165, Table 2.1
    assert (found.layers, found.width, found.heads) == (96, 12_288, 96)


def test_count_is_the_sum_of_the_matrices() -> None:
    layers, width, ffn, vocabulary = 3, 128, 384, 1_000
    embedding = vocabulary * width
    layer = 4 * width * width + 3 * width * ffn + 2 * width
    assert params(layers, width, ffn, vocabulary) == embedding + layers * layer + width


def test_an_embedding_larger_than_the_target_gives_the_smallest_shape() -> None:
    found = shape(40_000, 8_832)
    assert (found.layers, found.width, found.heads) == (1, 64, 1)
    assert found.params > 10 * found.target_params


@given(st.floats(3e7, 2e12), st.integers(256, 32_768))
def test_shapes_are_near_their_target_and_can_be_cut_into_heads(target: float, vocabulary: int) -> None:
    found = shape(target, vocabulary)
    assert found.params == pytest.approx(target, rel=0.1)
    assert found.heads * found.head_size == found.width
    assert found.vocabulary % 128 == 0 <= found.vocabulary - vocabulary < 128
    assert found.ffn % 128 == 0
    assert 64 <= found.width / found.layers <= 256
    assert found.params == params(found.layers, found.width, found.ffn, found.vocabulary)
