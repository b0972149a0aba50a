"""What a run folder holds, read without complaint about what is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from trackrec.errors import RunError
from trackrec.files.manifests import as_written, hashes_written
from trackrec.files.tables import read_table
from trackrec.metrics.rows import MetricRow, read_metrics
from trackrec.yaml_text import read_yaml

_CONTRAST = re.compile(r"(\w+)(?: of round (\d+))? (?:less|minus) (\w+)(?: of round (\d+))?")


class Contrast(NamedTuple):
    """A paired difference: the metric of the first arm less that of the second, on the same examples."""

    arm: str
    round: int | None
    other: str
    other_round: int | None
    row: MetricRow


class RunData:
    """A run folder, finished or not.

    Args:
        folder: the run folder.

    Raises:
        RunError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise RunError(f"no run folder {str(folder)!r}: expected what `trackrec run` wrote, name it with --run")
        self.folder = folder

    @cached_property
    def recipe_text(self) -> str | None:
        """The recipe as it stands in the folder; None if it does not."""
        path = self.folder / "recipe.yaml"
        try:
            return path.read_text(encoding="utf-8") if path.is_file() else None
        except UnicodeDecodeError as error:
            raise RunError(
                f"{path} is damaged: it is not in UTF-8 ({error}). Put the recipe of the run back"
            ) from error

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The recipe's settings; empty if there is none."""
        tree = read_yaml(self.recipe_text or "", str(self.folder / "recipe.yaml"))
        return tree if isinstance(tree, dict) else {}

    def setting(self, path: str, default: Any = None) -> Any:
        """A setting by its dotted name."""
        value: Any = self.recipe
        for part in path.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return value

    @cached_property
    def manifests(self) -> dict[str, dict[str, Any]]:
        """Manifest of each finished stage, in the order of the method; unknown stages last, by name."""
        paths = (self.folder / "manifests").glob("*.json")
        found = {path.stem: _manifest(path) for path in paths if path.name[0] != "."}
        order = {name: place for place, name in enumerate(self._order())}
        return dict(sorted(found.items(), key=lambda entry: (order.get(entry[0], len(order)), entry[0])))

    def counts(self, stage: str) -> dict[str, Any]:
        """What a stage counted; empty if it has not finished."""
        counts = self.manifests.get(stage, {}).get("counts")
        return counts if isinstance(counts, dict) else {}

    def table(self, name: str) -> pl.DataFrame | None:
        """A stage's table, or None."""
        return self._read(self.folder / "tables" / f"{name}.parquet")

    def output(self, name: str) -> pl.DataFrame | None:
        """A table at the top of the run folder (``reccots``, ``vectors``), or None."""
        return self._read(self.folder / f"{name}.parquet")

    @cached_property
    def metrics(self) -> list[MetricRow]:
        """The rows of ``metrics.json``; empty if there is none."""
        path = self.folder / "metrics.json"
        return read_metrics(as_written(self.folder, path, self._hashes)) if path.is_file() else []

    def _read(self, path: Path) -> pl.DataFrame | None:
        return read_table(as_written(self.folder, path, self._hashes)) if path.is_file() else None

    @cached_property
    def _hashes(self) -> dict[str, set[str]]:
        return hashes_written(self.folder)

    def rows(self, arm: str, metric: str, round_: int | None = None) -> list[MetricRow]:
        """Rows of an arm and a metric by round; of one round only if it is given."""
        found = [row for row in self.metrics if row.arm == arm and row.metric == metric]
        found = found if round_ is None else [row for row in found if row.round == round_]
        return sorted(found, key=lambda row: -1 if row.round is None else row.round)

    def row(self, arm: str, metric: str, round_: int | None = None) -> MetricRow | None:
        """The last of these rows that has a value, or None."""
        return next((row for row in reversed(self.rows(arm, metric, round_)) if row.value is not None), None)

    def contrasts(self, metric: str) -> list[Contrast]:
        """Paired differences of a metric, as their notes name them ("v_own of round 2 less v_swapped of round 2")."""
        found = []
        for row in self.metrics:
            if row.metric == f"{metric}_difference" and (match := _CONTRAST.search(row.note)):
                arm, number, other, other_number = match.groups()
                found.append(Contrast(arm, _whole(number), other, _whole(other_number), row))
        return found

    def contrast(self, metric: str, arm: str, other: str) -> Contrast | None:
        """The paired difference between two arms, or None."""
        found = [pair for pair in self.contrasts(metric) if (pair.arm, pair.other) == (arm, other)]
        return next((pair for pair in found if pair.row.value is not None), None)

    @cached_property
    def asked_rounds(self) -> int:
        """Rounds that the recipe asks for; without a recipe, those that are there."""
        asked = self.setting("loop.rounds")
        return asked if isinstance(asked, int) else self.done_rounds

    @cached_property
    def done_rounds(self) -> int:
        """The last round whose generator has written."""
        written = [int(name.removeprefix("write-")) for name in self._stems if re.fullmatch(r"write-\d+", name)]
        return max(written, default=0)

    @property
    def rounds(self) -> range:
        """Rounds after round 0, asked for or done."""
        return range(1, max(self.asked_rounds, self.done_rounds) + 1)

    @property
    def _warms_up(self) -> bool:
        """Whether the language model as validator is tuned once before the rounds."""
        return "lm" in self.kinds and bool(self.setting("judge.warm_up_users"))

    @cached_property
    def kinds(self) -> list[str]:
        """Kinds of validators: the one that aligns, then the observer."""
        asked = [self.setting("judge.type"), self.setting("observer.type")]
        matches = (re.fullmatch(r"(?:score|prefer|align|tune)-(\w+)-\d+", name) for name in sorted(self._stems))
        found = [match.group(1) for match in matches if match]
        return list(dict.fromkeys([kind for kind in asked if isinstance(kind, str)] + found))

    @cached_property
    def promoted(self) -> int | None:
        """The round whose generator is used; None if it has not been decided."""
        row = self.row("promotion", "round")
        if row is not None and row.value is not None:
            return int(row.value)
        promoted = self.counts("promote").get("promoted")
        return promoted if isinstance(promoted, int) else None

    def missing(self) -> list[str]:
        """Stages of the loop that the recipe asks for and that have not finished, and ``metrics`` if it is missing."""
        names = [name for name in self._loop_stages() if name not in self.manifests]
        return names if (self.folder / "metrics.json").is_file() else [*names, "metrics"]

    @cached_property
    def _stems(self) -> set[str]:
        return {path.stem for path in (self.folder / "manifests").glob("*.json")}

    def _loop_stages(self) -> Iterator[str]:
        yield from ("data", "teach", "distil", "write-0")
        if self._warms_up:
            yield "tune-lm-start"
        yield from (f"tune-{kind}-0" for kind in self.kinds)
        yield "check"
        for number in self.rounds:
            yield f"sample-{number}"
            for kind in self.kinds:
                yield from (f"{step}-{kind}-{number}" for step in ("score", "prefer", "align"))
            yield f"write-{number}"
            yield from (f"tune-{kind}-{number}" for kind in self.kinds)

    def _order(self) -> Iterator[str]:
        yield from self._loop_stages()
        if self._warms_up:
            yield "tune-lm-start-none"
        yield from (f"tune-{kind}-none" for kind in self.kinds)
        rounds = (0, *self.rounds)
        yield from (f"matrix-{kind}-{number}" for kind in self.kinds for number in rounds)
        yield from ("promote", "evaluate", *(f"test-own-{number}" for number in rounds))
        yield from ("test-swapped", "test-placeholder", "test-without-reccot", "test-zero-shot")
        yield from ("write-rest", "reccots", "projection", "vectors", "adapters", "din", "reasons", "metrics")


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise RunError(
            f"{path} is damaged: it is no manifest. Start the run again, which does the stage anew"
        ) from error
