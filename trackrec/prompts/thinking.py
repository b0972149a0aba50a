"""What a model thinks in tags: cut off and counted, never kept as its answer."""

from __future__ import annotations

import re

TAGS = ("think", "thinking", "thought", "reasoning", "seed:think")
"""Names of the tags that model families think in."""

_TAG = re.compile(rf"<(/?)(?:{'|'.join(map(re.escape, TAGS))})>", re.IGNORECASE)
_CHANNEL, _FINAL, _MESSAGE = "<|channel|>", "<|channel|>final", "<|message|>"


def cut_thinking(text: str) -> tuple[str, int]:
    """A text without what was thought in tags, and how many characters were cut off.

    Thinking that never ends leaves nothing. A closing tag that comes first ends thinking that began with the text (some
    templates put the opening tag into the prompt). Of gpt-oss's channels only the final one is kept.

    >>> cut_thinking("<think>Crime, mostly.</think>They like crime.")
    ('They like crime.', 29)
    >>> cut_thinking("<think>Crime, mos")
    ('', 17)
    """
    kept = _without_tags(_final_channel(text))
    if kept == text:
        return text, 0
    kept = kept.strip()
    return kept, len(text.strip()) - len(kept)


def _final_channel(text: str) -> str:
    if _CHANNEL not in text:
        return text
    _, found, final = text.rpartition(_FINAL)
    return final.partition(_MESSAGE)[2] if found else ""


def _without_tags(text: str) -> str:
    parts: list[str] = []
    place, thinking = 0, False
    for number, tag in enumerate(_TAG.finditer(text)):
        closes = bool(tag.group(1))
        if not thinking and not (closes and number == 0):
            parts.append(text[place : tag.start()])
        thinking, place = not closes, tag.end()
    return "".join(parts) + ("" if thinking else text[place:])
