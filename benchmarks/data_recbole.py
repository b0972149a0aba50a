"""The peer of ``benchmarks/data.py``: the data set build of RecBole for a sequential ranker (DIN), lists of 10.

Runs with the interpreter of an environment of its own. The atomic file that RecBole reads is written before the clock
starts, its split by order of time included; the batches' loaders are left out. The two jobs are near, not the same:
ours makes examples with recent events after each history, RecBole makes splits of all events.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import time
from pathlib import Path


def main() -> None:
    """Build, and print one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    import pandas as pd
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset

    torch.set_num_threads(2)
    logging.disable(logging.CRITICAL)
    folder = arguments.out / "log"
    folder.mkdir()
    types = {"user_id": "token", "item_id": "token", "rating": "float", "timestamp": "float"}
    raw = pd.read_csv(arguments.folder / "interactions.csv")
    raw.columns = [f"{name}:{types[name]}" for name in raw.columns]
    raw.to_csv(folder / "log.inter", sep="\t", index=False)
    del raw
    settings = {
        "data_path": str(arguments.out), "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id",
        "RATING_FIELD": "rating", "TIME_FIELD": "timestamp", "LABEL_FIELD": "label", "threshold": {"rating": 4},
        "load_col": {"inter": list(types)}, "MAX_ITEM_LIST_LENGTH": 10, "train_neg_sample_args": None,
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "labeled"},
        "use_gpu": False, "benchmark_filename": None, "checkpoint_dir": str(arguments.out), "log_wandb": False,
    }  # fmt: skip
    config = Config(model="DIN", dataset="log", config_dict=settings, config_file_list=[])
    started = time.perf_counter()
    dataset = create_dataset(config)
    dataset.build()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"s": seconds, "peak_gb": round(peak, 2), "examples": len(dataset)}))


if __name__ == "__main__":
    main()
