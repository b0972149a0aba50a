"""Answer scoring on trees against transformers' forward pass over padded copies: n RecCoTs x m targets of each user.

``python benchmarks/scoring.py [--quick | --growth]``
"""

from __future__ import annotations

import torch
from harness import Prepared, Texts, branch, compare, main, model, plain, tokens_of, weights_gflop

from trackrec.lm.scoring import answer_logits


def ours(size: dict[str, int]) -> Prepared:
    """One tree a user."""
    language_model = model()
    texts = Texts(language_model)
    trees = [texts.validator_tree(user, size["n"], size["m"]) for user in range(size["users"])]
    layer, _ = weights_gflop(language_model)
    merged = language_model.merged("bench")

    def work() -> None:
        answer_logits(
            language_model, "bench", trees, (texts.renderer.answers[0][0], texts.renderer.answers[1][0]), merged=merged
        )

    return work, layer * tokens_of([tree for tree, _ in trees]), dict


def peer(size: dict[str, int]) -> Prepared:
    """A padded batch a RecCoT, logits of the last position only, LoRA merged."""
    language_model = model()
    texts = Texts(language_model)
    trees = [texts.validator_tree(user, size["n"], size["m"]) for user in range(size["users"])]
    merged = plain(language_model)
    rows = [branch(tree, end) for tree, ends in trees for end in ends]

    @torch.inference_mode()
    def work() -> None:
        for start in range(0, len(rows), size["m"]):
            ids = torch.tensor(rows[start : start + size["m"]])
            merged(input_ids=ids, attention_mask=torch.ones_like(ids), logits_to_keep=1, use_cache=False)

    return work, 0.0, dict


def jobs(quick: bool, repeats: int) -> None:
    """The job of the aim."""
    compare(
        __file__, "scoring", "transformers forward, padded", ("ours", "peer"), {"n": 4, "m": 8, "users": 1}, repeats
    )


def growth(repeats: int) -> None:
    """How the cost grows with RecCoTs, targets and users."""
    sizes = ((1, 8, 1), (2, 8, 1), (4, 8, 1), (8, 8, 1), (4, 2, 1), (4, 4, 1), (4, 16, 1), (4, 8, 2), (4, 8, 4))
    for n, m, users in sizes:
        compare(__file__, "scoring", "", ("ours", None), {"n": n, "m": m, "users": users}, repeats)


if __name__ == "__main__":
    main(__file__, {"ours": ours, "peer": peer}, jobs, growth)
