"""Prompts: one renderer for sampling, training and scoring, and one set of texts per domain."""

from __future__ import annotations

from trackrec.prompts.domains import DOMAINS, Domain, find_domain
from trackrec.prompts.renderer import PromptSettings, Renderer
from trackrec.users.catalogue import Catalogue, Item, Row

__all__ = ["DOMAINS", "Catalogue", "Domain", "Item", "PromptSettings", "Renderer", "Row", "find_domain"]
