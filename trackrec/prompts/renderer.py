"""The one renderer: every prompt that is sampled from, trained on or scored is made here, as lists of token ids."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import polars as pl
from pydantic import Field

from trackrec.prompts.budget import RECCOT_TOKENS
from trackrec.prompts.chat import ChatFrame, PlainText, find_end, render_frame
from trackrec.prompts.digest import DIGEST_FACTS, DigestFact, digest_line
from trackrec.prompts.domains import Domain, find_domain
from trackrec.prompts.template import TemplateSettings
from trackrec.prompts.turns import answer_frame, answer_lead
from trackrec.settings import Settings
from trackrec.users.catalogue import Catalogue, Row, clean_lines, clean_text
from trackrec.users.citations import without_citations
from trackrec.users.counts import ProfileSettings
from trackrec.users.profile import profile_history, profiles

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


class PromptSettings(Settings):
    """What the prompts show, and how long they may be (in tokens of the model's own tokenizer)."""

    domain: str = "movies"
    """Whose texts and nouns the prompts use: movies, books, music, products, generic, or a YAML file with
    a domain's texts."""
    attributes: tuple[str, ...] = ()
    """Further columns of the items that their lines tell after title and year, such as author, brand or store."""
    show_tags: int = Field(default=0, ge=0)
    """So many tags of its knowledge card an event's line tells."""
    target_tags: int = Field(default=0, ge=0)
    """So many tags a target tells the validator."""
    item_tags: int = Field(default=0, ge=0)
    """So many tags an item's own text tells, of which rankers read the vector."""
    numbered: bool = False
    """Whether an event's line begins with its number in the user's history (1: the oldest event), for citations."""
    history_tokens: int = Field(default=224, ge=1)
    """Budget of the history's lines; the oldest events beyond it are left out, the newest always stays."""
    digest: bool | tuple[DigestFact, ...] = False
    """Whether the generator's prompt ends with a line of counts over the whole history, also of the events that were
    left out; true: generosity, share of likes (habit), old items (age) and genres; a list: these facts, such as
    [consumption] or [habit, genres, tags]. A small model then only has to put them into words; a large one counts by
    itself."""
    validator_recent: Annotated[int, Field(ge=0)] | Literal["all"] = 3
    """How many of the last history events the validator sees beside the RecCoT; ``all``: as many as the generator."""
    reccot_tokens: int = Field(default=RECCOT_TOKENS, ge=8)
    """Budget of a RecCoT, its end token included: what the generator learns and writes and the validator reads. In a
    recipe the lengths that are left out follow it: `loop.sampling.max_new_tokens`, `loop.writing.max_new_tokens`,
    `teacher.max_tokens` (template), `teacher.words` and `teacher.decoding.max_new_tokens` (llm)."""
    template: TemplateSettings = TemplateSettings()
    """What the model's chat template is told."""
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
    validator is ``validator_prefix + reccot_segment + target_segment``, and its answer (``answers``) comes next.

    Args:
        tokenizer: the language model's tokenizer, with a chat template.
        items: the catalogue: ``item_id``, ``title``, ``year``, ``genres`` and the settings' ``attributes``.
        settings: what is shown and how long it may be.
        domain: the fixed texts; None takes the domain that the settings name.
        profile: how much evidence a fact of the digest needs.

    Raises:
        RecipeError: the tokenizer cannot serve (no chat template, or answers that it cannot tell apart), there is no
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
        self.settings, self.profile = settings, profile or ProfileSettings()
        self.domain = domain or find_domain(settings.domain)
        self._catalogue = Catalogue(items, settings.attributes)
        self._plain = PlainText(tokenizer)
        self._generator = render_frame(tokenizer, self.domain.generator_instruction, settings.template)
        self._end = find_end(tokenizer, settings.template)
        self._eos = tokenizer.eos_token_id
        answered = answer_frame(tokenizer, self.domain.answers, settings.template)
        head = render_frame(tokenizer, self.domain.validator_instruction, settings.template).head
        self._validator = ChatFrame(head, answered.tail)
        self._lead = answer_lead(tokenizer, settings.template)
        self._answers = (answered.answers[0], answered.answers[1])

    @property
    def answers(self) -> tuple[list[int], list[int]]:
        """The token ids of the liking and the disliking answer, as the model's own turn begins with them."""
        return self._answers

    @property
    def frame_hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of all that the chat template adds: frames, answers, end.

        Another template, or other arguments of it, give other prompts; this is how a run can tell.
        """
        parts = (self._generator, self._validator, self._answers, self.stop_ids)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    @property
    def stop_ids(self) -> list[int]:
        """The tokens that end a RecCoT; the first one is what training puts at its end."""
        return [self._end] + ([self._eos] if isinstance(self._eos, int) and self._eos != self._end else [])

    def visible_history(self, history: Sequence[Row]) -> list[Row]:
        """The newest events whose lines fit into ``history_tokens``, oldest first; the very newest always stays."""
        return list(history[len(history) - self.shown_events(history) :])

    def shown_events(self, history: Sequence[Row]) -> int:
        """How many of the newest events are visible."""
        room, shown = self.settings.history_tokens, 0
        for place in range(len(history) - 1, -1, -1):
            room -= len(self._history_line(history[place], place + 1))
            if room < 0 and shown:
                break
            shown += 1
        return shown

    def generator_prompt(self, history: Sequence[Row]) -> list[int]:
        """The generator's prompt, up to where its RecCoT starts.

        Args:
            history: the user's history events, oldest first; those beyond the budget are left out, but for the digest.

        Raises:
            LogError: an event's item is not in the catalogue.
        """
        lines = self._lines(history, self.shown_events(history))
        if self.settings.digest:
            lines += self._plain.encode(self.digest(history))
        return self._generator.head + lines + self._generator.tail

    def generator_turns(self, history: Sequence[Row]) -> tuple[str, str]:
        """The system turn and the user's turn of ``generator_prompt``, as texts."""
        lines = self._line_texts(history, self.shown_events(history))
        digest = self.digest(history) if self.settings.digest else ""
        return self.domain.generator_instruction, lines + digest

    def digest(self, history: Sequence[Row]) -> str:
        """The line of counts over the whole history that the generator's prompt ends with, if the settings say so."""
        return digest_line(profile_history(history, self._catalogue, self.profile), self._digest_facts)

    def digests(self, histories: pl.DataFrame) -> pl.DataFrame:
        """The digests of any number of users: ``user_id, digest``, in the order of the frame.

        Args:
            histories: ``user_id, position, item_id, rating, label`` and, where known, ``expected``.
        """
        found = profiles(histories, self._catalogue, self.profile)
        texts = [digest_line(profile, self._digest_facts) for profile in found.values()]
        return pl.DataFrame([pl.Series("user_id", list(found), dtype=histories.schema["user_id"])]).with_columns(
            digest=pl.Series(texts, dtype=pl.String)
        )

    @property
    def _digest_facts(self) -> tuple[DigestFact, ...]:
        return DIGEST_FACTS if isinstance(self.settings.digest, bool) else self.settings.digest

    def reccot_ids(self, text: str) -> list[int]:
        """A RecCoT as the generator is to write it: its tokens, then the end token.

        Its line ends are kept; the validator reads it on one line, since a line of its own could pass for a target.
        A text beyond ``reccot_tokens`` loses whole sentences from its end. If not even its first sentence fits, it is
        cut where the budget ends, without an end token, as sampling would cut it.
        """
        budget = self.settings.reccot_tokens - 1
        told = clean_lines(text)
        for end in [len(told), *(found.start() for found in reversed([*_SENTENCE_END.finditer(told)]))]:
            ids = self._plain.encode(self._lead + told[:end])
            if len(ids) <= budget:
                return [*ids, self._end]
        return ids[: budget + 1]

    def reccot_lengths(self, text: str) -> tuple[int, int]:
        """Tokens of a whole RecCoT as the generator is to write it, its end token included, and as the validator reads
        it; what is beyond ``reccot_tokens`` is cut there."""
        written = len(self._plain.encode(self._lead + clean_lines(text))) + 1
        return written, len(self._plain.encode(f" {self._shown_reccot(text)}"))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of sampled token ids, without control tokens and without what the model thought in tags."""
        return self.read(ids)[0]

    def read(self, ids: Sequence[int]) -> tuple[str, int]:
        """As ``decode``, with the number of characters of thinking that were cut off."""
        return self._plain.read(list(ids))

    def count_tokens(self, text: str) -> int:
        """How many tokens a text takes."""
        return len(self._plain.encode(text))

    def validator_prefix(self, history: Sequence[Row]) -> list[int]:
        """The validator's prompt up to the RecCoT: the instruction and the last few events, oldest first."""
        recent = self.settings.validator_recent
        shown = self.shown_events(history) if recent == "all" else min(recent, len(history))
        return self._validator.head + self._lines(history, shown)

    def reccot_segment(self, text: str | None) -> list[int]:
        """The RecCoT's part of the validator's prompt, cut to ``reccot_tokens``; None is the fixed placeholder.

        Citations are left out: the validator does not see the events that they name.
        """
        # A space in front makes the first word the same token as inside a sentence.
        ids = self._plain.encode(f" {self._shown_reccot(text)}")[: self.settings.reccot_tokens]
        return self._plain.encode(self.domain.reccot_label) + ids + self._plain.encode("\n")

    def _shown_reccot(self, text: str | None) -> str:
        return self.domain.placeholder if text is None else clean_text(without_citations(text), limit=None)

    def validator_turns(
        self, history: Sequence[Row], text: str | None, item_id: object, raters: int, likes: int
    ) -> tuple[str, str]:
        """The system turn and the user's turn of the validator's prompt, as texts; the RecCoT is shown whole.

        Args:
            history: the user's events, oldest first.
            text: the RecCoT; None is the fixed placeholder.
            item_id, raters, likes: of the target, see ``target_segment``.
        """
        recent = self.settings.validator_recent
        shown = self.shown_events(history) if recent == "all" else min(recent, len(history))
        reccot = f"{self.domain.reccot_label} {self._shown_reccot(text)}\n"
        told = self._line_texts(history, shown) + reccot + self.target_text(item_id, raters, likes)
        return self.domain.validator_instruction, told

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
        parts = [f"{self._catalogue[item_id].describe(self.domain.genre_separator, self.settings.target_tags)}."]
        if self.settings.show_statistics:
            parts.append(self.domain.liked_by.format(tenths=tenths(likes, raters)) if raters else self.domain.unrated)
        return " ".join([*parts, self.domain.question])

    def line_text(self, item_id: object, rating: float, number: int = 0) -> str:
        """An event's line in a history."""
        return "".join(self.line_parts(item_id, rating, number))

    def line_parts(self, item_id: object, rating: float, number: int = 0) -> tuple[str, str]:
        """The line's two parts: what is said of the event (its number, 1 for the oldest, if lines are numbered, and its
        rating), and what of the item. ``number`` 0: it is not told."""
        told = self._catalogue[item_id].describe(self.domain.genre_separator, self.settings.show_tags)
        label = f"[{number}] " if self.settings.numbered and number else ""
        return f"{label}{rating:g}:", f" {told}\n"

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text takes where it is a segment of its own."""
        return self._plain.count_all(texts)

    @property
    def frame_tokens(self) -> tuple[int, int]:
        """Tokens around the history in the generator's prompt, and after a target's text in the validator's."""
        return len(self._generator.head) + len(self._generator.tail), len(self._validator.tail)

    def _lines(self, history: Sequence[Row], shown: int) -> list[int]:
        """The lines of the newest events."""
        first = len(history) - shown
        numbered = enumerate(history[first:], start=first + 1)
        return [token for number, row in numbered for token in self._history_line(row, number)]

    def _line_texts(self, history: Sequence[Row], shown: int) -> str:
        """As ``_lines``, as text."""
        first = len(history) - shown
        rows = enumerate(history[first:], start=first + 1)
        return "".join(self.line_text(row["item_id"], row["rating"], number) for number, row in rows)

    def _history_line(self, row: Row, number: int) -> list[int]:
        return self._plain.encode(self.line_text(row["item_id"], row["rating"], number))
