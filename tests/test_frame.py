"""What the chat template puts around prompts is part of what a stage depends on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.files.manifests import FRAME, same
from trackrec.lm.model import LanguageModel
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.pipeline.loop import Loop
from trackrec.progress import Reporter
from trackrec.prompts.renderer import Renderer


def test_a_manifest_from_before_frames_were_recorded_holds() -> None:
    new, other = ({"settings": {"a": 1, FRAME: frame}, "seed": 2} for frame in ("x", "y"))
    assert same({"settings": {"a": 1}, "seed": 2}, new, ())
    assert not same({"settings": {"a": 2}, "seed": 2}, new, ())
    assert same(new, new, ())
    assert not same(new, other, ())


def test_another_frame_is_another_stage(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts are known without the model's weights; a template that renders otherwise has the stage done again."""
    log = write_tiny_log(tmp_path / "log")

    def load(*_: object) -> None:
        raise AssertionError("nobody needs the weights here")

    monkeypatch.setattr(LanguageModel, "_base", load)
    recipe = tiny_recipe(tiny_model_folder, log)

    def teach() -> dict[str, object]:
        run = open_run(recipe, tmp_path / "run", Reporter())
        Loop(Components(recipe, run, prepare(recipe, run))).teach()
        path = tmp_path / "run/manifests/teach.json"
        return json.loads(path.read_text(encoding="utf-8")) | {"at": path.stat().st_mtime_ns}  # type: ignore[no-any-return]

    first = teach()
    assert len(first["fingerprint"]["settings"][FRAME]) == 16  # type: ignore[index]
    assert teach() == first
    monkeypatch.setattr(Renderer, "frame_hash", property(lambda self: "of another version"))
    again = teach()
    assert again["fingerprint"]["settings"][FRAME] == "of another version"  # type: ignore[index]
    assert again["at"] != first["at"]


def test_a_template_that_is_edited_gives_another_frame(tiny_model_folder: Path, tmp_path: Path) -> None:
    log = write_tiny_log(tmp_path / "log")
    shutil.copytree(tiny_model_folder, tmp_path / "model")
    hashes = []
    for change in (False, True):
        if change:
            for path in (tmp_path / "model").glob("*template*"):
                path.write_text(path.read_text(encoding="utf-8").replace("<|im_start|>", "<|im_start|> "), "utf-8")
            path = tmp_path / "model" / "tokenizer_config.json"
            path.write_text(path.read_text(encoding="utf-8").replace("<|im_start|>'", "<|im_start|> '"), "utf-8")
        recipe = tiny_recipe(tmp_path / "model", log)
        run = open_run(recipe, tmp_path / f"run-{change}", Reporter())
        hashes.append(Components(recipe, run, prepare(recipe, run)).renderer.frame_hash)
    assert hashes[0] != hashes[1]
