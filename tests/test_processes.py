"""Several processes: the gradients and the weights of one, files of the first alone, and a word where it cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import call
from safetensors.torch import load_file
from test_training import answer_examples, count_answers
from tiny_language import tiny_language_model
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.errors import RecipeError, RunError
from trackrec.lm import processes
from trackrec.lm.trainer import _EpochCallback, _Padded, train
from trackrec.lm.training import TrainingSettings, answer_cross_entropy
from trackrec.pipeline.preflight import check_settings
from trackrec.recipe import load_recipe

HERE = Path(__file__).parent
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


ACCELERATE = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--mixed_precision", "no"]
ACCELERATE += ["--dynamo_backend", "no", "--main_process_port", "0", "--num_processes"]


def launch(number: int, *command: str, by: Sequence[str] = tuple(LAUNCH)) -> subprocess.CompletedProcess[str]:
    """A script, in so many processes."""
    path = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    start = [sys.executable, *([*by, str(number)] if number > 1 else [])]
    return subprocess.run([*start, *command], env=environment, capture_output=True, text=True, check=False)


METHODS = ("lora", "full")
BOTH = """
import runpy, sys
script, model, out, *methods = sys.argv[1:]
for method in methods:
    sys.argv = [script, model, method, f"{out}/{method}"]
    runpy.run_path(script, run_name="__main__")
"""
"""Both trainings in the same processes, whose start takes longer than the trainings."""


@pytest.fixture(scope="module")
def trained(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What one process and two made of the same trainings."""
    outs = [tmp_path_factory.mktemp(f"of-{number}") for number in (1, 2)]
    script = outs[0] / "both.py"
    script.write_text(BOTH, encoding="utf-8")
    for number, out in enumerate(outs, 1):
        train = str(HERE / "train_together.py")
        done = launch(number, str(script), train, str(tiny_model_folder), str(out), *METHODS)
        assert done.returncode == 0, done.stderr[-3000:]
    return outs


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_processes_train_as_one(method: str, trained: list[Path]) -> None:
    outs = [out / method for out in trained]
    one, two = (load_file(out / "gradients.safetensors") for out in outs)
    assert len(one) == 6, "three steps an epoch"
    assert float(one["step-0"].norm()) > 0.1
    for step, expected in one.items():
        error = float((two[step] - expected).norm() / expected.norm())
        assert error < 1e-3, f"{step}: off by {error}"
    name = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    weights = [load_file(out / name) for out in outs]
    for key, expected in weights[0].items():
        torch.testing.assert_close(weights[1][key], expected, atol=2e-4, rtol=0, msg=key)
    rows = [json.loads((out / "rows.json").read_text(encoding="utf-8")) for out in outs]
    assert [row["step"] for row in rows[1]] == [row["step"] for row in rows[0]] == [0, 1, 2, 3, 4, 5]
    assert [row["loss"] for row in rows[1]] == pytest.approx([row["loss"] for row in rows[0]], rel=1e-3)


@pytest.mark.slow
def test_two_processes_go_on_after_a_kill(tiny_model_folder: Path, tmp_path: Path) -> None:
    """SIGKILL of one of two in the fifth of six steps: the launcher ends both; started again they do the last two.

    The undisturbed training is started by `torchrun`, the other one by `accelerate launch`.
    """
    script, states = str(HERE / "train_together.py"), tmp_path / "states"

    def start(out: str, *more: str, by: Sequence[str] = tuple(ACCELERATE)) -> subprocess.CompletedProcess[str]:
        return launch(2, script, str(tiny_model_folder), "lora", str(tmp_path / out), *more, by=by)

    killed = start("killed", str(states), "5")
    assert killed.returncode != 0
    assert "SIGKILL" in killed.stderr, killed.stderr[-3000:]
    assert not (tmp_path / "killed").exists()
    assert {path.name for path in states.iterdir()} == {"checkpoint-2", "checkpoint-4"}
    assert len([*(states / "checkpoint-4").glob("rng_state_?.pth")]) == 2, "each process keeps its random numbers"
    again = start("killed", str(states))
    assert again.returncode == 0, again.stderr[-3000:]
    whole = start("whole", str(tmp_path / "other-states"), by=LAUNCH)
    assert whole.returncode == 0, whole.stderr[-3000:]
    done = load_file(tmp_path / "killed" / "gradients.safetensors")
    assert len(done) == 2, "the fifth and the sixth step"
    assert torch.equal(done["step-0"], load_file(tmp_path / "whole" / "gradients.safetensors")["step-4"])
    for name in ("adapter_model.safetensors", "rows.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_the_order_is_that_of_one_process() -> None:
    from accelerate.data_loader import SeedableRandomSampler

    order = SeedableRandomSampler(range(7), data_seed=5)
    order.set_epoch(2)
    padded = _Padded(7, 5, 4)
    padded.set_epoch(2)
    assert [*padded] == [*order, -1]
    assert len(padded) == 8
    assert [*_Padded(8, 5, 4)].count(-1) == 0


def test_an_epoch_that_is_gone_on_with_has_its_own_order() -> None:
    """What accelerate makes of the loader of process 1 of 2, with its first two passes skipped, in the second epoch."""
    from accelerate.data_loader import prepare_data_loader, skip_first_batches
    from torch.utils.data import DataLoader
    from transformers import TrainerControl, TrainerState, TrainingArguments

    def loader(sampler: _Padded) -> Any:
        plain: Any = DataLoader(range(10), sampler=sampler, batch_size=1)  # type: ignore[arg-type]
        return prepare_data_loader(plain, num_processes=2, process_index=1, put_on_device=False)

    whole, padded = loader(_Padded(10, 5, 2)), _Padded(10, 5, 2)
    whole.set_epoch(1)
    expected = [int(batch) for batch in whole]
    rest = skip_first_batches(loader(padded), 2)
    rest.set_epoch(1)
    assert [int(batch) for batch in rest] != expected[2:], "accelerate gets through to the sampler: the callback can go"
    _EpochCallback(padded).on_epoch_begin(TrainingArguments(), TrainerState(epoch=1.4), TrainerControl())
    assert [int(batch) for batch in rest] == expected[2:]


def test_what_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (processes.count(), processes.number(), processes.is_first()) == (1, 0, True)
    processes.only_one("writing")
    processes.start(cpu=True)
    processes.wait()
    assert processes.summed([[1.0, 2.0], [3.0]]) == [[1.0, 2.0], [3.0]]
    assert processes.first_says(True)
    assert not processes.first_says(False)
    monkeypatch.setenv("RANK", "1")
    assert processes.is_first(), "a rank alone, as some schedulers set it, makes no second process"
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert (processes.count(), processes.number(), processes.is_first()) == (3, 1, False)
    with pytest.raises(RunError, match="writing runs in one process, but WORLD_SIZE says that a launcher started 3"):
        processes.only_one("writing")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(RunError, match=r"configured for FSDP \(ACCELERATE_USE_FSDP\), but training here keeps all"):
        processes.start(cpu=True)


def test_other_commands_say_so_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert call(monkeypatch, "settings", "quick") == 1
    assert "trackrec settings runs in one process, but WORLD_SIZE says" in " ".join(capsys.readouterr().err.split())


def test_a_step_that_cannot_be_shared_is_refused(tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    model = tiny_language_model(tiny_model_folder)
    model.add("student", 0)
    job = TrainingSettings(trees_per_step=8, trees_per_pass=2)
    with pytest.raises(
        RunError, match="trees_per_step is 8, which 3 processes with trees_per_pass 2 cannot share evenly"
    ):
        train(model, "student", answer_examples((2,)), answer_cross_entropy, job, 0, count_answers)


def test_a_run_says_so_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    check_settings(load_recipe("paper"))  # as its own first lines start it
    monkeypatch.setenv("WORLD_SIZE", "4")
    said = r"alignment\.training\.trees_per_step is 6, which 4 processes .* multiple of 4"
    with pytest.raises(RecipeError, match=said):
        check_settings(load_recipe("paper", ["alignment.training.trees_per_step=6"]))


RUN = """
import sys
from collections.abc import Sequence
from pathlib import Path
from tiny_run import tiny_recipe
from trackrec.pipeline.job import run_recipe
run_recipe(tiny_recipe(Path(sys.argv[1]), Path(sys.argv[2]), observer=None), Path(sys.argv[3]))
"""


@pytest.mark.slow
def test_a_whole_run_in_two_processes(tiny_model_folder: Path, tmp_path: Path) -> None:
    """Every stage, from the log to the report's tables; then again, which finds all of it done."""
    log = write_tiny_log(tmp_path / "log")
    script = tmp_path / "run.py"
    script.write_text(RUN, encoding="utf-8")
    for _ in range(2):
        done = launch(2, str(script), str(tiny_model_folder), str(log), str(tmp_path / "run"))
        assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "run"
    stages = {path.stem for path in (folder / "manifests").glob("*.json")}
    assert {"distil", "tune-lm-0", "align-lm-1", "tune-lm-2", "metrics"} <= stages
    manifest = json.loads((folder / "manifests" / "distil.json").read_text(encoding="utf-8"))
    users = manifest["counts"]["users"]
    assert users == tiny_recipe(tiny_model_folder, log).roles.lm_users
    assert len(manifest["counts"]["curve"]) == users // 2
    assert not [path for path in folder.rglob("*") if ".partial" in path.name]
