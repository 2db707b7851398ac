"""The reference decoder, of the LLaMA kind (Touvron et al. 2023, arXiv:2302.13971), embeddings tied.

Pre-norm blocks: RMSNorm (Zhang and Sennrich 2019), rotary positions (Su et al. 2021), causal attention over the whole
row, SwiGLU (Shazeer 2020), no biases.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from planner.launch.settings import Model

THETA = 10_000.0  # base of the rotary wavelengths: Su et al. 2021, section 3.3
STD = 0.02  # of the initial weights: GPT-2 (Radford et al. 2019)
EPSILON = 1e-5  # of RMSNorm: LLaMA 2


class Decoder(nn.Module):
    """Token ids, (batch, positions), to logits, (batch, positions, vocabulary)."""

    def __init__(self, shape: Model) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=EPSILON)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.embedding.weight)

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draw all weights, in place: the same ones on one device and sharded over any number of ranks.

        Each rank draws every matrix whole, one at a time, and keeps its shard. Matrices that write into the residual
        stream are scaled by 1 / sqrt(2 x layers), as in GPT-2.
        """
        generator = torch.Generator(self.embedding.weight.device).manual_seed(seed)
        for name, weight in self.named_parameters():
            whole = torch.ones(weight.shape, device=weight.device)
            if weight.ndim > 1:
                residual = name.endswith(("out.weight", "down.weight"))
                whole.normal_(0, STD / (2 * len(self.blocks)) ** 0.5 if residual else STD, generator=generator)
            if isinstance(weight, DTensor):
                whole = distribute_tensor(whole, weight.device_mesh, weight.placements, src_data_rank=None)
            weight.copy_(whole)


class Block(nn.Module):
    """Attention and feed-forward, each added to its input: (batch, positions, width) to the same."""

    def __init__(self, shape: Model) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=EPSILON)
        self.attention = Attention(shape)
        self.feed_forward_norm = nn.RMSNorm(shape.width, eps=EPSILON)
        self.feed_forward = SwiGLU(shape)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


class Attention(nn.Module):
    """Every position attends to itself and those before it in its row."""

    def __init__(self, shape: Model) -> None:
        super().__init__()
        self.head_size = shape.head_size
        inner = shape.heads * shape.head_size
        self.query = nn.Linear(shape.width, inner, bias=False)
        self.key = nn.Linear(shape.width, inner, bias=False)
        self.value = nn.Linear(shape.width, inner, bias=False)
        self.out = nn.Linear(inner, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (  # (batch, heads, positions, head_size)
            project(x).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(rotate(query), rotate(key), value, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(-2))


class SwiGLU(nn.Module):
    """The gated feed-forward layer."""

    def __init__(self, shape: Model) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.ffn, bias=False)
        self.up = nn.Linear(shape.width, shape.ffn, bias=False)
        self.down = nn.Linear(shape.ffn, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


def rotate(x: Tensor) -> Tensor:
    """Rotary positions: turns the pair (i, i + head_size / 2) of position p by p x THETA^(-2i / head_size).

    Angles are of fp32 whatever `x` is: bf16 cannot tell positions beyond 256 apart.
    """
    half = x.shape[-1] // 2
    speeds = THETA ** -(torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angles = torch.outer(torch.arange(x.shape[-2], device=x.device, dtype=torch.float32), speeds)
    cosine, sine = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(x.dtype)
