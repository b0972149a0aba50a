"""The examples for schedulers say what the command line understands."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from trackrec.cli import app
from trackrec.engines.openai_settings import OpenAISettings
from trackrec.writing.engine_pool import read_engines

DEPLOY = Path(__file__).parents[1] / "examples" / "deploy"


def commands() -> list[str]:
    """The trackrec commands in the examples, with names of variables put in."""
    found = []
    for line in (DEPLOY / "crontab").read_text().splitlines():
        if not line.startswith("#") and "trackrec write" in line:
            found.append(line[line.index("trackrec") :].split(">>")[0])
    source = (DEPLOY / "airflow_dag.py").read_text()
    ast.parse(source)
    places = {"RUN": "/run", "LOG": "/log", "PLACE": "/place"}
    found += [match.format(**places) for match in re.findall(r'f"(trackrec .*?)"', source)]
    found.append(yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())["spec"]["entrypoint"])
    return found


@pytest.mark.parametrize("command", commands())
def test_every_option_is_known(command: str) -> None:
    program, name, *rest = shlex.split(command)
    assert program == "trackrec"
    known = typer.main.get_command(app)
    subcommand = known.get_command(known.make_context("trackrec", [], resilient_parsing=True), name)  # type: ignore[attr-defined]
    assert subcommand is not None
    context = subcommand.make_context(name, rest)  # raises for what it does not know
    assert context.params


def test_there_are_commands_of_every_kind() -> None:
    assert [command.split()[1] for command in commands()] == ["write", "write", "plan", "write", "status", "write"]


def test_the_file_of_engines_loads() -> None:
    (tree,) = read_engines(DEPLOY / "engines.yaml")
    assert len(tree["engines"]) == 2
    for engine in tree["engines"]:
        can = OpenAISettings.model_validate(engine).capabilities
        assert can.token_ids, "the generator's own prompts are token ids"
    assert all("key" not in name for engine in tree["engines"] for name in engine)


def test_whoever_runs_the_job_sees_the_run_and_the_keys() -> None:
    """The command runs in the head's container, shards in the workers'."""
    cluster = yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())["spec"]["rayClusterSpec"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    assert len(pods) == 2
    for pod in pods:
        (container,) = pod["containers"]
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/srv"]
        assert container["envFrom"] == [{"secretRef": {"name": "object-storage"}}]
        assert [volume["name"] for volume in pod["volumes"]] == [mount["name"] for mount in container["volumeMounts"]]


def test_the_image_has_the_version_of_ray_that_the_cluster_expects() -> None:
    cluster = yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())["spec"]["rayClusterSpec"]
    pinned = re.search(r"^ray==(.*)$", (DEPLOY.parents[1] / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert cluster["rayVersion"] == pinned[1]
    assert f"'ray[default]=={pinned[1]}'" in (DEPLOY / "Dockerfile").read_text()
