"""Sampling with shared prompts against transformers' ``generate``: prompts of 350 tokens, 100 new tokens each sample.

``python benchmarks/sampling.py [--quick]``
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from harness import HISTORY, RECCOT, SEED, Texts, compare, main, model, weights_gflop

from trackrec.lm.sampling import DecodingSettings, sample

NEVER = 1
"""A control token that stands for the end of a text and is all but never drawn: every text is as long as it may be."""


def ours(size: dict[str, int]) -> tuple[Callable[[], Any], float, dict[str, float]]:
    """One reading of each prompt, its rows share the cache."""
    language_model = model()
    texts = Texts(language_model)
    prompts = [texts.prompt(user) for user in range(size["users"])]
    merged = language_model.merged("bench")
    layer, head = weights_gflop(language_model)
    new = size["users"] * size["n"] * RECCOT
    figures: dict[str, float] = {}

    def work() -> None:
        made = sample(merged, prompts, range(len(prompts)), size["n"], [NEVER], DecodingSettings(max_new_tokens=RECCOT))
        figures["new_tokens"] = sum(len(text.token_ids) for part in made for text in part)

    return work, layer * (size["users"] * HISTORY + new) + head * new, figures


def peer(size: dict[str, int]) -> tuple[Callable[[], Any], float, dict[str, float]]:
    """All prompts in one call; it copies each prompt for its samples."""
    language_model = model()
    texts = Texts(language_model)
    ids = torch.tensor([texts.prompt(user) for user in range(size["users"])])
    merged: Any = language_model.merged("bench")
    merged.set_attn_implementation("sdpa")

    def work() -> None:
        torch.manual_seed(SEED)
        merged.generate(
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

    return work, 0.0, {}


def jobs(quick: bool, repeats: int) -> None:
    """The job of the aim, then how the cost grows."""
    name = "transformers generate(num_return_sequences=n)"
    compare(__file__, "sampling", name, ("ours", "peer"), {"n": 8, "users": 4}, repeats)
    for n, users in () if quick else ((1, 4), (4, 4), (16, 4), (8, 2), (8, 8), (8, 16)):
        compare(__file__, "sampling", "", ("ours", None), {"n": n, "users": users}, repeats)


if __name__ == "__main__":
    main(__file__, {"ours": ours, "peer": peer}, jobs)
