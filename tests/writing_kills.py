"""Kill a job of writing at random moments, many times, and see that nobody is lost.

    python tests/writing_kills.py 300

Each round starts a job on a fresh target, kills driver or worker up to 10 times, lets it end and compares every row
with those of a job that nothing happened to. About a minute a round.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from test_writing_faults import as_undisturbed, kill_until_done
from writing_world import made_log, publish, rows_of, write_run

from trackrec.writing.place import Place


def main(kills: int) -> None:
    """Kill so many times."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, log = write_run(folder / "run"), folder / "log.parquet"
        made_log(users=400).write_parquet(log)
        plain = rows_of(Place(str(folder / "plain")), publish(run, folder / "plain", log, shards=12, batch_users=5))
        for done in range(0, kills, 10):
            to = folder / f"to-{done}"
            manifest = kill_until_done(run, to, log, min(10, kills - done), seed=done)
            as_undisturbed(Place(str(to)), manifest, plain)
            print(f"{min(done + 10, kills)} of {kills} kills: every row as in an undisturbed job", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
