"""More than 100 attempts to reach the model through data: none may bring a control token or a line of its own."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from injections import ATTEMPTS, Attempt
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from trackrec.prompts import PromptSettings, Renderer
from trackrec.prompts.catalogue import clean_text

OTHERS = ("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "[INST]", "[/INST]", "<start_of_turn>")
OTHERS += ("<end_of_turn>", "<|end|>", "<|system|>", "<|assistant|>", "</s>", "<s>")
"""Control tokens of other families, as if the model at hand had them all."""


@pytest.fixture(scope="module")
def tokenizer(tiny_model_folder: Path) -> PreTrainedTokenizerBase:
    found = AutoTokenizer.from_pretrained(tiny_model_folder)
    found.add_tokens(list(OTHERS), special_tokens=True)
    return found


def items_with(attempt: Attempt) -> pl.DataFrame:
    text = attempt.text
    return pl.DataFrame(
        {
            "item_id": [1, 2],
            "title": [text if attempt.place == "title" else "Fargo (1996)", "Plain (1990)"],
            "genres": [[text] if attempt.place == "genre" else ["Crime"], ["Drama"]],
            "studio": [text if attempt.place == "attribute" else "Acme", "Acme"],
        }
    )


def test_there_are_enough_attempts() -> None:
    assert len(set(ATTEMPTS)) >= 100


def brought_in(attempt: Attempt, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What an attempt got into the prompts that harmless data does not: control tokens, lines of its own."""
    settings = PromptSettings(attributes=("studio",), digest=True, history_tokens=2000, reccot_tokens=1000)
    control = frozenset(tokenizer.all_special_ids) | frozenset(tokenizer.added_tokens_decoder)
    history = [{"item_id": 1, "rating": 5.0, "label": 1}, {"item_id": 2, "rating": 2.0, "label": 0}]

    def parts(items: pl.DataFrame, reccot: str) -> list[list[int]]:
        made = Renderer(tokenizer, items, settings)
        segments = [made.generator_prompt(history), made.validator_prefix(history), made.reccot_segment(reccot)]
        return [*segments, made.target_segment(1, 4, 2), made.reccot_ids(reccot)]

    harmless = parts(items_with(Attempt("none", "")), "They like Crime films.")
    attacked = parts(items_with(attempt), attempt.text if attempt.place == "reccot" else "They like Crime films.")
    wrong = []
    for place, (plain, found) in enumerate(zip(harmless, attacked, strict=True)):
        if [i for i in found if i in control] != [i for i in plain if i in control]:
            wrong.append(f"other control tokens in part {place}")
        if tokenizer.decode(found).count("\n") != tokenizer.decode(plain).count("\n"):
            wrong.append(f"another number of lines in part {place}")
    return wrong


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=[f"{a.place}-{number}" for number, a in enumerate(ATTEMPTS)])
def test_no_control_token_comes_from_data(attempt: Attempt, tokenizer: PreTrainedTokenizerBase) -> None:
    assert brought_in(attempt, tokenizer) == []


def test_invisible_marks_go_and_joiners_stay() -> None:
    assert clean_text("a\u200bb\u202ec\u00add") == "abcd"
    assert clean_text("می\u200cخواهم") == "می\u200cخواهم"


@pytest.mark.slow
def test_no_control_token_of_the_embedded_model_comes_from_data() -> None:
    from trackrec.assets import embedded_language_model

    found = AutoTokenizer.from_pretrained(embedded_language_model())
    assert {attempt: wrong for attempt in ATTEMPTS if (wrong := brought_in(attempt, found))} == {}
