"""Sampling with shared prompts against transformers' ``generate``: prompts of 350 tokens, 100 new tokens each sample.

``python benchmarks/sampling.py [--quick | --growth]``
"""

from __future__ import annotations

from typing import Any

import torch
from harness import HISTORY, RECCOT, SEED, Prepared, Texts, ask, compare, main, model, plain, weights_gflop

from trackrec.lm.generator import Generator
from trackrec.lm.sampling import Continuation, DecodingSettings, sample

NEVER = 49_151
"""The last token of the vocabulary stands for the end of a text; it is all but never drawn: texts have full length."""


def ours(size: dict[str, int]) -> Prepared:
    """One reading of each prompt, its rows share the cache."""
    language_model = model()
    texts = Texts(language_model)
    prompts = [texts.prompt(user) for user in range(size["users"])]
    writer = Generator(language_model, texts.renderer, texts.histories).writer("bench")
    layer, head = weights_gflop(language_model)
    new = size["users"] * size["n"] * RECCOT
    decoding = DecodingSettings(max_new_tokens=RECCOT)
    drawn: list[list[Continuation]] = []

    def work() -> None:
        drawn[:] = sample(writer.model, prompts, range(len(prompts)), size["n"], [NEVER], decoding)

    def figures() -> dict[str, float]:
        return {"new_tokens": sum(len(text.token_ids) for part in drawn for text in part)}

    return work, layer * (size["users"] * HISTORY + new) + head * new, figures


def peer(size: dict[str, int]) -> Prepared:
    """All prompts in one call; it copies each prompt for its samples."""
    language_model = model()
    texts = Texts(language_model)
    ids = torch.tensor([texts.prompt(user) for user in range(size["users"])])
    merged = plain(language_model)
    made: list[Any] = []

    def work() -> None:
        torch.manual_seed(SEED)
        made[:] = merged.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            num_return_sequences=size["n"],
            max_new_tokens=RECCOT,
            eos_token_id=NEVER,
            pad_token_id=0,
        )

    return work, 0.0, lambda: {"new_tokens": sum(len(row) - HISTORY for row in made)}


def jobs(quick: bool, repeats: int) -> None:
    """The jobs of the aims."""
    name, size = "transformers generate(num_return_sequences=n)", {"n": 8, "users": 4}
    theirs = ask(__file__, "peer", size, repeats)
    compare(__file__, "sampling", name, ("ours", theirs), size, repeats)


def growth(repeats: int) -> None:
    """How the cost grows with samples and users."""
    for n, users in ((1, 4), (4, 4), (8, 4), (16, 4), (8, 1), (8, 8), (8, 16)):
        compare(__file__, "sampling", "", ("ours", None), {"n": n, "users": users}, repeats)


if __name__ == "__main__":
    main(__file__, {"ours": ours, "peer": peer}, jobs, growth)
