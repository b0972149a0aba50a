"""The matcher as validator: what a RecCoT says against what is known of an item, phrase by phrase, by a text encoder.

A frozen encoder that already knows which words mean alike gives what a small network cannot learn from a few hundred
users: that "trip-hop" speaks for an artist tagged "downtempo". Learnt is only which sentences and phrases speak for and
which against (a weight each), how easily the user likes anything (a number a sentence), and what everybody thinks of an
attribute. Training takes seconds, scoring a RecCoT far less than a millisecond a target, without a GPU. Every phrase is
compared with every attribute, and sums are taken late, as in ColBERT (Khattab and Zaharia 2020).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trackrec.errors import RunError
from trackrec.features.encoder import Encoder
from trackrec.judges.base import JudgeContext
from trackrec.metrics.probability import auc
from trackrec.rankers.fit import one_thread, seeded
from trackrec.settings import ComponentSettings
from trackrec.users.citations import without_citations

WEIGHTS, DESCRIPTION = "matcher.safetensors", "matcher.json"
ALIKE = 0.35
"""Cosine of two phrases from which on they count as alike at all; between unrelated words MiniLM's lies around .2."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_PHRASE = re.compile(r"[,;:()]| and | but | or ")


class MatcherSettings(ComponentSettings):
    """The matcher as validator."""

    type: str = "matcher"
    epochs: int = Field(default=6, ge=1)
    """Passes over all examples of the users."""
    learning_rate: float = Field(default=5e-3, gt=0)
    """Peak rate of AdamW; it falls to 0 along a cosine."""
    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's weight decay."""
    batch: int = Field(default=512, ge=1)
    """Examples a step."""
    item_prior: float = Field(default=3.0, gt=0)
    """Imagined likes, and as many dislikes, that an item's counts among other users are drawn to."""
    unknown_share: float = Field(default=0.5, ge=0, lt=1)
    """Share of training examples whose item's counts are hidden, so that it learns to judge items that nobody rated."""
    placeholder_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of training examples whose RecCoT gives way to the placeholder, so that P without one has a meaning."""


class _Network(nn.Module):
    """What is learnt; everything else is the encoder's."""

    centre: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.level, self.opinion = nn.Linear(width, 1, bias=False), nn.Linear(width, 1, bias=False)
        self.taste, self.heed = nn.Linear(width, 1), nn.Linear(width, 1, bias=False)
        for layer in (self.level, self.opinion, self.heed):
            nn.init.zeros_(layer.weight)
        nn.init.normal_(self.taste.weight, std=0.05)
        nn.init.constant_(self.taste.bias, 0.1)  # most of what a text names is what the user likes
        self.counts, self.bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(3))
        self.register_buffer("centre", torch.zeros(width))

    def forward(self, pairs: _Pairs, known: Tensor, told: Tensor) -> Tensor:
        """Log-odds of a like, shape (pairs,).

        Args:
            pairs: what is compared.
            known: 1.0 where the item's counts are seen, shape (pairs,).
            told: 1.0 where the RecCoT is, shape (pairs,).
        """
        words = pairs.words
        own_level, own_taste = (layer(words.sentences - self.centre)[:, 0] for layer in (self.level, self.taste))
        own_heed = self.heed(words.phrases - self.centre)[:, 0]
        of_attribute = self.opinion(words.attributes)[:, 0]
        attribute, sentence, phrase = pairs.attribute, pairs.sentence, pairs.phrase
        there = (attribute >= 0).float()
        size = there.sum(dim=1).clamp(min=1).sqrt()
        opinion = (of_attribute[attribute.clamp(min=0)] * there).sum(dim=1) / size
        spoken, heard = (sentence >= 0).float(), (phrase >= 0).float()
        level = (own_level[sentence.clamp(min=0)] * spoken).sum(dim=1)
        alike = words.alike[phrase.clamp(min=0)[:, :, None], attribute.clamp(min=0)[:, None, :]] * there[:, None]
        weight = (own_taste[pairs.of_phrase.clamp(min=0)] + own_heed[phrase.clamp(min=0)]) * heard
        match = (alike.sum(dim=2) * weight).sum(dim=1) / size
        text = told * (level + 10 * match) + (1 - told) * self.bias[2]
        logit: Tensor = self.counts * pairs.odds * known + self.bias[0] + self.bias[1] * known + opinion + text
        return logit


@dataclass(frozen=True)
class _Words:
    """Unit vectors of all that is read."""

    sentences: Tensor
    """Shape (sentences, width)."""
    phrases: Tensor
    """Shape (phrases, width)."""
    attributes: Tensor
    """Shape (attributes, width)."""
    alike: Tensor
    """How far the cosine of a phrase and an attribute exceeds ``ALIKE``, shape (phrases, attributes)."""


@dataclass(frozen=True)
class _Pairs:
    """RecCoTs with targets, as places in lists; -1 fills up."""

    words: _Words
    attribute: Tensor
    """Of the target's item, shape (pairs, most attributes)."""
    sentence: Tensor
    """Shape (pairs, most sentences)."""
    phrase: Tensor
    """Shape (pairs, most phrases)."""
    of_phrase: Tensor
    """The sentence that each phrase stands in."""
    odds: Tensor
    """Counted log-odds of the item, shape (pairs,)."""
    known: Tensor
    """1.0 where anybody was counted."""
    told: Tensor
    """1.0 where there is a RecCoT."""

    def take(self, rows: Tensor) -> _Pairs:
        """These rows."""
        parts = (self.attribute, self.sentence, self.phrase, self.of_phrase, self.odds, self.known, self.told)
        return _Pairs(self.words, *(part[rows] for part in parts))


class MatcherValidator:
    """A validator in the sense of :class:`trackrec.judges.base.Validator`.

    Args:
        items: the catalogue; ``genres`` and ``tags`` (lists) are what it knows of an item.
        settings: see :class:`MatcherSettings`.
        encoder: turns phrases into vectors.

    Raises:
        RunError: the items have neither genres nor tags.
    """

    Settings = MatcherSettings
    kind = "matcher"
    learns_all_targets = True
    scores_in_shards = False

    @classmethod
    def make(cls, settings: MatcherSettings, context: JudgeContext) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(context.items, settings, context.encoder())

    def __init__(self, items: pl.DataFrame, settings: MatcherSettings, encoder: Encoder) -> None:
        self.settings, self.encoder = settings, encoder
        names = [name for name in ("genres", "tags") if items.schema.get(name) == pl.List(pl.String)]
        lists = [items[name].fill_null([]).to_list() for name in names]
        self.attributes = {
            item: list(dict.fromkeys(value for part in parts for value in part))
            for item, *parts in zip(items["item_id"].to_list(), *lists, strict=True)
        }
        if not any(self.attributes.values()):
            raise RunError(
                "the judge 'matcher' compares a RecCoT with what is known of an item, but the items have neither "
                "genres nor tags: name knowledge cards (knowledge.cards), or take another judge (judge.type)"
            )
        self._network: _Network | None = None

    def fit(self, targets: pl.DataFrame, reccots: pl.DataFrame, folder: Path, seed: int) -> dict[str, Any]:
        """See :class:`Validator`. ``folder`` gets ``matcher.safetensors`` and ``matcher.json``.

        Raises:
            RunError: no RecCoT of a user with targets.
        """
        settings = self.settings
        rows = targets.join(reccots.select("user_id", "text"), on="user_id", how="inner", maintain_order="left")
        if rows["text"].drop_nulls().is_empty():
            raise RunError(f"the judge 'matcher' got {rows.height} targets and no RecCoT to learn from")
        pairs, labels = self._pairs(rows), torch.from_numpy(rows["label"].cast(pl.Float32).to_numpy().copy())
        draw = np.random.default_rng([seed, 11])
        curve: list[dict[str, float]] = []
        with one_thread(), seeded(seed):
            network = _Network(pairs.words.sentences.shape[1])
            network.centre.copy_(pairs.words.sentences.mean(dim=0))
            optimiser = torch.optim.AdamW(
                network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
            )
            steps = settings.epochs * -(-rows.height // settings.batch)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=steps + 1)
            for _ in range(settings.epochs):
                total = 0.0
                for part in torch.from_numpy(draw.permutation(rows.height)).split(settings.batch):
                    some = pairs.take(part)
                    hidden, without = (
                        torch.from_numpy((draw.random(len(part)) < share).astype(np.float32))
                        for share in (settings.unknown_share, settings.placeholder_share)
                    )
                    logits = network(some, some.known * (1 - hidden), some.told * (1 - without))
                    loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[part])
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    schedule.step()
                    total += loss.item() * len(part)
                curve.append({"step": len(curve), "loss": total / rows.height})
        self._network = network.eval()
        self._save(folder)
        seen = self._logits(pairs)
        return {
            "users": rows["user_id"].n_unique(),
            "examples": rows.height,
            "users_without_reccot": rows.filter(pl.col("text").is_null())["user_id"].n_unique(),
            "auc_own": round(auc(labels.numpy(), seen), 4) if len(labels.unique()) == 2 else None,
            "curve": curve,
        }

    def score(self, targets: pl.DataFrame, reccots: pl.DataFrame) -> pl.DataFrame:
        """See :class:`Validator`."""
        rows = reccots.select("user_id", "sample", "text").join(
            targets, on="user_id", how="inner", maintain_order="left_right"
        )
        probability = 1 / (1 + np.exp(-self._logits(self._pairs(rows))))
        return rows.select(
            "user_id", "sample", "event_id", "label", pl.Series("yes_probability", probability, dtype=pl.Float64)
        )

    def load(self, folder: Path) -> None:
        """See :class:`Validator`.

        Raises:
            RunError: there is no matcher, or one with other settings.
        """
        try:
            told = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            tensors = load_file(folder / WEIGHTS)
        except FileNotFoundError as error:
            raise RunError(f"{folder} holds no matcher ({error.filename} is missing): fit it first.") from error
        if told["settings"] != self.settings.model_dump(mode="json"):
            raise RunError(f"{folder} was fitted with settings {told['settings']}: fit it anew for other ones.")
        network = _Network(told["width"])
        network.load_state_dict(tensors)
        self._network = network.eval()

    def _save(self, folder: Path) -> None:
        assert self._network is not None
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.contiguous() for name, value in self._network.state_dict().items()}
        save_file(state, folder / WEIGHTS)
        told = {"settings": self.settings.model_dump(mode="json"), "width": self._network.centre.shape[0]}
        (folder / DESCRIPTION).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    @torch.inference_mode()
    def _logits(self, pairs: _Pairs) -> np.ndarray[Any, np.dtype[np.float64]]:
        if self._network is None:
            raise RunError("This matcher was neither fitted nor loaded: call fit or load before score.")
        with one_thread():
            parts = [pairs.take(rows) for rows in torch.arange(len(pairs.odds)).split(8192)]
            logits = [self._network(part, part.known, part.told).double().numpy() for part in parts]
        return np.concatenate(logits) if logits else np.zeros(0)

    def _pairs(self, rows: pl.DataFrame) -> _Pairs:
        """Rows of ``user_id, text, item_id, raters, likes`` as pairs."""
        sentences, phrases, attributes = _Places(), _Places(), _Places()
        texts = {text: _read(text, sentences, phrases) for text in rows["text"].unique(maintain_order=True).to_list()}
        of_item = {
            item: [attributes[name] for name in self.attributes.get(item, [])]
            for item in rows["item_id"].unique(maintain_order=True).to_list()
        }
        vectors = [self._encoded(places) for places in (sentences, phrases, attributes)]
        words = _Words(vectors[0], vectors[1], vectors[2], torch.relu(vectors[1] @ vectors[2].T - ALIKE))
        read = [texts[text] for text in rows["text"].to_list()]
        likes, raters, prior = rows["likes"].to_numpy(), rows["raters"].to_numpy(), self.settings.item_prior
        return _Pairs(
            words,
            _filled([of_item[item] for item in rows["item_id"].to_list()]),
            _filled([one[0] for one in read]),
            _filled([one[1] for one in read]),
            _filled([one[2] for one in read]),
            torch.from_numpy(np.log((likes + prior) / (raters - likes + prior)).astype(np.float32)),
            torch.from_numpy((raters > 0).astype(np.float32)),
            torch.from_numpy(rows["text"].is_not_null().cast(pl.Float32).to_numpy().copy()),
        )

    def _encoded(self, places: _Places) -> Tensor:
        vectors = torch.from_numpy(np.array(self.encoder.encode(list(places) or [""]), dtype=np.float32))
        return nn.functional.normalize(vectors, dim=1)


class _Places(dict[str, int]):
    """Texts in the order in which they are first asked for."""

    def __missing__(self, text: str) -> int:
        self[text] = place = len(self)
        return place


def _read(text: str | None, sentences: _Places, phrases: _Places) -> tuple[list[int], list[int], list[int]]:
    """Places of a text's sentences, of its phrases, and of the sentence that each phrase stands in.

    What is said twice is read once, or a generator would be rewarded for saying it again and again.
    """
    found: tuple[list[int], list[int], list[int]] = ([], [], [])
    for sentence in dict.fromkeys(_SENTENCE.split(without_citations(text or "").strip())):
        if not sentence:
            continue
        found[0].append(sentences[sentence])
        for phrase in dict.fromkeys(phrase.strip() for phrase in _PHRASE.split(sentence)):
            if phrase:
                found[1].append(phrases[phrase])
                found[2].append(found[0][-1])
    return found


def _filled(lists: list[list[int]]) -> Tensor:
    """Lists as rows of equal length, filled up with -1."""
    width = max((len(one) for one in lists), default=0) or 1
    table = np.full((len(lists), width), -1, dtype=np.int64)
    for row, one in enumerate(lists):
        table[row, : len(one)] = one
    return torch.from_numpy(table)
