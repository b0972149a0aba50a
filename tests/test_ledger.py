"""The sentence ledger: numbers by hand, one tree, and a planted sentence that alone decides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tiny_language import tiny_language_model

from trackrec.checks.ledger import (
    first_and_others,
    leave_one_out,
    ledger_by_target,
    ledger_measures,
    ledger_table,
)
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.log import stable_hash
from trackrec.judges import lm as module
from trackrec.judges.lm import LMValidator, LMValidatorSettings
from trackrec.judges.rewards import LogLikelihood, Probability
from trackrec.lm.model import LanguageModel
from trackrec.lm.training import TrainingSettings
from trackrec.prompts import PromptSettings, Renderer
from trackrec.prompts.domains import find_domain

ITEMS = pl.DataFrame(
    {
        "item_id": [1, 2, 3, 4],
        "title": ["Toy Story (1995)", "Fargo (1996)", "Star Wars (1977)", "Twelve Monkeys (1995)"],
        "year": [1995, 1996, 1977, 1995],
        "genres": [["Comedy"], ["Crime"], ["Action"], ["Drama"]],
    }
)
VOCABULARY = Vocabulary(ITEMS, find_domain("movies"))
HISTORY = [{"item_id": 1, "rating": 5.0, "label": 1}, {"item_id": 2, "rating": 1.0, "label": 0}]
WORDS = {True: "LIKES all films.", False: "HATES all films."}
FILLERS = ("RATES some films.", "SEES old films.")


class ByText:
    """A validator whose P(Yes) follows from the words of the text; it remembers what it was asked."""

    kind = "by text"

    def __init__(self) -> None:
        self.asked: list[tuple[Any, str | None]] = []

    def score(self, targets: pl.DataFrame, reccots: pl.DataFrame) -> pl.DataFrame:
        self.asked += reccots.select("user_id", "text").rows()
        worth = {"Toy Story": 0.3, "Fargo": -0.2}
        both = reccots.join(targets, on="user_id").to_dicts()
        return pl.DataFrame(
            [
                {
                    **{name: row[name] for name in ("user_id", "sample", "event_id", "label")},
                    "yes_probability": 0.5 + sum(p for word, p in worth.items() if word in (row["text"] or "")),
                }
                for row in both
            ],
            schema_overrides={"sample": pl.Int16},
        )


def by_hand(texts: Mapping[str, str], validator: Any, events: Sequence[int] = (1, 2)) -> pl.DataFrame:
    rows = [(user, event, 1) for user in texts for event in events]
    targets = pl.DataFrame(rows, ["user_id", "event_id", "label"], orient="row")
    table = pl.DataFrame({"user_id": list(texts), "text": list(texts.values())})
    return ledger_by_target(table, targets, dict.fromkeys(texts, HISTORY), VOCABULARY, validator, Probability())


def test_the_ledger_by_hand() -> None:
    """P(Yes) is .6 with all; .3 without Toy Story (use .3), .8 without Fargo (-.2), .6 without the mood (0)."""
    validator = ByText()
    text = "They enjoyed Toy Story. They loved Fargo. They dream a lot."
    table = ledger_table(by_hand({"u": text}, validator))
    np.testing.assert_allclose(table["use"], [0.3, -0.2, 0.0], atol=1e-12)
    assert table["verdict"].to_list() == ["supported", "contradicted", "not_checkable"]
    assert table["words"].to_list() == [4, 3, 4]
    assert table["targets"].to_list() == [2, 2, 2]
    assert validator.asked == [
        ("u", text),
        ("u", "They loved Fargo. They dream a lot."),
        ("u", "They enjoyed Toy Story. They dream a lot."),
        ("u", "They enjoyed Toy Story. They loved Fargo."),
    ]


def test_a_single_sentence_is_held_against_the_placeholder_and_no_text_has_no_row() -> None:
    assert leave_one_out(["A."]) == ["A.", None]
    validator = ByText()
    table = ledger_table(by_hand({"u": "They enjoyed Toy Story.", "v": ""}, validator))
    assert validator.asked == [("u", "They enjoyed Toy Story."), ("u", None)]
    assert table["user_id"].to_list() == ["u"]
    np.testing.assert_allclose(table["use"], [0.3])


def test_rank_and_cost_come_from_different_targets() -> None:
    """Ranked on events 1 and 3, sentence 1 comes first (mean .4); on events 2 and 4 it is worth -.1, the other .2."""
    uses = {0: [0.0, 0.1, 0.2, 0.3], 1: [0.3, 0.0, 0.5, -0.2]}
    rows = [("u", s, "x", 1, "supported", event, use) for s, part in uses.items() for event, use in enumerate(part, 1)]
    names = ["user_id", "sentence", "sentence_text", "words", "verdict", "event_id", "use"]
    found = first_and_others(pl.DataFrame(rows, schema=names, orient="row"))
    np.testing.assert_allclose(found.select("first", "others").row(0), (-0.1, 0.2))


@pytest.fixture(scope="module")
def fitted(tiny_model_folder: Path) -> tuple[LanguageModel, LMValidator, list[int]]:
    """A validator that learnt that one sentence among fillers decides: those of whom it says LIKES like everything."""
    model = tiny_language_model(tiny_model_folder)
    users = list(range(100, 160))
    renderer = Renderer(model.tokenizer, ITEMS, PromptSettings(validator_recent=1))
    training = TrainingSettings(learning_rate=1e-2, epochs=7, trees_per_step=4, trees_per_pass=4)
    settings = LMValidatorSettings(training=training, placeholder_share=0.0)
    histories: dict[Any, Any] = dict.fromkeys(users, HISTORY)
    return model, LMValidator(model, "ledger", renderer, histories, settings), users


def likes(user: int) -> bool:
    return stable_hash(user) % 2 == 0


def planted(user: int, decisive: bool = True) -> str:
    """The sentence that decides, or a filler of its length, then another filler."""
    return " ".join((WORDS[likes(user)] if decisive else FILLERS[1], FILLERS[0]))


def world(users: Sequence[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    targets = pl.DataFrame(
        [
            {
                "user_id": user,
                "event_id": 10 * user + slot,
                "item_id": 1 + slot,
                "label": int(likes(user)),
                "raters": 4,
                "likes": 2,
            }
            for user in users
            for slot in range(2)
        ],
        schema_overrides={"event_id": pl.UInt32, "label": pl.Int8},
    )
    return targets, pl.DataFrame({"user_id": users, "text": [planted(user) for user in users]})


def test_leaving_out_the_first_costs_more_than_a_random_one_of_equal_length(
    fitted: tuple[LanguageModel, LMValidator, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranked on half of the targets of new users, measured on the other half."""
    _, validator, users = fitted
    # Every third text that it learns from lacks the sentence, so that nothing is known without it.
    learnt = pl.Series("text", [planted(user, decisive=user % 4 > 0) for user in users[:-12]])
    known = world(users[:-12])
    validator.fit(known[0], known[1].with_columns(learnt), tmp_path / "adapter", seed=0)
    new = users[-12:]
    targets, texts = world(new)
    trees: list[int] = []
    original = module.score_answers

    def counted(model: Any, adapter: Any, made: Any, *rest: Any) -> Any:
        trees.append(len(made))
        return original(model, adapter, made, *rest)

    monkeypatch.setattr(module, "score_answers", counted)
    found = ledger_by_target(texts, targets, validator.histories, VOCABULARY, validator, LogLikelihood())
    assert trees == [len(new)], "one tree a user, all of them in one call"
    lengths = found.group_by("user_id").agg(pl.col("words").n_unique())["words"]
    assert lengths.to_list() == [1] * len(new), "all sentences are equally long"
    first = ledger_table(found).sort("use").group_by("user_id").last()
    decides = first["sentence_text"].str.contains("LIKES|HATES")
    assert decides.mean() > 0.8, found  # type: ignore[operator]
    cost = first_and_others(found)
    assert cost["first"].mean() > cost["others"].mean() + 0.3  # type: ignore[operator]
    measures = ledger_measures(found, seed=0, draws=200)
    assert measures["first_less_others"].low > 0
    # The same figure the plain way: two texts scored on their own.
    user = new[0]
    mine = targets.filter(pl.col("user_id") == user)
    means = []
    for text in (planted(user), WORDS[likes(user)]):
        one = pl.DataFrame({"user_id": [user], "sample": [0], "text": [text]}, schema_overrides={"sample": pl.Int16})
        yes = validator.score(mine, one)["yes_probability"].to_list()
        means.append(sum(math.log(p if likes(user) else 1 - p) for p in yes) / len(yes))
    row = ledger_table(found).filter((pl.col("user_id") == user) & (pl.col("sentence_text") == FILLERS[0]))
    assert row["use"][0] == pytest.approx(means[0] - means[1], abs=1e-4)
