"""The language model: generator and validator as LoRA adapters on one base in memory, or as models of their own."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from trackrec.assets import resolve_language_model
from trackrec.errors import AssetError, RunError
from trackrec.lm import processes
from trackrec.lm.attention import ATTENTION, run_decoder, why_not
from trackrec.lm.folder import adapter_hash, holds_weights, write_model_card
from trackrec.lm.full import FullVersions
from trackrec.lm.head import logit_rule, logits_of
from trackrec.lm.linear import quicken
from trackrec.lm.settings import AdapterSettings, LanguageModelSettings, remote_code_is_trusted
from trackrec.lm.threads import use_threads
from trackrec.lm.tree import Tree, TreeBatch
from trackrec.lm.tree_attention import plan_of
from trackrec.lm.unrolled import hidden_of_copies
from trackrec.progress import no_foreign_bars

__all__ = [
    "AdapterSettings", "LanguageModel", "LanguageModelSettings", "adapter_hash", "holds_weights", "write_model_card",
]  # fmt: skip

log = logging.getLogger(__name__)

_NO_ADAPTER = "unused"


@contextmanager
def _said(name: str) -> Iterator[None]:
    """Say in a line what a model that cannot be loaded lacks."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a folder that holds no tokenizer
        raise AssetError(
            f"the language model {name!r} could not be loaded: {error}. Expected the name of the embedded "
            "model, a Hugging Face id that this machine can reach, or a folder with config.json and safetensors. "
            "Code that comes with a model runs only with --trust-remote-code"
        ) from error


def load_tokenizer(settings: LanguageModelSettings) -> PreTrainedTokenizerBase:
    """The tokenizer of a language model, without its weights.

    Raises:
        AssetError: there is none.
    """
    path = resolve_language_model(settings.name)
    with _said(settings.name):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            path, revision=settings.revision or "main", trust_remote_code=remote_code_is_trusted()
        )
    return tokenizer


class LanguageModel:
    """A causal language model, its tokenizer, and named LoRA adapters.

    Adapters are added with ``add``, kept with ``save`` and brought back with ``load``; ``use`` says which one computes.
    """

    def __init__(
        self,
        settings: LanguageModelSettings,
        adapter: AdapterSettings | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> None:
        self.settings = settings
        self.adapter_settings = adapter or AdapterSettings()
        use_threads(settings.threads)
        self.path = resolve_language_model(settings.name)
        self.revision = settings.revision or "main"
        gpu = f"cuda:{processes.local_number()}" if processes.count() > 1 else "cuda"
        auto = settings.device == "auto"
        self.device = torch.device(gpu if auto and torch.cuda.is_available() else "cpu" if auto else settings.device)
        self.tokenizer = load_tokenizer(settings) if tokenizer is None else tokenizer
        with _said(settings.name):
            base = self._base()
        self.follows_plans = self._follows_plans(base)
        """Whether the model computes each shared token once; else every branch is computed as a copy of its own."""
        logit_rule(base)  # a model whose logits cannot be computed is refused here, not in the middle of a run
        if self.device.type == "cuda":  # float32 products on tensor cores: several times as fast, off by about 1e-3
            torch.set_float32_matmul_precision("high")
        self._full: FullVersions | None = None
        self._base_model: PreTrainedModel | None = base
        self._current: str | None = None
        if self.adapter_settings.method == "full":
            self._full = FullVersions(self._plain, self.tokenizer, base.dtype)
        else:
            # PEFT needs a first adapter to make its layers; this one is never active.
            self._peft: PeftModel = get_peft_model(base, self._lora(rank=1), adapter_name=_NO_ADAPTER)
        self.adapters: set[str] = set()
        self._changes: Counter[str] = Counter()

    def _base(self, dtype: torch.dtype | None = None) -> PreTrainedModel:
        with no_foreign_bars():
            model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
                self.path,
                revision=self.revision,
                dtype=dtype or getattr(torch, self.settings.dtype),
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

    def _plain(self, dtype: torch.dtype) -> PreTrainedModel:
        """The base model loaded anew, with the attention that was found to fit it."""
        model = self._base(dtype)
        if self.follows_plans:
            model.set_attn_implementation(ATTENTION)
        return model

    @property
    def base(self) -> PreTrainedModel:
        """The model that the adapters sit in; with full fine-tuning, the one in use."""
        if self._full is None:
            return self.peft.get_base_model()  # type: ignore[return-value]
        if self._current is not None:
            return self._full.get(self._current)
        if self._base_model is None:
            self._base_model = self._plain(getattr(torch, self.settings.dtype))
        return self._base_model

    @property
    def peft(self) -> PeftModel:
        """The model with its LoRA adapters.

        Raises:
            RunError: it is fine-tuned whole, and there are none.
        """
        if self._full is not None:
            raise RunError("the whole model is fine-tuned (adapter.method: full), so that it has no LoRA adapters")
        return self._peft

    @property
    def trains_all(self) -> bool:
        """Whether all weights are trained, not an adapter."""
        return self._full is not None

    @contextmanager
    def in_training(self, name: str) -> Iterator[nn.Module]:
        """The module whose weights are trained under a name, in use inside the block."""
        self.changed(name)
        if self._full is not None:
            self._base_model = None  # beside the optimiser's state there is no room for it; it is read again
            self._full.train(name)
        with self.use(name):
            module: nn.Module = self.peft if self._full is None else self.base
            try:
                yield module
            finally:
                module.eval()

    def add(self, name: str, seed: int) -> None:
        """Add a fresh adapter, which changes nothing until it is trained. It replaces one of the same name."""
        self.drop(name)
        self.changed(name)
        if self._full is not None:
            self._full.add(name)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.peft.add_adapter(name, self._lora())
        self.adapters.add(name)

    def load(self, name: str, folder: Path) -> None:
        """Bring back an adapter that was saved. It replaces one of the same name.

        Raises:
            RunError: the folder holds no adapter in safetensors, or with full fine-tuning no model.
        """
        if self._full is not None:
            self.changed(name)
            self._full.load(name, folder)
            self.adapters.add(name)
            return
        if not (folder / "adapter_model.safetensors").is_file():
            raise RunError(f"no adapter in {folder}: expected adapter_config.json and adapter_model.safetensors there")
        self.drop(name)
        self.changed(name)
        # PEFT would put the weights on a GPU wherever there is one.
        self.peft.load_adapter(str(folder), adapter_name=name, is_trainable=True, torch_device=str(self.device))
        self.adapters.add(name)

    def drop(self, name: str) -> None:
        """Forget an adapter, if it is there."""
        if name not in self.adapters:
            return
        if self._full is not None:
            self._full.drop(name)
        else:
            self.peft.delete_adapter(name)
        self.adapters.discard(name)

    def changed(self, name: str) -> None:
        """Note that an adapter has other weights now (added, loaded, trained), so that copies of it are out of date."""
        self._changes[name] += 1

    def version(self, name: str | None) -> int:
        """How often an adapter's weights have changed; 0 for the base model alone."""
        return 0 if name is None else self._changes[name]

    def save(self, name: str, folder: Path) -> None:
        """Write an adapter as an ordinary PEFT folder (safetensors), or the whole model as an ordinary folder.

        Of several processes the first one writes.
        """
        if not processes.is_first():
            return
        if self._full is not None:
            self._full.save(name, folder)
            return
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
        if self._full is not None:
            before, self._current = self._current, name
            try:
                yield
            finally:
                self._current = before
            return
        if name is None:
            with self.peft.disable_adapter():
                yield
            return
        self.peft.set_adapter(name)
        yield

    def merged(self, name: str | None) -> PreTrainedModel:
        """A plain copy of the model with an adapter's update (None: no adapter's) added to its weights: quicker."""
        if self._full is not None and name is not None:
            return self._full.copy(name)
        model = self._base()
        if name is not None:
            weights = dict(model.named_modules())
            for path, layer in self.base.named_modules():
                if isinstance(layer, LoraLayer) and name in layer.lora_A:
                    weights[path].weight.data += layer.get_delta_weight(name)  # type: ignore[attr-defined]
        if self.follows_plans:
            model.set_attn_implementation(ATTENTION)
        return model.requires_grad_(False)

    def hidden(self, trees: Sequence[Tree], model: PreTrainedModel | None = None) -> list[Tensor]:
        """Last hidden states of some prefix trees, one tensor a tree, shape (tokens, width), in layout order.

        Args:
            trees: the trees.
            model: a merged copy that computes instead of the base with the adapter in use.
        """
        batch, model = TreeBatch(trees), model or self.base
        with self._as_set(model):
            return batch.split(_hidden(model, batch) if self.follows_plans else hidden_of_copies(model, batch))

    def logits(self, hidden: Tensor, model: PreTrainedModel | None = None) -> Tensor:
        """Next-token logits in float32 of hidden states: (..., width) to (..., vocabulary); ``model`` as before."""
        model = model or self.base
        with self._as_set(model):
            return logits_of(model, hidden)

    def _as_set(self, model: PreTrainedModel) -> AbstractContextManager[Any]:
        """Weights kept in float32 for training compute in the type that the settings name all the same."""
        dtype = getattr(torch, self.settings.dtype)
        plain = self._full is None or model.dtype == dtype
        return nullcontext() if plain else torch.autocast(model.device.type, dtype, cache_enabled=False)


def _hidden(model: PreTrainedModel, batch: TreeBatch) -> Tensor:
    """Last hidden states of all tokens of a batch, shape (tokens, width)."""
    device = model.device
    ids, positions = batch.input_ids.to(device), batch.position_ids.to(device)
    return run_decoder(model, ids, positions, plan_of(batch, device), use_cache=False).last_hidden_state[0]  # type: ignore[no-any-return]
