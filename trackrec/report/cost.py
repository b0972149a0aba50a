"""What the run took, and the recipe that made it."""

from __future__ import annotations

import re

from trackrec.report.blocks import Block, Listing, Note, Plot, Plots, Section, Table, duration, number
from trackrec.report.plots import bars
from trackrec.report.run_data import RunData

WORK = {
    "data": "data",
    "teach": "teacher",
    "distil": "distillation",
    "write": "writing",
    "sample": "sampling",
    "score": "scoring",
    "prefer": "preferences",
    "align": "alignment",
    "tune": "tuning V",
    "check": "checking V0",
    "matrix": "G × V matrix",
    "test": "testing V",
    "din": "DIN",
}


def cost(facts: RunData) -> Section:
    """Time and memory of each stage."""
    title, short = "Time and memory", "Cost"
    if not facts.manifests:
        return Section("cost", title, short, [Note("No stage has finished.", "missing")])
    seconds = {name: float(manifest.get("seconds") or 0) for name, manifest in facts.manifests.items()}
    peaks = [float(manifest["peak_gb"]) for manifest in facts.manifests.values() if manifest.get("peak_gb") is not None]
    lead = f"{len(seconds)} stages took {duration(sum(seconds.values()))}"
    lead += f" and at most {number(max(peaks), 1)} GB of memory." if peaks else "."
    lead += " The peak is that of the process up to the stage's end, so it never falls within one run of the command."
    kinds: dict[str, float] = {}
    for name, took in seconds.items():
        kind = WORK.get(re.split(r"[-_]", name)[0], name)
        kinds[kind] = kinds.get(kind, 0.0) + took
    kinds = dict(sorted(kinds.items(), key=lambda entry: -entry[1]))
    svg = bars("Time by kind of work", kinds, [duration(took) for took in kinds.values()], "Time by kind of work")
    rows = [
        [name, duration(seconds[name]), number(_peak(manifest.get("peak_gb")), 2)]
        for name, manifest in facts.manifests.items()
    ]
    blocks: list[Block] = [Note(lead), Plots([Plot(svg, "Stages of all rounds together.")])]
    blocks.append(
        Table("Each stage, in the order of the method", ["stage", "time", "peak memory, GB"], rows, folded=True)
    )
    return Section("cost", title, short, blocks)


def recipe(facts: RunData) -> Section:
    """The recipe, every setting, and the versions of what ran."""
    title, short = "The recipe", "Recipe"
    blocks: list[Block] = []
    if facts.recipe_text is None:
        blocks.append(Note("recipe.yaml is missing from the run folder.", "missing"))
    else:
        blocks.append(Listing("All settings, as recipe.yaml holds them", facts.recipe_text))
    versions: dict[str, set[str]] = {}
    for manifest in facts.manifests.values():
        for package, found in (manifest.get("versions") or {}).items():
            versions.setdefault(package, set()).add(str(found))
    if versions:
        told = ", ".join(f"{package} {' and '.join(sorted(found))}" for package, found in versions.items())
        blocks.append(Note(f"Made with {told}."))
    return Section("recipe", title, short, blocks)


def _peak(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
