"""A language model small enough for a test: random weights, a real tokenizer, a real chat template.

Everything that the embedded model has and that code may lean on is here on a small scale: a Llama with rotary
positions and grouped key/value heads, tied embeddings, a byte-level BPE tokenizer, ChatML with its control tokens, and
answers that are single tokens. What it says is noise; what it must obey (shapes, caches, gradients, determinism) is
the same as for the real one.
"""

from __future__ import annotations

from pathlib import Path

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML as SmolLM2 uses it, without the default system message."""

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""Control tokens, in the order of their ids (0, 1, 2)."""

FILM_LINES = (
    "Toy Story (1995), Animation/Comedy: 5",
    "Fargo (1996), Crime/Drama/Thriller: 4",
    "The Godfather (1972), Action/Crime/Drama: 5",
    "Star Wars (1977), Action/Adventure/Romance/Sci-Fi/War: 3",
    "Twelve Monkeys (1995), Drama/Sci-Fi: 2",
    "Mighty Aphrodite (1995), Comedy: 1",
    "Liked by 83% of 52 viewers. Will they like it?",
    "They like about 7 in 10 of the films they rate. They like drama and crime; they do not like horror.",
    "Answer Yes or No. Yes. No. Answer: Yes Answer: No Answer: Yes Answer: No",
    "user assistant system",
)
"""What the tokenizer is trained on."""


def write_tiny_tokenizer(folder: Path) -> None:
    """Train a byte-level BPE tokenizer on `FILM_LINES` and save it in Hugging Face form in `folder`.

    "Yes", " Yes", "No" and " No" are single, ordinary (not special) tokens, as they are for SmolLM2. Any text can be
    encoded and comes back unchanged, since every byte is in the vocabulary.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        min_frequency=1,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # Repeating the answers makes their merges certain; each also stands at the start of a text, without a space.
    answers = ["Yes", "No", "Will they like it? Yes", "Will they like it? No"] * 50
    backend.train_from_iterator([*FILM_LINES, *answers], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(str(folder))


def write_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write a 2-layer, hidden-32 `LlamaForCausalLM` with its tokenizer into `folder` and return the folder.

    Args:
        folder: made if missing; files of the same names are overwritten.
        seed: of the random weights; equal seeds give equal weights. The global random state is left as it was.

    Returns:
        The folder, which `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` load. Weights are
        float32 safetensors. They are drawn wider than usual (0.2), so that different texts get clearly different
        probabilities and a test of equality can fail.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    write_tiny_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.2,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).to(torch.float32)
    model.save_pretrained(str(folder))
    return folder
