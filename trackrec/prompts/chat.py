"""The fixed token ids around a user turn, and the safe way from untrusted text to token ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from trackrec.errors import RecipeError
from trackrec.prompts.template import DEFAULT, TemplateSettings, render
from trackrec.prompts.thinking import cut_thinking

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
        self._adds_space = adds_space(tokenizer)

    def encode(self, text: str) -> list[int]:
        """Token ids of the text, with no special tokens added, and none made from its characters."""
        return [i for i in encode_inside(self._tokenizer, self._broken(text)) if i not in self.control_ids]

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """How many ids ``encode`` gives for each text, asked for at once."""
        if not texts:
            return []
        if self._adds_space:
            return [len(self.encode(text)) for text in texts]
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

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, without control tokens and outer white space."""
        plain = [i for i in ids if i not in self.control_ids]
        return str(self._tokenizer.decode(plain, clean_up_tokenization_spaces=False)).strip()

    def read(self, ids: list[int]) -> tuple[str, int]:
        """What a model wrote, as ``decode`` gives it, without what it thought; and how many characters that were.

        The tags in which models think are control tokens of some tokenizers and plain text of others.
        """
        kept, thought = cut_thinking(str(self._tokenizer.decode(ids, clean_up_tokenization_spaces=False)))
        return (self._control.sub("", kept).strip(), thought) if thought else (self.decode(ids), 0)


def adds_space(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer puts a space before whatever it encodes (SentencePiece, as in Llama 2 and Mistral)."""
    whole: list[int] = tokenizer.encode("\nx", add_special_tokens=False)
    before: list[int] = tokenizer.encode("\n", add_special_tokens=False)
    alone: list[int] = tokenizer.encode("x", add_special_tokens=False)
    return whole[: len(before)] == before and whole[len(before) :] != alone


def encode_inside(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a text as it stands inside a longer one, with no space put before it."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    if not adds_space(tokenizer):
        return ids
    before: list[int] = tokenizer.encode("\n", add_special_tokens=False)
    whole: list[int] = tokenizer.encode("\n" + text, add_special_tokens=False)
    return whole[len(before) :] if whole[: len(before)] == before else ids


def render_frame(
    tokenizer: PreTrainedTokenizerBase, instruction: str, settings: TemplateSettings = DEFAULT
) -> ChatFrame:
    """The tokens around the user's text in this tokenizer's own chat template.

    The instruction is the system turn (which also keeps a template from putting in a default of its own); where a
    template admits no system turn, it opens the user turn.

    Raises:
        RecipeError: the tokenizer has no chat template, or one that does not show the user's text exactly once.
    """
    turns = [{"role": "system", "content": instruction}, {"role": "user", "content": _USER}]
    text = render(tokenizer, turns, True, settings)
    head, found, tail = text.partition(_USER)
    if not found or _USER in tail:
        raise RecipeError(
            f"The chat template of {tokenizer.name_or_path!r} does not show the user's text exactly once; "
            "prompts cannot be built on it. Use another model, or mend its chat template."
        )
    return ChatFrame(tokenizer.encode(head, add_special_tokens=False), encode_inside(tokenizer, tail))


def find_end(tokenizer: PreTrainedTokenizerBase, settings: TemplateSettings = DEFAULT) -> int:
    """The token that ends an assistant's turn: the one that the chat template puts there, or else the end of text.

    Raises:
        RecipeError: neither exists.
    """
    turns = [{"role": "user", "content": _USER}, {"role": "assistant", "content": _ASSISTANT}]
    after = render(tokenizer, turns, False, settings).partition(_ASSISTANT)[2].lstrip(" ")
    ids = encode_inside(tokenizer, after)
    if ids and (ids[0] in tokenizer.added_tokens_decoder or ids[0] in tokenizer.all_special_ids):
        return ids[0]
    if isinstance(tokenizer.eos_token_id, int):
        return tokenizer.eos_token_id
    raise RecipeError(
        f"The tokenizer of {tokenizer.name_or_path!r} has no token that ends an answer: its chat template puts none "
        "after the assistant's turn and it has no eos_token. Set its eos_token."
    )
