"""A training that was killed goes on from its last state and ends as if nothing had happened."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_full import full_model
from test_training import BETA, BRANCHES, answer_examples, count_answers, one, preference_examples
from tiny_language import add_moved, tiny_language_model
from tiny_run import tiny_recipe, write_tiny_log
from torch import Tensor

from trackrec.files.hashes import file_hash
from trackrec.lm.checkpoints import SEAL, Checkpoints
from trackrec.lm.model import LanguageModel
from trackrec.lm.trainer import train
from trackrec.lm.training import Loss, TrainingSettings, TreeExample, answer_cross_entropy, preference_loss

STEPS = 9
"""Ten trees, four in a step, three epochs."""


class StoppedError(Exception):
    """Where the process would have been killed."""


def settings(every: int = 2) -> TrainingSettings:
    return TrainingSettings(learning_rate=1e-3, trees_per_step=4, epochs=3, checkpoint_steps=every)


def prepared(model: LanguageModel) -> None:
    if model.trains_all:
        model.add("student", seed=1)
    else:
        add_moved(model, "student", seed=1)


def weights(model: LanguageModel) -> dict[str, Tensor]:
    with model.use("student"):
        net = model.base if model.trains_all else model.peft
        return {key: value.detach().clone() for key, value in net.named_parameters() if value.requires_grad}


def run(
    model: LanguageModel,
    folder: Path | None,
    stop: int | None = None,
    loss: Loss = answer_cross_entropy,
    units: Callable[[TreeExample], int] = count_answers,
) -> tuple[dict[str, Tensor], list[dict[str, float]], list[int]]:
    """Weights, rows and the steps that were done, of a training that is broken off after a step, or is not."""
    prepared(model)
    examples = preference_examples(model, "student", BRANCHES) if units is one else answer_examples(BRANCHES)
    prepared(model)
    seen: list[int] = []

    def progress(done: int, of: int) -> None:
        assert of == STEPS
        seen.append(done)
        if done == stop:
            raise StoppedError

    rows = train(model, "student", examples, loss, settings(), 3, units, progress, folder)
    return weights(model), rows, seen


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize(
    ("loss", "units"), [(answer_cross_entropy, count_answers), (preference_loss(BETA), one)], ids=["answers", "texts"]
)
def test_it_goes_on_to_the_same_bits(
    tiny_model_folder: Path, tmp_path: Path, method: str, loss: Loss, units: Callable[[TreeExample], int]
) -> None:
    model = tiny_language_model(tiny_model_folder) if method == "lora" else full_model(tiny_model_folder)
    expected, rows, _ = run(model, None, None, loss, units)
    with pytest.raises(StoppedError):
        run(model, tmp_path / "kept", 5, loss, units)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["checkpoint-2", "checkpoint-4"]
    torch.manual_seed(77)
    found, again, seen = run(model, tmp_path / "kept", None, loss, units)
    assert seen == [5, 6, 7, 8, 9], "from the state after the fourth step on"
    assert again == rows, "the figures of the steps before the kill are there too"
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.fixture(scope="module")
def undisturbed(tiny_model_folder: Path) -> tuple[dict[str, Tensor], list[dict[str, float]], list[int]]:
    return run(tiny_language_model(tiny_model_folder), None)


@pytest.fixture(scope="module")
def stopped(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The states of a training that was broken off after its fifth step: copy them, do not change them."""
    folder = tmp_path_factory.mktemp("stopped") / "kept"
    with pytest.raises(StoppedError):
        run(tiny_language_model(tiny_model_folder), folder, 5)
    return folder


def test_states_change_nothing_by_themselves(tiny_model_folder: Path, tmp_path: Path, undisturbed: Any) -> None:
    model = tiny_language_model(tiny_model_folder)
    expected, rows, _ = undisturbed
    found, again, _ = run(model, tmp_path / "kept")
    assert again == rows
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    names = {path.name for path in (tmp_path / "kept" / "checkpoint-8").iterdir()}
    assert {"trained.safetensors", "figures.json", "optimizer.pt", "scheduler.pt", SEAL} <= names
    assert "training_args.bin" not in names, "a pickle that nobody needs"
    size = (tmp_path / "kept" / "checkpoint-8" / "trained.safetensors").stat().st_size
    assert size < 200_000, "the adapter alone, not the frozen model"


def _cut(state: Path) -> None:
    (state / "optimizer.pt").write_bytes((state / "optimizer.pt").read_bytes()[:-50])


def _flip(state: Path) -> None:
    data = bytearray((state / "trained.safetensors").read_bytes())
    data[-3] ^= 1
    (state / "trained.safetensors").write_bytes(bytes(data))


def _unsealed(state: Path) -> None:
    (state / SEAL).unlink()


class _Payload:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch was-run",)


def _poisoned(state: Path) -> None:
    """A pickle that runs a command, with hashes that fit."""
    torch.save(_Payload(), state / "optimizer.pt")
    hashes = {path.name: file_hash(path) for path in state.iterdir() if path.name != SEAL}
    (state / SEAL).write_text(json.dumps(hashes), encoding="utf-8")


@pytest.mark.parametrize("damage", [_cut, _flip, _unsealed, _poisoned])
def test_a_damaged_state_is_set_aside(
    tiny_model_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: Any,
    stopped: Path,
    damage: Callable[[Path], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tiny_language_model(tiny_model_folder)
    expected, rows, _ = undisturbed
    shutil.copytree(stopped, tmp_path / "kept")
    damage(tmp_path / "kept" / "checkpoint-4")
    with caplog.at_level(logging.WARNING, "trackrec"):
        found, again, seen = run(model, tmp_path / "kept")
    assert "the state checkpoint-4 of the training" in caplog.text
    assert "is not whole (cut off or changed): set aside" in caplog.text
    assert seen == [3, 4, 5, 6, 7, 8, 9], "from the state before"
    assert again == rows
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert (tmp_path / "kept" / "damaged-checkpoint-4").is_dir()
    assert not (tmp_path / "was-run").exists()


def test_without_a_whole_state_it_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "checkpoint-9").mkdir()
    assert Checkpoints(tmp_path).last() is None
    assert {path.name for path in tmp_path.iterdir()} == {"damaged-checkpoint-10", "damaged-checkpoint-9"}


SCRIPT = """
import sys
from pathlib import Path
from tiny_run import kill_at, tiny_recipe
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.pipeline.loop import Loop
from trackrec.progress import Reporter
model, log, out, call = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
if call:
    kill_at("training", call)
training = {"epochs": 3, "trees_per_step": 2, "learning_rate": 0.01, "checkpoint_steps": 2}
recipe = tiny_recipe(model, log, distillation={"texts_per_user": 1, "training": training})
run = open_run(recipe, out, Reporter())
loop = Loop(Components(recipe, run, prepare(recipe, run)))
loop.teach()
loop.distil()
"""


@pytest.mark.slow
def test_a_stage_that_was_killed_goes_on(tiny_model_folder: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of the eighth of 12 steps of distillation, in a process of its own; then to the end."""
    log = write_tiny_log(tmp_path / "log")
    assert tiny_recipe(tiny_model_folder, log).roles.lm_users == 8, "four steps an epoch"

    def stage(out: str, call: int) -> int:
        here = str(Path(__file__).parent)
        path = os.pathsep.join([here, str(Path(here).parent), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-c", SCRIPT, str(tiny_model_folder), str(log), str(tmp_path / out), str(call)]
        return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode

    assert stage("whole", 0) == 0
    assert stage("killed", 16) == -signal.SIGKILL
    states = tmp_path / "killed" / "checkpoints" / "distil-generator"
    assert {path.name for path in states.glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    assert not (tmp_path / "killed" / "adapters" / "generator-0").exists()
    assert stage("killed", 0) == 0
    name = "adapters/generator-0/adapter_model.safetensors"
    assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    manifests = [json.loads((tmp_path / out / "manifests" / "distil.json").read_text()) for out in ("whole", "killed")]
    assert manifests[0]["counts"] == manifests[1]["counts"]
    assert not states.exists(), "a finished stage keeps none"
