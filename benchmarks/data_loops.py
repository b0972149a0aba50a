"""The peer of ``benchmarks/data.py``: histories, examples and prompts by plain Python loops over users and rows.

The way of the field's preprocessing scripts, KAR's ``preprocess`` folder above all: a dictionary of each user's rows, a
sort and a loop for every user, sequences of items and ratings as JSON, examples ``[user, place, label]`` as a pickle,
and prompts put together as texts, which are then tokenised in batches. It is written for this benchmark and copies no
script. What KAR's scripts do besides is left out, in its favour: reading its own JSON again, re-ranking lists, prompts
of items, the numbering of users and items. The cut between history and examples is ours (KAR's is not strict in time),
so that both sides give the same rows and counts.
"""

from __future__ import annotations

import argparse
import csv
import json
import pickle
import resource
import time
from collections import defaultdict
from pathlib import Path

MAX_HISTORY, MIN_HISTORY, THRESHOLD, BATCH = 30, 5, 4.0, 64


def main() -> None:
    """Read, cut, write, count; print one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    from data_texts import load_tokenizer, text_frame

    tokenizer = load_tokenizer()
    around = len(text_frame(tokenizer))
    marks = [time.perf_counter()]
    describe: dict[int, str] = {}
    with (arguments.folder / "items.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            describe[int(row["item_id"])] = row["title"] + ", " + " ".join(row["genres"].split("|"))
    rows: dict[int, list[tuple[int, int, int, float]]] = defaultdict(list)
    with (arguments.folder / "interactions.csv").open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        next(lines)
        for number, (user, item, rating, when) in enumerate(lines):
            if int(item) in describe:
                rows[int(user)].append((int(when), number, int(item), float(rating)))
    marks.append(time.perf_counter())
    sequences: dict[int, tuple[list[int], list[float]]] = {}
    boundaries: dict[int, int] = {}
    examples: list[list[int]] = []
    for user, events in rows.items():
        events.sort()
        boundary = find_boundary(events)
        if boundary is None:
            continue
        boundaries[user] = boundary
        sequences[user] = ([event[2] for event in events], [event[3] for event in events])
        for place in range(boundary, len(events)):
            examples.append([user, place, 1 if events[place][3] >= THRESHOLD else 0])
    marks.append(time.perf_counter())
    with (arguments.out / "sequential_data.json").open("w", encoding="utf-8") as file:
        json.dump(sequences, file)
    with (arguments.out / "lm_hist_idx.json").open("w", encoding="utf-8") as file:
        json.dump(boundaries, file)
    with (arguments.out / "ctr.pickle").open("wb") as binary:
        pickle.dump(examples, binary)
    marks.append(time.perf_counter())
    prompts: dict[int, str] = {}
    for user, (items, ratings) in sequences.items():
        boundary = boundaries[user]
        texts = []
        for place in range(max(0, boundary - MAX_HISTORY), boundary):
            texts.append(f"{ratings[place]:g}: {describe[items[place]]}\n")
        prompts[user] = "".join(texts)
    marks.append(time.perf_counter())
    tokens: dict[int, int] = {}
    users, texts = list(prompts), list(prompts.values())
    for start in range(0, len(texts), BATCH):
        encoded = tokenizer(texts[start : start + BATCH], add_special_tokens=False)["input_ids"]
        for user, ids in zip(users[start : start + BATCH], encoded, strict=True):
            tokens[user] = around + len(ids)
    with (arguments.out / "tokens.json").open("w", encoding="utf-8") as file:
        json.dump(tokens, file)
    marks.append(time.perf_counter())
    stages = dict(zip(("read", "cut", "write", "prompts", "tokens"), map(float.__sub__, marks[1:], marks), strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    row = {
        "s": marks[-1] - marks[0], "stages": {name: round(seconds, 2) for name, seconds in stages.items()},
        "peak_gb": round(peak, 2), "users": len(sequences), "examples": len(examples), "tokens": sum(tokens.values()),
    }  # fmt: skip
    print(json.dumps(row))


def find_boundary(events: list[tuple[int, int, int, float]]) -> int | None:
    """The last change of time at or before the wanted place, else the first one after it."""
    wanted = min(len(events) // 2, MAX_HISTORY)
    for place in range(wanted, MIN_HISTORY - 1, -1):
        if events[place][0] != events[place - 1][0]:
            return place
    for place in range(max(wanted + 1, MIN_HISTORY), len(events)):
        if events[place][0] != events[place - 1][0]:
            return place
    return None


if __name__ == "__main__":
    main()
