"""A finished run in MLflow: ``python mlflow_run.py RUN FOLDER`` keeps settings, figures, report; reads them back.

Needs MLflow and nothing of TrackRec. For a server of your own, set MLFLOW_TRACKING_URI.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import yaml


def flat(tree: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The settings as ``a.b.c`` and value."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{before}{name}.")
        elif value not in (None, "", [], {}):
            yield f"{before}{name}", value


def name_of(row: dict[str, Any]) -> str:
    """A figure's name, in the characters that MLflow takes."""
    arm = row["arm"].replace(" - ", " minus ")
    name = f"{row['role'] or 'all'}/{arm}/{row['metric']}".replace(", ", " and ")
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "-" for letter in name)


def main() -> None:
    """Keep, and read back."""
    run, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    settings = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    rows = [row for row in json.loads((run / "metrics.json").read_text(encoding="utf-8")) if row["value"] is not None]
    experiment = mlflow.set_experiment(f"trackrec {settings['name']}")
    with mlflow.start_run(run_name=run.name) as kept:
        mlflow.log_params({name: str(value)[:500] for name, value in flat(settings)})
        for row in rows:
            mlflow.log_metric(name_of(row), row["value"], step=row["round"] or 0)
        mlflow.log_artifact(str(run / "metrics.json"))
        mlflow.log_artifact(str(run / "report" / "index.html"))
    client = mlflow.MlflowClient()
    for row in rows:
        history = client.get_metric_history(kept.info.run_id, name_of(row))
        assert row["value"] in [one.value for one in history if one.step == (row["round"] or 0)], row
    stored = client.get_run(kept.info.run_id).data.params
    assert stored["seed"] == str(settings["seed"])
    assert {file.path for file in client.list_artifacts(kept.info.run_id)} == {"metrics.json", "index.html"}
    print(json.dumps({"experiment": experiment.name, "settings": len(stored), "figures": len(rows)}))


if __name__ == "__main__":
    main()
