"""Eight CTR models beside the product's two, for comparisons; the registry knows them once this package is imported."""

from __future__ import annotations

from trackrec.registry import register

MODELS = {
    "dnn": "PlainDNN",
    "deepfm": "DeepFM",
    "xdeepfm": "XDeepFM",
    "dcn": "DCN",
    "autoint": "AutoInt",
    "fibinet": "FiBiNET",
    "fignn": "FiGNN",
    "dien": "DIEN",
}
"""Class of each, in the file of that name."""
ALL = ("dnn", "deepfm", "xdeepfm", "dcn", "dcnv2", "autoint", "fibinet", "fignn", "din", "dien")
"""These and the product's own, in the order of pages."""

for _name, _class in MODELS.items():
    register("backbone", _name, f"research.backbones.{_name}:{_class}")
