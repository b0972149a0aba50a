"""Settings of an OpenAI-compatible endpoint: where it is, what it can, what it may get and cost."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from trackrec.engines.base import Capabilities
from trackrec.engines.budget import BudgetSettings
from trackrec.errors import RecipeError
from trackrec.settings import ComponentSettings

ServerKind = Literal["openai", "vllm", "sglang", "llama.cpp", "transformers", "other"]

_CHAT = {"messages": True, "stop": True}
_OPEN = {**_CHAT, "token_ids": True, "log_probabilities": True, "scoring": True, "long_answers": True, "seeds": True}
_OPEN |= {"repetition_penalty": True}
SERVERS: dict[ServerKind, Capabilities] = {
    "openai": Capabilities(**_CHAT, log_probabilities=True, scoring=True, several=True, json_schema=True),
    "vllm": Capabilities(**_OPEN, several=True, json_schema=True),
    "sglang": Capabilities(**{**_OPEN, "long_answers": False}, several=True, json_schema=True),
    "llama.cpp": Capabilities(**_OPEN, several=True, json_schema=True),
    "transformers": Capabilities(messages=True),
    "other": Capabilities(**_CHAT),
}
"""What each kind of server can do. Those of services are not repeated exactly for equal seeds."""

ECHOES: frozenset[ServerKind] = frozenset({"vllm"})
"""Servers that tell the log-probabilities of the prompt's own tokens, so that any answer is scored in one call."""

HOW_ALONE = {"consent", "api_key_env", "budget", "cache", "concurrency", "requests_per_minute", "tokens_per_minute"}
HOW_ALONE |= {"timeout", "retries", "give_up_after"}
"""Settings of how an endpoint is called, which change no answer: a run goes on where they are others than before."""

_OURS = {"model", "messages", "prompt", "n", "stream", "seed", "stop", "temperature", "top_p", "max_tokens", "logprobs"}
_OURS |= {"max_completion_tokens", "top_logprobs", "response_format", "echo"}
_SECRETS = {"api_key", "apikey", "api-key", "authorization", "key", "password", "secret", "access_token"}


class OpenAISettings(ComponentSettings):
    """An endpoint that speaks the OpenAI API: a service, or a server of your own (vLLM, SGLang, llama.cpp)."""

    type: str = "openai"
    base_url: str = Field(default="https://api.openai.com/v1", max_length=500)
    """Address up to and without `/chat/completions`."""
    model: str = Field(min_length=1, max_length=200)
    """The model, as the endpoint calls it."""
    consent: bool = False
    """Whether the prompts (titles, ratings, texts of users) may be sent to `base_url`. Without it nothing is sent."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; empty: the endpoint takes none. Never the key itself."""
    server: ServerKind = "openai"
    """Kind of server, from which follows what can be asked of it."""
    lacks: tuple[str, ...] = ()
    """Capabilities that this endpoint or model lacks although its kind of server has them, such as
    `log_probabilities`."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of each request, such as `chat_template_kwargs: {enable_thinking: false}`."""
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the endpoint calls the most tokens of a text; newer OpenAI models want `max_completion_tokens`."""
    top_log_probabilities: int = Field(default=20, ge=1, le=100)
    """Among how many most likely tokens an answer is looked for when it is scored; services tell 20 at most."""
    samples_per_call: int = Field(default=4, ge=1, le=128)
    """Most texts of a request in one call, so that its prompt is read, and paid, once for them. Llama.cpp writes no
    more than it has slots (`--parallel`); services differ."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Calls under way at the same time; a kill loses the answers of at most so many."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """Most calls in any 60 seconds; null: as many as the endpoint takes."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Most tokens, read and written, in any 60 seconds; null: as many as the endpoint takes."""
    timeout: float = Field(default=120, gt=0, le=3600)
    """Seconds until a call must be answered whole."""
    retries: int = Field(default=6, ge=0, le=20)
    """How often a call is tried again after a failure that passes (429, 5xx, timeout, broken connection)."""
    give_up_after: int = Field(default=8, ge=1, le=1000)
    """Requests in a row that fail after all their tries before everything stops: the endpoint is down."""
    budget: BudgetSettings = BudgetSettings()
    """The most that a command may spend."""
    cache: str = ""
    """File of the cache of answers; empty: `answers.sqlite` in TrackRec's cache folder."""

    @field_validator("api_key_env")
    @classmethod
    def _names_a_variable(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", value):
            # No ValueError: its report would repeat what arrived, which may be the key itself.
            raise RecipeError(
                "api_key_env must be the NAME of an environment variable in capital letters, such as OPENAI_API_KEY. "
                "What arrived is not repeated here, since it may be the key: if it is, take it out of the recipe"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise RecipeError(
                "base_url must be a plain address: no user, password or parameters in it (they may be keys, so it is "
                "not repeated here). Keys come from the environment variable that api_key_env names"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address such as https://api.openai.com/v1 or http://127.0.0.1:8000/v1")
        return value.rstrip("/")

    @field_validator("extra_body")
    @classmethod
    def _adds_only(cls, value: dict[str, Any]) -> dict[str, Any]:
        secret = sorted(name for name in value if name.lower() in _SECRETS)
        if secret:
            raise RecipeError(f"extra_body holds {secret}: keys come from the environment alone (api_key_env)")
        ours = sorted(set(value) & _OURS)
        if ours:
            raise ValueError(f"{ours} are set by the engine itself; extra_body is for further fields")
        return value

    @field_validator("lacks")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = set(Capabilities.__dataclass_fields__)
        if not set(value) <= known:
            raise ValueError(f"expected some of {sorted(known)}")
        return value

    @property
    def capabilities(self) -> Capabilities:
        """What the endpoint can do: what its kind of server can, less what it lacks."""
        has = SERVERS[self.server]
        return Capabilities(**{name: getattr(has, name) and name not in self.lacks for name in vars(has)})

    @property
    def together(self) -> int:
        """Most texts of a request in one call; 1 where the endpoint takes no ``n``."""
        return self.samples_per_call if self.capabilities.several else 1

    @property
    def host(self) -> str:
        """The machine that gets what is sent."""
        return str(urlsplit(self.base_url).hostname)

    def what_leaves(self) -> str:
        """What would be sent and where to, in plain words."""
        plain = "" if self.base_url.startswith("https:") else ", not encrypted on its way"
        return (
            f"the prompts - for each user the titles, ratings and order of what they watched, read or bought, and what "
            f"was written about them; for each item its title and attributes - to {self.host} ({self.base_url}, model "
            f"{self.model!r}){plain}. User ids are not sent"
        )
