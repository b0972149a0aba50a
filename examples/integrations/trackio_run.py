"""A finished run in Trackio: ``python trackio_run.py RUN FOLDER`` keeps its settings and figures, round by round.

Needs Trackio and nothing of TrackRec. ``trackio show --project NAME`` opens the page (in FOLDER: TRACKIO_DIR=FOLDER).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

run, folder = Path(sys.argv[1]), Path(sys.argv[2])
os.environ.setdefault("TRACKIO_DIR", str(folder))  # read when trackio is imported

import trackio  # noqa: E402
from trackio.sqlite_storage import SQLiteStorage  # noqa: E402


def main() -> None:
    """Keep, and read back."""
    rows = [row for row in json.loads((run / "metrics.json").read_text(encoding="utf-8")) if row["value"] is not None]
    rounds: dict[int, dict[str, float]] = {}
    for row in rows:
        rounds.setdefault(row["round"] or 0, {})[f"{row['role'] or 'all'}/{row['arm']}/{row['metric']}"] = row["value"]
    project = f"trackrec-{run.name}"
    started = trackio.init(
        project=project, name=run.name, config={"recipe": (run / "recipe.yaml").read_text(encoding="utf-8")}
    )
    for number in sorted(rounds):
        trackio.log(rounds[number], step=number)
    trackio.finish()
    (kept,) = [one for one in trackio.Api().runs(project) if one.id == started.id]
    assert "seed:" in kept.config["recipe"]
    for number, figures in rounds.items():
        for name, value in figures.items():
            (point,) = SQLiteStorage.get_metric_values(project, run.name, name, step=number, run_id=started.id)
            assert abs(point["value"] - value) < 1e-9, (name, number, point)
    print(json.dumps({"project": project, "rounds": len(rounds), "figures": len(rows)}))


if __name__ == "__main__":
    main()
