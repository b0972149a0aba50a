"""The engine: anything that writes texts and scores answers, and what it says it can do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import Field

from trackrec.engines.failures import EngineError, FailureKind
from trackrec.settings import LATER, Settings

FinishReason = Literal["stop", "length", "content_filter", "refusal", "none"]
"""Why a text ended: by itself, at its most tokens, by a filter, by a refusal; none: there is no text."""

AnswerText: TypeAlias = str | tuple[int, ...]
"""An answer to score: its text, or its token ids."""


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Prompt:
    """What an engine reads: the turns of a chat, or token ids of its own tokenizer.

    Raises:
        ValueError: not exactly one of the two is given, or it is empty.
    """

    messages: tuple[Message, ...] | None = None
    token_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if bool(self.messages) == bool(self.token_ids):
            raise ValueError("a prompt is either messages or token ids, and not empty; got both or none")


@dataclass(frozen=True)
class GenerateRequest(Prompt):
    """A prompt to be answered."""

    seed: int = 0
    """Of the draws; equal seeds give equal texts where the engine can."""
    subject: str | None = None
    """Whom or what it is about (a user's id, an item's), so that a cache can forget them. It is not sent."""


class Decoding(Settings):
    """How a text is drawn, on any engine."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    """Divides the logits; 0 takes the most likely token every time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus: the smallest set of tokens with at least this probability is drawn from."""
    max_new_tokens: int = Field(default=64, ge=1, le=131_072)
    """Most tokens of a text."""
    stop: tuple[str, ...] = Field(default=(), max_length=4)
    """Phrases that end a text; they are not part of it. Endpoints take four at most."""
    repetition_penalty: Annotated[float, LATER] = Field(default=1.0, gt=0, le=10)
    """Makes tokens less likely that stand in the prompt or in the text so far, as transformers and vLLM do; 1: none."""
    json_schema: dict[str, Any] | None = None
    """A JSON schema that the text must follow."""
    log_probabilities: bool = False
    """Whether the log-probabilities of the drawn tokens are wanted (temperature 1, nothing cut off)."""


@dataclass(frozen=True)
class Usage:
    """Tokens that were read and written."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Those of ``prompt_tokens`` that the endpoint had read before, which many bill at a lower price."""

    def __add__(self, other: Usage) -> Usage:
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return Usage(*(ours + theirs for ours, theirs in pairs))

    @property
    def tokens(self) -> int:
        """All tokens, read and written."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Answer:
    """One text, or why there is none."""

    text: str
    """Without control tokens, outer white space and what the model thought in tags."""
    finish_reason: FinishReason = "stop"
    failure: FailureKind | None = None
    """Why the text cannot be used; None: it can."""
    token_ids: tuple[int, ...] | None = None
    """The drawn tokens, where the engine tells them."""
    log_probabilities: tuple[float, ...] | None = None
    """Of each drawn token in nats, where asked for and told."""
    thought: int = 0
    """Characters of thinking that were cut off."""
    usage: Usage = Usage()
    """What it took. Where several texts came of one reading, the first one carries all of it."""
    model: str = ""
    """The model that answered, as the engine names it."""
    cached: bool = False
    """Whether it was in the cache, so that it cost nothing now."""


@dataclass(frozen=True)
class Score:
    """How likely each answer is after a prefix."""

    log_probabilities: tuple[float, ...]
    """One an answer, in nats, in the order of the answers."""
    exact: tuple[bool, ...] = ()
    """Whether each is the model's own; False: the answer was not told, and this is the most that it can be."""
    failure: FailureKind | None = None
    """Why there is no score; the log-probabilities are then not numbers."""

    def shares(self) -> tuple[float, ...]:
        """Probabilities normalised over the answers alone: P(Yes) is the first of ("Yes", "No").

        >>> Score((math.log(0.5), math.log(0.5))).shares()
        (0.5, 0.5)
        """
        top = max(self.log_probabilities)
        weights = [math.exp(value - top) for value in self.log_probabilities]
        return tuple(weight / sum(weights) for weight in weights)


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do."""

    messages: bool = False
    """Reads the turns of a chat."""
    token_ids: bool = False
    """Reads token ids of its own tokenizer."""
    log_probabilities: bool = False
    """Tells the log-probabilities of the tokens that it draws."""
    scoring: bool = False
    """Scores answers of one token."""
    long_answers: bool = False
    """Scores answers of several tokens."""
    seeds: bool = False
    """Equal seeds give equal texts."""
    several: bool = False
    """Draws several texts from one reading of the prompt."""
    json_schema: bool = False
    """Writes JSON that follows a schema."""
    stop: bool = False
    """Ends a text at given phrases."""
    repetition_penalty: bool = False
    """Makes tokens less likely that were seen before."""


@runtime_checkable
class Engine(Protocol):
    """Writes texts and scores answers. Every engine passes ``trackrec.testing.engine_suite.check_engine``."""

    @property
    def name(self) -> str:
        """The engine and its model in a few words, for messages and manifests."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; see ``require``."""
        ...

    def generate(self, requests: Sequence[GenerateRequest], n: int, decoding: Decoding) -> list[list[Answer]]:
        """Write ``n`` texts for each request, in the order of the requests.

        Raises:
            EngineError: the engine lacks what is asked of it, or cannot go on. What was answered is kept if it cost.
        """
        ...

    def score(self, prefixes: Sequence[Prompt], answers: Sequence[AnswerText]) -> list[Score]:
        """Log-probability of each answer right after each prefix, as the first words of the engine's turn.

        Raises:
            EngineError: as ``generate``.
        """
        ...


_WORDS = {field.name: field.name.replace("_", " ") for field in fields(Capabilities)}
_WORDS |= {
    "messages": "reading chat messages",
    "token_ids": "reading token ids",
    "log_probabilities": "log-probabilities of what it writes",
    "scoring": "scoring of answers",
    "long_answers": "scoring of answers of several tokens",
    "seeds": "seeds",
    "several": "several texts from one reading",
    "json_schema": "JSON by a schema",
    "stop": "stop phrases",
    "repetition_penalty": "a repetition penalty",
}


def require(engine: Engine, needs: Iterable[str], who: str) -> None:
    """Refuse, before anything is spent, a recipe that asks an engine for what it lacks.

    Args:
        engine: the engine.
        needs: names of ``Capabilities`` that must be there.
        who: whose need it is, for the message ("the LM validator").

    Raises:
        EngineError: something is lacking.
        ValueError: there is no such capability.
    """
    needed = list(needs)
    unknown = [name for name in needed if name not in _WORDS]
    if unknown:
        raise ValueError(f"no such capability: {unknown}; expected some of {sorted(_WORDS)}")
    lacking = [_WORDS[name] for name in needed if not getattr(engine.capabilities, name)]
    if lacking:
        has = [words for name, words in _WORDS.items() if getattr(engine.capabilities, name)]
        raise EngineError(
            f"{who} needs {', '.join(lacking)}, which the engine {engine.name} lacks (it has: {', '.join(has)}). "
            "Nothing was sent or spent. Name another engine, or change what is asked for."
        )


def needs_of(requests: Sequence[Prompt], decoding: Decoding | None = None) -> list[str]:
    """The capabilities that some requests take."""
    needed = {"messages" if request.messages else "token_ids" for request in requests}
    if decoding is not None:
        asked = {"json_schema": decoding.json_schema is not None, "log_probabilities": decoding.log_probabilities}
        asked |= {"stop": bool(decoding.stop), "repetition_penalty": decoding.repetition_penalty != 1}
        needed |= {name for name, wanted in asked.items() if wanted}
    return sorted(needed)


def check_request(engine: Engine, requests: Sequence[Prompt], n: int, decoding: Decoding | None) -> None:
    """What every engine checks first.

    Raises:
        EngineError: ``n`` is below 1, or the engine lacks something.
    """
    if n < 1:
        raise EngineError(f"the engine {engine.name} was asked for {n} texts a request; expected 1 or more")
    require(engine, needs_of(requests, decoding), "this request")
