"""Sampling with shared prompts against transformers' ``generate``: prompts of 350 tokens, 100 new tokens each sample.

``python benchmarks/sampling.py [--quick | --growth]``
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from harness import HISTORY, RECCOT, SEED, Prepared, Texts, ask, compare, main, model, plain, weights_gflop

from trackrec.lm.sampling import Continuation, DecodingSettings, sample
from trackrec.reccot.generator import Generator

NEVER = 49_151
"""The last token of the vocabulary stands for the end of a text; it is all but never drawn: texts have full length."""


def ours(size: dict[str, int]) -> Prepared:
    """One reading of each prompt, its rows share the cache."""
    return _writing(size, "same")


def ours_quantised(size: dict[str, int]) -> Prepared:
    """The same with eight-bit weights. Beside the drawing: how long the texts' scoring with the true weights takes."""
    return _writing(size, "int8")


def _writing(size: dict[str, int], weights: str) -> Prepared:
    language_model = model()
    texts = Texts(language_model)
    prompts = [texts.prompt(user) for user in range(size["users"])]
    settings = language_model.settings.model_copy(update={"writing_weights": weights})
    language_model.settings = settings
    writer = Generator(language_model, texts.renderer, texts.histories).writer("bench")
    layer, head = weights_gflop(language_model)
    new = size["users"] * size["n"] * RECCOT
    decoding = DecodingSettings(max_new_tokens=RECCOT)
    drawn: list[list[Continuation]] = []

    def work() -> None:
        drawn[:] = sample(writer.quick or writer.model, prompts, range(len(prompts)), size["n"], [NEVER], decoding)

    def figures() -> dict[str, float]:
        tokens = {"new_tokens": sum(len(text.token_ids) for part in drawn for text in part)}
        if writer.quick is None:
            return tokens
        started = time.perf_counter()
        scored = writer.scored(prompts, drawn)
        return tokens | {"scoring_s": round(time.perf_counter() - started, 3)} | divergence(drawn, scored)

    return work, layer * (size["users"] * HISTORY + new) + head * new, figures


def divergence(drawn: Sequence[Sequence[Continuation]], scored: Sequence[Sequence[Continuation]]) -> dict[str, float]:
    """KL of the distribution drawn from, from the true one: nats a token, and its standard error over texts."""
    texts = zip([text for part in drawn for text in part], [text for part in scored for text in part], strict=True)
    gaps = [sum(ours.token_logprobs) - sum(true.token_logprobs) for ours, true in texts]
    error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
    return {"kl_nats_a_token": round(statistics.mean(gaps) / RECCOT, 4), "kl_error": round(error / RECCOT, 4)}


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
    compare(__file__, "sampling-quantised", name, ("ours-quantised", theirs), size, repeats)


def growth(repeats: int) -> None:
    """How the cost grows with samples and users."""
    for n, users in ((1, 4), (4, 4), (8, 4), (16, 4), (8, 1), (8, 8), (8, 16)):
        compare(__file__, "sampling", "", ("ours", None), {"n": n, "users": users}, repeats)


if __name__ == "__main__":
    main(__file__, {"ours": ours, "ours-quantised": ours_quantised, "peer": peer}, jobs, growth)
