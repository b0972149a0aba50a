"""Recipes drawn over the schema of the settings: each is refused with a sentence, or the run ends."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from test_preflight import changed
from tiny_run import write_tiny_log

from tests.attack.conftest import command
from tests.attack.hostile import HOSTILE
from tests.attack.size import times
from trackrec.errors import TrackRecError, in_one_line
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.pipeline.preflight import check_settings, check_tables
from trackrec.progress import Reporter
from trackrec.recipe import Recipe, dump_recipe, make_recipe

pytestmark = pytest.mark.slow
WILD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 60),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, 1e-300]),
    st.sampled_from(HOSTILE),
    st.text(max_size=6),
    st.lists(st.integers(-1, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
"""What may stand behind any key."""
TYPES = ("template", "texts", "llm", "lm", "ranker", "log_likelihood", "probability", "grounding", "horoscope", "none")


def leaves(kind: type[BaseModel], before: str = "") -> Iterator[tuple[str, st.SearchStrategy[Any]]]:
    """The dotted names of all settings, and values that each may well have."""
    for name, field in kind.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from leaves(type(field.default), f"{before}{name}.")
            continue
        listed = [*options(field.annotation), *(TYPES if name == "type" else ()), field.default]
        if int in parts(field.annotation):
            listed += [1, 2, 3, 5, 9, 40]
        if float in parts(field.annotation):
            listed += [0.0, 0.1, 0.5, 0.9, 1.0, 2.5]
        if bool in parts(field.annotation):
            listed += [True, False]
        yield f"{before}{name}", st.sampled_from(listed)


def parts(annotation: Any) -> list[Any]:
    """The types in a type, at any depth."""
    return [annotation, *(part for inner in get_args(annotation) for part in parts(inner))]


def options(annotation: Any) -> list[Any]:
    """The values that a type lists, at any depth."""
    return [value for part in parts(annotation) if get_origin(part) is Literal for value in get_args(part)]


# Where logs come from is not drawn: some sources would be fetched.
LEAVES = [leaf for leaf in leaves(Recipe) if not leaf[0].startswith("source.")]
GROUPS = ("judge", "observer", "teacher", "reward", "encoder")


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """One to four settings with other values."""
    found = {}
    for name, likely in draw(st.lists(st.sampled_from(LEAVES), min_size=1, max_size=4, unique_by=lambda x: x[0])):
        found[name] = draw(WILD if draw(st.integers(0, 6)) == 0 else likely)
    if draw(st.integers(0, 9)) == 0:
        found[draw(st.sampled_from(GROUPS))] = draw(st.fixed_dictionaries({"type": st.sampled_from(TYPES)}))
    return found


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_log(tmp_path_factory.mktemp("log"))


def test_any_recipe_is_refused_or_passes_the_preflight(
    log: Path, tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base, passed = tmp_path_factory.mktemp("runs"), [0]
    refused: list[str | None] = []

    @settings(
        max_examples=times(2000),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(changes())
    def draw(found: dict[str, Any]) -> None:
        try:
            recipe = make_recipe(changed(tiny_model_folder, log, found))
            check_settings(recipe)
            passed[0] += 1
            check_tables(recipe, prepare(recipe, open_run(recipe, base / str(passed[0]), Reporter())))
        except (TrackRecError, OSError) as error:
            refused.append(in_one_line(error) if isinstance(error, OSError) else str(error))

    draw()
    assert all(refused), "each refusal says something"
    assert passed[0] > times(2000) / 20


SMALL: dict[str, tuple[Any, ...]] = {
    "split.max_history": (1, 3, 12),
    "split.recent": (10, 12),
    "split.like_threshold": (3, 4, 5),
    "loop.rounds": (0, 1),
    "loop.samples_per_user": (1, 2, 5),
    "loop.targets_per_user": (1, 9),
    "loop.sampling.max_new_tokens": (1, 4),
    "loop.sampling.top_p": (0.01, 1),
    "loop.writing.max_new_tokens": (1, 4),
    "prompts.history_tokens": (1, 20, 400),
    "prompts.reccot_tokens": (1, 3),
    "prompts.digest": (True, False),
    "teacher.max_tokens": (1, 40),
    "distillation.texts_per_user": (1, 3),
    "judge.type": ("ranker", "lm"),
    "observer": (None,),
    "reward.type": ("probability", "log_likelihood"),
    "preferences.k": (0, 1, 9),
    "preferences.require_gain": (True,),
    "evaluation.users": (1, 3, None),
    "evaluation.targets_per_user": (1, 50),
    "write_for": (3, 12, "all"),
    "ranking.components": (1, 3, 300),
    "ranking.seeds": (1, 2),
    "roles.lm_users": (4, 8),
    "roles.lm_validation_users": (1, 2),
    "adapter.rank": (1, 2),
    "shard_users": (1, 100),
    "seed": (0, 5),
}
"""Settings with values that keep a run short."""


def test_what_passes_the_preflight_ends(log: Path, tiny_model_folder: Path, tmp_path: Path) -> None:
    """Whole runs from the command line; a refusal, early or late, is a line."""
    ended = 0
    for number in range(times(10)):
        draw = random.Random(number)
        found = {name: draw.choice(SMALL[name]) for name in draw.sample(sorted(SMALL), 4)}
        try:
            recipe = make_recipe(changed(tiny_model_folder, log, found | {"loop.rounds": draw.choice((0, 1))}))
        except TrackRecError:
            continue
        path = tmp_path / f"{number}.yaml"
        path.write_text(dump_recipe(recipe), encoding="utf-8")
        run = command("run", str(path), "--out", str(tmp_path / f"run-{number}"))
        said, _ = run.communicate(timeout=900)
        told = said.decode()
        assert run.returncode == 0 or (run.returncode == 1 and "Error: " in told), f"{found}: {told[-3000:]}"
        assert "Traceback" not in told, f"{found}: {told[-3000:]}"
        ended += run.returncode == 0
    assert ended
