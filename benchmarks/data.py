"""From raw files to histories, targets and prompts' token counts: seconds, peak memory, growth, and two peers.

``python benchmarks/data.py [--quick] [--sizes 1,5,25] [--folder DIR]`` prints JSON lines; sizes are in millions. Every
size and side runs in a process of its own, so that its peak memory is its own; the made-up logs (``trackrec data
generate``, seed 17) are written before and not timed. Threads: ``POLARS_MAX_THREADS`` (2 if it is not set).

Peers, on the same CSV file of the first size: the per-user Python loops of the field (``benchmarks/data_loops.py``,
our own straightforward equivalent of KAR's scripts; what both sides wrote is compared, row by row), and the data set
build of RecBole 1.2.1 in an environment of its own, which the script makes in ``.peers/recbole`` if it is not there
(untimed; some minutes, about 1 GB). With ``--folder`` the logs are kept, so that sizes can be measured one by one;
``--sizes 1 --peers-only`` runs the peers alone.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SEED, THREADS, PER_USER = 17, 2, 8
RECBOLE = HERE.parent / ".peers" / "recbole" / "bin" / "python"
SIZES, QUICK = (1.0, 5.0, 25.0), (0.1, 0.4)


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add what the block takes to a stage."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def tables(folder: Path, ending: str) -> Any:
    """The settings of a log's tables."""
    from trackrec.data.tabular import TablesSettings

    files = {name: str(folder / f"{name}.{ending}") for name in ("interactions", "items")}
    return TablesSettings.model_validate(files)


def whole(folder: Path, out: Path) -> dict[str, Any]:
    """Ours at any size: histories, targets and token counts of all users, part by part, written to Parquet."""
    from data_texts import load_tokenizer

    from research.logs_in_parts import read_in_parts
    from trackrec import api as tr
    from trackrec.prompts.lengths import PromptLengths

    tokenizer = load_tokenizer()
    clock, totals, lengths = Clock(), {"users": 0, "histories": 0, "targets": 0, "tokens": 0}, None
    started = time.perf_counter()
    with clock.stage("read"):
        opened = read_in_parts(tables(folder, "parquet"), scratch=out)
        log = opened.__enter__()
    splits = log.splits(tr.SplitSettings(recent=0))
    for number in range(len(log.files)):
        with clock.stage("split"):
            part, split = next(splits)
        if split is None:
            continue
        with clock.stage("targets"):
            targets = tr.choose_targets(split.examples, split.users.to_list(), PER_USER, SEED)
        with clock.stage("tokens"):
            if lengths is None:
                lengths = PromptLengths(tr.Renderer(tokenizer, part.items, tr.PromptSettings()))
            prompts = lengths.generator_prompts(split.histories)
            unrated = targets.select("item_id", raters=0, likes=0)
            targets = targets.with_columns(lengths.target_segments(unrated).alias("tokens"))
        with clock.stage("write"):
            for name, table in (("histories", split.histories), ("targets", targets), ("prompts", prompts)):
                table.write_parquet(out / f"{name}-{number}.parquet")
        sizes = (
            prompts.height,
            split.histories.height,
            targets.height,
            prompts["tokens"].sum() + targets["tokens"].sum(),
        )
        totals = {name: totals[name] + int(size) for name, size in zip(totals, sizes, strict=True)}
    opened.__exit__(None, None, None)
    stages = {name: round(seconds, 2) for name, seconds in clock.seconds.items()}
    return {"s": time.perf_counter() - started, "parts": len(log.files), "stages": stages, **totals}


def prompts(folder: Path, out: Path) -> dict[str, Any]:
    """Ours for the loops' job: the CSV to histories, examples and the tokens of each user's prompt (no budget)."""
    from data_texts import load_tokenizer

    from trackrec import api as tr
    from trackrec.data.tabular import read_tables
    from trackrec.prompts.lengths import PromptLengths

    tokenizer, clock = load_tokenizer(), Clock()
    started = time.perf_counter()
    with clock.stage("read"):
        log = read_tables(tables(folder, "csv"))
    with clock.stage("cut"):
        split = tr.split_log(log, tr.SplitSettings(recent=0))
    with clock.stage("write"):
        split.histories.write_parquet(out / "histories.parquet")
        split.examples.write_parquet(out / "examples.parquet")
    with clock.stage("tokens"):
        renderer = tr.Renderer(tokenizer, log.items, tr.PromptSettings(history_tokens=10**6))
        counted = PromptLengths(renderer).generator_prompts(split.histories)
        counted.write_parquet(out / "prompts.parquet")
    seconds = time.perf_counter() - started
    stages = {name: round(taken, 2) for name, taken in clock.seconds.items()}
    return {
        "s": seconds, "stages": stages, "users": counted.height, "examples": split.examples.height,
        "tokens": int(counted["tokens"].sum()),
    }  # fmt: skip


def examples(folder: Path, out: Path) -> dict[str, Any]:
    """Ours for RecBole's job: the CSV to histories and examples, each with the 10 interactions before it."""
    from trackrec import api as tr
    from trackrec.data.tabular import read_tables

    started = time.perf_counter()
    log = read_tables(tables(folder, "csv"))
    split = tr.split_log(log, tr.SplitSettings(recent=10))
    split.histories.write_parquet(out / "histories.parquet")
    split.examples.write_parquet(out / "examples.parquet")
    return {
        "s": time.perf_counter() - started, "users": len(split.users),
        "histories": split.histories.height, "examples": split.examples.height,
    }  # fmt: skip


def generate(folder: Path, out: Path) -> dict[str, Any]:
    """The made-up log itself, for the record."""
    from research.synthetic_log import SyntheticLogSettings, write_synthetic_log

    started = time.perf_counter()
    settings = SyntheticLogSettings(interactions=int(out.name), seed=SEED)
    counts = write_synthetic_log(folder, settings, "csv" if folder.name.endswith("csv") else "parquet")
    return {"s": time.perf_counter() - started, **counts}


SIDES = {"whole": whole, "prompts": prompts, "examples": examples, "generate": generate}


def ask(side: str, folder: Path, out: Path, command: list[str] | None = None) -> dict[str, Any]:
    """One side in a fresh process."""
    command = command or [sys.executable, __file__]
    environment = {"POLARS_MAX_THREADS": str(THREADS), "TOKENIZERS_PARALLELISM": "true",
                   "RAYON_NUM_THREADS": str(THREADS)} | os.environ  # fmt: skip
    arguments = ["--side", side, "--folder", str(folder), "--out", str(out)]
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} failed on {folder}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def say(job: str, row: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Print one line of the result."""
    row = {"job": job, **more, **row, "s": round(row["s"], 2)}
    print(json.dumps(row), flush=True)
    return row


def grow(sizes: list[float], base: Path) -> None:
    """Ours at each size, and the exponent of its growth from the size before."""
    before: dict[str, Any] | None = None
    for size in sizes:
        number, folder = round(size * 1e6), base / f"log-{size:g}"
        if not (folder / "items.parquet").is_file():
            say("generate", ask("generate", folder, base / str(number)))
        with tempfile.TemporaryDirectory(dir=base) as out:
            row = ask("whole", folder, Path(out))
        more: dict[str, Any] = {"interactions": number}
        if before:
            more["exponent"] = round(math.log(row["s"] / before["s"]) / math.log(number / before["interactions"]), 2)
        before = say("from raw files to token counts", row, **more)


def make_recbole() -> bool:
    """Make RecBole's environment, if it is not there; whether it is there then."""
    if RECBOLE.exists():
        return True
    folder = RECBOLE.parent.parent
    print(f"making {folder} (not timed)", file=sys.stderr, flush=True)
    pinned = ["recbole==1.2.1", "torch", "numpy<2", "scipy<1.14", "pandas<2.3"]
    for command in ([sys.executable, "-m", "venv", str(folder)],
                    [str(RECBOLE), "-m", "pip", "install", "--quiet", *pinned]):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            print(f"RecBole's environment could not be made: {done.stderr[-1000:]}", file=sys.stderr)
            return False
    return True


def race(size: float, base: Path) -> None:
    """The peers on one CSV file, each between two passes of ours."""
    number, folder = round(size * 1e6), base / f"log-{size:g}-csv"
    if not (folder / "items.csv").is_file():
        ask("generate", folder, base / str(number))
    peers = {"per-user Python loops": ("prompts", [sys.executable, str(HERE / "data_loops.py")])}
    if make_recbole():
        peers["RecBole 1.2.1"] = ("examples", [str(RECBOLE), str(HERE / "data_recbole.py")])
    for name, (side, command) in peers.items():
        with tempfile.TemporaryDirectory(dir=base) as first, tempfile.TemporaryDirectory(dir=base) as second:
            ours, theirs = ask(side, folder, Path(first)), ask("peer", folder, Path(second), command)
            if side == "prompts":
                expect_equal(Path(first), Path(second))
        with tempfile.TemporaryDirectory(dir=base) as out:
            again = ask(side, folder, Path(out))
        seconds = (ours["s"] + again["s"]) / 2
        row = {
            "s": seconds, "passes": [round(ours["s"], 2), round(again["s"], 2)], "stages": ours.get("stages", {}),
            "peak_gb": ours["peak_gb"], "peer_s": round(theirs["s"], 2), "peer_stages": theirs.get("stages", {}),
            "peer_gb": theirs["peak_gb"], "examples": ours["examples"], "peer_examples": theirs["examples"],
            "ratio": round(theirs["s"] / seconds, 1),
        }  # fmt: skip
        job = "from the CSV to histories, examples and " + ("token counts" if side == "prompts" else "recent lists")
        say(job, row, interactions=number, peer=name)
    if not RECBOLE.exists():
        print(json.dumps({"job": "RecBole", "left_out": f"{RECBOLE} is not there"}), flush=True)


def expect_equal(ours: Path, theirs: Path) -> None:
    """End with an error if the loops found other histories, examples or token counts than ours."""
    import polars as pl

    sequences = json.loads((theirs / "sequential_data.json").read_text(encoding="utf-8"))
    begins = json.loads((theirs / "lm_hist_idx.json").read_text(encoding="utf-8"))
    histories = [
        (int(user), item, rating)
        for user, (items, ratings) in sequences.items()
        for item, rating in list(zip(items, ratings, strict=True))[max(0, begins[user] - 30) : begins[user]]
    ]
    with (theirs / "ctr.pickle").open("rb") as file:
        examples = [(user, sequences[str(user)][0][place], label) for user, place, label in pickle.load(file)]  # noqa: S301 (just written)
    tokens = json.loads((theirs / "tokens.json").read_text(encoding="utf-8"))
    for name, columns, peer in (
        ("histories", ("user_id", "item_id", "rating"), histories),
        ("examples", ("user_id", "item_id", "label"), examples),
        ("prompts", ("user_id", "tokens"), [(int(user), count) for user, count in tokens.items()]),
    ):
        found = pl.read_parquet(ours / f"{name}.parquet", columns=list(columns)).select(columns)
        expected = pl.DataFrame(peer, schema=found.schema, orient="row").sort("user_id", maintain_order=True)
        if not found.equals(expected):
            sys.exit(f"the {name} of both sides differ ({found.height} and {expected.height} rows)")


def main() -> None:
    """All sizes and peers, or one side in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="0.1 and 0.4 million interactions: a minute")
    parser.add_argument("--sizes", default="", help="in millions, such as 1,5,25,100")
    parser.add_argument("--folder", type=Path, help="where the logs are kept; else a temporary folder")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--peers-only", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        row = SIDES[arguments.side](arguments.folder, arguments.out)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps(row | {"peak_gb": round(peak, 2)}))
        return
    default = QUICK if arguments.quick else SIZES
    sizes = [float(size) for size in arguments.sizes.split(",")] if arguments.sizes else list(default)
    with tempfile.TemporaryDirectory() as temporary:
        base = arguments.folder or Path(temporary)
        base.mkdir(parents=True, exist_ok=True)
        if not arguments.peers_only:
            grow(sizes, base)
        if not arguments.no_peers:
            race(sizes[0], base)


if __name__ == "__main__":
    main()
