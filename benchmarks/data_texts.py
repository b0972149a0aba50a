"""What both sides of ``benchmarks/data.py`` count with: the embedded tokenizer, and the frame around a history."""

from __future__ import annotations

from typing import Any


def load_tokenizer() -> Any:
    """The tokenizer of the embedded model."""
    from transformers import AutoTokenizer

    from trackrec.assets import resolve_language_model

    return AutoTokenizer.from_pretrained(resolve_language_model("smollm2-135m-instruct"))


def text_frame(tokenizer: Any) -> list[int]:
    """The tokens of the instruction around a user's history in the generator's prompt of the domain movies."""
    from trackrec.prompts.chat import render_frame
    from trackrec.prompts.domains import find_domain

    frame = render_frame(tokenizer, find_domain("movies").generator_instruction)
    return frame.head + frame.tail
