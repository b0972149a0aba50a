"""How noisy is the reward of a RecCoT, and what does a weight on grounding cost? From a run's own score tables.

``python benchmarks/rewards.py RUN [--draws 100]``

Nothing is sampled or scored anew. RUN is a run folder, or a committed result that holds ``score-*.parquet``,
``reccots.parquet`` and ``recipe.yaml`` beside each other; tables that it lacks (labels, histories, items) are made
again from the recipe's log. Each line is one JSON object with ``study, validator, round, users, value, low, high``
(95% interval over users) and

* ``run_reliability``: the figure of the run's ``metrics.json``: all samples, all targets, the recipe's kind and
  seed; and with likes and dislikes weighing alike (``labels_weigh``);
* ``reliability``: split-half reliability of rewards on ``targets`` targets, by ``reward`` kind;
* ``one_target``: the share of the text in the variance of a single target's reward (text against text x target), which
  may come out below 0;
* ``carried``: the best of ``samples`` texts by ``targets`` targets, in the reward ``by`` which it was chosen: how much
  better than the mean of these texts it does on the user's other targets, in the reward ``measured``;
* ``wrong``: contradicted of the checkable claims of the texts so chosen at each grounding ``weight``; ``cost``: what
  their reward on the other targets loses against weight 0.

Reliability draws both halves within label: it takes as given how many of the targets are liked. ``one_target`` and
``carried`` do not: they ask what a text is worth on other targets, liked or not. Where each user's likes and dislikes
are equally many by construction (sampled negatives), that is too low: what one label gives to choose by, the other
targets then lack.

Samples that were cut off cannot be chosen, as in the loop, and equal ones count once; so ``samples`` is the most that a
user has. ``targets`` of reliability and of choosing are drawn by the user's own seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel

from trackrec.checks.truth_measures import ratio, sample_counts
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.log import stable_hash
from trackrec.judges.rewards import PLACEHOLDER, RewardKind, grounding_penalty, target_reward
from trackrec.metrics.intervals import bootstrap_users
from trackrec.metrics.probability import Interval, split_half_reliability
from trackrec.pipeline.dataset import Dataset, prepare
from trackrec.pipeline.results import reward_arrays
from trackrec.progress import Reporter
from trackrec.prompts.domains import find_domain
from trackrec.recipe import Recipe, make_recipe
from trackrec.registry import make
from trackrec.run import Run

SEED, HALVES, SPLITS = 17, 10, 40
KINDS: tuple[RewardKind, ...] = get_args(RewardKind)
WEIGHTS = (0.0, 0.01, 0.03, 0.05, 0.1, 0.3)
Array = NDArray[np.float64]


class Judged(NamedTuple):
    """One user's samples."""

    rewards: dict[RewardKind, Array]
    """By kind, shape (samples, targets)."""
    labels: Array
    """0 or 1 of each target, shape (targets,)."""
    contradicted: Array
    checkable: Array


Users = Mapping[Any, Judged]


class Choice(NamedTuple):
    """What choosing did for one user, averaged over draws of samples and of targets to choose by."""

    lead: float
    """Reward on the other targets less the mean of the samples among which it was chosen."""
    contradicted: float
    checkable: float


def mean_squares(table: Array) -> tuple[float, float]:
    """Mean squares of texts, and of what texts and targets do not explain, of a table (samples, targets)."""
    samples, targets = table.shape
    rows, columns = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    residual = table - rows - columns + table.mean()
    between = targets * float(((rows - table.mean()) ** 2).sum()) / (samples - 1)
    return between, float((residual**2).sum()) / ((samples - 1) * (targets - 1))


def one_target_reliability(between: float, residual: float, targets: int) -> float:
    """Share of the text in the variance of a single target's reward: an intra-class correlation, ICC(3, 1).

    Args:
        between: mean square of the texts, see `mean_squares`.
        residual: mean square of what neither texts nor targets explain.
        targets: on how many the mean squares rest.

    Returns:
        (text - residual) / (text + (targets - 1) residual). Noise gives 0 on average, so it may come out below 0.

    Source:
        Shrout and Fleiss 1979, case 3: all texts are judged on the same targets, whose own level cancels.
    """
    under = between + (targets - 1) * residual
    return (between - residual) / under if under > 0 else float("nan")


def choose(user: Any, found: Judged, by: RewardKind, measured: RewardKind, n: int, m: int, weight: float) -> Choice:
    """The best of ``n`` samples by ``m`` targets, judged on the others; the mean over `SPLITS` draws.

    The draws follow from the user alone: every weight, kind and size is tried on the same ones.
    """
    rng = np.random.default_rng([SEED, stable_hash(user)])
    penalty, leads, wrong = grounding_penalty(found.contradicted, found.checkable, weight), [], []
    samples, targets = found.rewards[by].shape
    for _ in range(SPLITS):
        some, order = rng.permutation(samples)[:n], rng.permutation(targets)
        seen = found.rewards[by][np.ix_(some, order[:m])].mean(axis=1) - penalty[some]
        other = found.rewards[measured][np.ix_(some, order[m:])].mean(axis=1)
        best = int(np.argmax(seen))
        leads.append(other[best] - other.mean())
        wrong.append((found.contradicted[some[best]], found.checkable[some[best]]))
    return Choice(float(np.mean(leads)), *np.mean(wrong, axis=0).tolist())


def lines(users: Users, draws: int) -> Iterator[dict[str, Any]]:
    """The studies of one score table."""
    ids = sorted(users, key=str)
    most = min(found.rewards[KINDS[0]].shape[1] for found in users.values())
    samples = max(found.rewards[KINDS[0]].shape[0] for found in users.values())
    columns = {
        user: np.random.default_rng([SEED, 1, stable_hash(user)]).permutation(users[user].rewards[KINDS[0]].shape[1])
        for user in ids
    }

    def over_users(statistic: Any, *values: Sequence[float]) -> dict[str, Any]:
        told = bootstrap_users(statistic, np.arange(len(ids)), *values, seed=SEED, draws=draws)
        return {"users": len(ids), **_rounded(told)}

    labels = [users[user].labels[columns[user][:most]] for user in ids]
    for kind in KINDS:
        tables = [users[user].rewards[kind][:, columns[user][:most]] for user in ids]
        for m in range(2, most + 1):

            def reliability(who: Array, tables: list[Array] = tables, m: int = m) -> float:
                drawn = {i: tables[int(u)][:, :m] for i, u in enumerate(who)}
                told = {i: labels[int(u)][:m] for i, u in enumerate(who)}
                return split_half_reliability(drawn, told, SEED, HALVES)

            yield {"study": "reliability", "reward": kind, "targets": m} | over_users(
                reliability, list(range(len(ids)))
            )
        between, residual = np.transpose([mean_squares(table) for table in tables])
        one = over_users(lambda b, r: one_target_reliability(float(b.mean()), float(r.mean()), most), between, residual)
        yield {"study": "one_target", "reward": kind, "targets": 1} | one
    for by, measured in ((by, measured) for by in KINDS for measured in KINDS):
        for n in sorted({2, samples}):
            for m in sorted({1, most // 2, most - 1}):
                leads = [choose(user, users[user], by, measured, n, m, 0.0).lead for user in ids]
                head = {"study": "carried", "by": by, "measured": measured, "samples": n, "targets": m}
                yield head | over_users(lambda lead: float(np.mean(lead)), leads)
    for kind in KINDS:
        plain = [choose(user, users[user], kind, kind, samples, most - 1, 0.0).lead for user in ids]
        for weight in WEIGHTS:
            chosen = [choose(user, users[user], kind, kind, samples, most - 1, weight) for user in ids]
            head = {"reward": kind, "weight": weight, "samples": samples, "targets": most - 1}
            counts = [[one.contradicted for one in chosen], [one.checkable for one in chosen]]
            yield {"study": "wrong"} | head | over_users(ratio, *counts)
            cost = [before - one.lead for before, one in zip(plain, chosen, strict=True)]
            yield {"study": "cost"} | head | over_users(lambda lost: float(np.mean(lost)), cost)


def _rounded(found: Interval) -> dict[str, float]:
    return {name: round(value, 5) for name, value in found._asdict().items()}


def judged_users(scores: pl.DataFrame, samples: pl.DataFrame, dataset: Dataset, vocabulary: Vocabulary) -> Users:
    """Users with two finished, different texts or more and three targets, from one score table."""
    labels = dataset.examples.select("user_id", "event_id", "label")
    scores = scores.drop("label", strict=False).join(labels, on=["user_id", "event_id"], validate="m:1")
    texts = samples.filter("finished").unique(["user_id", "text"], keep="first").sort("user_id", "sample")
    counts = sample_counts(texts, dataset.history_rows, vocabulary)
    both = scores.filter(pl.col("sample") != PLACEHOLDER).join(counts, on=["user_id", "sample"])
    found = {}
    for (user,), part in both.sort("user_id", "sample", "event_id").group_by("user_id", maintain_order=True):
        shape = (part["sample"].n_unique(), -1)
        yes, label = (part[name].to_numpy().reshape(shape) for name in ("yes_probability", "label"))
        if min(yes.shape) >= 2 and yes.shape[1] >= 3:
            rewards = {kind: target_reward(yes, label, kind) for kind in KINDS}
            wrong, of = (
                part[name].to_numpy().reshape(shape)[:, 0].astype(float) for name in ("contradicted", "checkable")
            )
            found[user] = Judged(rewards, label[0], wrong, of)
    return found


def read_recipe(folder: Path) -> Recipe:
    """The run's recipe without its teacher, and without settings that have been renamed or dropped since the first
    results: none of them decides the data, the roles or the texts that are kept."""
    tree = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    return make_recipe(_known({name: group for name, group in tree.items() if name != "teacher"}, Recipe), str(folder))


def _known(tree: dict[str, Any], settings: type[BaseModel]) -> dict[str, Any]:
    """The settings that the present recipe has, group by group."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        field = settings.model_fields.get(name)
        if field is None:
            continue
        group = field.annotation
        inner = isinstance(value, dict) and isinstance(group, type) and issubclass(group, BaseModel)
        found[name] = _known(value, group) if inner else value
    return found


def read_world(folder: Path) -> Dataset:
    """The run's tables; of a result without them, made again from its recipe."""
    recipe = read_recipe(folder)
    if (folder / "tables" / "examples.parquet").is_file():
        return Dataset.of(Run(folder, Reporter(), recipe.seed, reading=True))
    with tempfile.TemporaryDirectory() as other:
        return prepare(recipe, Run(Path(other), Reporter(), recipe.seed))


def run_reliability(scores: pl.DataFrame, dataset: Dataset, recipe: Recipe, draws: int) -> Iterator[dict[str, Any]]:
    """``split_half_reliability`` of the run's ``metrics.json``: of every sample, equal and cut off ones too.

    Once more with likes and dislikes weighing alike: users with more of one kind then gain nothing by a text that does
    no more than to raise or lower P(Yes) everywhere. Users with one label alone are left out there.
    """
    labels = dataset.examples.select("user_id", "event_id", "label")
    scores = scores.drop("label", strict=False).join(labels, on=["user_id", "event_id"], validate="m:1")
    tables, marks = reward_arrays(scores.filter(pl.col("sample") != PLACEHOLDER), make("reward", recipe.reward))
    both = [user for user, label in marks.items() if 0 < label.sum() < len(label)]
    alike = {
        user: tables[user] / np.where(marks[user] == 1, marks[user].mean(), 1 - marks[user].mean()) for user in both
    }
    for weights, rewards in (("as they occur", tables), ("alike", alike)):
        ids = list(rewards)

        def reliability(who: Array, rewards: Mapping[Any, Array] = rewards, ids: list[Any] = ids) -> float:
            drawn = {i: rewards[ids[int(u)]] for i, u in enumerate(who)}
            return split_half_reliability(drawn, {i: marks[ids[int(u)]] for i, u in enumerate(who)}, recipe.seed)

        told = bootstrap_users(reliability, np.arange(len(ids)), list(range(len(ids))), seed=SEED, draws=draws)
        head = {"study": "run_reliability", "reward": recipe.reward.type, "labels_weigh": weights}
        yield head | {"targets": rewards[ids[0]].shape[1], "users": len(ids), **_rounded(told)}


def main(folder: Path, draws: int) -> None:
    """Print the lines of every score table of a run."""
    dataset, recipe = read_world(folder), read_recipe(folder)
    vocabulary = Vocabulary(
        dataset.items, find_domain(recipe.prompts.domain), recipe.prompts.attributes, recipe.profile
    )
    texts = pl.read_parquet(folder / "reccots.parquet").filter(pl.col("kind") == "sample")
    tables = folder / "tables" if (folder / "tables").is_dir() else folder
    for path in sorted(tables.glob("score-*.parquet")):
        _, kind, number = path.stem.split("-")
        users = judged_users(pl.read_parquet(path), texts.filter(pl.col("round") == int(number)), dataset, vocabulary)
        study = lines(users, draws) if len(users) > 1 else ()
        for line in chain(run_reliability(pl.read_parquet(path), dataset, recipe, draws), study):
            print(json.dumps({"validator": kind, "round": int(number)} | line), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run folder, or a committed result")
    parser.add_argument("--draws", type=int, default=100, help="draws of users behind each interval")
    given = parser.parse_args()
    main(given.run, given.draws)
