"""Studies of the method: comparisons of all arms, ablations, re-rankers, more CTR models. Not part of the wheel."""

from __future__ import annotations

from research import backbones

__all__ = ["backbones"]
