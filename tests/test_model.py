"""The language model: adapters come, go, are written, read and merged without changing what they compute."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tiny_language import adapter_weights, add_moved, copy_weights, plain_logits, tiny_language_model
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from trackrec.errors import AssetError, RunError
from trackrec.files.hashes import file_hash
from trackrec.lm.attention import ATTENTION
from trackrec.lm.model import LanguageModel, LanguageModelSettings, adapter_hash
from trackrec.lm.tree import Tree

TEXT = [1, 40, 41, 90, 7, 200, 33, 2, 90]


@pytest.fixture
def model(tiny_model_folder: Path) -> LanguageModel:
    return tiny_language_model(tiny_model_folder)


@torch.no_grad()
def logits(model: LanguageModel, adapter: str | None) -> torch.Tensor:
    """Logits of TEXT through the library's own path, shape (tokens, vocabulary)."""
    tree = Tree()
    tree.add(TEXT)
    with model.use(adapter):
        return model.logits(model.hidden([tree])[0])


@torch.no_grad()
def test_without_an_adapter_it_is_the_plain_model(model: LanguageModel, tiny_model_folder: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(str(tiny_model_folder))
    torch.testing.assert_close(logits(model, None), plain_logits(plain, TEXT), atol=1e-5, rtol=1e-5)
    assert not model.base.training


def test_a_fresh_adapter_changes_nothing_and_follows_its_seed(model: LanguageModel) -> None:
    state = torch.random.get_rng_state()
    for name, seed in (("first", 1), ("same", 1), ("other", 2)):
        model.add(name, seed)
    assert torch.equal(state, torch.random.get_rng_state()), "the global random state is left as it was"
    assert torch.equal(logits(model, "first"), logits(model, None))
    first, same, other = (copy_weights(model, name) for name in ("first", "same", "other"))
    assert set(first) == set(same)
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert all(not torch.equal(first[key], other[key]) for key in first if "lora_A" in key)
    # Seven linear layers in each of the two blocks, two matrices each; the head is none of them.
    assert len(first) == 2 * 7 * 2
    assert not any("lm_head" in key for key in first)


def test_adapters_stand_side_by_side(model: LanguageModel) -> None:
    base = logits(model, None)
    add_moved(model, "first", seed=1)
    add_moved(model, "second", seed=2)
    one, two = logits(model, "first"), logits(model, "second")
    assert not torch.allclose(one, two, atol=0.01)
    assert not torch.allclose(one, base, atol=0.01)
    assert torch.equal(logits(model, None), base)
    assert torch.equal(logits(model, "first"), one)
    model.drop("second")
    assert torch.equal(logits(model, "first"), one)
    model.drop("first")
    model.drop("first")
    assert torch.equal(logits(model, None), base)
    assert model.adapters == set()
    add_moved(model, "first", seed=1)
    model.add("first", seed=1)
    assert torch.equal(logits(model, "first"), base), "adding it again starts anew"


def test_only_the_adapter_in_use_is_trained(model: LanguageModel) -> None:
    model.add("first", 1)
    model.add("second", 2)
    with model.use("second"):
        trained = {name for name, weight in model.peft.named_parameters() if weight.requires_grad}
    assert trained == set(adapter_weights(model, "second"))


def test_saved_and_loaded_it_is_the_same(model: LanguageModel, tiny_model_folder: Path, tmp_path: Path) -> None:
    add_moved(model, "first", seed=1)
    add_moved(model, "second", seed=2)
    expected, weights = logits(model, "first"), copy_weights(model, "first")
    logits(model, "second")  # another one is in use when the first is written
    model.save("first", tmp_path / "run" / "first")
    fresh = tiny_language_model(tiny_model_folder)
    fresh.load("back", tmp_path / "run" / "first")
    assert all(torch.equal(value, weights[key]) for key, value in copy_weights(fresh, "back").items())
    torch.testing.assert_close(logits(fresh, "back"), expected, atol=1e-5, rtol=0)
    with fresh.use("back"):
        assert all(weight.requires_grad for weight in adapter_weights(fresh, "back").values()), "it can learn on"
    # It replaces one of the same name.
    model.load("second", tmp_path / "run" / "first")
    torch.testing.assert_close(logits(model, "second"), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_what_is_saved_is_an_ordinary_peft_folder(
    model: LanguageModel, tiny_model_folder: Path, tmp_path: Path
) -> None:
    add_moved(model, "first", seed=1)
    model.save("first", tmp_path)
    model.save("first", tmp_path)  # over what is there
    files = {file.name for file in tmp_path.iterdir()}
    assert files - {"README.md"} == {"adapter_config.json", "adapter_model.safetensors"}
    assert len(load_file(tmp_path / "adapter_model.safetensors")) == 28
    base = AutoModelForCausalLM.from_pretrained(str(tiny_model_folder))
    plain = PeftModel.from_pretrained(base, str(tmp_path))
    torch.testing.assert_close(plain_logits(plain, TEXT), logits(model, "first"), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_merged_copy_computes_the_same(model: LanguageModel) -> None:
    add_moved(model, "first", seed=1)
    base, expected = logits(model, None), logits(model, "first")
    merged = model.merged("first")
    assert merged.config._attn_implementation == ATTENTION
    torch.testing.assert_close(plain_logits(merged, TEXT), expected, atol=1e-5, rtol=1e-5)
    assert not any(weight.requires_grad for weight in merged.parameters())
    torch.testing.assert_close(plain_logits(model.merged(None), TEXT), base, atol=1e-5, rtol=1e-5)
    assert torch.equal(logits(model, None), base), "the model itself stays as it was"
    assert torch.equal(logits(model, "first"), expected)


def test_a_folder_without_safetensors_is_refused(model: LanguageModel, tmp_path: Path) -> None:
    add_moved(model, "first", seed=1)
    expected = logits(model, "first")
    with pytest.raises(RunError, match=r"no adapter in .*nowhere: expected adapter_config.json and adapter_model.saf"):
        model.load("first", tmp_path / "nowhere")
    model.save("first", tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(RunError, match="no adapter in"):
        model.load("first", tmp_path)
    assert torch.equal(logits(model, "first"), expected), "the one in memory stays"


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in (str(tmp_path), "nobody/has-this-model"):
        with pytest.raises(
            AssetError, match=f"(?s)'{name}' could not be loaded.*Expected the name of the embedded model"
        ):
            LanguageModel(LanguageModelSettings(name=name, device="cpu", threads=1))


def test_adapter_hash_is_that_of_its_weights(model: LanguageModel, tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("same", 1), ("second", 2)):
        add_moved(model, name, seed)
        model.save(name, tmp_path / name)
    data = (tmp_path / "first" / "adapter_model.safetensors").read_bytes()
    assert adapter_hash(tmp_path / "first") == hashlib.sha256(data).hexdigest()[:16] == adapter_hash(tmp_path / "same")
    assert adapter_hash(tmp_path / "second") != adapter_hash(tmp_path / "first")


def test_an_adapters_file_lists_modules_in_an_order_of_their_own(model: LanguageModel, tmp_path: Path) -> None:
    """Not in that of a set, which is another one in every process."""
    model.add("new", seed=1)
    model.save("new", tmp_path)
    told = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))["target_modules"]
    assert len(told) > 4
    assert told == sorted(told)


@pytest.mark.slow
def test_equal_adapters_are_equal_files_whatever_the_hash_seed(tiny_model_folder: Path, tmp_path: Path) -> None:
    script = """
import pathlib, sys
from trackrec.lm.model import AdapterSettings, LanguageModel, LanguageModelSettings
model = LanguageModel(LanguageModelSettings(name=sys.argv[1], threads=1, device="cpu"), AdapterSettings(rank=2))
model.add("new", seed=1)
pathlib.Path(sys.argv[2]).mkdir()
model.save("new", pathlib.Path(sys.argv[2]))
"""
    found = []
    for seed in ("1", "2"):
        command = [sys.executable, "-c", script, str(tiny_model_folder), str(tmp_path / seed)]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": seed})
        found.append(file_hash(tmp_path / seed))
    assert found[0] == found[1]


def test_loading_draws_no_bar_of_transformers(tiny_model_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logging.enable_progress_bar()
    tiny_language_model(tiny_model_folder)
    assert "Loading weights" not in capfd.readouterr().err
    assert logging.is_progress_bar_enabled(), "who uses the library by itself keeps it for other models"
