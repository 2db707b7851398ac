"""Schedules: the steps are the planned tokens, the cosine is the run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import AssayError
from planner.schedule import schedule


@given(st.integers(10**5, 10**12), st.integers(10**7, 10**13), st.sampled_from([256, 2048, 8192]), st.integers(1, 1024))
def test_steps_x_batch_x_sequence_is_the_tokens_less_one_batch(
    params: int, tokens: int, sequence: int, gpus: int
) -> None:
    if tokens < gpus * sequence:
        return
    try:
        found = schedule(params, tokens, sequence, gpus)
    except AssayError:
        assert 6 * params * tokens > 1e18 or gpus > 1  # a batch of that many GPUs, or of that many FLOPs, is larger
        return
    assert found.tokens == found.steps * found.batch * found.sequence
    assert 0 <= tokens - found.tokens < found.batch * found.sequence
    assert found.batch % gpus == 0
    assert 1 <= found.warmup_steps <= 2_000
    assert found.final_rate == pytest.approx(found.peak_rate / 10, rel=1e-2)


def test_deepseeks_7b_has_about_its_batch_and_rate() -> None:
    # DeepSeek LLM, arXiv:2401.02954: 7B on 2 T tokens: rate 4.2e-4, batch 2304 x 4096 = 9.44 M tokens
    found = schedule(6_900_000_000, 2_000_000_000_000, 4096)
    assert found.peak_rate == pytest.approx(4.2e-4, rel=0.02)
    assert found.batch * found.sequence == pytest.approx(9.44e6, rel=0.15)  # a power of two of rows


def test_tokens_that_fill_no_batch_are_refused() -> None:
    with pytest.raises(AssayError, match="1,000 training tokens do not fill one batch of 1 rows of 2,048"):
        schedule(10**6, 1000, 2048)
