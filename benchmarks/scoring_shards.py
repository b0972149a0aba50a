"""What merging the adapter costs where a round is scored in shards: a copy a shard, as it was, against one copy kept.

``python benchmarks/scoring_shards.py``: one JSON line; the embedded model, 1 user a shard, 4 RecCoTs x 8 targets each.
"""

from __future__ import annotations

import json
import time

import torch
from harness import THREADS, Texts, model

from trackrec.lm.scoring import MergedCopy, answer_logits

USERS, SHARDS = 1, 3


def main() -> None:
    """Score the same shards both ways, in turn, and compare times and logits."""
    torch.set_num_threads(THREADS)
    language_model = model()
    texts = Texts(language_model)
    trees = [texts.validator_tree(user, 4, 8) for user in range(USERS * SHARDS)]
    shards = [trees[start : start + USERS] for start in range(0, len(trees), USERS)]
    answers = (texts.renderer.answers[0][0], texts.renderer.answers[1][0])
    kept, seconds, found = MergedCopy(language_model, "bench"), {"a copy a shard": 0.0, "one copy": 0.0}, []
    answer_logits(language_model, "bench", shards[0], answers, merged=kept.get())  # warm
    for shard in shards:
        both = []
        for way, copy in (("a copy a shard", None), ("one copy", kept)):
            started = time.perf_counter()
            merged = None if copy is None else copy.get()
            both.append(answer_logits(language_model, "bench", shard, answers, merged=merged))
            seconds[way] += time.perf_counter() - started
        found.append(all(torch.equal(one, other) for one, other in zip(*both, strict=True)))
    told = {way: round(value / SHARDS, 3) for way, value in seconds.items()}
    print(json.dumps({"shards": SHARDS, "users_a_shard": USERS, "seconds_a_shard": told, "equal": all(found)}))


if __name__ == "__main__":
    main()
