"""How an adapter is trained, as its spec says it: LoRA, gates, PET, the run, validation, checkpoints, the monitor."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from so8t.spec.fields import At, SpecModel, execution, instead_of


class Lora(SpecModel):
    """The low-rank part, as PEFT names its settings."""

    r: int = Field(64, ge=1)
    """The rank."""
    alpha: float = Field(128, gt=0)
    """The scale: alpha / r, or alpha / sqrt(r) with rslora."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the low-rank part's input."""
    targets: tuple[str, ...] = ()
    """Modules by the end of their names; empty: every projection of every decoder layer."""
    tokens: Literal["rows", "whole", "none"] = "rows"
    """How tokens that base_model added learn: their rows of embeddings and head, both as a whole, or not at all."""
    rslora: bool = False
    """Rank-stabilised scaling."""
    dora: bool = False
    """Weight decomposition: a learned magnitude for each output."""
    rank_pattern: dict[str, int] = Field(default_factory=dict)
    """Other ranks for modules whose names match."""
    alpha_pattern: dict[str, float] = Field(default_factory=dict)
    """Other alphas for modules whose names match."""


class Gates(SpecModel):
    """How the gates of so8t_model learn."""

    train: bool = True
    """False: gates stay at identity, and this is plain LoRA."""
    learning_rate: float = Field(2e-3, gt=0, le=1)
    """The gates' own highest learning rate."""
    target: float = Field(0.9, gt=0, lt=1)
    """How far gates are open, as g from 0 to 1, when annealing ends."""
    annealing: float = Field(0.1, ge=0, le=1)
    """The share of the steps in which alpha goes from its start to that."""
    shape: Literal["linear", "sigmoid"] = "linear"
    """The way it takes."""
    then: Literal["learned", "held"] = "learned"
    """What alpha does afterwards."""
    orthogonality: float = Field(0.01, ge=0)
    """The weight of the orthogonality loss; geodesic gates are orthogonal without it."""


class Pet(SpecModel):
    """The penalty on the second difference of the last hidden states along time."""

    exploration: float = Field(0.01, ge=0)
    """Its weight in the first 20 % of the steps."""
    transition: float = Field(0.05, ge=0)
    """Its weight in the next 40 %."""
    stabilisation: float = Field(0.1, ge=0)
    """Its weight in the last 40 %."""
    form: Literal["l2", "huber"] = "l2"
    """The square of the second difference, or linear beyond delta."""
    delta: float = Field(1.0, gt=0)
    """Where huber becomes linear."""


class Train(SpecModel):
    """The run."""

    epochs: float = Field(3.0, gt=0)
    """How often each conversation is seen."""
    steps: int | None = Field(None, ge=1, json_schema_extra=instead_of("epochs"))
    """Steps of the optimiser, instead of epochs."""
    batch: int = Field(16, ge=1)
    """Rows in a step, over all processes and micro-batches."""
    micro_batch: int = execution(1, ge=1)
    """Rows in one pass through the model; batch is a multiple of it.  It changes memory, and the order of sums."""
    sequence: int = Field(2048, ge=8)
    """Tokens in a row; a conversation that is longer is left out and counted."""
    packing: bool = False
    """Whether short conversations share a row; none sees another."""
    by_length: bool = True
    """Whether rows of like length make a batch, to pad less."""
    pad_to_multiple_of: int = Field(1, ge=1)
    """Tokens of which a batch's width is a multiple.  For each width a processor writes code when matmul is medium, and
    keeps it, so 8 takes less memory there and hardly less time; padding teaches nothing, but changes the last bits."""
    learning_rate: float = Field(2e-4, gt=0, le=1)
    """The highest learning rate of the low-rank part, after warm-up."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """What it does then."""
    warmup: float = Field(0.03, ge=0, lt=1)
    """The share of the steps in which it rises."""
    weight_decay: float = Field(0.0, ge=0)
    """Of the low-rank part; gates have none."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's."""
    max_gradient: float = Field(1.0, gt=0)
    """The norm to which gradients are clipped."""
    attention: Literal["sdpa", "eager"] = "sdpa"
    """sdpa, or eager, which is quicker on a processor while rows are short."""
    kernels: Literal["auto", "off"] = execution("auto")
    """auto: on CUDA, fused norms and loss (liger-kernel) and attention without a mask for packed rows, each where it is
    proven on the first row; training.json says which, and why not.  They change the last bits, on CUDA alone."""
    kernel_error: float = execution(0.02, gt=0, lt=1)
    """How far they may move the loss and the gradient there, as part of their size."""
    matmul: Literal["highest", "high", "medium"] = "highest"
    """How exact products of float32 matrices are, in torch's words: high is TF32 on a GPU, medium bfloat16 sums."""
    optimizer: Literal["auto", "adamw", "adamw8bit", "paged_adamw8bit"] = "auto"
    """auto: paged 8-bit AdamW on CUDA, plain AdamW elsewhere."""
    gradient_checkpointing: bool = execution(False)
    """Compute activations again instead of keeping them: less memory, about a third more time."""
    seed: int = Field(0, ge=0)
    """Of the first weights, the order of rows and dropout."""
    threads: int = Field(2, ge=1, le=256)
    """Threads of each process.  It changes the order of sums and so the last bits of every weight."""
    lanes: int = Field(1, ge=1)
    """Parts of a batch whose gradients are computed alone and summed in order; they change the last bits."""
    processes: Literal["auto"] | int = execution("auto")
    """Processes that compute the lanes, each with a base of its own; auto: one for each GPU, or as the cores allow."""
    shard: Literal["none", "full"] = execution("none")
    """full: the base is divided among the processes that compute the lanes (FSDP2), for one larger than a device; in
    full or as nf4, not as int8.  It changes no bit that the processor computes."""
    device: str = execution("auto", pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")
    """auto: a GPU if there is one; cuda or cuda:1: that one, and nothing is built where it is missing; cpu."""

    @model_validator(mode="after")
    def _divides(self) -> Train:
        if self.batch % (self.micro_batch * self.lanes):
            lanes = f" in each of {self.lanes} lanes" if self.lanes > 1 else ""
            unit = self.micro_batch * self.lanes
            near = " or ".join(str(unit * each) for each in (self.batch // unit, self.batch // unit + 1) if each)
            raise At(
                f"batch {self.batch} is not a multiple of micro_batch {self.micro_batch}{lanes}: take {near}",
                *("batch", "micro_batch", "lanes"),
            )
        if self.processes != "auto" and (self.processes < 1 or self.lanes % self.processes):
            raise At(f"lanes: {self.lanes} do not divide among {self.processes} processes", "processes", "lanes")
        if self.sequence % (unit := self.pad_to_multiple_of):
            near = " or ".join(str(unit * each) for each in (self.sequence // unit, self.sequence // unit + 1) if each)
            text = f"sequence {self.sequence} is not a multiple of pad_to_multiple_of {unit}: take {near}"
            raise At(text, "sequence", "pad_to_multiple_of")
        return self


class Validation(SpecModel):
    """The loss on the validation split while training runs."""

    every: int = Field(100, ge=1)
    """Steps between two looks; there is one at the end in any case."""
    conversations: int = Field(200, ge=0)
    """At most so many, from the front; 0: no validation."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many looks without a lower loss; null: train to the end."""
    publish: Literal["last", "best"] = "last"
    """Which weights become the adapter: the last ones, or those of the lowest loss."""

    @model_validator(mode="after")
    def _something_to_compare(self) -> Validation:
        if not self.conversations and (self.patience or self.publish == "best"):
            text = "patience and publish: best need a validation loss; set conversations above 0"
            raise At(text, "conversations", "patience", "publish")
        return self


class Checkpoints(SpecModel):
    """What a killed run goes on from; nothing here changes the result."""

    steps: int = execution(100, ge=1)
    """Steps from one to the next."""
    minutes: float = execution(10.0, gt=0)
    """Minutes from one to the next, whichever comes first."""
    keep: int = execution(2, ge=1)
    """How many, the newest, are kept."""


class Monitor(SpecModel):
    """What is watched; it never steers."""

    every: int = Field(10, ge=1)
    """Steps between two samples of the series."""
    tensorboard: bool = execution(False)
    """Whether TensorBoard events are written as well."""
    logs: str | None = execution(None)
    """Where speed, memory and events go, which differ from run to run; by default into the project's state folder."""
