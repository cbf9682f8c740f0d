"""What clients send and get: the bodies of /think and of OpenAI's chat completions, as models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from so8t.formats.records import Label


def _whole(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half of a surrogate pair")
    return text


Text = Annotated[str, Field(max_length=1_000_000), AfterValidator(_whole)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Message(Strict):
    role: Literal["system", "user", "assistant"]
    content: Text


class _Question(Strict):
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    """The most tokens that the model may write, its thinking included; the server's own limit holds too."""
    stream: bool = False
    """Send the answer as server-sent events: `verdict`, `delta` (repeated), `done`; or `problem`."""


class PromptQuestion(_Question):
    """One question."""

    prompt: Annotated[Text, Field(min_length=1)]


class MessagesQuestion(_Question):
    """A conversation; its last message is the user's."""

    messages: list[Message] = Field(min_length=1, max_length=1000)


class PlainReply(BaseModel):
    """The final part alone."""

    model_config = ConfigDict(populate_by_name=True)
    answer: str
    audit_id: str = Field(pattern="^[0-9a-f]{32}$")
    finish_reason: Literal["length"] | None = None
    """Only where the most tokens ended the answer in its midst."""


class ThinkReply(PlainReply):
    """The final part alone, of a model that names a class."""

    label: Label = Field(alias="class")
    confidence: float = Field(ge=0, le=1)
    reason: str


class ProblemDocument(BaseModel):
    """A problem document (RFC 9457); `error` says the same in OpenAI's words."""

    type: str
    title: str
    status: int
    detail: str
    audit_id: str | None = None
    problems: list[dict[str, str]] | None = None
    error: dict[str, Any]


# ---- OpenAI's chat completions -----------------------------------------------------------------------------------


class TextPart(Strict):
    type: Literal["text"]
    text: Text


class ChatMessage(BaseModel):
    """`name` and other fields are accepted and not used."""

    model_config = ConfigDict(strict=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=1000)]

    def plain(self) -> dict[str, str]:
        role = "system" if self.role == "developer" else self.role
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": role, "content": text}


# What OpenAI's chat completions know and this server does not: named to the client that sends it.
UNSUPPORTED = frozenset(
    {
        *("audio", "function_call", "functions", "logit_bias", "logprobs", "modalities", "parallel_tool_calls"),
        *("prediction", "prompt_cache_key", "reasoning_effort", "response_format", "safety_identifier"),
        *("service_tier", "stop", "tool_choice", "tools", "top_logprobs", "verbosity", "web_search_options"),
    }
)


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(Strict):
    """The model decodes greedily, and its format admits no other stops, tools, choices or log-probabilities: sampling
    fields are accepted and change nothing, and what would change the answer's form is refused."""

    model: Annotated[str, Field(max_length=256)]
    messages: list[ChatMessage] = Field(min_length=1, max_length=1000)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=1_000_000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    seed: int | None = None
    user: Annotated[str, Field(max_length=1000)] | None = None
    metadata: dict[str, str] | None = None
    store: Literal[False] | None = None

    @property
    def most(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


class Extension(BaseModel):
    """What the final part says besides the answer; the audit id alone where the output was cut off before it."""

    model_config = ConfigDict(populate_by_name=True)
    label: Label | None = Field(None, alias="class")
    confidence: float | None = None
    reason: str | None = None
    audit_id: str


class Usage(BaseModel):
    """Tokens of the prompt and of the answer; those of the thinking are not told."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    role: Literal["assistant"]
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: Literal[0]
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None = None
    so8t: Extension


class ListedModel(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Models(BaseModel):
    object: Literal["list"]
    data: list[ListedModel]


class Health(BaseModel):
    status: Literal["ok", "failing"]
    problem: Literal["audit", "backend", "stopping"] | None = None
    """What fails; only where something does."""
