"""The engine ``torch``: a model in this process, with the prompt read once for all its texts and answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Self

from pydantic import Field

from trackrec.engines.base import (
    Answer,
    AnswerText,
    Capabilities,
    Decoding,
    GenerateRequest,
    Prompt,
    Score,
    Usage,
    check_request,
)
from trackrec.engines.failures import EngineError, is_refusal
from trackrec.lm.model import LanguageModel, LanguageModelSettings
from trackrec.lm.sampling import Continuation, DecodingSettings, sample, until_stop
from trackrec.lm.scoring import MergedCopy
from trackrec.lm.training import TreeExample, sequence_logprobs
from trackrec.lm.tree import Tree
from trackrec.prompts.chat import PlainText, find_end
from trackrec.prompts.template import TemplateSettings
from trackrec.prompts.turns import answer_frame, encode_turns
from trackrec.settings import ComponentSettings


class TorchSettings(ComponentSettings):
    """A model on this machine; nothing leaves it."""

    type: str = "torch"
    model: LanguageModelSettings = LanguageModelSettings()
    """The language model."""
    template: TemplateSettings = TemplateSettings()
    """What its chat template is told."""
    rows: int = Field(default=64, ge=1, le=4096)
    """Most texts that are written at a time; with the prompts' length it bounds the memory."""
    token_budget: int = Field(default=2048, ge=1)
    """Most prompt tokens in one forward pass."""


class TorchEngine:
    """Writes and scores with a model of ``trackrec.lm``.

    Args:
        settings: template and memory; the model's part is used where ``model`` is not given.
        model: the language model; None loads the one that the settings name.
        adapter: which of its adapters computes; None: the base alone.

    Raises:
        AssetError: the model cannot be loaded.
    """

    Settings = TorchSettings

    @classmethod
    def make(cls, settings: TorchSettings, context: None = None) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(settings)

    def __init__(
        self, settings: TorchSettings | None = None, model: LanguageModel | None = None, adapter: str | None = None
    ) -> None:
        self.settings = settings or TorchSettings()
        self.model = model or LanguageModel(self.settings.model)
        self.adapter = adapter
        self._plain = PlainText(self.model.tokenizer)
        self._copy = MergedCopy(self.model, adapter)

    @property
    def name(self) -> str:
        """Model and adapter."""
        return f"torch ({self.model.settings.name}{f', adapter {self.adapter}' if self.adapter else ''})"

    @property
    def capabilities(self) -> Capabilities:
        """Everything but JSON by a schema; messages where the tokenizer has a chat template."""
        return Capabilities(
            messages=bool(self.model.tokenizer.chat_template),
            token_ids=True,
            log_probabilities=True,
            scoring=True,
            long_answers=True,
            seeds=True,
            several=True,
            stop=True,
            repetition_penalty=True,
        )

    def generate(self, requests: Sequence[GenerateRequest], n: int, decoding: Decoding) -> list[list[Answer]]:
        """Write ``n`` texts for each request; see ``Engine``."""
        check_request(self, requests, n, decoding)
        prompts = [self._encode(request) for request in requests]
        fits = [len(prompt) + decoding.max_new_tokens <= self._longest for prompt in prompts]
        drawn = iter(
            sample(
                self._copy.get(),
                [prompt for prompt, fit in zip(prompts, fits, strict=True) if fit],
                [request.seed % 2**63 for request, fit in zip(requests, fits, strict=True) if fit],
                n,
                self._stops,
                DecodingSettings(
                    temperature=decoding.temperature,
                    top_p=decoding.top_p,
                    max_new_tokens=decoding.max_new_tokens,
                    repetition_penalty=decoding.repetition_penalty,
                ),
                self.settings.rows,
                self.settings.token_budget,
            )
        )
        too_long = Answer("", "none", "context_too_long", model=self.model.settings.name)
        return [
            self._answers(len(prompt), next(drawn), decoding) if fit else [too_long] * n
            for prompt, fit in zip(prompts, fits, strict=True)
        ]

    def score(self, prefixes: Sequence[Prompt], answers: Sequence[AnswerText]) -> list[Score]:
        """Log-probability of each answer right after each prefix; see ``Engine``."""
        if not answers or any(not answer for answer in answers):
            raise EngineError(f"the engine {self.name} was asked to score {answers!r}; expected answers, none empty")
        check_request(self, prefixes, 1, None)
        scores: list[Score] = []
        for prefix in prefixes:
            prompt, ids = self._with_answers(prefix, answers)
            if len(prompt) + max(map(len, ids)) > self._longest:
                nothing = (float("nan"),) * len(ids)
                scores.append(Score(nothing, (False,) * len(ids), "context_too_long"))
                continue
            tree = Tree()
            root = tree.add(prompt)
            example = TreeExample(tree, [tree.add(answer, root) for answer in ids])
            found = sequence_logprobs(self.model, None, [example], merged=self._copy.get())[0]
            scores.append(Score(tuple(float(sum(values)) for values in found), (True,) * len(ids)))
        return scores

    def _answers(self, prompt_tokens: int, texts: Sequence[Continuation], decoding: Decoding) -> list[Answer]:
        found = [self._answer(text, decoding) for text in texts]
        return [
            Answer(**{**vars(answer), "usage": Usage(0 if place else prompt_tokens, answer.usage.completion_tokens)})
            for place, answer in enumerate(found)
        ]

    def _answer(self, drawn: Continuation, decoding: Decoding) -> Answer:
        count, phrase = until_stop(self._plain.decode, drawn.token_ids, decoding.stop)
        ids = drawn.token_ids[:count]
        text, thought = self._plain.read(ids)
        text = text.partition(phrase)[0].strip() if phrase else text
        ended = drawn.finished or phrase is not None
        refused = is_refusal(text)
        return Answer(
            text,
            "refusal" if refused else "stop" if ended else "length",
            "refused" if refused else None if text else "empty",
            tuple(ids) if decoding.log_probabilities else None,
            tuple(drawn.token_logprobs[:count]) if decoding.log_probabilities else None,
            thought,
            Usage(0, len(drawn.token_ids)),
            self.model.settings.name,
        )

    def _encode(self, prompt: Prompt) -> list[int]:
        if prompt.token_ids:
            return list(prompt.token_ids)
        return encode_turns(self.model.tokenizer, self._plain, _turns(prompt), self.settings.template)

    def _with_answers(self, prefix: Prompt, answers: Sequence[AnswerText]) -> tuple[list[int], list[list[int]]]:
        """The prefix's tokens, and each answer's after it."""
        tokenizer = self.model.tokenizer
        if prefix.token_ids:
            ids = [self._plain.encode(answer) if isinstance(answer, str) else list(answer) for answer in answers]
            return list(prefix.token_ids), ids
        texts = [answer for answer in answers if isinstance(answer, str)]
        if len(texts) < len(answers):
            raise EngineError("after chat messages answers are scored as texts, got token ids")
        frame = answer_frame(tokenizer, texts, self.settings.template)
        turns = _turns(prefix)
        return encode_turns(tokenizer, self._plain, turns, self.settings.template, frame.tail), frame.answers

    @cached_property
    def _stops(self) -> list[int]:
        eos = self.model.tokenizer.eos_token_id
        if not self.model.tokenizer.chat_template:
            return [eos]
        return list(dict.fromkeys([find_end(self.model.tokenizer), *([eos] if isinstance(eos, int) else [])]))

    @property
    def _longest(self) -> int:
        """Most tokens that the model can read and write."""
        config = self.model.base.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or self.model.tokenizer.model_max_length)


def _turns(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in prompt.messages or ()]
