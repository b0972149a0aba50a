"""Trackers get the figures of a training, and change nothing in it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tiny_language import tiny_language_model

from tests.test_training import BRANCHES, answer_examples, count_answers, trained
from trackrec.errors import RunError
from trackrec.lm.trackers import tracker_callbacks
from trackrec.lm.training import TrainingSettings, answer_cross_entropy


def test_tensorboard_gets_the_loss_of_each_step(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = tiny_language_model(tiny_model_folder)
    examples = answer_examples(BRANCHES)
    plain, rows = trained(model, examples, answer_cross_entropy, count_answers)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    told, again = trained(model, examples, answer_cross_entropy, count_answers, trackers=("tensorboard",))
    assert again == rows
    assert all(torch.equal(plain[name], told[name]) for name in plain)
    (folder,) = (tmp_path / "board").iterdir()
    assert folder.name.startswith("student-")
    board = EventAccumulator(str(folder))
    board.Reload()
    losses = [point.value for point in board.Scalars("train/loss")]
    assert losses == pytest.approx([row["loss"] for row in rows], rel=1e-4)
    assert "train/learning_rate" in board.Tags()["scalars"]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    for name in ("trackio", "mlflow"):
        if importlib.util.find_spec(name) is None:
            with pytest.raises(RunError, match=f"names {name}, which is not installed: pip install {name}"):
                tracker_callbacks([name], "generator")  # type: ignore[list-item]
    known = "does not say where to write" if importlib.util.find_spec("tensorboard") else "not installed"
    with pytest.raises(RunError, match=known):
        tracker_callbacks(["tensorboard"], "generator")
    with pytest.raises(ValidationError, match="trackers"):
        TrainingSettings(trackers=("elsewhere",))  # type: ignore[arg-type]
    assert tracker_callbacks([], "generator") == []
