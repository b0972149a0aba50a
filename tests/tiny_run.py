"""A whole run on a made-up log with the tiny model; as a script, one that is killed at a chosen call.

``python tiny_run.py RUN MODEL LOG [FUNCTION CALL]`` runs the tiny recipe into RUN. With FUNCTION (a key of ``KILL_AT``)
the process is sent SIGKILL in the middle of its CALL-th call.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trackrec.recipe import Recipe, make_recipe

USERS, FILMS, EVENTS = 34, 40, 24


def write_tiny_log(folder: Path) -> Path:
    """A log in MovieLens-100K's original form: users like films of one half of the catalogue, with some noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    ratings = []
    for user in range(1, USERS + 1):
        films = rng.permutation(FILMS)[:EVENTS] + 1
        for step, film in enumerate(films):
            liked = (film % 2 == user % 2) != (rng.random() < 0.2)
            ratings.append(f"{user}\t{film}\t{5 if liked else 2}\t{880000000 + 100 * step}")
    (folder / "u.data").write_text("\n".join(ratings) + "\n", encoding="latin-1")
    genres = ["1" if number in (5, 8) else "0" for number in range(19)]
    films = [f"{n}|Film {n} (19{50 + n})|01-Jan-1995||http://film|{'|'.join(genres)}" for n in range(1, FILMS + 1)]
    (folder / "u.item").write_text("\n".join(films) + "\n", encoding="latin-1")
    people = [f"{user}|30|M|other|00000" for user in range(1, USERS + 1)]
    (folder / "u.user").write_text("\n".join(people) + "\n", encoding="latin-1")
    return folder


def tiny_recipe(model: Path, log: Path, **changes: Any) -> Recipe:
    """Two rounds on the made-up log, with the ranker as observer."""
    training = {"epochs": 1, "trees_per_step": 2, "learning_rate": 0.01}
    tree: dict[str, Any] = {
        "name": "tiny",
        "source": {"folder": str(log)},
        "model": {"name": str(model), "threads": 1, "device": "cpu"},
        "adapter": {"rank": 4, "alpha": 8},
        "roles": {"lm_users": 8, "lm_extra_users": 8, "lm_validation_users": 4, "ranker_folds": 3},
        "prompts": {"history_tokens": 60, "reccot_tokens": 16, "validator_recent": 1},
        "teacher": {"max_tokens": 16},
        "over_budget_share": 1.0,
        "distillation": {"texts_per_user": 1, "training": training},
        "loop": {
            "rounds": 2,
            "targets_per_user": 3,
            "samples_per_user": 3,
            "sampling": {"max_new_tokens": 10},
            "writing": {"temperature": 0, "max_new_tokens": 10},
            "need_useful_validator": False,
        },
        "extra_rewards": [{"type": "grounding", "weight": 0.5}],
        "preferences": {"k": 0, "unfinished_may_win": True, "require_gain": False, "drop_all_wrong": False},
        "alignment": {"training": training},
        "judge": {"training": training, "warm_up_users": 3, "warm_up": training},
        "observer": {"type": "ranker", "members": 2, "fit": {"epochs": 1}},
        "evaluation": {"users": 6, "targets_per_user": 3, "validation_targets_per_user": 3, "bootstrap": 100},
        "ranking": {"folds": 1, "seeds": 1, "components": 4, "fit": {"epochs": 1}},
        "shard_users": 2,
    }
    return make_recipe(tree | changes)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _count_down(owner: Any, name: str, calls: int, before_death: Callable[..., None] = lambda *a, **k: None) -> None:
    """Replace ``owner.name`` by itself, but for the ``calls``-th call, which ends the process."""
    original, left = getattr(owner, name), [calls]

    def counted(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            before_death(*args, **kwargs)
            _kill()
        return original(*args, **kwargs)

    setattr(owner, name, counted)


def _half_written(table: pl.DataFrame, path: Path, **_: Any) -> None:
    Path(path).write_bytes(b"PAR1 and then the power went")


def kill_at(function: str, call: int) -> None:
    """Arm the SIGKILL inside sampling, scoring, training or the writing of a table."""
    import trackrec.judges.lm
    import trackrec.lm.generator
    import trackrec.lm.trainer

    if function == "sampling":
        _count_down(trackrec.lm.generator, "sample", call)
    elif function == "scoring":
        _count_down(trackrec.judges.lm, "score_answers", call)
    elif function == "training":
        _count_down(trackrec.lm.trainer._TreeTrainer, "compute_loss", call)
    elif function == "table":
        _count_down(pl.DataFrame, "write_parquet", call, _half_written)
    else:
        raise ValueError(function)


if __name__ == "__main__":
    from trackrec.pipeline.job import run_recipe

    if len(sys.argv) > 4:
        kill_at(sys.argv[4], int(sys.argv[5]))
    run_recipe(tiny_recipe(Path(sys.argv[2]), Path(sys.argv[3])), Path(sys.argv[1]))
