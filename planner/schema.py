"""What `plan.json` holds, written down once: the contract between plan, report and launch.

Figures are in SI units: tokens, parameters, FLOPs and documents are counts, shares are of 1, hours are hours. The JSON
schema in `docs/plan.schema.json` is made from these classes.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, PositiveInt, model_validator


class Record(BaseModel):
    """One table of the plan: immutable, and without a key that is not written here."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="null", protected_namespaces=()
    )


class Source(Record):
    """What one source has to train on."""

    source: str
    """Name: a corpus of the lake, or a row of the supply file."""
    group: str
    """What mixes group by: financial or public."""
    documents: int
    """Documents that are kept."""
    chars: int | None = None
    """Characters of their text."""
    tokens: int
    """The documents' own ids."""
    training_tokens: int
    """tokens + documents: training ends each document with one end-of-document token."""
    known: Literal["measured", "estimated", "given"]
    """How the count is known: measured in a lake, estimated from a part of it, or given in a table."""
    tokenizer: str | None = None
    """What counted: a fingerprint (sha256) in a lake, any name in a table."""
    manifest: str | None = None
    """The ledger manifest that was counted, which a launch trains on; null where there is no lake."""
    citation: str | None = None
    """Where a given count comes from."""


class Group(Record):
    """The sources of one group together."""

    documents: int
    tokens: int
    training_tokens: int
    share: float
    """Of all tokens."""
    training_share: float
    """Of all training tokens."""


class Supply(Record):
    """What there is to train on."""

    origin: str
    """The lake or the file that the counts come from."""
    lake: bool
    """Whether it is a lake: only its tokens can be launched."""
    sample: bool
    """Whether it is the embedded sample, and so says nothing about real data."""
    provisional: bool
    """Whether the tokenizer that counted is provisional."""
    tokenizer: str | None
    """The one tokenizer that counted all sources; null where a table does not name it for every row."""
    vocabulary: int | None
    """Ids of that tokenizer; null where it is not at hand."""
    documents: int
    tokens: int
    training_tokens: int
    groups: dict[str, Group]
    sources: list[Source]


class MixSource(Record):
    """One source of a mix."""

    source: str
    group: str
    share: PositiveFloat
    """Of the mix's training tokens, as the mix asks for it."""
    tokens: NonNegativeInt
    """Training tokens asked of the source."""
    available: NonNegativeInt
    """Training tokens that the source has."""
    epochs: float
    """tokens / available: above 1 the source repeats."""


class Mix(Record):
    """What a mix asks of each source; in a plan, for the run."""

    name: str
    description: str
    citation: str | None
    """Where the shares come from."""
    strategy: Literal["fixed", "proportional"]
    normalised_from: float | None
    """What the shares summed to where that was not 1, before they were divided by it."""
    budget: int
    """Training tokens of the whole mix."""
    largest: int
    """The largest budget without a repeated token."""
    binding: str | None
    """The source that ends first and so bounds `largest`; null where all end together."""
    sources: list[MixSource]


class Factor(Record):
    """One factor of a product, with its provenance."""

    name: str
    value: float
    unit: str
    source: str


class Compute(Record):
    """The budget."""

    gpu: str
    """Full name of the GPU in `planner/facts/gpus.csv`."""
    gpus: int | None
    days: float | None
    gpu_hours: float
    formula: str
    """Which of the two formulas gave `flops`, in words; its factors follow."""
    factors: list[Factor]
    """Their product is `flops`."""
    flops: float
    """Training FLOPs that the budget buys, in the sense of C = 6 N D."""
    utilisation: float
    """flops / (gpu_hours x 3600 x dense peak): end to end."""
    flops_range: tuple[float, float] | None
    """`flops` at both ends of the default utilisation's band; null where the utilisation was given."""


class LawFigure(Record):
    """What one scaling law says of the budget and of the tokens."""

    law: str
    params: float
    """Compute-optimal parameters for the budget."""
    tokens: float
    """Compute-optimal training tokens for the budget."""
    source: str
    """Citation, and which constants."""
    available_ratio: float
    """Training tokens of the mix / `tokens`: under 1 the data is what is short."""
    available_ratio_range: tuple[float, float] | None
    """`available_ratio` at the high and the low end of the compute's `flops_range`; null where that is null."""
    limited_by: Literal["data", "compute"]
    affords_params: float
    """The parameters for which the mix's training tokens are compute-optimal."""
    affords_flops: float
    """The training FLOPs of that."""


class Verdict(Record):
    """The answer, in words and in the figures that carry it."""

    limited_by: Literal["data", "compute"]
    factor: float
    """How many times more there is of the other: at least 1."""
    law: str
    """The law that the plan goes by."""
    binding: str | None
    """The source that bounds the mix, where data is what is short."""
    sentences: list[str]


class Model(Record):
    """A decoder of the LLaMA kind: RMSNorm, rotary positions, SwiGLU, no biases, tied embeddings."""

    target_params: PositiveFloat
    """What the tokens afford by the law, or, where compute is what is short, what the budget pays for."""
    params: PositiveInt
    """Exact count of this shape, embedding included."""
    layers: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    head_size: PositiveInt
    ffn: PositiveInt
    """Width of the feed-forward layer."""
    vocabulary: PositiveInt
    """Rows of the embedding: the tokenizer's ids, padded to a multiple of 128."""
    rule: str
    """How the shape was chosen, with its source."""


class Schedule(Record):
    """The optimizer steps: steps x batch x sequence = tokens."""

    tokens: PositiveInt
    """Training tokens of the run."""
    sequence: PositiveInt
    """Tokens of one row."""
    batch: PositiveInt
    """Rows of one optimizer step, over all GPUs."""
    steps: PositiveInt
    warmup_steps: NonNegativeInt
    peak_rate: PositiveFloat
    final_rate: PositiveFloat
    """A tenth of the peak, reached at the last step: the cosine is as long as the run."""
    rule: str
    """Where batch, rates and warm-up come from."""

    @model_validator(mode="after")
    def _adds_up(self) -> Schedule:
        if self.steps * self.batch * self.sequence != self.tokens:
            raise ValueError(f"steps x batch x sequence is not {self.tokens:,} tokens")
        return self


class Run(Record):
    """What the planned run costs."""

    flops: float
    """6 x params x tokens."""
    gpu_hours: float
    """flops at the budget's utilisation."""
    days: float | None
    """gpu_hours on the budget's GPUs; null where their number is not given."""
    budget_share: float
    """flops / the budget's flops."""


class Assumption(Record):
    """Something that was taken as given."""

    name: str
    value: str
    source: str


class Plan(Record):
    """A decision: what there is, what the laws ask for, what can be trained."""

    format: Literal[1] = 1
    """Version of this schema."""
    name: str
    verdict: Verdict
    alerts: list[str]
    """What a reader must know before any figure: sample, provisional or estimated counts, repeats, overruns."""
    supply: Supply
    mix: Mix
    compute: Compute
    laws: list[LawFigure]
    model: Model
    schedule: Schedule
    run: Run
    assumptions: list[Assumption]
