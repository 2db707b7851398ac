"""Schedule: batch, steps and learning rate, such that steps x batch x sequence is what was planned."""

from __future__ import annotations

import math

from corpora.errors import AssayError
from planner.schema import Schedule

WARMUP_SHARE, WARMUP_MOST = 0.01, 2_000  # BloombergGPT: 1,800 of 139,200 steps; LLaMA: 2,000
DECAY = 0.1  # final rate / peak: Hoffmann et al. 2022, Fig. A1; BloombergGPT 6e-5 -> 6e-6
RULE = (
    "batch 0.2920 C^0.3271 tokens and peak rate 0.3118 C^-0.1250 (DeepSeek LLM, arXiv:2401.02954, via secondary "
    "sources; C = 6 N D), rows rounded to GPUs x a power of two; warm-up 1 % of the steps, at most 2,000 (LLaMA, "
    "arXiv:2302.13971); cosine to a tenth over exactly these steps (Hoffmann et al. 2022, arXiv:2203.15556, Fig. A1)"
)


def law_batch(flops: float) -> float:
    """Tokens of a batch by DeepSeek LLM's law (arXiv:2401.02954) for training FLOPs of 6 N D."""
    return 0.2920 * flops**0.3271


def schedule(params: int, tokens: int, sequence: int, gpus: int = 1) -> Schedule:
    """The optimizer steps that train on `tokens`, less the rest of a batch.

    `sequence`: tokens of a row. `gpus`: the batch has a whole number of rows on each. Raises AssayError where the
    tokens do not fill one batch.
    """
    flops = 6 * params * tokens
    rows = max(1.0, law_batch(flops) / sequence)
    batch = gpus * 2 ** max(0, round(math.log2(rows / gpus)))
    steps = tokens // (batch * sequence)
    if not steps:
        raise AssayError(
            f"{tokens:,} training tokens do not fill one batch of {batch:,} rows of {sequence:,}: take a shorter "
            "--sequence or fewer --gpus, or bring more of what is short"
        )
    peak = float(f"{0.3118 * flops**-0.1250:.3g}")
    return Schedule(
        tokens=steps * batch * sequence,
        sequence=sequence,
        batch=batch,
        steps=steps,
        warmup_steps=min(WARMUP_MOST, math.ceil(WARMUP_SHARE * steps)),
        peak_rate=peak,
        final_rate=float(f"{DECAY * peak:.3g}"),
        rule=RULE,
    )
