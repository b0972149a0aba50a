"""What a language model takes, by arithmetic alone: weights, memory of training and writing, operations.

Numbers follow from the shape in a model's configuration. They are those of a decoder of today (grouped keys and values,
gated MLP, RMSNorm); activations are counted by what PyTorch keeps for the backward pass, and are good to about a third.
All memory is in bytes, for one process (one card).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trackrec.assets import resolve_language_model
from trackrec.errors import AssetError, RecipeError

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Shape:
    """The sizes of a model that memory and time follow from.

    >>> Shape(layers=1, hidden=4, heads=2, key_heads=1, width=2, inner=8, words=10, tied=True, biased=False).weights
    196
    """

    layers: int
    hidden: int
    heads: int
    key_heads: int
    """Heads of keys and values."""
    width: int
    """Of a head."""
    inner: int
    """Width of the MLP."""
    words: int
    """The vocabulary's size."""
    tied: bool
    """Whether the head's weights are those of the embedding."""
    biased: bool
    """Whether queries, keys and values have biases."""

    @property
    def weights(self) -> int:
        """All weights: embedding (twice unless tied), layers (attention, MLP, two norms), last norm."""
        attention = self.hidden * self.width * (2 * self.heads + 2 * self.key_heads)
        biases = self.width * (self.heads + 2 * self.key_heads) if self.biased else 0
        layer = attention + biases + 3 * self.hidden * self.inner + 2 * self.hidden
        return self.words * self.hidden * (1 if self.tied else 2) + self.layers * layer + self.hidden

    def lora_weights(self, rank: int) -> int:
        """Weights of an adapter on all linear layers but the head: rank x (inputs + outputs) of each."""
        attention = 2 * (self.hidden + self.heads * self.width) + 2 * (self.hidden + self.key_heads * self.width)
        return rank * self.layers * (attention + 3 * (self.hidden + self.inner))

    @property
    def numbers_a_token(self) -> int:
        """Numbers that a layer keeps of each token for its backward pass.

        Inputs of both norms and of what follows them (4 x hidden), queries, keys and values before and after the
        rotation, the attention's result, and four of the MLP's width.
        """
        heads = 2 * (self.heads + 2 * self.key_heads) * self.width + self.heads * self.width
        return 4 * self.hidden + heads + 4 * self.inner


def shape_of(name: str) -> Shape:
    """The shape of the embedded model, of a model folder, or of a known model of the Hugging Face hub.

    Raises:
        AssetError: neither is its configuration on this machine, nor is it among the known ones.
    """
    known: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("shapes.yaml").read_text("utf-8"))
    if name in known:
        return Shape(**known[name])
    local = Path(name).expanduser()
    folder = local if local.is_dir() else resolve_language_model(name) if "/" not in name else None
    if folder is None or not (Path(folder) / "config.json").is_file():
        raise AssetError(
            f"the sizes of the model {name!r} are not known here: give the folder of a model with its config.json "
            f"(--set model.name=FOLDER), or one of {', '.join(known)}"
        )
    return shape_in(json.loads((Path(folder) / "config.json").read_text("utf-8")), name)


def shape_in(config: dict[str, Any], name: str) -> Shape:
    """The shape that a configuration of transformers tells.

    Raises:
        RecipeError: it lacks a size.
    """
    try:
        heads = int(config["num_attention_heads"])
        return Shape(
            layers=int(config["num_hidden_layers"]),
            hidden=int(config["hidden_size"]),
            heads=heads,
            key_heads=int(config.get("num_key_value_heads") or heads),
            width=int(config.get("head_dim") or config["hidden_size"] // heads),
            inner=int(config["intermediate_size"]),
            words=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            biased=bool(config.get("attention_bias", config.get("model_type") == "qwen2")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecipeError(
            f"the configuration of {name!r} does not tell its sizes ({error}): expected a decoder"
        ) from error


def training_bytes(
    shape: Shape, dtype: str, rank: int | None, tokens: int, learnt: int, recomputes: bool
) -> dict[str, int]:
    """Memory of one training pass.

    Args:
        shape: of the model.
        dtype: what it computes in.
        rank: of the LoRA adapter; None: all weights are trained, kept in float32.
        tokens: of all trees of a pass.
        learnt: positions at which the loss reads the whole vocabulary.
        recomputes: gradient checkpointing.

    Returns:
        ``weights`` (the frozen ones in ``dtype`` and the trained ones in float32), ``optimizer`` (gradient and AdamW's
        two moments: 12 bytes a trained weight), ``activations`` and ``logits`` (the head's result, its float32 copy,
        its log-softmax and the gradient).
    """
    size = BYTES[dtype]
    trained = shape.weights if rank is None else shape.lora_weights(rank)
    frozen = 0 if rank is None else shape.weights * size
    residual = 4 if rank is None else size
    layer = tokens * shape.numbers_a_token * size
    kept = shape.layers * tokens * shape.hidden * residual + layer if recomputes else shape.layers * layer
    return {
        "weights": frozen + 4 * trained,
        "optimizer": 12 * trained,
        "activations": kept,
        "logits": learnt * shape.words * (size + 12),
    }


def cache_bytes(shape: Shape, dtype: str) -> int:
    """Keys and values of one token, in all layers."""
    return 2 * shape.layers * shape.key_heads * shape.width * BYTES[dtype]


def texts_at_once(shape: Shape, dtype: str, gigabytes: float, prompt: int, text: int, n: int, most: int) -> int:
    """How many texts fit into a cache: as many prompts as it holds, each with its ``n`` texts; one prompt at least.

    Args:
        shape: of the model.
        dtype: what it computes in.
        gigabytes: of 10^9 bytes, for keys and values.
        prompt: tokens of the longest prompt.
        text: most tokens of a text.
        n: texts of a prompt.
        most: no more texts than these.
    """
    slots = int(gigabytes * 1e9 // (cache_bytes(shape, dtype) * (prompt + n * text)))
    return min(most, n * max(1, slots))


def writing_bytes(shape: Shape, dtype: str, prompt: int, text: int, n: int, texts: int) -> dict[str, int]:
    """Memory of writing: a copy of the weights with the adapter merged in, keys and values, and the next tokens' logits
    (16 bytes a word of the vocabulary: logits, weights of the draw, their sums).

    Args:
        shape: of the model.
        dtype: what it computes in.
        prompt, text, n: see ``texts_at_once``.
        texts: that are written at a time.
    """
    slots = max(1, texts // n)
    cache = cache_bytes(shape, dtype) * slots * (prompt + n * text)
    return {"weights": shape.weights * BYTES[dtype], "cache": cache, "logits": 16 * texts * shape.words}


def operations(shape: Shape, full: bool, recomputes: bool) -> dict[str, int]:
    """Floating point operations a token: 2 a weight to read it; 4 in training by LoRA, which needs no gradient of the
    frozen weights; 6 in full training; 2 more where activations are computed again."""
    again = 2 if recomputes else 0
    return {"read": 2 * shape.weights, "train": ((6 if full else 4) + again) * shape.weights}
