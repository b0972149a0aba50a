"""The folder of a tuned model, a LoRA adapter or a whole model: what it is traced by, and its README."""

from __future__ import annotations

import hashlib
from pathlib import Path

from trackrec.errors import RunError


def adapter_hash(folder: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of an adapter's weights, or of a whole model's: what a RecCoT is
    traced by.

    Raises:
        RunError: the folder holds no weights in safetensors.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise RunError(f"no weights in {folder}: expected safetensors there")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while part := file.read(1 << 24):
                digest.update(part)
    return digest.hexdigest()[:16]


def holds_weights(folder: Path) -> bool:
    """Whether a folder holds an adapter or a whole model that ``LanguageModel.save`` wrote."""
    return (folder / "adapter_config.json").is_file() or (folder / "config.json").is_file()


_CARD = """---
base_model: {base}
library_name: {library}
tags: [recommendation, trackrec, {method}]
---
# {title}

{kind} of the TrackRec method, from round {round} of the recipe `{recipe}`.

{role}

{loading} The prompts that it was tuned on are made by
`trackrec.prompts.renderer.Renderer` with the settings in the run's `recipe.yaml`; others will not work well.

What it writes or predicts about a person comes from that person's interactions alone and may be wrong.
"""
_LORA = {
    "library": "peft",
    "method": "lora",
    "kind": "A LoRA adapter",
    "loading": """Load it with plain `transformers` and `peft`: `PeftModel.from_pretrained(base_model, folder)`. The
base model is named in `adapter_config.json`; `trackrec.assets.embedded_language_model()` makes the embedded one.""",
}
_FULL = {
    "library": "transformers",
    "method": "full-fine-tuning",
    "kind": "A whole model (all weights tuned, kept in float32)",
    "loading": """Load it with plain `transformers` (`AutoModelForCausalLM.from_pretrained(folder)`), serve it with
`vllm serve folder`, or name the folder in a recipe (`model.name`).""",
}
_ROLES = {
    "generator": "The generator writes a RecCoT (what a person likes and why) from a history of interactions.",
    "validator": "The validator reads a RecCoT and answers Yes or No: will this person like that item? Compare the "
    "logits of the two answers.",
}


def write_model_card(folder: Path, role: str, base: str, recipe: str, number: int, note: str = "") -> None:
    """Write the README of an adapter folder: what it is, what it was made from, how to load it, and a note of use."""
    told = f"{_ROLES[role]} {note}".rstrip()
    words = _LORA if (folder / "adapter_config.json").is_file() else _FULL
    text = _CARD.format(base=base, title=f"TrackRec {role}", round=number, recipe=recipe, role=told, **words)
    (folder / "README.md").write_text(text, encoding="utf-8")
