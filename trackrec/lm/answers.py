"""Answers of any length: how likely each is at the end of a branch, and the loss that teaches the right one.

Answers of one token need no tokens of their own in the tree (``scoring.answer_logits``); the others hang under the end
of each branch as segments, one for each answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trackrec.lm.losses import answer_loss
from trackrec.lm.model import LanguageModel
from trackrec.lm.scoring import answer_logits, batches_of_tokens
from trackrec.lm.training import Loss, TreeExample, text_logprobs
from trackrec.lm.tree import Tree

Answers = tuple[Sequence[int], Sequence[int]]
"""Token ids of the liking and of the disliking answer."""


def answers_example(
    tree: Tree, ends: Sequence[int], answers: Answers, liked: Sequence[bool], log_odds: Sequence[float] = ()
) -> TreeExample:
    """What is learnt on a tree: after each of the ``ends`` the first answer where ``liked``, else the second.

    The tree of answers of several tokens is copied and gets both answers under each end.
    """
    if single(answers):
        return TreeExample(tree, list(ends), [answers[0 if like else 1][0] for like in liked], log_odds=list(log_odds))
    longer, leaves = with_answers(tree, ends, answers)
    return TreeExample(longer, leaves, [int(like) for like in liked], log_odds=list(log_odds))


def answers_loss(answers: Answers, given: bool) -> Loss:
    """The loss of examples with answers of several tokens (``answers_example``). One unit an answer.

    Args:
        answers: the two.
        given: whether the examples' ``log_odds`` are added, and the answer is judged among the two alone; otherwise
            the right answer's tokens are learnt over the whole vocabulary.
    """

    def loss(
        model: LanguageModel, hidden: Sequence[Tensor], examples: Sequence[TreeExample]
    ) -> tuple[Tensor, dict[str, float]]:
        total = torch.zeros((), device=hidden[0].device)
        for states, example in zip(hidden, examples, strict=True):
            both = _both(model, states, example)
            liked = torch.tensor(example.answers, device=both.device)
            if given:
                odds = torch.tensor(example.log_odds, device=both.device)
                total = total + answer_loss(both[:, 0] + odds, both[:, 1], liked.float()).sum()
            else:
                total = total - both.gather(1, (1 - liked)[:, None]).sum()
        return total, {}

    return loss


@torch.inference_mode()
def score_answers(
    model: LanguageModel,
    adapter: str | None,
    trees: Iterable[tuple[Tree, Sequence[int]]],
    answers: Answers,
    token_budget: int = 2048,
    merged: PreTrainedModel | None = None,
) -> list[Tensor]:
    """How likely each answer is after given segments; their difference is the log-odds of the first.

    Args:
        model: the language model.
        adapter: the adapter that scores, None for the base model.
        trees: each tree with the segments after which the answer comes.
        answers: the two.
        token_budget: most tokens in one forward pass.
        merged: a copy of the model with the adapter merged in, if the caller has one.

    Returns:
        For each tree a float32 tensor of shape (segments, 2) on the CPU: logits where both answers are one token, else
        log-probabilities, summed over an answer's tokens.
    """
    if single(answers):
        return answer_logits(model, adapter, trees, (answers[0][0], answers[1][0]), token_budget, merged)
    examples = [TreeExample(*with_answers(tree, ends, answers)) for tree, ends in trees]
    merged = merged or model.merged(adapter)
    results: list[Tensor] = []
    for indices in batches_of_tokens([len(example.tree) for example in examples], token_budget):
        hidden = model.hidden([examples[index].tree for index in indices], merged)
        results += [
            _both(model, part, examples[index], merged).cpu() for part, index in zip(hidden, indices, strict=True)
        ]
    return results


def single(answers: Answers) -> bool:
    """Whether both answers are one token."""
    return all(len(answer) == 1 for answer in answers)


def with_answers(tree: Tree, ends: Sequence[int], answers: Answers) -> tuple[Tree, list[int]]:
    """A copy of a tree with both answers under each end, and their segments: first, second, first, second ..."""
    longer = Tree()
    for tokens, parent in zip(tree.segments, tree.parents, strict=True):
        longer.add(tokens, parent)
    return longer, [longer.add(answer, end) for end in ends for answer in answers]


def _both(model: LanguageModel, hidden: Tensor, example: TreeExample, merged: PreTrainedModel | None = None) -> Tensor:
    """Log-probabilities of both answers after each end, shape (ends, 2)."""
    sums = torch.stack([part.sum() for part in text_logprobs(model, hidden, example, merged)])
    return sums.view(-1, 2)
