"""A judge behind an engine: a validator that is served, or any model that answers Yes or No. It learns nothing here."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import polars as pl
from pydantic import Field, SerializeAsAny

from trackrec.engines.base import AnswerText, Engine, Message, Prompt, Score, require
from trackrec.engines.failures import EngineError
from trackrec.engines.openai_settings import OpenAISettings
from trackrec.errors import RunError
from trackrec.judges.base import JudgeContext
from trackrec.judges.lm import item_log_odds
from trackrec.prompts.renderer import Renderer
from trackrec.registry import component, make
from trackrec.settings import ComponentSettings
from trackrec.users.catalogue import Row
from trackrec.users.histories import rows_by_user

log = logging.getLogger("trackrec.judges")

FILE = "served.json"
"""What ``fit`` leaves in its folder: who judged."""


class ServedValidatorSettings(ComponentSettings):
    """A validator that an engine computes. It is taken as it is: nothing is tuned in the run.

    A validator that another run tuned must not judge the users that it was tuned on; the manifests of that run name
    them.
    """

    type: str = "served"
    engine: Annotated[SerializeAsAny[ComponentSettings], component("engine", "openai")] = OpenAISettings(model="gpt-4o")
    """Which model answers, and where. An endpoint needs `consent: true`."""
    asks: Literal["token_ids", "messages"] = "token_ids"
    """token_ids: the very prompts that a validator is tuned on, for an endpoint that serves one (the recipe's `model`
    as base). messages: the same as the turns of a chat, for any other model."""
    item_prior: float | None = Field(default=None, gt=0)
    """What the validator was tuned on top of, see the judge `lm`."""


class ServedValidator:
    """Asks an engine for the log-probabilities of the two answers.

    Args:
        engine: computes.
        renderer: makes the prompts.
        histories: each user's events, oldest first; all that the validator sees of them is the last few.
        settings: see :class:`ServedValidatorSettings`.

    Raises:
        EngineError: the engine cannot score.
    """

    Settings = ServedValidatorSettings
    kind = "served"
    learns_all_targets = False
    scores_in_shards = True

    @classmethod
    def make(cls, settings: ServedValidatorSettings, context: JudgeContext) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(make("engine", settings.engine), context.renderer(), context.histories, settings)

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        histories: Mapping[Any, Sequence[Row]],
        settings: ServedValidatorSettings,
    ) -> None:
        self.engine, self.renderer, self.histories, self.settings = engine, renderer, histories, settings
        long = settings.asks == "token_ids" and max(map(len, renderer.answers)) > 1
        require(engine, [settings.asks, "long_answers" if long else "scoring"], "the judge `served`")

    def fit(self, targets: pl.DataFrame, reccots: pl.DataFrame, folder: Path, seed: int) -> dict[str, Any]:
        """See :class:`trackrec.judges.base.Validator`. Nothing is tuned; ``folder`` gets the engine's name."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps({"engine": self.engine.name}), encoding="utf-8")
        return {"users": 0, "examples": 0, "tuned": False}

    def load(self, folder: Path) -> None:
        """See :class:`trackrec.judges.base.Validator`.

        Raises:
            RunError: another engine judged there.
        """
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))["engine"]
        if told != self.engine.name:
            raise RunError(f"{folder} was judged by the engine {told}, this one is {self.engine.name}: expected it")

    def score(self, targets: pl.DataFrame, reccots: pl.DataFrame) -> pl.DataFrame:
        """See :class:`trackrec.judges.base.Validator`.

        Raises:
            EngineError: the engine did not answer for every target; what it answered is kept in its cache.
        """
        by_user = rows_by_user(targets)
        pairs = [(row, target) for row in reccots.iter_rows(named=True) for target in by_user[row["user_id"]]]
        scores = self.engine.score([self.prompt(row["user_id"], row["text"], target) for row, target in pairs],
                                   self._answers)  # fmt: skip
        lost = [score.failure for score in scores if score.failure]
        if lost:
            raise EngineError(
                f"the engine {self.engine.name} told no log-probability of {' or '.join(self.renderer.domain.answers)} "
                f"for {len(lost)} of {len(scores)} targets ({lost[0]}). What it told is kept; start again when it is "
                "mended, or take another judge"
            )
        bounds = sum(not all(score.exact) for score in scores)
        if bounds:
            log.warning("%s: of %d of %d targets one answer was not told; the most that it can be was taken",
                        self.engine.name, bounds, len(scores))  # fmt: skip
        rows = [
            (row["user_id"], row["sample"], target["event_id"], target["label"], self._probability(score, target))
            for (row, target), score in zip(pairs, scores, strict=True)
        ]
        schema: dict[str, Any] = {
            "user_id": targets.schema["user_id"],
            "sample": reccots.schema["sample"],
            "event_id": targets.schema["event_id"],
            "label": targets.schema["label"],
            "yes_probability": pl.Float64,
        }
        return pl.DataFrame(rows, schema=schema, orient="row")

    def prompt(self, user: Any, text: str | None, target: Row) -> Prompt:
        """What is asked about one RecCoT (None: the placeholder) and target."""
        renderer, asked = self.renderer, (target["item_id"], target["raters"], target["likes"])
        if self.settings.asks == "messages":
            system, told = renderer.validator_turns(self.histories[user], text, *asked)
            return Prompt((Message("system", system), Message("user", told)))
        ids = renderer.validator_prefix(self.histories[user]) + renderer.reccot_segment(text)
        return Prompt(token_ids=tuple(ids + renderer.target_segment(*asked)))

    @property
    def _answers(self) -> list[AnswerText]:
        if self.settings.asks == "messages":
            return list(self.renderer.domain.answers)
        return [tuple(answer) for answer in self.renderer.answers]

    def _probability(self, score: Score, target: Row) -> float:
        """P(Yes) over the two answers, with the item's counted log-odds where the validator was tuned on top of it."""
        yes, no = score.log_probabilities
        known = item_log_odds([target], self.settings.item_prior)
        return 1 / (1 + math.exp(min(700.0, no - yes - (known[0] if known else 0.0))))
