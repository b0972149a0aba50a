"""Models of the hub: a run keeps the commit that it began with, whatever the hub says later."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_run import tiny_recipe, write_tiny_log
from transformers import AutoTokenizer

from trackrec.assets import is_hub_id, split_revision
from trackrec.errors import AssetError, RecipeError, RunError
from trackrec.files.manifests import read_manifest
from trackrec.lm.model import AdapterSettings, LanguageModel, LanguageModelSettings
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.pipeline.revisions import hub_commit, pinned
from trackrec.progress import Reporter
from trackrec.recipe import Recipe, load_recipe, make_recipe
from trackrec.run import Stage
from trackrec.settings import recorded
from trackrec.writing.writing_recipe import WritingRecipe

NAME = "org/tiny"
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def hub(tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was fetched from the hub: a model with two commits, of which the newer one has halved weights."""
    cache = tmp_path / "hub"
    place = cache / "models--org--tiny"
    for commit in (OLD, NEW):
        shutil.copytree(tiny_model_folder, place / "snapshots" / commit)
    weights = place / "snapshots" / NEW / "model.safetensors"
    save_file({name: tensor / 2 for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(OLD)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


def moved_on(hub: Path) -> None:
    """The hub has a newer commit."""
    (hub / "models--org--tiny" / "refs" / "main").write_text(NEW)


@pytest.fixture
def recipe(tiny_model_folder: Path, tmp_path: Path) -> Recipe:
    made = tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path / "log"))
    return made.model_copy(update={"model": made.model.model_copy(update={"name": NAME})})


def test_a_run_keeps_the_commit_that_it_began_with(hub: Path, recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = pinned(recipe, folder)
    assert (first.model.revision, first.encoder.revision) == (OLD, "")  # type: ignore[attr-defined]
    open_run(first, folder, Reporter())
    moved_on(hub)
    assert pinned(recipe, folder) == first, "a later start"
    assert pinned(recipe, tmp_path / "another").model.revision == NEW
    shutil.rmtree(hub)
    assert pinned(recipe, folder) == first, "without a hub"
    assert load_recipe(folder / "recipe.yaml").model.revision == OLD
    assert WritingRecipe.read(folder / "recipe.yaml").generator["model"]["revision"] == OLD
    with pytest.raises(RunError, match=r"model\.revision"):
        open_run(pinned(with_revision(recipe, NEW), folder), folder, Reporter())


def with_revision(recipe: Recipe, commit: str) -> Recipe:
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"revision": commit})})


def test_the_commit_is_part_of_what_a_stage_depends_on(hub: Path, recipe: Recipe, tmp_path: Path) -> None:
    asked = with_revision(recipe, NEW)
    run = open_run(asked, tmp_path / "run", Reporter())
    components = Components(asked, run, prepare(asked, run))

    def work(stage: Stage) -> None:
        stage.counts["ran"] = 1

    components.do("some", work, [], components.model_settings)
    manifest = read_manifest(tmp_path / "run" / "manifests" / "some.json")
    assert manifest is not None
    assert manifest["fingerprint"]["settings"]["model"]["revision"] == NEW


def test_a_run_loads_its_tokenizer_once(
    hub: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = AutoTokenizer.from_pretrained
    monkeypatch.setattr(
        AutoTokenizer, "from_pretrained", lambda path, **more: loaded.append(path) or load(path, **more)
    )
    run = open_run(recipe, tmp_path / "run", Reporter())
    components = Components(recipe, run, prepare(recipe, run))
    assert components.renderer.frame_hash
    assert components.model.tokenizer is components.tokenizer
    assert len(loaded) == 1


def test_a_run_that_pinned_nothing_stays_as_it_is(hub: Path, recipe: Recipe, tmp_path: Path) -> None:
    open_run(recipe, tmp_path / "run", Reporter())
    assert pinned(recipe, tmp_path / "run") == recipe
    assert "revision" not in recorded(recipe)["model"]


def test_these_very_weights_are_loaded(hub: Path, tmp_path: Path) -> None:
    found = {}
    for commit in (OLD, NEW, ""):
        settings = LanguageModelSettings(name=NAME, device="cpu", threads=1, revision=commit)
        model = LanguageModel(settings, AdapterSettings(rank=2))
        found[commit] = model.base.get_input_embeddings().weight.detach().clone()
    assert torch.equal(found[OLD], found[""])
    assert torch.allclose(found[NEW], found[OLD] / 2)


def test_what_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    names = {"gpt2": True, NAME: True, "here": False, "./x/y": False, "/a/b": False, "smollm2-135m-instruct": False}
    assert {name: is_hub_id(name) for name in names} == names
    assert split_revision(f"{NAME}@{OLD}") == (NAME, OLD)
    assert split_revision(f"{NAME}@main") == (f"{NAME}@main", None)
    with pytest.raises(RecipeError, match="revision"):
        make_recipe({"model": {"revision": "main"}})


def test_a_model_that_the_hub_does_not_have(hub: Path) -> None:
    with pytest.raises(AssetError, match="the model 'nobody/nothing' cannot be had from the Hugging Face hub"):
        hub_commit("nobody/nothing")
