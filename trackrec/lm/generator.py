"""The generator: writes RecCoTs, learns from a teacher's (distillation) and from preferences (alignment)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from pydantic import Field
from transformers import PreTrainedModel

from trackrec.data.log import stable_hash
from trackrec.lm.losses import PreferenceAccuracy, SequenceKL, preference_accuracy, sequence_kl
from trackrec.lm.model import LanguageModel
from trackrec.lm.sampling import Continuation, DecodingSettings, sample, until_stop
from trackrec.lm.sizes import shape_in, texts_at_once
from trackrec.lm.trainer import train
from trackrec.lm.training import (
    Progress,
    TrainingSettings,
    TreeExample,
    preference_loss,
    sequence_logprobs,
    text_cross_entropy,
)
from trackrec.lm.tree import Tree
from trackrec.prompts.renderer import Renderer
from trackrec.settings import Settings
from trackrec.users.catalogue import Row

log = logging.getLogger(__name__)

AT_ONCE = {False: (64, 2048), True: (512, 16384)}
"""Most texts that are written at a time, and most prompt tokens in a pass, without and with a GPU, where
``model.cache_gb`` may allow fewer texts."""
GROUP_COLUMNS = ("user_id", "chosen_sample", "rejected_samples", "weight")


class AlignmentSettings(Settings):
    """The preference step of the generator (DPO or softmax-DPO, see ``preferences.loss``)."""

    beta: float = Field(default=0.1, gt=0)
    """How strongly the generator is held to its previous version: the smaller, the freer."""
    training: TrainingSettings = TrainingSettings(learning_rate=2e-4, epochs=1, trees_per_step=8)
    """The paper's 1e-6 is for full fine-tuning of 7B; LoRA needs more. Watch the KL that the report shows."""


class Generator:
    """A causal language model that writes RecCoTs, as an adapter on the shared base.

    Args:
        model: the language model.
        renderer: makes the prompts.
        histories: each user's history rows, oldest first.
    """

    def __init__(self, model: LanguageModel, renderer: Renderer, histories: Mapping[Any, Sequence[Row]]) -> None:
        self.model, self.renderer, self.histories = model, renderer, histories

    def prompt(self, user: Any) -> list[int]:
        """Token ids of a user's prompt."""
        return self.renderer.generator_prompt(self.histories[user])

    def distil(
        self,
        adapter: str,
        texts: pl.DataFrame,
        settings: TrainingSettings,
        seed: int,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> list[dict[str, float]]:
        """Fine-tune a fresh adapter on a teacher's RecCoTs.

        Args:
            adapter: its name.
            texts: ``user_id, text``; several texts of a user hang in one tree, which reads the prompt once.
            settings: the training.
            seed: of the adapter's first weights and the order.
            progress: called after each optimiser step.
            checkpoints: where states of the training are kept; None: nowhere.

        Returns:
            One row an optimiser step: ``step, loss`` (nats a token).
        """
        examples = []
        for (user,), part in texts.group_by("user_id", maintain_order=True):
            tree = Tree()
            prompt = tree.add(self.prompt(user))
            segments = [tree.add(self.renderer.reccot_ids(text), prompt) for text in part["text"]]
            examples.append(TreeExample(tree, segments))
        self.model.add(adapter, seed)
        return train(
            self.model,
            adapter,
            examples,
            text_cross_entropy,
            settings,
            seed,
            units=count_tokens,
            progress=progress,
            checkpoints=checkpoints,
        )

    def writer(self, adapter: str | None) -> Writer:
        """A quick copy of the model, with the adapter merged in, that writes."""
        return Writer(self, self.model.merged(adapter))

    def align(
        self,
        adapter: str,
        groups: pl.DataFrame,
        samples: pl.DataFrame,
        settings: AlignmentSettings,
        seed: int,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> list[dict[str, float]]:
        """One preference step against the version that wrote the samples.

        Args:
            adapter: holds the previous version, and the new one afterwards.
            groups: ``user_id, chosen_sample, rejected_samples, weight``.
            samples: ``user_id, sample, token_ids, token_logprobs``: the very tokens that were sampled, with their
                log-probabilities then, which are the reference. Where the model computes in fewer bits than float32
                they are computed again by the previous version as it is trained: writing rounds in other places.
            settings: beta and the training.
            seed: of the order.
            progress: called after each optimiser step.
            checkpoints: where states of the training are kept; None: nowhere.

        Returns:
            One row an optimiser step: ``step, loss, preferences_right, margin, pairs`` (sums over pairs).
        """
        examples = self.preference_examples(groups, samples)
        if self.model.settings.dtype != "float32":
            for example, logprobs in zip(examples, sequence_logprobs(self.model, adapter, examples), strict=True):
                example.reference_logprobs = [sum(part) for part in logprobs]
        return train(
            self.model,
            adapter,
            examples,
            preference_loss(settings.beta),
            settings.training,
            seed,
            units=lambda example: 1,
            progress=progress,
            checkpoints=checkpoints,
        )

    def preference_examples(self, groups: pl.DataFrame, samples: pl.DataFrame) -> list[TreeExample]:
        """A tree a group: the prompt, then the chosen sample, then the rejected ones."""
        texts = {(row["user_id"], row["sample"]): row for row in samples.iter_rows(named=True)}
        examples = []
        for user, chosen, rejected, weight in groups.select(GROUP_COLUMNS).iter_rows():
            rows = [texts[user, number] for number in (chosen, *rejected)]
            tree = Tree()
            prompt = tree.add(self.prompt(user))
            segments = [tree.add(row["token_ids"], prompt) for row in rows]
            reference = [float(np.sum(row["token_logprobs"])) for row in rows]
            examples.append(TreeExample(tree, segments, reference_logprobs=reference, weight=weight))
        return examples

    def preference_accuracy(
        self, adapter: str, groups: pl.DataFrame, samples: pl.DataFrame, progress: Progress | None = None
    ) -> PreferenceAccuracy:
        """How often an adapter prefers, more than the version that drew the samples, what the validator preferred.

        Meaningful on users that the adapter was not aligned on; 0.5 means that nothing was learnt.
        """
        examples = self.preference_examples(groups, samples)
        policies = sequence_logprobs(self.model, adapter, examples, progress)
        results = []
        for example, logprobs in zip(examples, policies, strict=True):
            policy = torch.tensor([[sum(part) for part in logprobs]])
            reference = torch.tensor([example.reference_logprobs])
            mask = torch.ones_like(policy[:, 1:], dtype=torch.bool)
            results.append(preference_accuracy(policy[:, 0], reference[:, 0], policy[:, 1:], reference[:, 1:], mask))
        pairs = sum(result.pairs for result in results)
        if not pairs:
            return PreferenceAccuracy(float("nan"), float("nan"), 0)
        accuracy = sum(result.accuracy * result.pairs for result in results) / pairs
        return PreferenceAccuracy(accuracy, sum(result.margin * result.pairs for result in results) / pairs, pairs)

    def divergence(self, reference: str, written: pl.DataFrame, progress: Progress | None = None) -> SequenceKL:
        """KL(writer || reference) from texts that the writer drew at temperature 1 with nothing cut off.

        Args:
            reference: adapter of the earlier version.
            written: ``user_id, token_ids, token_logprobs``, one row a text.
        """
        examples = []
        for row in written.iter_rows(named=True):
            tree = Tree()
            examples.append(TreeExample(tree, [tree.add(row["token_ids"], tree.add(self.prompt(row["user_id"])))]))
        other = [part[0] for part in sequence_logprobs(self.model, reference, examples, progress)]
        longest = max(map(len, other))
        policy, old = torch.zeros(len(other), longest), torch.zeros(len(other), longest)
        mask = torch.zeros(len(other), longest, dtype=torch.bool)
        for index, (ours, theirs) in enumerate(zip(written["token_logprobs"].to_list(), other, strict=True)):
            policy[index, : len(ours)], old[index, : len(ours)] = torch.tensor(ours), torch.tensor(theirs)
            mask[index, : len(ours)] = True
        return sequence_kl(policy, old, mask)


class Writer:
    """Writes RecCoTs with one version of the generator, as fast as this machine can."""

    def __init__(self, generator: Generator, model: PreTrainedModel) -> None:
        self.generator, self.model = generator, model

    def write(self, users: Sequence[Any], n: int, decoding: DecodingSettings, seed: int) -> pl.DataFrame:
        """Write ``n`` RecCoTs for each user.

        A user's texts follow from ``seed`` and the user alone (see ``sample`` for the last bits of float32).

        Args:
            users: whom to write for.
            n: texts a user.
            decoding: how they are drawn.
            seed: of the draws.

        Returns:
            ``user_id, sample, text, token_ids, token_logprobs, finished, seed, prompt_hash``.
        """
        prompts = [self.generator.prompt(user) for user in users]
        seeds = [stable_hash(f"{seed}/{stable_hash(user)}") for user in users]
        renderer = self.generator.renderer
        at_once, budget = AT_ONCE[self.model.device.type == "cuda"]
        if prompts and self.model.device.type == "cuda":
            settings = self.generator.model.settings
            shape = shape_in(self.model.config.get_text_config().to_dict(), settings.name)
            longest, most = max(map(len, prompts)), decoding.max_new_tokens
            at_once = texts_at_once(shape, settings.dtype, settings.cache_gb, longest, most, n, at_once)
        drawn = sample(self.model, prompts, seeds, n, renderer.stop_ids, decoding, at_once, budget)
        texts = [[self._until_stop(text, decoding.stop) for text in continuations] for continuations in drawn]
        read = [[self._read(text, decoding.stop) for text in continuations] for continuations in texts]
        thought = [characters for group in read for _, characters in group if characters]
        if thought:
            log.warning(
                "%d of %d RecCoTs began with thinking in tags, which was cut off (%d characters). Tell the template "
                "not to think (prompts.template.arguments, such as enable_thinking: false)",
                len(thought),
                n * len(users),
                sum(thought),
            )
        rows = [
            {
                "user_id": user,
                "sample": number,
                "text": read_text,
                "token_ids": text.token_ids,
                "token_logprobs": text.token_logprobs,
                "finished": text.finished,
                "seed": user_seed,
                "prompt_hash": hashlib.sha256(repr(prompt).encode()).hexdigest()[:16],
            }
            for user, prompt, user_seed, continuations, group in zip(users, prompts, seeds, texts, read, strict=True)
            for number, (text, (read_text, _)) in enumerate(zip(continuations, group, strict=True))
        ]
        schema = pl.Schema(
            {
                "user_id": pl.Series(list(users)).dtype,
                "sample": pl.Int16(),
                "text": pl.String(),
                "token_ids": pl.List(pl.Int32),
                "token_logprobs": pl.List(pl.Float32),
                "finished": pl.Boolean(),
                "seed": pl.UInt64(),
                "prompt_hash": pl.String(),
            }
        )
        return pl.DataFrame(rows, schema=schema)

    def _until_stop(self, text: Continuation, phrases: Sequence[str]) -> Continuation:
        """A text up to the end of the first stop phrase, which ends it as the end token does."""
        count, phrase = until_stop(self.generator.renderer.decode, text.token_ids, phrases)
        if phrase is None:
            return text
        return Continuation(text.token_ids[:count], text.token_logprobs[:count], True)

    def _read(self, text: Continuation, phrases: Sequence[str]) -> tuple[str, int]:
        """What a text says before a stop phrase, and how many characters were thought."""
        told, thought = self.generator.renderer.read(text.token_ids)
        for phrase in phrases:
            told = told.partition(phrase)[0]
        return told.strip(), thought


def count_tokens(example: TreeExample) -> int:
    """Tokens of an example's counted segments: the units of ``text_cross_entropy``."""
    return sum(len(example.tree.segments[segment]) for segment in example.segments)
