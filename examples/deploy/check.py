"""Are the examples what their readers take? A real Airflow parses the DAG, KubeRay's own schema judges the RayJob, and
hadolint reads the Dockerfile. Run by `make deploy-check`, in an environment of its own.

    python examples/deploy/check.py --crd ray.io_rayjobs.yaml [--hadolint PATH]
"""

from __future__ import annotations

import argparse
import copy
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

HERE = Path(__file__).parent
TASKS = {"plan": {"write"}, "write": {"status"}, "status": set()}
"""The DAG's tasks, and which follow on each."""


def check_dag() -> None:
    """Airflow's own loader finds the DAG, without an error, with its tasks in their order."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        import airflow
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(dag_folder=str(HERE / "airflow_dag.py"), safe_mode=False)
        assert not bag.import_errors, bag.import_errors
        (dag,) = bag.dags.values()
        found = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
        assert found == TASKS, f"expected the tasks {TASKS}, got {found}"
        assert dag.get_task("write").skip_on_exit_code == [5], "another job at work is no failure"
        print(f"airflow_dag.py: Airflow {airflow.__version__} loads {dag.dag_id} with {', '.join(found)}")


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with unknown fields refused, as `kubectl apply --validate=strict` does."""
    told = copy.deepcopy(schema)
    if told.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    if "properties" in told:
        told["properties"] = {name: strict(part) for name, part in told["properties"].items()}
        if not told.get("x-kubernetes-preserve-unknown-fields"):
            told.setdefault("additionalProperties", False)
    for name in ("items", "additionalProperties"):
        if isinstance(told.get(name), dict):
            told[name] = strict(told[name])
    return told


def check_ray_job(crd: Path) -> None:
    """The RayJob is what KubeRay's definition describes; and the check notices a field that is not."""
    told = yaml.safe_load(crd.read_text(encoding="utf-8"))
    job = yaml.safe_load((HERE / "rayjob.yaml").read_text(encoding="utf-8"))
    version = job["apiVersion"].partition("/")[2]
    (schema,) = [one["schema"]["openAPIV3Schema"] for one in told["spec"]["versions"] if one["name"] == version]
    schema = strict(schema)
    # What every object has; the definition leaves it to Kubernetes.
    schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    judge = Draft202012Validator(schema)
    errors = [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in judge.iter_errors(job)]
    assert not errors, "\n".join(errors)
    wrong = copy.deepcopy(job)
    wrong["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replica"] = 4
    assert not judge.is_valid(wrong), "the check took a field that there is none of"
    print(f"rayjob.yaml: {told['spec']['names']['kind']} {version} of {crd.name} takes it, unknown fields refused")


def check_dockerfile(hadolint: str) -> None:
    """hadolint finds nothing to say."""
    subprocess.run([hadolint, "--failure-threshold", "info", str(HERE / "Dockerfile")], check=True)
    print("Dockerfile: hadolint finds nothing. It was not built: that takes a container engine")


def main() -> None:
    """Check all, or end with what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crd", type=Path, required=True, help="KubeRay's ray.io_rayjobs.yaml")
    parser.add_argument("--hadolint", default="", help="the program; left out, the Dockerfile is not looked at")
    options = parser.parse_args()
    check_dag()
    check_ray_job(options.crd)
    if options.hadolint:
        check_dockerfile(options.hadolint)
    else:
        sys.stderr.write("Dockerfile: not looked at (no --hadolint)\n")


if __name__ == "__main__":
    main()
