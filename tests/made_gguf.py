"""A Llama with an adapter merged in as a GGUF file in float32, so that llama.cpp can serve what a run tuned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""What llama.cpp calls the parts of a layer."""


def write_gguf(merged: Any, tokenizer_folder: Path, path: Path) -> Path:
    """Write a plain Llama of transformers, with tied embeddings.

    Args:
        merged: the model, see ``LanguageModel.merged``.
        tokenizer_folder: with ``tokenizer.json`` of a byte-level BPE.
        path: the file.
    """
    import gguf

    config = merged.config
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, tokenizer_folder)
    weights = {name: value.detach().float().numpy() for name, value in merged.state_dict().items()}
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    for number in range(config.num_hidden_layers):
        for theirs, ours in _LAYER.items():
            weight = weights[f"model.layers.{number}.{theirs}.weight"]
            if ours in ("attn_q", "attn_k"):
                weight = _interleaved(weight, heads if ours == "attn_q" else key_heads)
            writer.add_tensor(f"blk.{number}.{ours}.weight", np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _interleaved(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """The rows of a head in the order in which llama.cpp rotates them: pairs beside each other, not in two halves."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def _add_tokenizer(writer: Any, folder: Path) -> None:
    import gguf

    told = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    special = {token["id"]: token["content"] for token in told["added_tokens"]}
    by_id = {number: token for token, number in told["model"]["vocab"].items()} | special
    kinds = [gguf.TokenType.CONTROL if n in special else gguf.TokenType.NORMAL for n in range(len(by_id))]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in told["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([by_id[number] for number in range(len(by_id))])
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    end = next(number for number, token in special.items() if token == "<|im_end|>")
    writer.add_eos_token_id(end)
    writer.add_bos_token_id(next(number for number, token in special.items() if token == "<|im_start|>"))
