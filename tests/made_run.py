"""A made-up run folder, with the tables and figures that a real one would hold. No language model is needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from trackrec.metrics.rows import MetricRow, write_metrics

VALIDATION = list(range(100, 112))
LM = list(range(1, 25))
RANKER = list(range(200, 240))
GENRES = ("Comedy", "Drama", "Thriller", "Sci-Fi", "Romance")


def write_made_run(
    folder: Path,
    rounds: int = 2,
    kinds: Sequence[str] = ("lm", "ranker"),
    title: str = "Fargo",
    promoted: int | None = None,
) -> Path:
    """Write a finished run folder of made-up figures.

    Args:
        folder: where.
        rounds: how many rounds it had.
        kinds: the validator, then the observer if there is one.
        title: of the first item, and a word of the RecCoTs.
        promoted: the promoted round; None: the last.
    """
    chance = np.random.default_rng(5)
    promoted = rounds if promoted is None else promoted
    (folder / "tables").mkdir(parents=True)
    (folder / "manifests").mkdir()
    observer = kinds[1] if len(kinds) > 1 else None
    recipe = {"name": "made-up", "seed": 17, "loop": {"rounds": rounds}, "judge": {"type": kinds[0]}}
    recipe |= {"observer": None if observer is None else {"type": observer}, "reward": {"type": "log_likelihood"}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    _tables(folder, rounds, kinds, title, chance)
    _manifests(folder, rounds, kinds, chance)
    write_metrics(folder / "metrics.json", list(_metrics(rounds, kinds, promoted)))
    return folder


def write_manifest(
    folder: Path, stage: str, counts: dict[str, Any], seconds: float = 3.0, peak_gb: float = 1.5
) -> None:
    """Write one manifest."""
    manifest = {
        "stage": stage,
        "counts": counts,
        "seconds": seconds,
        "peak_gb": peak_gb,
        "versions": {"trackrec": "9.9"},
    }
    (folder / "manifests" / f"{stage}.json").write_text(json.dumps(manifest), encoding="utf-8")


def _tables(folder: Path, rounds: int, kinds: Sequence[str], title: str, chance: np.random.Generator) -> None:
    def write(name: str, table: pl.DataFrame) -> None:
        table.write_parquet(folder / "tables" / f"{name}.parquet")

    users = [*LM, *VALIDATION, *RANKER]
    roles = ["lm"] * len(LM) + ["lm_validation"] * len(VALIDATION) + ["ranker"] * len(RANKER)
    write("roles", pl.DataFrame({"user_id": users, "role": roles}))
    items = [
        {"item_id": i, "title": f"Item {i}", "year": 1980 + i, "genres": list(GENRES[: 1 + i % 3])} for i in range(12)
    ]
    items[0]["title"] = title
    write("items", pl.DataFrame(items))
    history = [
        {
            "user_id": user,
            "position": place,
            "event_id": user * 12 + place,
            "item_id": place,
            "rating": 1.0 + (user + place) % 5,
        }
        for user in users
        for place in range(12)
    ]
    write("histories", pl.DataFrame(history))
    for kind in kinds:
        for turn in range(1, rounds + 1):
            write(f"score-{kind}-{turn}", _scores(turn, chance))
    kept = [
        {
            "user_id": user,
            "role": "lm_validation",
            "round": turn,
            "kind": "kept",
            "text": f"Likes about 7 in 10. Enjoys {GENRES[(user + turn) % 5]} such as {title}, less so musicals.",
            "reward": -0.6 + 0.02 * turn * (user - 105),
            "gain": None,
        }
        for user in VALIDATION
        for turn in range(rounds + 1)
    ]
    pl.DataFrame(kept, schema_overrides={"gain": pl.Float64}).write_parquet(folder / "reccots.parquet")
    has = [user != RANKER[0] for user in users]
    pl.DataFrame({"user_id": users, "has_reccot": has}).write_parquet(folder / "vectors.parquet")


def _scores(turn: int, chance: np.random.Generator) -> pl.DataFrame:
    rows = [
        (
            user,
            sample,
            event,
            event % 2,
            float(np.clip(0.5 + 0.1 * chance.normal() + (0.02 * turn if event % 2 else 0), 0.05, 0.95)),
        )
        for user in [*LM, *VALIDATION]
        for sample in range(-1, 4)
        for event in range(4)
    ]
    return pl.DataFrame(rows, schema=["user_id", "sample", "event_id", "label", "yes_probability"], orient="row")


def _manifests(folder: Path, rounds: int, kinds: Sequence[str], chance: np.random.Generator) -> None:
    def curve(steps: int, start: float) -> list[dict[str, float]]:
        noise = 0.05 * chance.normal(size=steps)
        return [
            {
                "step": step,
                "loss": start * (0.6 + 0.4 * 0.96**step) + noise[step],
                "preferences_right": 6 + step % 5,
                "pairs": 12,
            }
            for step in range(steps)
        ]

    log = {"rows": 100_000, "dropped_rating_not_finite": 3}
    write_manifest(folder, "data", {"log": log, "split": {"users": 76}, "roles": {"lm": len(LM)}, "evaluated": 30}, 1.2)
    write_manifest(folder, "teach", {"users": 36, "texts": 72}, 2.0)
    write_manifest(folder, "distil", {"curve": curve(60, 3.0)}, 300.0, 3.2)
    write_manifest(folder, "check", {"validator": kinds[0], "auc": 0.641, "auc_user_share": 0.602, "users": 12}, 10.0)
    for turn in range(rounds + 1):
        write_manifest(folder, f"write-{turn}", {"users": 66, "texts": 66, "tokens": 3000, "unfinished": 7}, 100.0)
        for kind in kinds:
            folds = {f"fold-{fold}": {"curve": curve(40, 0.7) if kind == "lm" else []} for fold in (0, 1)}
            write_manifest(folder, f"tune-{kind}-{turn}", folds, 250.0)
    for turn in range(1, rounds + 1):
        write_manifest(folder, f"sample-{turn}", {"users": 36, "texts": 144, "tokens": 6800, "unfinished": 12}, 200.0)
        for kind in kinds:
            filters = {"users": 24, "duplicate_samples": 5, "users_within_noise": 8, "groups": 4321, "pairs_kept": 30}
            write_manifest(folder, f"score-{kind}-{turn}", {"scores": 720}, 80.0)
            write_manifest(
                folder, f"prefer-{kind}-{turn}", {"lm": filters, "lm_validation": {**filters, "groups": 7}}, 0.3
            )
            kl = {"per_sequence": 0.4 * turn, "per_token": 0.01 * turn, "texts": 12} if kind == kinds[0] else None
            held = {"accuracy": 0.58, "margin": 0.12, "pairs": 19}
            write_manifest(
                folder,
                f"align-{kind}-{turn}",
                {"groups": 16, "curve": curve(12, 0.69), "kl": kl, "held_out": held},
                90.0,
            )
    write_manifest(folder, "din", {"users": 40, "coverage": {"din_no_text": 0, "din_own": 39}}, 60.0)


def _metrics(rounds: int, kinds: Sequence[str], promoted: int) -> list[MetricRow]:
    rows: list[MetricRow] = []

    def add(
        arm: str, metric: str, value: float, half: float | None, turn: int | None, role: str = "ranker", note: str = ""
    ) -> None:
        ends = (None, None) if half is None else (value - half, value + half)
        size = {"users": 30, "examples": 240, "role": role}
        rows.append(
            MetricRow(arm=arm, metric=metric, value=value, low=ends[0], high=ends[1], round=turn, note=note, **size)
        )

    arms: dict[tuple[str, int | None], float] = {("v_own", turn): 0.6123 + 0.011 * turn for turn in range(rounds + 1)}
    arms |= {("v_swapped", promoted): 0.603, ("v_placeholder", promoted): 0.601, ("v_without_reccot", None): 0.607}
    arms |= {("v_zero_shot", None): 0.512, ("item_user_mean", None): 0.688, ("user_share", None): 0.598}
    for (arm, turn), value in arms.items():
        for metric, shift in (("auc", 0.0), ("gauc", -0.03), ("accuracy", 0.02), ("log_loss", 0.05)):
            add(arm, metric, value + shift, 0.045, turn)
    for turn in range(rounds + 1):
        add("v_own", "log_loss_calibrated", 0.641, 0.02, turn)
    others = [("v_swapped", promoted, 0.021), ("v_placeholder", promoted, 0.023), ("v_without_reccot", None, 0.0175)]
    for other, turn, value in [("v_own", 0, 0.022), *others] if promoted else others:
        end = other if turn is None else f"{other} of round {turn}"
        for metric in ("auc", "gauc"):
            add("v_own", f"{metric}_difference", value, 0.0302, promoted, note=f"v_own of round {promoted} less {end}")
    for kind in kinds:
        for v in range(rounds + 1):
            for g in range(rounds + 1):
                add("matrix", "auc", 0.60 + 0.01 * g + 0.004 * v, 0.06, g, "lm_validation", f"validator={kind}:{v}")
        for turn in range(1, rounds + 1):
            add(f"validator_{kind}", "split_half_reliability", 0.21 + 0.05 * turn, None, turn, "lm")
            add(f"validator_{kind}", "held_out_preference_accuracy", 0.58, 0.2, turn, "lm_validation")
    for turn in range(1, rounds + 1):
        add("generator", "kl", 0.4 * turn, None, turn, "lm_validation")
    for arm, value in (("din_no_text", 0.7812), ("din_swapped", 0.7801), ("din_own", 0.7845)):
        for metric, shift in (("auc", 0.0), ("gauc", -0.06), ("log_loss", -0.2)):
            add(arm, metric, value + shift, 0.02, promoted, note="DIN, last 10 events in view, 2 seeds, 3 folds")
    for other, value in (("din_no_text", 0.0033), ("din_swapped", 0.0044)):
        for metric in ("auc", "gauc"):
            add("din_own", f"{metric}_difference", value, 0.002, promoted, note=f"din_own less {other}; DIN, 2 seeds")
    add("promotion", "round", promoted, None, None, "lm_validation")
    return rows
