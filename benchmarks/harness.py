"""What the benchmarks of the language-model runtime share: real prompts, a fresh process a side, the machine's rate.

Each side (ours, the peer) runs in a process of its own, so that its peak memory is its own, and times its work after
one untimed pass (none where a single pass is timed). A line of the result is one JSON object: ``job, peer, size``,
``ours_s, peer_s, ratio, ours_gb, peer_gb``, ``gflops`` (the work that cannot be done without, per second), the rates
of matrix products measured in the same run (``gemm_gflops`` by PyTorch's ``linear``, ``product_gflops`` by our layers),
and which share of each was reached.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import torch

from trackrec import api as tr
from trackrec.lm.linear import QuickLinear, product
from trackrec.lm.tree import Tree

SEED, THREADS = 17, 2
HISTORY, RECCOT, TARGET = 350, 100, 40
"""Tokens of a prompt, of a RecCoT and of a target."""

Prepared = tuple[Callable[[], Any], float, Callable[[], dict[str, float]]]
"""The work to time, the GFLOP that it cannot do without, and what gives further figures to report after the timing."""
Side = Callable[[dict[str, int]], Prepared]
"""Given the size of the job, what is to be timed."""


def model() -> tr.LanguageModel:
    """The embedded model with an adapter as it is before the first step (r = 16, all linear layers)."""
    made = tr.LanguageModel(tr.LanguageModelSettings(threads=THREADS))
    made.add("bench", SEED)
    return made


def plain(language_model: tr.LanguageModel) -> Any:
    """What a peer computes with: the merged model as transformers loads it, none of our kernels in it."""
    merged: Any = language_model.merged("bench")
    for module in merged.modules():
        if isinstance(module, QuickLinear):
            module.__class__ = torch.nn.Linear
    merged.set_attn_implementation("sdpa")
    return merged


class Texts:
    """Token ids of real MovieLens-100K users, cut to the length that a job asks for."""

    def __init__(self, language_model: tr.LanguageModel) -> None:
        log = tr.read_log(tr.SourceSettings())
        split = tr.split_log(log, tr.SplitSettings())
        self.histories, self.frame = tr.rows_by_user(split.histories), split.histories
        self.renderer = tr.Renderer(language_model.tokenizer, log.items, tr.PromptSettings(history_tokens=4000))
        self.teacher = tr.ProfileTeacher(log.items, self.renderer.domain, self.renderer.count_tokens)
        prompts = {user: self.renderer.generator_prompt(rows) for user, rows in self.histories.items()}
        self.prompts = [prompt for prompt in prompts.values() if len(prompt) >= HISTORY]
        self.users = [user for user, prompt in prompts.items() if len(prompt) >= HISTORY]
        self.items = log.items["item_id"].to_list()

    def prompt(self, number: int) -> list[int]:
        """A user's prompt: its last ``HISTORY`` tokens, so that it ends as prompts end."""
        return self.prompts[number][-HISTORY:]

    def reccot(self, user: int, number: int) -> list[int]:
        """A RecCoT of ``RECCOT`` tokens: the teacher's texts with seed after seed, one after another."""
        ids: list[int] = []
        seed = 100 * number
        history = self.frame.filter(pl.col("user_id") == self.users[user])
        while len(ids) < RECCOT:
            text = self.teacher.write(history, seed)["text"][0]
            ids += self.renderer.reccot_ids(text)[:-1]
            seed += 1
        return ids[:RECCOT]

    def target(self, number: int) -> list[int]:
        """A target of ``TARGET`` tokens: an item's segment, after the beginning of another's where it is shorter."""
        ids = self.renderer.target_segment(self.items[number], 20, 10)
        return (self.renderer.target_segment(self.items[number + 500], 9, 3) * 2 + ids)[-TARGET:]

    def validator_tree(self, user: int, n: int, m: int) -> tuple[Tree, list[int]]:
        """History, n RecCoTs, m targets under each; with the segments after which an answer comes."""
        tree = Tree()
        root = tree.add(self.prompt(user))
        ends = []
        for number in range(n):
            reccot = tree.add(self.reccot(user, number), root)
            ends += [tree.add(self.target(target), reccot) for target in range(m)]
        return tree, ends

    def group_tree(self, user: int, n: int) -> tuple[Tree, list[int]]:
        """A prompt and n RecCoTs."""
        tree = Tree()
        root = tree.add(self.prompt(user))
        return tree, [tree.add(self.reccot(user, number), root) for number in range(n)]


def branch(tree: Tree, segment: int) -> list[int]:
    """Token ids from the root to the end of a segment."""
    tokens = tree.tokens()
    return [tokens[index] for index in tree.branch(segment)]


def weights_gflop(language_model: tr.LanguageModel) -> tuple[float, float]:
    """GFLOP of one token's forward pass through the layers, and of one token's logits."""
    config: Any = language_model.base.config
    head = config.vocab_size * config.hidden_size
    layers = sum(
        weight.numel()
        for name, weight in language_model.merged(None).get_decoder().named_parameters()
        if weight.dim() == 2 and "embed" not in name
    )
    return 2 * layers / 1e9, 2 * head / 1e9


def matrix_rates() -> tuple[float, float]:
    """GFLOP/s of matrix products of a layer's size: PyTorch's own and those of our layers, medians of several."""
    x, weight = torch.randn(512, 576), torch.randn(1536, 576)
    medians = []
    for multiply in (torch.nn.functional.linear, product):
        rates = []
        for _ in range(9):
            started = time.perf_counter()
            for _ in range(20):
                multiply(x, weight)
            rates.append(20 * 2 * x.shape[0] * weight.numel() / (time.perf_counter() - started) / 1e9)
        medians.append(statistics.median(rates))
    return medians[0], medians[1]


def run_side(sides: Mapping[str, Side], name: str, size: dict[str, int], repeats: int) -> None:
    """In a process of its own: prepare, warm up (not for a single pass), time, print one JSON object."""
    torch.set_num_threads(THREADS)
    work, gflop, figures = sides[name](size)
    if repeats > 1:
        work()
    before = matrix_rates()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    seconds = statistics.median(times)
    gemm, ours = (max(pair) for pair in zip(before, matrix_rates(), strict=True))
    row = {"s": seconds, "spread": max(times) - min(times), "gb": peak, "gemm": gemm, "product": ours, "gflop": gflop}
    print(json.dumps(row | figures()))


def ask(script: str, side: str, size: dict[str, int], repeats: int) -> dict[str, float]:
    """Run one side in a fresh process."""
    command = [sys.executable, script, "--side", side, "--size", json.dumps(size), "--repeats", str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} of {script} failed at {size}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def compare(
    script: str,
    job: str,
    peer: str,
    sides: tuple[str, str | dict[str, float] | None],
    size: dict[str, int],
    repeats: int,
) -> dict[str, Any]:
    """Both sides of a job, printed as one line.

    Args:
        script: the benchmark's file.
        job: what is done.
        peer: what it is compared with.
        sides: names of ours and of the peer's, or what ``ask`` found of the peer before; None: ours alone, to see how
            the cost grows.
        size: of the job.
        repeats: timed passes a side.
    """
    theirs = ask(script, sides[1], size, repeats) if isinstance(sides[1], str) else sides[1]
    ours = ask(script, sides[0], size, repeats)
    row: dict[str, Any] = {"job": job, "peer": peer or None, "size": size, "ours_s": round(ours["s"], 3)}
    row["ours_spread_s"] = round(ours["spread"], 3)
    if theirs is not None:
        row |= {"peer_s": round(theirs["s"], 3), "peer_spread_s": round(theirs["spread"], 3)}
        row["ratio"] = round(theirs["s"] / ours["s"], 2)
    row["ours_gb"] = round(ours["gb"], 2)
    if theirs is not None:
        row["peer_gb"] = round(theirs["gb"], 2)
    rate = ours["gflop"] / ours["s"]
    row |= {"gflops": round(rate), "gemm_gflops": round(ours["gemm"]), "gemm_share": round(rate / ours["gemm"], 2)}
    row |= {"product_gflops": round(ours["product"]), "product_share": round(rate / ours["product"], 2)}
    known = {"s", "spread", "gb", "gemm", "product", "gflop"}
    row |= {name: value for name, value in ours.items() if name not in known}
    print(json.dumps(row), flush=True)
    return row


def main(
    script: str, sides: Mapping[str, Side], jobs: Callable[[bool, int], None], growth: Callable[[int], None]
) -> None:
    """The command line of a benchmark: all jobs, some of them, or one side of one job in this process.

    Args:
        script: the benchmark's file.
        sides: by name.
        jobs: those with an aim; called with (whether few and small ones are enough, timed passes a side).
        growth: ours alone at growing sizes; called with the timed passes.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one pass a side and no growth: minutes for all three")
    parser.add_argument("--growth", action="store_true", help="how our cost grows, without the peers")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--size", help=argparse.SUPPRESS)
    parser.add_argument(
        "--repeats",
        type=int,
        default=0,
        help="timed passes a side (3; with --quick 1, without a warm-up; with --growth 2)",
    )
    arguments = parser.parse_args()
    repeats = arguments.repeats or (1 if arguments.quick else 2 if arguments.growth else 3)
    if arguments.side:
        run_side(sides, arguments.side, json.loads(arguments.size), repeats)
        return
    if not arguments.growth:
        jobs(arguments.quick, repeats)
    if not arguments.quick:
        growth(repeats)


def tokens_of(trees: Sequence[Tree]) -> int:
    """Tokens of some trees, each shared one once."""
    return sum(map(len, trees))
