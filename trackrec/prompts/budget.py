"""One budget of tokens: how long a RecCoT may be decides what the teacher is asked for and where decoding stops."""

from __future__ import annotations

from typing import Any

RECCOT_TOKENS = 64
"""The budget where a recipe names none (``prompts.reccot_tokens``)."""
_OTHER_TOKENS = 512
"""Most tokens of a language model's answer, at least: its own tokenizer counts them, and it may think first."""


def teacher_tokens(budget: int) -> int:
    """Most tokens of the template teacher's texts: a little less than the budget, for the end token and for a tokenizer
    that cuts a text otherwise after other words.

    >>> teacher_tokens(64)
    60
    """
    return max(16, budget - 4)


def asked_words(budget: int) -> tuple[int, int]:
    """Least and most words that a language model is asked for: an English word takes about a token and a third, and
    the numbers of events take their share.

    >>> asked_words(256)
    (76, 153)
    """
    most = max(2, int(0.6 * budget))
    return most // 2, most


def follow_budget(tree: dict[str, Any]) -> dict[str, Any]:
    """A recipe's tree in which every length of RecCoTs that is left out (or null) follows ``prompts.reccot_tokens``.

    Groups that are no plain trees are left as they are: whoever makes them says what they hold.
    """
    prompts = _group(tree, "prompts")
    budget = None if prompts is None else prompts.get("reccot_tokens", RECCOT_TOKENS)
    if not isinstance(budget, int):
        return tree
    tree = dict(tree)
    loop = _group(tree, "loop")
    if loop is not None:
        for name, temperature in (("sampling", 1.0), ("writing", 0.0)):
            decoding = _group(loop, name, {"temperature": temperature})
            if decoding is not None:
                loop[name] = _filled(decoding, max_new_tokens=budget)
        tree["loop"] = loop
    teacher = _group(tree, "teacher")
    if teacher is not None and teacher.get("type", "template") == "template":
        tree["teacher"] = _filled(teacher, max_tokens=teacher_tokens(budget))
    elif teacher is not None and teacher["type"] == "llm":
        decoding = _group(teacher, "decoding", {"temperature": 0.7})
        if decoding is not None:
            teacher["decoding"] = _filled(decoding, max_new_tokens=max(_OTHER_TOKENS, 2 * budget))
        tree["teacher"] = _filled(teacher, words=list(asked_words(budget)))
    return tree


def _group(tree: dict[str, Any], name: str, default: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """A copy of a part of a tree, or of what stands for it where it is left out; None: it is no plain tree."""
    found = tree.get(name, default or {})
    return dict(found) if isinstance(found, dict) else None


def _filled(tree: dict[str, Any], **values: Any) -> dict[str, Any]:
    return tree | {name: value for name, value in values.items() if tree.get(name) is None}
