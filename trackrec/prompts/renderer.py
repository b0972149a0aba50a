"""The one renderer: every prompt that is sampled from, trained on or scored is made here, as lists of token ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import polars as pl
from pydantic import Field

from trackrec.prompts.catalogue import Catalogue, Row, clean_text
from trackrec.prompts.chat import PlainText, find_answer, find_end, render_frame
from trackrec.prompts.digest import DIGEST_FACTS, DigestFact, tell_digest
from trackrec.prompts.domain import Domain
from trackrec.prompts.domains import find_domain
from trackrec.prompts.profile import ProfileSettings, profile_history
from trackrec.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class PromptSettings(Settings):
    """What the prompts show, and how long they may be (in tokens of the model's own tokenizer)."""

    domain: str = "movies"
    """Whose texts and nouns the prompts use: movies, books, music, products, generic, or a YAML file with
    a domain's texts."""
    attributes: tuple[str, ...] = ()
    """Further columns of the items that their lines tell after title and year, such as author, brand or store."""
    history_tokens: int = Field(default=224, ge=1)
    """Budget of the history's lines; the oldest events beyond it are left out, the newest always stays."""
    digest: bool | tuple[DigestFact, ...] = False
    """Whether the generator's prompt ends with a line of counts over the whole history, also of the events that were
    left out; true: generosity, share of likes (habit), old items (age) and genres; a list: these facts, such as
    [watched]. A small model then only has to put them into words; a large one counts by itself."""
    validator_recent: Annotated[int, Field(ge=0)] | Literal["all"] = 3
    """How many of the last history events the validator sees beside the RecCoT; ``all``: as many as the generator."""
    reccot_tokens: int = Field(default=64, ge=8)
    """Budget of a RecCoT, its end token included."""
    show_statistics: bool = True
    """Whether a target says how many others rated it and how many of those liked it."""


def tenths(likes: int, raters: int) -> int:
    """Share of likes in tenths, drawn towards a half by one like and one dislike more (Laplace's rule of succession).

    A single digit is a single token, which a small model reads far better than a percentage beside a count. Integer
    arithmetic (halves go up) gives the same text on every machine.

    >>> tenths(1, 1), tenths(83, 100)
    (7, 8)
    """
    return (20 * (likes + 1) + raters + 2) // (2 * (raters + 2))


class Renderer:
    """Builds the prompts of the generator and the validator.

    Segments are tokenised one by one, so a branch point between segments is always a token boundary. A prompt of the
    validator is ``validator_prefix + reccot_segment + target_segment``, and its answer is the next token.

    Args:
        tokenizer: the language model's tokenizer, with a chat template.
        items: the catalogue: ``item_id``, ``title``, ``year``, ``genres`` and the settings' ``attributes``.
        settings: what is shown and how long it may be.
        domain: the fixed texts; None takes the domain that the settings name.
        profile: how much evidence the digest's genres need: the teacher's, so that prompt and texts say the same.

    Raises:
        RecipeError: the tokenizer cannot serve (no chat template, or an answer that is not a single token), there is no
            such domain, or the items lack an attribute.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        items: pl.DataFrame,
        settings: PromptSettings,
        domain: Domain | None = None,
        profile: ProfileSettings | None = None,
    ) -> None:
        self.settings = settings
        self._profile = profile or ProfileSettings()
        self.domain = domain or find_domain(settings.domain)
        self._catalogue = Catalogue(items, settings.attributes)
        self._plain = PlainText(tokenizer)
        self._generator = render_frame(tokenizer, self.domain.generator_instruction)
        self._validator = render_frame(tokenizer, self.domain.validator_instruction)
        self._end = find_end(tokenizer)
        self._eos = tokenizer.eos_token_id
        yes, no = (find_answer(tokenizer, answer) for answer in self.domain.answers)
        self._answers = (yes, no)

    @property
    def answer_ids(self) -> tuple[int, int]:
        """The token ids of the liking and the disliking answer."""
        return self._answers

    @property
    def stop_ids(self) -> list[int]:
        """The tokens that end a RecCoT; the first one is what training puts at its end."""
        return [self._end] + ([self._eos] if isinstance(self._eos, int) and self._eos != self._end else [])

    def visible_history(self, history: Sequence[Row]) -> list[Row]:
        """The newest events whose lines fit into ``history_tokens``, oldest first; the very newest always stays."""
        room, shown = self.settings.history_tokens, 0
        for row in reversed(history):
            room -= len(self._history_line(row))
            if room < 0 and shown:
                break
            shown += 1
        return list(history[len(history) - shown :])

    def generator_prompt(self, history: Sequence[Row]) -> list[int]:
        """The generator's prompt, up to where its RecCoT starts.

        Args:
            history: the user's history events, oldest first; those beyond the budget are left out, but for the digest.

        Raises:
            LogError: an event's item is not in the catalogue.
        """
        lines = self._lines(self.visible_history(history))
        if self.settings.digest:
            lines += self._plain.encode(self.digest(history))
        return self._generator.head + lines + self._generator.tail

    def digest(self, history: Sequence[Row]) -> str:
        """The line of counts over the whole history that the generator's prompt ends with, if the settings say so."""
        facts = DIGEST_FACTS if isinstance(self.settings.digest, bool) else self.settings.digest
        return tell_digest(profile_history(history, self._catalogue, self._profile), facts)

    def reccot_ids(self, text: str) -> list[int]:
        """A RecCoT as the generator is to write it: its tokens, then the end token.

        A text beyond ``reccot_tokens`` loses whole sentences from its end. If not even its first sentence fits, it is
        cut where the budget ends, without an end token, as sampling would cut it.
        """
        budget = self.settings.reccot_tokens - 1
        sentences = _SENTENCE_END.split(clean_text(text, limit=None))
        for count in range(len(sentences), 0, -1):
            ids = self._plain.encode(" ".join(sentences[:count]))
            if len(ids) <= budget:
                return [*ids, self._end]
        return ids[: budget + 1]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of sampled token ids, without control tokens."""
        return self._plain.decode(list(ids))

    def count_tokens(self, text: str) -> int:
        """How many tokens a text takes."""
        return len(self._plain.encode(text))

    def validator_prefix(self, history: Sequence[Row]) -> list[int]:
        """The validator's prompt up to the RecCoT: the instruction and the last few events, oldest first."""
        recent = self.settings.validator_recent
        rows = self.visible_history(history) if recent == "all" else list(history[max(len(history) - recent, 0) :])
        return self._validator.head + self._lines(rows)

    def reccot_segment(self, text: str | None) -> list[int]:
        """The RecCoT's part of the validator's prompt, cut to ``reccot_tokens``; None is the fixed placeholder."""
        shown = self.domain.placeholder if text is None else clean_text(text, limit=None)
        # A space in front makes the first word the same token as inside a sentence.
        ids = self._plain.encode(f" {shown}")[: self.settings.reccot_tokens]
        return self._plain.encode(self.domain.reccot_label) + ids + self._plain.encode("\n")

    def target_segment(self, item_id: object, raters: int, likes: int) -> list[int]:
        """The target's part of the validator's prompt, up to where the answer token comes.

        Args:
            item_id: the target.
            raters: how many other users rated it, among those whose ratings may be used.
            likes: how many of them liked it.

        Raises:
            LogError: the target is not in the catalogue.
            ValueError: likes is not between 0 and raters.
        """
        if not 0 <= likes <= raters:
            raise ValueError(f"Item {item_id!r} has {likes} likes of {raters} raters; expected 0 <= likes <= raters.")
        return self._plain.encode(self.target_text(item_id, raters, likes)) + self._validator.tail

    def target_text(self, item_id: object, raters: int, likes: int) -> str:
        """What a target's part says before the chat template ends the turn."""
        parts = [f"{self._catalogue[item_id].describe(self.domain.genre_separator)}."]
        if self.settings.show_statistics:
            parts.append(self.domain.liked_by.format(tenths=tenths(likes, raters)) if raters else self.domain.unrated)
        return " ".join([*parts, self.domain.question])

    def line_text(self, item_id: object, rating: float) -> str:
        """An event's line in a history."""
        return "".join(self.line_parts(item_id, rating))

    def line_parts(self, item_id: object, rating: float) -> tuple[str, str]:
        """The line's two parts: what is said of the rating, and what of the item."""
        return f"{rating:g}:", f" {self._catalogue[item_id].describe(self.domain.genre_separator)}\n"

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text takes where it is a segment of its own."""
        return self._plain.count_all(texts)

    @property
    def frame_tokens(self) -> tuple[int, int]:
        """Tokens around the history in the generator's prompt, and after a target's text in the validator's."""
        return len(self._generator.head) + len(self._generator.tail), len(self._validator.tail)

    def _lines(self, history: Sequence[Row]) -> list[int]:
        return [token for row in history for token in self._history_line(row)]

    def _history_line(self, row: Row) -> list[int]:
        return self._plain.encode(self.line_text(row["item_id"], row["rating"]))
