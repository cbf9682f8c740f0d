"""A base model of our own: a tokenizer and a real Phi3ForCausalLM of about 3 M parameters, trained in a minute.

It is trained on the training split alone: whatever is held out stays unseen by tokenizer and weights,
so that later scores on held-out records mean something.  `so8t.models.documents` says what exactly it sees.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from so8t.formats import chat, thinking
from so8t.models import documents, tokenizer
from so8t.models.pretrain import Schedule, lane, pretrain
from so8t.models.tokenizer import Symbols
from so8t.spec.fields import SpecModel, execution
from so8t.store.atomic import sync
from so8t.watch.quiet import quiet

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor
    from torch.nn import Parameter
    from transformers import GenerationConfig, Phi3Config, Phi3ForCausalLM

    from so8t.models.lanes import Compute, Lanes

PROBES = (
    "",
    " 行頭の空白と　全角の空白、行末 ",
    "ＡＢＣ 123 ｶﾅ 鬱 𠮷野家 😢🏳️‍🌈 naïve\tタブ\n改行\r\n",
)


class Tiny(SpecModel):
    """A small Phi-3 trained here, on the training split."""

    kind: Literal["tiny"] = "tiny"
    """The source's kind."""
    vocab_size: int = Field(2048, ge=300, le=65536)
    """Pieces of the tokenizer, bytes and symbols included."""
    tokenizer_texts: int = Field(200_000, ge=1)
    """At most so many texts, from the front, train the tokenizer: it holds them in memory."""
    hidden_size: int = Field(256, ge=8, multiple_of=8)
    """Width; a multiple of 256 lets every quantisation of a GGUF apply."""
    intermediate_size: int = Field(256, ge=8)
    """Width of the feed-forward part; a multiple of 256 likewise."""
    layers: int = Field(4, ge=1, le=64)
    """Decoder layers."""
    heads: int = Field(4, ge=1)
    """Attention heads; hidden_size / heads is a multiple of 8, the size of a gate's block."""
    kv_heads: int = Field(4, ge=1)
    """Key and value heads; fewer than heads groups them."""
    context: int = Field(512, ge=16)
    """The longest conversation, in tokens."""
    first_weights: float = Field(0.06, gt=0, le=1)
    """Standard deviation of the first weights; 1 / sqrt(hidden_size) trains much faster than the usual 0.02."""
    steps: int = Field(700, ge=1)
    """Steps of training."""
    batch: int = Field(16, ge=1)
    """Documents in a step."""
    sequence: int = Field(256, ge=8)
    """Tokens of a document that are read; what follows is left out."""
    learning_rate: float = Field(2e-3, gt=0, le=1)
    """The highest learning rate, after warm-up."""
    warmup: int = Field(56, ge=1)
    """Steps until then."""
    seed: int = Field(0, ge=0)
    """Of the first weights and the order of documents."""
    matmul: Literal["highest", "medium"] = "medium"
    """Whether products of float32 matrices may be summed in bfloat16, in torch's words; where that is slower, not."""
    threads: int = Field(2, ge=1, le=256)
    """Threads of each process.  It changes the order of sums and so the last bits of every weight."""
    lanes: int = Field(1, ge=1)
    """Parts of a batch whose gradients are computed alone and summed in order; they change the last bits, too."""
    processes: Literal["auto"] | int = execution("auto")
    """Processes that compute the lanes; auto: as the cores allow."""
    checkpoint_every: int = execution(100, ge=1)
    """Steps between the states that a killed run goes on from."""

    @model_validator(mode="after")
    def _fits(self) -> Tiny:
        problems = []
        if self.hidden_size % (8 * self.heads):
            problems.append(
                f"hidden_size {self.hidden_size} does not divide into {self.heads} heads of a multiple of 8"
            )
        if self.heads % self.kv_heads:
            problems.append(f"{self.heads} heads do not divide into groups for {self.kv_heads} kv_heads")
        if self.sequence > self.context:
            problems.append(f"sequence {self.sequence} is longer than context {self.context}")
        if self.batch % self.lanes:
            problems.append(f"batch {self.batch} does not divide into {self.lanes} lanes")
        if self.processes != "auto" and (self.processes < 1 or self.lanes % self.processes):
            problems.append(f"lanes: {self.lanes} do not divide among {self.processes} processes")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def build(spec: Tiny, train: Path, declaration: dict[str, Any], out: Path) -> Path:
    """Leave a standard checkpoint in `out`/model."""
    made, work = out / "model", out / "training"
    if not made.exists():
        folder = work / "model"  # anew: what a kill leaves beside a file that was being written is not of the model
        shutil.rmtree(folder, ignore_errors=not folder.exists())
        folder.mkdir(parents=True)
        _build(spec, train, declaration, work, folder)
        folder.replace(made)
        sync(out)
    shutil.rmtree(work, ignore_errors=not work.exists())
    return made


def _build(spec: Tiny, train: Path, declaration: dict[str, Any], work: Path, folder: Path) -> None:
    symbols = tokenizer.symbols(declaration)
    chat_format, thinking_format = chat.from_json(declaration["chat"]), thinking.from_json(declaration["thinking"])
    # a tokenizer
    model_file = tokenizer.train(islice(documents.texts(train), spec.tokenizer_texts), spec.vocab_size, symbols)
    tokenizer.write(folder, model_file, symbols, declaration["jinja"], spec.context)
    tokenizer.check(folder, [*PROBES, *islice(documents.texts(train), 200)])
    # what the model reads
    pieces = tokenizer.processor(model_file)
    read = documents.documents(train, chat_format, thinking_format)
    encoded = (tokenizer.encode(pieces, document, symbols) for document in read)
    end = pieces.PieceToId(symbols.eos)
    documents.write_tokens(work, encoded, end, spec.sequence)
    batches = documents.Batches(work, spec.batch, spec.seed, end)
    # the model
    from so8t.models.numerics import deterministic

    with deterministic(spec.threads, matmul=spec.matmul):
        model = create(config(spec, pieces, symbols), spec.seed)
        model.generation_config = generation(pieces, symbols, chat_format.stop)
        schedule = Schedule(spec.steps, min(spec.warmup, spec.steps), spec.learning_rate)
        with _lanes(spec, model, work / "lanes") as lanes:
            pretrain(model, batches, schedule, work / "state.safetensors", spec.checkpoint_every, lanes)
    with quiet():
        model.save_pretrained(str(folder))


def _lanes(spec: Tiny, model: Phi3ForCausalLM, path: Path) -> AbstractContextManager[Lanes | None]:
    from so8t.models import lanes

    if spec.lanes == 1:
        return nullcontext()
    count = lanes.processes(spec.processes, spec.lanes, spec.threads)
    return lanes.Lanes(model.parameters(), spec.lanes, count, path, _helper, (spec, model.config))


@contextmanager
def _helper(settings: tuple[Tiny, Phi3Config]) -> Iterator[tuple[list[Parameter], Compute]]:
    """In a process that helps: a model of its own."""
    from so8t.models.numerics import deterministic

    spec, config = settings
    with deterministic(spec.threads, matmul=spec.matmul):
        model = create(config, spec.seed).train()
        yield list(model.parameters()), partial(lane, model)


def config(spec: Tiny, pieces: SentencePieceProcessor, symbols: Symbols) -> Phi3Config:
    from transformers import Phi3Config

    return Phi3Config(
        vocab_size=spec.vocab_size,
        hidden_size=spec.hidden_size,
        intermediate_size=spec.intermediate_size,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.kv_heads,
        max_position_embeddings=spec.context,
        original_max_position_embeddings=spec.context,
        tie_word_embeddings=False,
        initializer_range=spec.first_weights,
        attention_dropout=0.0,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        bos_token_id=pieces.PieceToId(symbols.bos),
        eos_token_id=pieces.PieceToId(symbols.eos),
        pad_token_id=pieces.PieceToId(symbols.eos),
    )


def generation(pieces: SentencePieceProcessor, symbols: Symbols, stop: Sequence[str]) -> GenerationConfig:
    from transformers import GenerationConfig

    return GenerationConfig(
        bos_token_id=pieces.PieceToId(symbols.bos),
        eos_token_id=[pieces.PieceToId(token) for token in stop],
        pad_token_id=pieces.PieceToId(symbols.eos),
        do_sample=False,
    )


def create(config: Phi3Config, seed: int) -> Phi3ForCausalLM:
    """The first weights; the process's own random state stays as it was."""
    import torch
    from transformers import Phi3ForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # rows are short, and there this attention takes half the time on a processor
        made: Phi3ForCausalLM = Phi3ForCausalLM._from_config(config, attn_implementation="eager")
        return made
