"""The fixed token ids around a user turn, and the safe way from untrusted text to token ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from trackrec.errors import RecipeError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_USER = "USERTURNGOESHERE"
_ASSISTANT = "ASSISTANTTURNGOESHERE"


class ChatFrame(NamedTuple):
    """A chat of an instruction and one user turn, as token ids around the user's text."""

    head: list[int]
    """From the beginning up to where the user's text starts."""
    tail: list[int]
    """From the end of the user's text up to where the assistant starts to write."""


class PlainText:
    """Encodes untrusted text: whatever it says, no control token of the tokenizer comes out.

    Every added token that is not mere white space counts as a control token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        added = {i: token.content for i, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
        self.control_ids = frozenset(added) | frozenset(tokenizer.all_special_ids)
        # Longest first, so that of two tokens with a common beginning the longer one is broken.
        contents = sorted(added.values(), key=len, reverse=True)
        self._control = re.compile("|".join(re.escape(content) for content in contents) or r"(?!)")
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """Token ids of the text, with no special tokens added, and none made from its characters."""
        ids: list[int] = self._tokenizer.encode(self._broken(text), add_special_tokens=False)
        return [i for i in ids if i not in self.control_ids]

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """How many ids ``encode`` gives for each text, asked for at once."""
        if not texts:
            return []
        broken = [self._broken(text) for text in texts]
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None:
            encoded = self._tokenizer(broken, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        else:  # without the tables that transformers makes around each text, which take longer than the tokens
            backend.no_truncation()
            backend.no_padding()
            encoded = [found.ids for found in backend.encode_batch_fast(broken, add_special_tokens=False)]
        control = self.control_ids
        return [len(ids) if control.isdisjoint(ids) else sum(i not in control for i in ids) for ids in encoded]

    def _broken(self, text: str) -> str:
        """A space inside the name of each control token leaves it readable, and joins nothing new."""
        return self._control.sub(lambda found: f"{found.group()[:1]} {found.group()[1:]}", text)

    def strip_controls(self, text: str) -> str:
        """The text without the names of control tokens."""
        return self._control.sub("", text)

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, without control tokens and outer white space."""
        plain = [i for i in ids if i not in self.control_ids]
        return str(self._tokenizer.decode(plain, clean_up_tokenization_spaces=False)).strip()


def render_frame(tokenizer: PreTrainedTokenizerBase, instruction: str) -> ChatFrame:
    """The tokens around the user's text in this tokenizer's own chat template.

    The instruction is the system turn (which also keeps a template from putting in a default of its own); where a
    template admits no system turn, it opens the user turn.

    Raises:
        RecipeError: the tokenizer has no chat template, or one that does not show the user's text exactly once.
    """
    text = _render(tokenizer, instruction, None)
    head, found, tail = text.partition(_USER)
    if not found or _USER in tail:
        raise RecipeError(
            f"The chat template of {tokenizer.name_or_path!r} does not show the user's text exactly once; "
            "prompts cannot be built on it. Use another model, or mend its chat template."
        )
    return ChatFrame(tokenizer.encode(head, add_special_tokens=False), tokenizer.encode(tail, add_special_tokens=False))


def find_end(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends an assistant's turn: the one that the chat template puts there, or else the end of text.

    Raises:
        RecipeError: neither exists.
    """
    after = _render(tokenizer, "", _ASSISTANT).partition(_ASSISTANT)[2]
    ids: list[int] = tokenizer.encode(after, add_special_tokens=False)
    if ids and (ids[0] in tokenizer.added_tokens_decoder or ids[0] in tokenizer.all_special_ids):
        return ids[0]
    if isinstance(tokenizer.eos_token_id, int):
        return tokenizer.eos_token_id
    raise RecipeError(
        f"The tokenizer of {tokenizer.name_or_path!r} has no token that ends an answer: its chat template puts none "
        "after the assistant's turn and it has no eos_token. Set its eos_token."
    )


def find_answer(tokenizer: PreTrainedTokenizerBase, answer: str) -> int:
    """The one token that an answer is, where the assistant's turn begins with it.

    Raises:
        RecipeError: the answer takes several tokens, or runs together with what stands before it.
    """
    tail = _render(tokenizer, "", None).partition(_USER)[2]
    before: list[int] = tokenizer.encode(tail, add_special_tokens=False)
    both: list[int] = tokenizer.encode(tail + answer, add_special_tokens=False)
    if both[: len(before)] != before or len(both) != len(before) + 1:
        raise RecipeError(
            f"The answer {answer!r} is not a single token at the start of an answer of {tokenizer.name_or_path!r}: "
            f"both end in {tokenizer.convert_ids_to_tokens(both[-4:])}. The validator reads its score from "
            "one token; give the domain answers that are one token here, or use another model."
        )
    return both[-1]


def _render(tokenizer: PreTrainedTokenizerBase, instruction: str, answer: str | None) -> str:
    if not tokenizer.chat_template:
        raise RecipeError(
            f"The tokenizer of {tokenizer.name_or_path!r} has no chat template. Use an instruction-tuned model, "
            "or set chat_template in its tokenizer."
        )
    turns = [{"role": "assistant", "content": answer}] if answer else []
    with_system = [{"role": "system", "content": instruction}, {"role": "user", "content": _USER}, *turns]
    without = [{"role": "user", "content": f"{instruction}\n{_USER}".lstrip()}, *turns]
    try:
        text = _apply(tokenizer, with_system, answer is None)
    except Exception:  # Jinja errors: templates refuse a role by raising whatever they like.
        return _apply(tokenizer, without, answer is None)
    return text if instruction in text else _apply(tokenizer, without, answer is None)


def _apply(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], open_answer: bool) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=open_answer))
