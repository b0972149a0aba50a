"""Monitoring finds what was planted: gaps, old texts, lies, drift, texts that mislead; and is quiet otherwise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.command_line import call
from tests.made_publication import WRITTEN, made_row, write_publication
from tests.made_service import USERS, fit_made_ranker, made_run
from trackrec.errors import RecipeError, StoreError
from trackrec.serving.metrics import ServiceMetrics
from trackrec.serving.monitor import Limits, drift, exposition, read_limits, watch
from trackrec.serving.usefulness import usefulness
from trackrec.store.opening import open_store
from trackrec.store.publication import Publication, publish
from trackrec.store.store import Store

PLAIN = Limits(max_contradicted=0.6)
RULES = Path(__file__).parent.parent / "trackrec" / "serving" / "alerts.yaml"


def stored(tmp_path: Path, *versions: list[dict[str, Any]]) -> Store:
    store = open_store(str(tmp_path / "store.sqlite"))
    store.clock = lambda: WRITTEN + 86_400.0
    for number, rows in enumerate(versions):
        place = write_publication(tmp_path / "place", rows, f"v{number}")
        publish(Publication(str(place)), store)
    return store


def people(**changes: Any) -> list[dict[str, Any]]:
    return [made_row(user, **changes) for user in range(1, 101)]


def alerts(findings: dict[str, Any]) -> set[str]:
    return {check["name"] for check in findings["checks"] if check["alert"]}


def test_two_like_versions_raise_nothing(tmp_path: Path) -> None:
    findings = watch(stored(tmp_path, people(), people()), PLAIN)
    assert alerts(findings) == set()
    assert (findings["version"], findings["against"], findings["alerts"]) == ("v1", "v0", 0)
    value = {check["name"]: check["value"] for check in findings["checks"]}
    assert value["coverage"] == 1.0
    assert value["age_days"] == 1.0
    assert value["contradicted"] == 0.5
    assert value["drift"] == 0.0


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        ({"vector": None, "raw_vector": None}, "coverage"),
        ({"expires": WRITTEN + 10}, "expired"),
        ({"written": WRITTEN - 40 * 86_400}, "age_days"),
        ({"vector": [9.0, 0, 0, 0, 0, 0]}, "drift"),
        ({"text": "Short."}, "length_change"),
        ({"sentences": [{"text": "A.", "verdict": "contradicted", "way": "", "events": []}]}, "contradicted_rise"),
    ],
)
def test_what_is_planted_is_found(planted: dict[str, Any], name: str, tmp_path: Path) -> None:
    findings = watch(stored(tmp_path, people(), people(**planted)), PLAIN)
    assert name in alerts(findings), findings


def test_people_who_are_gone_are_missed(tmp_path: Path) -> None:
    assert "people_lost" in alerts(watch(stored(tmp_path, people(), people()[:80]), PLAIN))


def test_drift_is_told_from_chance() -> None:
    chance = np.random.default_rng(1)
    one, same, other = (chance.normal(shift, 1, (500, 6)).tolist() for shift in (0, 0, [0, 0, 0.5, 0, 0, 0]))
    found = drift(one, same)
    assert found is not None
    assert found[1] > 0.05
    moved = drift(one, other)
    assert moved is not None
    assert moved[0] > 0.15
    assert moved[1] < 0.001
    assert drift(one[:5], same) is None
    assert drift([row[:2] for row in one], same) is None


def test_usefulness_tells_texts_that_help_from_texts_that_mislead(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    fit_made_ranker(run)
    rows = [made_row(user) for user in range(1, USERS + 1)]
    wrong = [row | {"raw_vector": made_row(row["user_id"] + 1)["raw_vector"]} for row in rows]
    store = stored(tmp_path, rows, wrong)
    good, bad = (usefulness(store, name, run) for name in ("v0", "v1"))
    assert good is not None
    assert bad is not None
    assert good.people == USERS
    assert good.gain > 0.2
    assert good.low is not None
    assert good.low > 0
    assert bad.gain < -0.05
    findings = watch(store, PLAIN, run=run)
    assert "gain" in alerts(findings)
    assert findings["usefulness"]["gain"] == bad.gain


def test_nothing_to_watch_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="serves no version"):
        watch(open_store(str(tmp_path / "empty.sqlite")), Limits())
    with pytest.raises(StoreError, match="no version 'v9'"):
        watch(stored(tmp_path, people()), Limits(), "v9")
    with pytest.raises(RecipeError, match="no setting 'coverage'"):
        read_limits(["coverage=1"])
    with pytest.raises(RecipeError, match="min_coverage is 'much'"):
        read_limits(["min_coverage=much"])


def test_the_command_says_it_by_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(tmp_path, people(written=2_000_000_000), people(written=2_000_000_000)).close()
    store, out = str(tmp_path / "store.sqlite"), tmp_path / "trackrec.prom"
    command = ("monitor", "--store", store, "--json", "--prometheus", str(out))
    assert call(monkeypatch, *command) == 2, "half of the sentences are contradicted"
    assert {check["name"] for check in json.loads(capsys.readouterr().out)["checks"]} >= {"coverage", "drift"}
    assert 'trackrec_monitor_alert{check="contradicted"} 1' in out.read_text()
    assert call(monkeypatch, *command, "--set", "max_contradicted=0.6") == 0
    kept = open_store(store).monitored()
    assert kept is not None
    assert kept["alerts"] == 0


def test_the_rules_speak_of_metrics_that_are_there(tmp_path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    metrics = ServiceMetrics()
    metrics.request("/v1/users/{user_id}", 200, 0.001)
    metrics.found("found")
    exposition({"time": 1, "checks": watch(stored(tmp_path, people()), Limits())["checks"]}, tmp_path / "m.prom")
    there = metrics.exposition("one", 1, {"people": 1}).decode() + (tmp_path / "m.prom").read_text()
    names = set(re.findall(r"^(trackrec_\w+)", there, re.MULTILINE))
    for rule in rules:
        used = set(re.findall(r"trackrec_\w+", rule["expr"]))
        assert used
        assert used <= names, rule["alert"]
        assert rule["annotations"]["summary"]
