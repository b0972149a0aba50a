"""What the generator thinks in tags never becomes its RecCoT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_language import tiny_language_model

from trackrec.lm import generator as module
from trackrec.lm.generator import Generator
from trackrec.lm.sampling import Continuation, DecodingSettings
from trackrec.prompts import PromptSettings, Renderer
from trackrec.prompts.chat import PlainText

ITEMS = pl.DataFrame({"item_id": [1], "title": ["Fargo (1996)"], "year": [1996], "genres": [["Crime"]]})


def test_texts_are_cut_counted_and_reported(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_language_model(tiny_model_folder)
    written = ["<think>Crime?</think>They like crime.", "They like drama.", "<think>It nev"]
    ids = [model.tokenizer.encode(text, add_special_tokens=False) for text in written]

    def sampled(*_: Any) -> list[list[Continuation]]:
        return [[Continuation(tokens, [-1.0] * len(tokens), True) for tokens in ids]]

    monkeypatch.setattr(module, "sample", sampled)
    renderer = Renderer(model.tokenizer, ITEMS, PromptSettings())
    writer = Generator(model, renderer, {7: [{"item_id": 1, "rating": 4.0}]}).writer(None)
    table = writer.write([7], 3, DecodingSettings(), seed=0)
    assert table["text"].to_list() == ["They like crime.", "They like drama.", ""]
    assert table["token_ids"].to_list() == ids, "what was drawn stays as it was drawn"
    assert "2 of 3 RecCoTs began with thinking in tags" in caplog.text
    assert f"({len('<think>Crime?</think>') + len(written[2])} characters)" in caplog.text
    assert PlainText(model.tokenizer).read(ids[1]) == ("They like drama.", 0)
