"""The language model: one base in memory, generator and validator as LoRA adapters on it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from pydantic import Field, model_validator
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from trackrec.assets import resolve_language_model
from trackrec.errors import AssetError, RunError
from trackrec.lm.attention import ATTENTION, run_decoder, why_not
from trackrec.lm.head import logit_rule, logits_of
from trackrec.lm.linear import quicken
from trackrec.lm.threads import use_threads
from trackrec.lm.tree import Tree, TreeBatch
from trackrec.lm.tree_attention import plan_of
from trackrec.lm.trust import remote_code_is_trusted
from trackrec.lm.unrolled import hidden_of_copies
from trackrec.settings import Commit, Settings

log = logging.getLogger(__name__)

_NO_ADAPTER = "unused"


class LanguageModelSettings(Settings):
    """Which language model, and how it runs."""

    name: str = "smollm2-135m-instruct"
    """The embedded model's name, a Hugging Face id, or a local folder."""
    revision: Commit = ""
    """Of a Hugging Face id, the commit (40 hexadecimal digits). Empty: the newest one when the run begins; its recipe
    keeps it."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the weights; float32 on CPUs without bfloat16 units, where bfloat16 is 40 times slower."""
    device: str = "auto"
    """`auto` takes CUDA where it is present, else the CPU; any torch device name goes."""
    threads: int = Field(default=2, ge=1, le=256)
    """CPU threads. Part of the recipe because float32 results depend on it in the last bits."""

    @model_validator(mode="before")
    @classmethod
    def _no_file_gives_trust(cls, given: Any) -> Any:
        """A run folder from elsewhere must not decide that code in it runs here."""
        if not isinstance(given, dict) or "trust_remote_code" not in given:
            return given
        if given["trust_remote_code"]:
            raise ValueError(
                "trust_remote_code cannot be set in a recipe: if you have read the code that comes with the model and "
                "trust it, say --trust-remote-code on the command line"
            )
        return {key: value for key, value in given.items() if key != "trust_remote_code"}


class AdapterSettings(Settings):
    """Shape of a LoRA adapter (dropout is 0: a prefix tree would draw one mask for tokens that its leaves share)."""

    rank: int = Field(default=16, ge=1, le=4096)
    """Rank r of the update."""
    alpha: int = Field(default=32, ge=1)
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
        use_threads(settings.threads)
        self.path = resolve_language_model(settings.name)
        self.revision = settings.revision or "main"
        auto = settings.device == "auto"
        self.device = torch.device("cuda" if auto and torch.cuda.is_available() else "cpu" if auto else settings.device)
        try:
            self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                self.path, revision=self.revision, trust_remote_code=remote_code_is_trusted()
            )
            base = self._base()
        except (OSError, ValueError) as error:  # ValueError: a folder that holds no tokenizer
            raise AssetError(
                f"the language model {settings.name!r} could not be loaded: {error}. Expected the name of the embedded "
                "model, a Hugging Face id that this machine can reach, or a folder with config.json and safetensors. "
                "Code that comes with a model runs only with --trust-remote-code"
            ) from error
        self.follows_plans = self._follows_plans(base)
        """Whether the model computes each shared token once; else every branch is computed as a copy of its own."""
        logit_rule(base)  # a model whose logits cannot be computed is refused here, not in the middle of a run
        if self.device.type == "cuda":  # float32 products on tensor cores: several times as fast, off by about 1e-3
            torch.set_float32_matmul_precision("high")
        # PEFT needs a first adapter to make its layers; this one is never active.
        self.peft: PeftModel = get_peft_model(base, self._lora(rank=1), adapter_name=_NO_ADAPTER)
        self.adapters: set[str] = set()
        self._changes: Counter[str] = Counter()

    def _base(self) -> PreTrainedModel:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            self.path,
            revision=self.revision,
            dtype=getattr(torch, self.settings.dtype),
            use_safetensors=True,
            trust_remote_code=remote_code_is_trusted(),
        )
        model.to(self.device)  # type: ignore[arg-type]
        return quicken(model.eval()) if self.device.type == "cpu" else model.eval()

    def _follows_plans(self, model: PreTrainedModel) -> bool:
        """Give the model our attention and try it on a small tree; a model that it does not fit keeps its own."""
        reason, own = why_not(model.config), model.config._attn_implementation
        tree = Tree()
        root = tree.add([1, 2, 3])
        for tokens in ([4, 5], [6]):
            tree.add([7, 8], tree.add(tokens, root))
        batch = TreeBatch([tree])
        if reason is None:
            with torch.inference_mode():
                expected = hidden_of_copies(model, batch)
                try:
                    model.set_attn_implementation(ATTENTION)
                    found = _hidden(model, batch)
                except (ValueError, TypeError, AttributeError, RuntimeError) as error:
                    reason = f"its attention cannot be replaced ({error})"
                else:
                    off = float((found - expected).norm() / expected.norm())
                    limit = 1e-3 if model.dtype == torch.float32 else 0.1
                    reason = None if off < limit else f"its hidden states are off by {off:.1e} on a prefix tree"
        if reason is not None:
            model.set_attn_implementation(own)
            log.warning(
                "the model %r (%s) cannot compute shared tokens once: %s. Every branch is computed as a copy of its "
                "own, which gives the same results and takes several times as long",
                self.settings.name,
                model.config.model_type,
                reason,
            )
        return reason is None

    def _lora(self, rank: int | None = None) -> LoraConfig:
        settings = self.adapter_settings
        return LoraConfig(
            r=rank or settings.rank,
            lora_alpha=settings.alpha,
            target_modules=settings.target_modules,
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
            base_model_name_or_path=str(self.settings.name),
            revision=self.settings.revision or None,
        )

    @property
    def base(self) -> PreTrainedModel:
        """The model that the adapters sit in."""
        return self.peft.get_base_model()  # type: ignore[return-value]

    def add(self, name: str, seed: int) -> None:
        """Add a fresh adapter, which changes nothing until it is trained. It replaces one of the same name."""
        self.drop(name)
        self.changed(name)
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
        self.changed(name)
        self.peft.load_adapter(str(folder), name, is_trainable=True, torch_device=str(self.device))
        self.adapters.add(name)

    def drop(self, name: str) -> None:
        """Forget an adapter, if it is there."""
        if name in self.adapters:
            self.peft.delete_adapter(name)
            self.adapters.discard(name)

    def changed(self, name: str) -> None:
        """Note that an adapter has other weights now (added, loaded, trained), so that copies of it are out of date."""
        self._changes[name] += 1

    def version(self, name: str | None) -> int:
        """How often an adapter's weights have changed; 0 for the base model alone."""
        return 0 if name is None else self._changes[name]

    def save(self, name: str, folder: Path) -> None:
        """Write an adapter as an ordinary PEFT folder (safetensors)."""
        self.peft.save_pretrained(str(folder), selected_adapters=[name], safe_serialization=True)
        inner = folder / name  # PEFT puts a named adapter one level deeper
        for file in inner.iterdir():
            file.replace(folder / file.name)
        inner.rmdir()
        # PEFT writes a set in the order of Python's hash seed: equal adapters would differ in their hash.
        path = folder / "adapter_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(config.get("target_modules"), list):
            config["target_modules"].sort()
        path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")

    @contextmanager
    def use(self, name: str | None) -> Iterator[None]:
        """Compute with an adapter (None: with the base model alone) inside the block."""
        if name is None:
            with self.peft.disable_adapter():
                yield
            return
        self.peft.set_adapter(name)
        yield

    def merged(self, name: str | None) -> PreTrainedModel:
        """A plain copy of the model with an adapter's update (None: no adapter's) added to its weights: quicker."""
        model = self._base()
        if name is not None:
            weights = dict(model.named_modules())
            for path, layer in self.base.named_modules():
                if isinstance(layer, LoraLayer) and name in layer.lora_A:
                    weights[path].weight.data += layer.get_delta_weight(name)  # type: ignore[attr-defined]
        model.set_attn_implementation(self.base.config._attn_implementation)
        return model.requires_grad_(False)

    def hidden(self, trees: Sequence[Tree], model: PreTrainedModel | None = None) -> list[Tensor]:
        """Last hidden states of some prefix trees, one tensor a tree, shape (tokens, width), in layout order.

        Args:
            trees: the trees.
            model: a merged copy that computes instead of the base with the adapter in use.
        """
        batch, model = TreeBatch(trees), model or self.base
        return batch.split(_hidden(model, batch) if self.follows_plans else hidden_of_copies(model, batch))

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits in float32 of some hidden states: (..., width) to (..., vocabulary)."""
        return logits_of(self.base, hidden)


def _hidden(model: PreTrainedModel, batch: TreeBatch) -> Tensor:
    """Last hidden states of all tokens of a batch, shape (tokens, width)."""
    device = model.device
    ids, positions = batch.input_ids.to(device), batch.position_ids.to(device)
    return run_decoder(model, ids, positions, plan_of(batch, device), use_cache=False).last_hidden_state[0]  # type: ignore[no-any-return]


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


def write_model_card(folder: Path, role: str, base: str, recipe: str, number: int, note: str = "") -> None:
    """Write the README of an adapter folder: what it is, what it was made from, how to load it, and a note of use."""
    told = f"{_ROLES[role]} {note}".rstrip()
    text = _CARD.format(base=base, title=f"TrackRec {role}", round=number, recipe=recipe, role=told)
    (folder / "README.md").write_text(text, encoding="utf-8")
