"""What a second worker and Ray do to `trackrec write`: efficiency and overhead, by the clock and by processor time.

    python benchmarks/write_workers.py                      # under three minutes on a quiet machine with two cores
    python benchmarks/write_workers.py --rows FILE.jsonl    # the same table from rows that write.py measured before

Each kind of job is started afresh on one made-up log (see `write.py`), texts from the template teacher. *Rate* leaves
the start out: shards that ended after the first ones, over the time that they took. *Efficiency* of two workers is
their rate over twice that of one. *Over local* is what Ray takes more than the local executor for a user. What passes
before the first shard is the *start*, which is paid once a job.

By processor time, the same from what a shard's own steps took (`core_ms_by_step`): that needs no free core, but what
workers wait for each other is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from write import make_log, make_run, measure, put

KINDS = (("local", 1), ("local", 2), ("ray", 1), ("ray", 2), ("cluster", 2))
Row = dict[str, Any]


def rate(row: Row) -> float:
    """Users a second once all workers are at work: their first shards end at about the same time."""
    users: float = row["users"] * (row["shards"] - row["workers"]) / row["shards"]
    return users / row["shard_seconds_without_start"]


def core_ms(row: Row) -> float:
    """What a user takes of a core in the shards' own steps."""
    return float(sum(row["core_ms_by_step"].values()))


def table(rows: list[Row]) -> str:
    """The rows of one size beside each other, as Markdown; the last of each kind counts."""
    found = {(row["executor"], row["workers"]): row for row in rows}
    lines = [
        "| executor, workers | users/s | efficiency | over local | core ms a user | efficiency | over local | start |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (executor, workers), row in found.items():
        one = found.get(("ray" if executor == "cluster" else executor, 1))
        local = found.get(("local", workers))
        cells = [f"{executor}, {workers}"]
        for cost in (lambda row: 1 / rate(row), core_ms):
            share = 1 if cost is core_ms else workers  # by the clock two workers should take half as long
            cells.append(f"{core_ms(row):.3f}" if cost is core_ms else f"{rate(row):,.0f}")
            cells.append("" if one is None or workers == 1 else f"{cost(one) / (share * cost(row)):.2f}")
            cells.append("" if local is None or local is row else f"{cost(row) / cost(local) - 1:+.0%}")
        begins = row["shard_seconds"] - row["shard_seconds_without_start"]
        lines.append(f"| {' | '.join([*cells, f'{begins:.0f} s'])} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or read what was measured, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/write"))
    parser.add_argument("--out", type=Path, default=Path("write.jsonl"))
    parser.add_argument("--rows", type=Path, help="rows of write.py, instead of measuring")
    options = parser.parse_args()
    if options.rows is None:
        log = make_log(options.folder, options.users, 40.0)
        run, rows = make_run(options.folder, log), []
        for executor, workers in KINDS:
            changes = ["checked=0", "shard_users=1000"]
            rows.append(measure(run, log, options.folder / "to", executor, workers, changes))
            put(rows[-1], options.out)
    else:
        rows = [json.loads(line) for line in options.rows.read_text().splitlines()]
    for users in sorted({row["users"] for row in rows}):
        print(f"\n{users:,} users, {os.cpu_count()} cores, load before {[r['load_before'] for r in rows]}\n")
        print(table([row for row in rows if row["users"] == users]))


if __name__ == "__main__":
    main()
