"""The tiny model is what the other tests take it for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import CHATML, SPECIAL_TOKENS, write_tiny_model


@pytest.mark.parametrize("answer", ["Yes", " Yes", "No", " No"])
def test_answers_are_single_tokens(tiny_model_folder: Path, answer: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(tiny_model_folder))
    ids = tokenizer.encode(answer, add_special_tokens=False)
    assert len(ids) == 1
    assert tokenizer.decode(ids) == answer


def test_tokenizer_keeps_any_text_and_knows_chatml(tiny_model_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(tiny_model_folder))
    text = "Amélie (2001), 千と千尋の神隠し , don't : 5"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS] == [0, 1, 2]
    assert tokenizer.chat_template == CHATML
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.encode(chat, add_special_tokens=False).count(1) == 2


def test_weights_follow_the_seed_alone(tiny_model_folder: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    state = torch.random.get_rng_state()
    first, second, other = (
        AutoModelForCausalLM.from_pretrained(str(folder))
        for folder in (
            tiny_model_folder,
            write_tiny_model(tmp_path / "same", seed=0),
            write_tiny_model(tmp_path / "other", seed=1),
        )
    )
    assert torch.equal(state, torch.random.get_rng_state())
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        logits = [model(ids).logits for model in (first, second, other)]
    assert logits[0].dtype == torch.float32
    assert torch.equal(logits[0], logits[1])
    assert not torch.allclose(logits[0], logits[2], atol=0.1)
