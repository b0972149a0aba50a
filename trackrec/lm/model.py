"""The language model: one base in memory, generator and validator as LoRA adapters on it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from trackrec.assets import resolve_language_model
from trackrec.errors import AssetError, RunError
from trackrec.lm.tree import TreeBatch
from trackrec.settings import Settings

log = logging.getLogger(__name__)

_NO_ADAPTER = "unused"


class LanguageModelSettings(Settings):
    """Which language model, and how it runs."""

    name: str = "smollm2-135m-instruct"
    """The embedded model's name, a Hugging Face id, or a local folder."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the weights; float32 on CPUs without bfloat16 units, where bfloat16 is 40 times slower."""
    device: str = "auto"
    """`auto` takes CUDA where it is present, else the CPU; any torch device name goes."""
    threads: int = 2
    """CPU threads. Part of the recipe because float32 results depend on it in the last bits."""
    trust_remote_code: bool = False
    """Whether code that comes with a model from a hub may run. Leave it off unless you have read that code."""


class AdapterSettings(Settings):
    """Shape of a LoRA adapter (dropout is 0: a prefix tree would draw one mask for tokens that its leaves share)."""

    rank: int = 16
    """Rank r of the update."""
    alpha: int = 32
    """Scale: the update is multiplied by alpha / rank."""
    target_modules: str | list[str] = "all-linear"
    """Which layers are adapted: PEFT's `all-linear` or names of modules."""


class LanguageModel:
    """A causal language model, its tokenizer, and named LoRA adapters.

    Adapters are added with ``add``, kept with ``save`` and brought back with ``load``; ``use`` says which one computes.
    """

    def __init__(self, settings: LanguageModelSettings, adapter: AdapterSettings | None = None) -> None:
        self.settings = settings
        self.adapter_settings = adapter or AdapterSettings()
        torch.set_num_threads(settings.threads)
        self.path = resolve_language_model(settings.name)
        auto = settings.device == "auto"
        self.device = torch.device("cuda" if auto and torch.cuda.is_available() else "cpu" if auto else settings.device)
        try:
            self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                self.path, trust_remote_code=settings.trust_remote_code
            )
            base = self._base()
        except (OSError, ValueError) as error:  # ValueError: a folder that holds no tokenizer
            raise AssetError(
                f"the language model {settings.name!r} could not be loaded: {error}. Expected the name of the embedded "
                "model, a Hugging Face id that this machine can reach, or a folder with config.json and safetensors"
            ) from error
        # PEFT needs a first adapter to make its layers; this one is never active.
        self.peft: PeftModel = get_peft_model(base, self._lora(rank=1), adapter_name=_NO_ADAPTER)
        self.adapters: set[str] = set()

    def _base(self) -> PreTrainedModel:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            self.path,
            dtype=getattr(torch, self.settings.dtype),
            use_safetensors=True,
            trust_remote_code=self.settings.trust_remote_code,
        )
        model.to(self.device)  # type: ignore[arg-type]
        return model.eval()  # type: ignore[no-any-return]

    def _lora(self, rank: int | None = None) -> LoraConfig:
        settings = self.adapter_settings
        return LoraConfig(
            r=rank or settings.rank,
            lora_alpha=settings.alpha,
            target_modules=settings.target_modules,
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
            base_model_name_or_path=str(self.settings.name),
        )

    @property
    def base(self) -> PreTrainedModel:
        """The model that the adapters sit in."""
        return self.peft.get_base_model()  # type: ignore[return-value]

    def add(self, name: str, seed: int) -> None:
        """Add a fresh adapter, which changes nothing until it is trained. It replaces one of the same name."""
        self.drop(name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.peft.add_adapter(name, self._lora())
        self.adapters.add(name)

    def load(self, name: str, folder: Path) -> None:
        """Bring back an adapter that was saved. It replaces one of the same name.

        Raises:
            RunError: the folder holds no adapter in safetensors.
        """
        if not (folder / "adapter_model.safetensors").is_file():
            raise RunError(f"no adapter in {folder}: expected adapter_config.json and adapter_model.safetensors there")
        self.drop(name)
        self.peft.load_adapter(str(folder), adapter_name=name, is_trainable=True)
        self.adapters.add(name)

    def drop(self, name: str) -> None:
        """Forget an adapter, if it is there."""
        if name in self.adapters:
            self.peft.delete_adapter(name)
            self.adapters.discard(name)

    def save(self, name: str, folder: Path) -> None:
        """Write an adapter as an ordinary PEFT folder (safetensors)."""
        self.peft.save_pretrained(str(folder), selected_adapters=[name], safe_serialization=True)
        inner = folder / name  # PEFT puts a named adapter one level deeper
        for file in inner.iterdir():
            file.replace(folder / file.name)
        inner.rmdir()

    @contextmanager
    def use(self, name: str | None) -> Iterator[None]:
        """Compute with an adapter (None: with the base model alone) inside the block."""
        if name is None:
            with self.peft.disable_adapter():
                yield
            return
        self.peft.set_adapter(name)
        yield

    def merged(self, name: str | None, attention: str | None = None) -> PreTrainedModel:
        """A plain copy of the model with an adapter's update added to its weights: quicker for many short steps.

        Args:
            name: the adapter, or None for the base model.
            attention: name of the attention function the copy uses; None keeps the model's.
        """
        model = self._base()
        if name is not None:
            weights = dict(model.named_modules())
            for path, layer in self.base.named_modules():
                if isinstance(layer, LoraLayer) and name in layer.lora_A:
                    weights[path].weight.data += layer.get_delta_weight(name)  # type: ignore[attr-defined]
        if attention is not None:
            model.set_attn_implementation(attention)
        return model.requires_grad_(False)

    def hidden(self, batch: TreeBatch, model: PreTrainedModel | None = None) -> Tensor:
        """Last hidden states of a batch of prefix trees, shape (trees, tokens, width).

        Args:
            batch: the trees.
            model: a merged copy that computes instead of the base with the adapter in use.
        """
        output: Any = (model or self.base).get_decoder()(
            input_ids=batch.input_ids.to(self.device),
            position_ids=batch.position_ids.to(self.device),
            attention_mask=batch.attention_mask.to(self.device),
            use_cache=False,
        )
        return output.last_hidden_state  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits in float32 of some hidden states: (..., width) to (..., vocabulary)."""
        head = self.base.get_output_embeddings()
        return head(hidden).float()  # type: ignore[no-any-return]


def adapter_hash(folder: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of an adapter's weights: what a RecCoT is traced by."""
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()[:16]


_CARD = """---
base_model: {base}
library_name: peft
tags: [recommendation, trackrec, lora]
---
# {title}

A LoRA adapter of the TrackRec method, from round {round} of the recipe `{recipe}`.

{role}

Load it with plain `transformers` and `peft`: `PeftModel.from_pretrained(base_model, folder)`. The base model is named
in `adapter_config.json`; the embedded one is made by `trackrec.assets.embedded_language_model()`. The prompts that it
was tuned on are made by `trackrec.prompts.renderer.Renderer` with the settings in the run's `recipe.yaml`; others will
not work well.

What it writes or predicts about a person comes from that person's interactions alone and may be wrong.
"""
_ROLES = {
    "generator": "The generator writes a RecCoT (what a person likes and why) from a history of interactions.",
    "validator": "The validator reads a RecCoT and answers Yes or No: will this person like that item? Compare the "
    "logits of the two answers.",
}


def write_model_card(folder: Path, role: str, base: str, recipe: str, number: int) -> None:
    """Write the README of an adapter folder: what it is, what it was made from, how to load it."""
    text = _CARD.format(base=base, title=f"TrackRec {role}", round=number, recipe=recipe, role=_ROLES[role])
    (folder / "README.md").write_text(text, encoding="utf-8")
