"""Shape: layers, width and heads of a LLaMA-like decoder for a number of parameters, and its exact count."""

from __future__ import annotations

import math

from planner.schema import Model

ASPECT = (
    128  # width / layers of LLaMA-7B (4096 / 32), GPT-3 175B (12288 / 96): Touvron 2023 Table 2, Brown 2020 Table 2.1
)
ASPECT_WEIGHT = 0.1  # missing the aspect by a factor e counts as missing the parameters by 10 %
HEAD_SIZES = (64, 128)  # of GPT-3's smaller and larger models (Brown et al. 2020, Table 2.1)
WIDE = 1024  # width from which heads are 128 wide
LARGEST_WIDTH = 1 << 16
PADDING = 128  # rows of an embedding that GPUs multiply well
RULE = (
    "width / layers near 128 (LLaMA, arXiv:2302.13971 Table 2; GPT-3, arXiv:2005.14165 Table 2.1; loss depends "
    "weakly on it: Kaplan et al. 2020, arXiv:2001.08361 section 3.1), SwiGLU of 8/3 width, tied embeddings"
)


def params(layers: int, width: int, ffn: int, vocabulary: int) -> int:
    """Exact parameters: tied embedding, per layer attention (4 d^2), SwiGLU (3 d f) and two norms, and a last norm."""
    return vocabulary * width + layers * (4 * width**2 + 3 * width * ffn + 2 * width) + width


def shape(target_params: float, vocabulary: int) -> Model:
    """The shape whose exact count comes nearest to `target_params`, at a width of about 128 times the layers.

    `vocabulary`: ids of the tokenizer, padded here to a multiple of 128. Where the embedding alone is larger than the
    target, it is the smallest shape there is: one layer of width 64.
    """
    rows = _up(vocabulary, PADDING)
    candidates = []
    for width in [*range(64, WIDE, 64), *range(WIDE, LARGEST_WIDTH, 128)]:
        ffn = _up(round(8 * width / 3), PADDING)
        layer = params(1, width, ffn, rows) - params(0, width, ffn, rows)
        layers = max(1, round((target_params - params(0, width, ffn, rows)) / layer))
        count = params(layers, width, ffn, rows)
        miss = abs(math.log(count / target_params)) + ASPECT_WEIGHT * abs(math.log(width / layers / ASPECT))
        candidates.append((miss, count, layers, width, ffn))
    _, count, layers, width, ffn = min(candidates)
    head_size = HEAD_SIZES[width >= WIDE]
    return Model(
        target_params=target_params,
        params=count,
        layers=layers,
        width=width,
        heads=width // head_size,
        head_size=head_size,
        ffn=ffn,
        vocabulary=rows,
        rule=RULE,
    )


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
