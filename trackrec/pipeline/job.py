"""The main job: a recipe from the log to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trackrec.data.roles import Role
from trackrec.engines.openai_settings import HOW_ALONE
from trackrec.errors import RunError
from trackrec.files.lock import locked
from trackrec.files.manifests import check_format
from trackrec.files.whole import is_leftover, written_whole
from trackrec.lm import processes
from trackrec.lm.threads import use_threads
from trackrec.memory import modules_set_aside
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.evaluation import Evaluation
from trackrec.pipeline.features import Features
from trackrec.pipeline.loop import Loop
from trackrec.pipeline.preflight import check_settings, check_tables
from trackrec.pipeline.results import Results
from trackrec.pipeline.revisions import pinned
from trackrec.pipeline.truth import Truth
from trackrec.progress import Reporter
from trackrec.recipe import Recipe, dump_recipe, load_recipe
from trackrec.run import Run


def run_recipe(recipe: Recipe, folder: Path, reporter: Reporter | None = None) -> Path:
    """Run a recipe into a folder, or go on with it where it stopped.

    Where a launcher (``torchrun``, ``accelerate launch``) started several processes, models are trained by all of them;
    the first one does the rest and writes every file.

    Args:
        recipe: all settings.
        folder: the run folder; made if it is missing.
        reporter: shows progress; None keeps silent.

    Returns:
        The folder.

    Raises:
        RecipeError: settings do not go together, or there is no such domain (see `trackrec.pipeline.preflight`);
            nothing has been read or written by then.
        RunError: the log cannot carry the recipe, which shows before any language model is loaded; or the folder holds
            a run of another recipe; or another process is at work in it; or V0 is no better than counting (see
            ``Loop``).
    """
    check_settings(recipe)
    processes.start(_on_cpu(recipe))
    if not processes.is_first():
        processes.wait()  # until the folder is there
        recipe = pinned(recipe, folder)
        with modules_set_aside():
            _all_stages(recipe, Run(folder, Reporter(), recipe.seed))
        processes.wait()  # the first one may still write
        return folder
    recipe = pinned(recipe, folder)
    run = open_run(recipe, folder, reporter or Reporter())
    processes.wait()
    with locked(folder), modules_set_aside():
        _all_stages(recipe, run)
    processes.wait()
    return folder


def _on_cpu(recipe: Recipe) -> bool:
    import torch

    device = recipe.model.device
    return device.startswith("cpu") or (device == "auto" and not torch.cuda.is_available())


def _all_stages(recipe: Recipe, run: Run) -> None:
    use_threads(recipe.model.threads)  # for every stage, also those that load no language model
    dataset = prepare(recipe, run)
    check_tables(recipe, dataset)
    sizes = ", ".join(f"{len(dataset.users(role))} {role}" for role in Role)
    run.reporter.line(f"users by role: {sizes}; {len(dataset.evaluated)} ranker users test G then V")
    components = Components(recipe, run, dataset)
    loop = Loop(components)
    loop.all_rounds()
    if components.kinds[0] == "lm":
        loop.tuning.warm_up("none")
        loop.tuning.tune("lm", 0, "none")
    evaluation = Evaluation(components)
    evaluation.matrix()
    promoted = evaluation.promote()
    evaluation.recommend(promoted)
    features = Features(components, promoted)
    features.write_everybody()
    truth = Truth(recipe, run, dataset)
    features.collect(truth)
    features.compare()
    Results(components, promoted).write(truth)


def open_run(recipe: Recipe, folder: Path, reporter: Reporter, lender: Path | None = None) -> Run:
    """Open a run folder, which keeps one recipe for good; ``lender``: see :class:`trackrec.run.Run`.

    How endpoints are called (``HOW_ALONE``: budget, limits, key's name) may change: a budget that ended can be raised.

    Raises:
        RunError: it holds another recipe; the first settings that differ are named.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file: a run needs a folder, choose another one with --out")
    path = folder / "recipe.yaml"
    check_format(folder)
    if path.is_file():
        before = load_recipe(path)
        changed = _differences(_deciding(before.model_dump(mode="json")), _deciding(recipe.model_dump(mode="json")))
        if changed:
            raise RunError(
                f"{folder} holds a run of another recipe: it differs in {', '.join(changed[:5])}. Choose another "
                f"folder with --out, or delete this one; if it should be the same, {path} is damaged: put it back"
            )
    elif folder.is_dir() and any(not is_leftover(inside) for inside in folder.iterdir()):
        raise RunError(f"{folder} is not empty and holds no run (no recipe.yaml): choose another folder with --out")
    with locked(folder):
        run = Run(folder, reporter, recipe.seed, lender)
        if not path.is_file() or load_recipe(path) != recipe:
            with written_whole(path, durable=True) as partial:
                partial.write_text(dump_recipe(recipe), encoding="utf-8")
    return run


def _deciding(tree: dict[str, Any]) -> dict[str, Any]:
    """A recipe's tree without how its engines are called."""
    parts = {name: _deciding(part) if isinstance(part, dict) else part for name, part in tree.items()}
    if isinstance(engine := parts.get("engine"), dict):
        parts["engine"] = {name: value for name, value in engine.items() if name not in HOW_ALONE}
    return parts


def _differences(left: dict[str, object], right: dict[str, object], prefix: str = "") -> list[str]:
    names = []
    for key in {**left, **right}:
        one, other = left.get(key), right.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            names += _differences(one, other, f"{prefix}{key}.")
        elif one != other:
            names.append(f"{prefix}{key} ({one!r} there, {other!r} now)")
    return names
