"""Trees on a GPU: is their attention right, and how long do reading, training and writing take?

``python benchmarks/gpu.py [--device cpu]``

Made-up tokens in the embedded model: trees of a prompt, a RecCoT of 130 tokens and 40 targets of 53 tokens, as V reads
them. Both plans are held against unrolled copies of every branch, in float32 and with tensor cores ("high").
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

import trackrec.lm.model as lm_model
from trackrec.lm.model import AdapterSettings, LanguageModel, LanguageModelSettings
from trackrec.lm.sampling import DecodingSettings, sample
from trackrec.lm.trainer import train
from trackrec.lm.training import TrainingSettings, TreeExample, answer_cross_entropy
from trackrec.lm.tree import Tree, TreeBatch
from trackrec.lm.tree_attention import BlockPlan, FlexPlan
from trackrec.lm.unrolled import hidden_of_copies

PLANS: dict[str, Any] = {"blocks": BlockPlan, "flex": FlexPlan}
YES = 10048
"""Some token to learn as answer."""


def made_up_tree(draw: torch.Generator, texts: int = 1, targets: int = 40) -> tuple[Tree, list[int]]:
    """A tree as V reads it, and its answers' places."""

    def tokens(number: int) -> list[int]:
        return torch.randint(1000, 40000, (number,), generator=draw).tolist()

    tree, ends = Tree(), []
    root = tree.add(tokens(25))
    for _ in range(texts):
        text = tree.add(tokens(130), root)
        ends += [tree.add(tokens(53), text) for _ in range(targets)]
    return tree, ends


def seconds(work: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Mean time of some calls after one that is not counted."""
    work()
    _wait(device)
    begin = time.perf_counter()
    for _ in range(repeats):
        work()
    _wait(device)
    return (time.perf_counter() - begin) / repeats


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def reading(model: LanguageModel, draw: torch.Generator) -> None:
    """Forward passes over four trees, and over one large tree."""
    batch = TreeBatch([made_up_tree(draw)[0] for _ in range(4)])
    large = TreeBatch([made_up_tree(draw, texts=9, targets=30)[0]])
    with torch.inference_mode():
        torch.set_float32_matmul_precision("highest")
        right = hidden_of_copies(model.base, batch)
        for precision in ("highest", "high"):
            torch.set_float32_matmul_precision(precision)
            for name, plan in PLANS.items():
                lm_model.plan_of = plan
                off = float((lm_model._hidden(model.base, batch) - right).norm() / right.norm())
                took = seconds(lambda: lm_model._hidden(model.base, batch), model.device)
                more = seconds(lambda: lm_model._hidden(model.base, large), model.device, 2)
                print(f"{precision} {name}: off {off:.1e}, {sum(batch.sizes)} tokens {took:.3f} s, "
                      f"{sum(large.sizes)} tokens {more:.3f} s")  # fmt: skip
            took = seconds(lambda: hidden_of_copies(model.base, batch), model.device, 2)
            print(f"{precision} unrolled copies: {took:.3f} s")


def training(model: LanguageModel, draw: torch.Generator) -> None:
    """Passes of four trees, forward and backward."""
    examples = []
    for _ in range(16):
        tree, ends = made_up_tree(draw)
        examples.append(TreeExample(tree, ends, [YES] * len(ends)))
    settings = TrainingSettings(learning_rate=1e-4, trees_per_step=4, trees_per_pass=4)

    def work() -> None:
        train(model, "bench", examples, answer_cross_entropy, settings, 1, lambda example: len(example.answers))

    for name, plan in PLANS.items():
        lm_model.plan_of = plan
        model.add("bench", 1)
        print(f"training, {name}: {seconds(work, model.device, 1) / 4:.3f} s a pass of 4 trees")
        model.drop("bench")


def writing(model: LanguageModel, draw: torch.Generator) -> None:
    """512 texts of 64 tokens at a time, eight to a prompt of 700."""
    prompts = [torch.randint(1000, 40000, (700,), generator=draw).tolist() for _ in range(64)]
    begin = time.perf_counter()
    sample(model.merged(None), prompts, list(range(64)), 8, [2], DecodingSettings(max_new_tokens=64), 512, 16384)
    _wait(model.device)
    took = time.perf_counter() - begin
    print(f"writing: {64 * 8 * 64 / took:,.0f} tokens/s, prompts included")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    model = LanguageModel(LanguageModelSettings(device=parser.parse_args().device), AdapterSettings(rank=8, alpha=16))
    name = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}")
    draw = torch.Generator().manual_seed(0)
    for part in (reading, training, writing):
        part(model, draw)
