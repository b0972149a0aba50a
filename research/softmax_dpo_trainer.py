"""Softmax-DPO on prefix trees as a ``transformers.Trainer``, on data in the form of TRL's ``DPOTrainer``.

TRL's trainer compares one chosen text with one rejected text and reads the prompt once for each of them. Here a row
has one chosen text and any number of rejected ones, all under one logarithm, and the prompt is read once a row. With
one rejected text a row the loss is TRL's::

    rows = Dataset.from_list([{"prompt": "...", "chosen": "...", "rejected": ["...", "..."]}])
    trainer = SoftmaxDPOTrainer(model, DPOConfig("out"), rows, processing_class=tokenizer, peft_config=LoraConfig(...))
    trainer.train()
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from peft import PeftConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

from trackrec.lm.attention import ATTENTION, run_decoder, why_not
from trackrec.lm.head import logits_of
from trackrec.lm.model import LanguageModel
from trackrec.lm.training import TreeExample, preference_loss, text_logprobs
from trackrec.lm.tree import Tree, TreeBatch
from trackrec.lm.tree_attention import plan_of
from trackrec.lm.unrolled import hidden_of_copies

Row = Mapping[str, Any]


class SoftmaxDPOTrainer(Trainer):
    """Tunes a causal language model on preference groups against itself as it was when the trainer was made.

    Args:
        model: plain, or with a PEFT adapter in it. Dropout must be 0: tokens that texts share are computed once.
        args: ``transformers.TrainingArguments``, or TRL's ``DPOConfig``, whose ``beta`` then counts.
        train_dataset: rows as of `preference_tree`; if they have ``reference_logprobs`` (a number a text, the chosen
            one's first), these are the reference, else the model's own are computed here.
        processing_class: the tokenizer; needed for rows of text.
        peft_config: adds an adapter to a plain model, as TRL does.
        beta: strength of the tie to the reference; None: that of ``args``, or 0.1.
        more: further arguments of ``Trainer``.

    Raises:
        ValueError: there are no rows, or a row is of another form.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        args: TrainingArguments,
        train_dataset: Iterable[Row],
        processing_class: PreTrainedTokenizerBase | None = None,
        peft_config: PeftConfig | None = None,
        beta: float | None = None,
        **more: Any,
    ) -> None:
        if peft_config is not None:
            model = get_peft_model(model, peft_config)
        rows = list(train_dataset)
        if not rows:
            raise ValueError("SoftmaxDPOTrainer: train_dataset has no rows; expected prompt, chosen and rejected")
        self.base: PreTrainedModel = model.get_base_model() if isinstance(model, PeftModel) else model  # type: ignore[assignment]
        self.follows_plans = why_not(self.base.config) is None
        if self.follows_plans:
            self.base.set_attn_implementation(ATTENTION)
        examples = [preference_tree(row, processing_class) for row in rows]
        args.remove_unused_columns = False  # what is collated are trees, not columns
        super().__init__(
            model=model,
            args=args,
            train_dataset=examples,
            data_collator=_collate,
            processing_class=processing_class,
            **more,
        )
        self.model_accepts_loss_kwargs = True  # the loss divides by the rows of the whole step itself
        self.loss = preference_loss(float(getattr(args, "beta", 0.1)) if beta is None else beta)
        self._record_reference(examples)

    @property
    def _head(self) -> LanguageModel:
        """This trainer in the place of our language model, of which the losses ask for logits alone."""
        return cast(LanguageModel, self)

    def logits(self, hidden: Tensor, merged: PreTrainedModel | None = None) -> Tensor:
        """Next-token logits in float32 of hidden states, (..., width) to (..., vocabulary)."""
        return logits_of(merged or self.base, hidden)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Mean of the rows' losses in nats, over all passes of the optimiser step."""
        examples: list[TreeExample] = inputs["examples"]
        total, _ = self.loss(self._head, self._hidden(examples), examples)
        return total / float(len(examples) if num_items_in_batch is None else num_items_in_batch)

    @torch.no_grad()
    def _record_reference(self, examples: Sequence[TreeExample]) -> None:
        was_training = self.base.training
        self.base.eval()
        for example in examples:
            if not example.reference_logprobs:
                (hidden,) = self._hidden([example])
                example.reference_logprobs = [float(part.sum()) for part in text_logprobs(self._head, hidden, example)]
        self.base.train(was_training)

    def _hidden(self, examples: Sequence[TreeExample]) -> list[Tensor]:
        """Last hidden states, one tensor a tree, shape (tokens, width)."""
        batch, device = TreeBatch([example.tree for example in examples]), self.base.device
        if not self.follows_plans:
            return batch.split(hidden_of_copies(self.base, batch))
        ids, positions = batch.input_ids.to(device), batch.position_ids.to(device)
        output = run_decoder(self.base, ids, positions, plan_of(batch, device), use_cache=False)
        return batch.split(output.last_hidden_state[0])


def preference_tree(row: Row, tokenizer: PreTrainedTokenizerBase | None = None) -> TreeExample:
    """A row as a tree: the prompt, under it the chosen text and the rejected ones.

    Args:
        row: ``prompt_ids, chosen_ids`` and ``rejected_ids`` (a list of token ids a text); or ``prompt, chosen`` and
            ``rejected`` (one or a list), all strings or all lists of messages. Strings get the end token, as in TRL,
            and are tokenised apart from the prompt. ``weight`` (mean 1 over the rows) and ``reference_logprobs`` may be
            there.
        tokenizer: needed for rows of text.

    Raises:
        ValueError: no rejected text, texts without tokenizer, or a template that changes the prompt when a text
            follows.
    """
    if "prompt_ids" in row:
        prompt, texts = list(row["prompt_ids"]), [row["chosen_ids"], *row["rejected_ids"]]
    elif tokenizer is None:
        raise ValueError("SoftmaxDPOTrainer: rows of text need processing_class, the tokenizer")
    elif isinstance(row["prompt"], str):
        rejected = [row["rejected"]] if isinstance(row["rejected"], str) else row["rejected"]
        prompt = tokenizer(row["prompt"])["input_ids"]
        ended = [text.removesuffix(str(tokenizer.eos_token)) for text in (row["chosen"], *rejected)]
        texts = [[*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for text in ended]
    else:
        rejected = row["rejected"] if isinstance(row["rejected"][0], list) else [row["rejected"]]
        prompt, texts = _of_messages(row["prompt"], [row["chosen"], *rejected], tokenizer)
    if len(texts) < 2:
        raise ValueError("SoftmaxDPOTrainer: a row has no rejected text; leave such rows out")
    tree = Tree()
    root = tree.add(prompt)
    segments = [tree.add(text, root) for text in texts]
    reference = [float(value) for value in row.get("reference_logprobs") or ()]
    if reference and len(reference) != len(texts):
        raise ValueError(f"SoftmaxDPOTrainer: {len(reference)} reference_logprobs for {len(texts)} texts of a row")
    return TreeExample(tree, segments, [], reference, float(row.get("weight", 1.0)))


def _of_messages(
    prompt: list[dict[str, str]], texts: Sequence[list[dict[str, str]]], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[int], list[list[int]]]:
    """Token ids of a conversation so far, and of each of its continuations."""

    def ids(messages: list[dict[str, str]], ask: bool) -> list[int]:
        text = str(tokenizer.apply_chat_template(messages, add_generation_prompt=ask, tokenize=False))
        return [int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"]]

    begin = ids(prompt, True)
    whole = [ids([*prompt, *text], False) for text in texts]
    for full in whole:
        if full[: len(begin)] != begin:
            raise ValueError(
                "SoftmaxDPOTrainer: the chat template writes the prompt otherwise when a text follows it; "
                "give prompt_ids, chosen_ids and rejected_ids"
            )
    return begin, [full[len(begin) :] for full in whole]


def _collate(batch: list[TreeExample]) -> dict[str, Any]:
    labels = torch.zeros(len(batch), dtype=torch.long)
    # The trainer counts rows by these; `labels` alone it would take for a text whose first token nothing predicts.
    return {"examples": batch, "labels": labels, "shift_labels": labels}
