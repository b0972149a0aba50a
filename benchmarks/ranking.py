"""Training throughput and AUC of DIN and DCNv2 against FuxiCTR's and torch-rechub's own trainers.

``python benchmarks/ranking.py`` (``--quick``: MovieLens-100K alone, two epochs). Every side trains in a process of its
own on the same examples (``ranking_data.py``), features (target item, the last ten items and their ratings), batch
size, embedding width, hidden layers, dropout and number of threads. A peer runs in a virtual environment of its own,
which this script makes under ``.peers/`` with pip. One line a job: ``job, peer, data, examples, ours_examples_per_s,
peer_examples_per_s, ratio, ours_auc, peer_auc``. The rate is that of the fastest epoch, for every side, since on a busy
machine the slow ones tell of others' work; loading and evaluation are not in it. ``cpu_ratio`` is the same by the
processor time of the training process, which others' work hardly touches; what a peer's loader does in a process
beside it is not counted there, in the peer's favour. AUC is on users of their own, after early stopping on others; each
side takes the best of the learning rates by its own validation.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import ranking_data

ROOT = Path(__file__).resolve().parent.parent
PEERS = {"fuxictr": "fuxictr==2.3.10", "torch-rechub": "torch-rechub==0.9.0"}
TORCH = "torch==2.13.0"
MODELS = ("din", "dcnv2")
RATES = {"movielens-100k": [0.001, 0.003], "synthetic-1m": [0.003, 0.01, 0.02]}
STARTS = {"movielens-100k": "torch", "synthetic-1m": "xavier"}
"""First draws of our linear layers; FuxiCTR's are always Xavier's."""
SEED = 17
SIZES: dict[str, Any] = {
    "embedding": 16,
    "hidden": [64, 32],
    "attention": [32],
    "cross_layers": 2,
    "dropout": 0.2,
    "batch": 512,
    "seed": SEED,
}


def ours(job: dict[str, Any]) -> dict[str, Any]:
    """Our side of a job, in this process."""
    import numpy as np
    import polars as pl
    import torch

    from trackrec.metrics.probability import auc
    from trackrec.rankers.base import BackboneSettings, RankerSizes, build_ranker
    from trackrec.rankers.examples import Examples, ItemTable
    from trackrec.rankers.fit import FitSettings, fit_ranker, predict, seeded

    torch.set_num_threads(job["threads"])
    data = np.load(job["data"])

    def part(name: str) -> Examples:
        tensors = {key: torch.from_numpy(data[f"{name}.{key}"]) for key in ("item", "recent", "rating", "seen")}
        n = len(tensors["item"])
        return Examples(
            **tensors,
            dense=torch.zeros(n, 0),
            vector=torch.zeros(n, dtype=torch.int64),
            label=torch.from_numpy(data[f"{name}.label"]).float(),
        )

    items = int(data["items"])
    plain = torch.zeros(items + 1, 0), torch.zeros(items + 1, dtype=torch.int64)
    sizes = RankerSizes(ItemTable(pl.Series("item_id", range(items)), *plain), int(data["ratings"]) + 1, 10)
    settings = BackboneSettings(
        embedding=job["embedding"],
        hidden_units=tuple(job["hidden"]),
        attention_units=tuple(job["attention"]),
        cross_layers=job["cross_layers"],
        dropout=job["dropout"],
        start=job["start"],
    )
    train, validation, test = (part(name) for name in ranking_data.PARTS)
    with seeded(SEED):
        model = build_ranker(job["model"], sizes, settings)
    fit = FitSettings(epochs=job["epochs"], batch=job["batch"], learning_rate=job["learning_rate"], device="cpu")
    result = fit_ranker(model, train, validation, fit, SEED)
    return {
        "rates": [len(train) / seconds for seconds in result.seconds],
        "cpu_rates": [len(train) / seconds for seconds in result.cpu_seconds],
        "auc": auc(test.label.numpy(), predict(model, test)),
        "validation_auc": auc(validation.label.numpy(), predict(model, validation)),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def environment(peer: str) -> Path:
    """The Python of a peer's own virtual environment, made at its first use."""
    folder = ROOT / ".peers" / peer
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if not stamp.is_file():
        print(f"making an environment for {PEERS[peer]} in {folder} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        options = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run([python, "-m", "pip", "install", *options, TORCH, PEERS[peer]], check=True)
        stamp.touch()
    return python


def ask(command: list[str], job: dict[str, Any]) -> dict[str, Any]:
    """One side's result, from a fresh process."""
    threads = {"OMP_NUM_THREADS": str(job["threads"])}
    with tempfile.TemporaryDirectory() as folder:
        given = json.dumps({**job, "folder": folder})
        done = subprocess.run([*command, given], capture_output=True, text=True, check=False, env=os.environ | threads)
    if done.returncode:
        sys.exit(f"{command} failed at {job}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def best(command: list[str], job: dict[str, Any], rates: list[float]) -> dict[str, Any]:
    """The side's result with the learning rate that its own validation prefers."""
    results = [{**ask(command, {**job, "learning_rate": rate}), "learning_rate": rate} for rate in rates]
    return max(results, key=lambda result: result["validation_auc"])


def compare(job: dict[str, Any], rates: list[float], peers: list[str]) -> None:
    """Ours against each peer, a line each."""
    mine = best([sys.executable, __file__, "--side"], job, rates)
    for peer in peers:
        script = str(ROOT / "benchmarks" / "ranking_peers.py")
        theirs = best([str(environment(peer)), script], {**job, "peer": peer}, rates)
        row = {
            "job": job["model"],
            "peer": PEERS[peer],
            "data": Path(job["data"]).stem,
            "examples": job["examples"],
            "batch": job["batch"],
            "threads": job["threads"],
            "ours_examples_per_s": round(max(mine["rates"])),
            "peer_examples_per_s": round(max(theirs["rates"])),
            "ratio": round(max(mine["rates"]) / max(theirs["rates"]), 2),
            "cpu_ratio": round(max(mine["cpu_rates"]) / max(theirs["cpu_rates"]), 2),
            "ours_auc": round(mine["auc"], 4),
            "peer_auc": round(theirs["auc"], 4),
            "ours_parameters": mine["parameters"],
            "peer_parameters": theirs["parameters"],
            "ours_epochs": len(mine["rates"]),
            "peer_epochs": len(theirs["rates"]),
            "ours_learning_rate": mine["learning_rate"],
            "peer_learning_rate": theirs["learning_rate"],
        }
        print(json.dumps(row), flush=True)


def main() -> None:
    """All jobs, or our side of one."""
    if sys.argv[1:2] == ["--side"]:
        print(json.dumps(ours(json.loads(sys.argv[2]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="MovieLens-100K alone, two epochs, one learning rate")
    parser.add_argument("--data", choices=("movielens-100k", "synthetic-1m"), help="this alone")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--epochs", type=int, help="most passes over the training examples (5; with --quick 2)")
    parser.add_argument("--threads", type=int, default=1, help="of each side; FuxiCTR's loader has a process beside")
    arguments = parser.parse_args()
    names = [arguments.data] if arguments.data else ["movielens-100k"] + ["synthetic-1m"] * (not arguments.quick)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / f"{name}.npz"
            if name == "movielens-100k":
                ranking_data.movielens(path, SEED)
            else:
                ranking_data.synthetic(path, 6000, SEED)
            examples = ranking_data.training_examples(path)
            epochs = arguments.epochs or (2 if arguments.quick or name == "synthetic-1m" else 5)
            fixed = {**SIZES, "data": str(path), "examples": examples, "epochs": epochs, "threads": arguments.threads}
            fixed["start"] = STARTS[name]
            for model in arguments.models:
                compare({**fixed, "model": model}, [0.003] if arguments.quick else RATES[name], arguments.peers)


if __name__ == "__main__":
    main()
