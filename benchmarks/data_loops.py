"""The peer of ``benchmarks/data.py``: histories and examples by plain Python loops over lines, users and interactions.

The style is that of the preprocessing scripts of the field (KAR's among them): dictionaries of lists, a sort and a loop
for each user, one for each interaction. It is written for this benchmark, does the same job as ours to the row, and
copies no script.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

MAX_HISTORY, MIN_HISTORY, RECENT, THRESHOLD = 30, 5, 10, 4.0


def main() -> None:
    """Read, cut, write; print one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    titles: dict[int, str] = {}
    with (arguments.folder / "items.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            titles[int(row["item_id"])] = row["title"]
    by_user: dict[int, list[tuple[int, int, int, float]]] = defaultdict(list)
    with (arguments.folder / "interactions.csv").open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        next(lines)
        for number, (user, item, rating, when) in enumerate(lines):
            if int(item) in titles:
                by_user[int(user)].append((int(when), number, int(item), float(rating)))
    histories: dict[int, list[dict[str, Any]]] = {}
    examples: list[dict[str, Any]] = []
    for user in sorted(by_user):
        events = sorted(by_user[user])
        boundary = find_boundary(events)
        if boundary is None:
            continue
        histories[user] = [
            {"item": item, "rating": rating, "label": int(rating >= THRESHOLD)}
            for _, _, item, rating in events[max(0, boundary - MAX_HISTORY) : boundary]
        ]
        first = 0
        for place, (when, number, item, rating) in enumerate(events):
            if when != events[first][0]:
                first = place
            if place < boundary:
                continue
            recent = events[max(0, first - RECENT) : first]
            examples.append(
                {
                    "user": user, "event": number, "item": item, "rating": rating, "label": int(rating >= THRESHOLD),
                    "recent_events": [event[1] for event in recent],
                    "recent_items": [event[2] for event in recent],
                    "recent_ratings": [event[3] for event in recent],
                }
            )  # fmt: skip
    (arguments.out / "histories.json").write_text(json.dumps(histories), encoding="utf-8")
    with (arguments.out / "examples.json").open("w", encoding="utf-8") as file:
        for example in examples:
            file.write(json.dumps(example) + "\n")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"s": seconds, "peak_gb": round(peak, 2), "users": len(histories), "examples": len(examples)}))


def find_boundary(events: list[tuple[int, int, int, float]]) -> int | None:
    """The last change of time at or before the wanted place, else the first one after it."""
    wanted = min(len(events) // 2, MAX_HISTORY)
    changes = [p for p in range(MIN_HISTORY, len(events)) if events[p][0] != events[p - 1][0]]
    back = [p for p in changes if p <= wanted]
    return back[-1] if back else (changes[0] if changes else None)


if __name__ == "__main__":
    main()
