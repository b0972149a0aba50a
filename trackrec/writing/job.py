"""The job: a version from the log to the pointer, killed anywhere and gone on with."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import GateError, TooManyRejected, WriteError
from trackrec.users.catalogue import Catalogue
from trackrec.writing.earlier_version import WritingRequest, find_earlier_version, same_decade
from trackrec.writing.executor import Executor
from trackrec.writing.forgotten import end_forgetting, forgotten_at
from trackrec.writing.gates import GateSettings, pass_gates
from trackrec.writing.lock import Holder, only_writer
from trackrec.writing.partition import partition_log
from trackrec.writing.place import Place, as_json
from trackrec.writing.run_view import PROJECTION, RunView
from trackrec.writing.shard import ShardWork
from trackrec.writing.shard_file import LISTED, finished, part_of, shard_name
from trackrec.writing.source import LogSettings, fingerprint, open_log
from trackrec.writing.usefulness import OpenJudge, usefulness_gate
from trackrec.writing.vectors import projection_note
from trackrec.writing.version_plan import VersionPlan, WritingSettings, read_inputs
from trackrec.writing.versions import Versions
from trackrec.writing.writers import TORCH
from trackrec.writing.writing_recipe import WritingRecipe

Tell = Callable[[str, dict[str, Any]], None]
"""Is told of each event of a job: its name and what there is to say."""

ENOUGH = 1_000
"""Users that must have been seen before the share of failures is looked at, but for the end."""


@dataclass(frozen=True)
class Job:
    """One job of writing.

    Raises (``run``):
        TargetBusy: another job writes to the same place.
        TooManyRejected: too many users failed; what is finished is kept.
        GateError: the version is whole, but not good enough to be published.
        WriteError, LogError: it cannot be done as asked.
    """

    run_folder: Path
    place: Place
    log: LogSettings = field(default_factory=LogSettings)
    settings: WritingSettings = field(default_factory=WritingSettings)
    gates: GateSettings = field(default_factory=GateSettings)
    only_changed: bool = False
    resume: bool = False
    """Go on with an unfinished version whatever has changed since it was begun."""
    again: bool = False
    """Do shards once more in which users failed."""
    now: int | None = None
    """Events after this second are left out; None: the moment of the start."""
    started: int | None = None
    """The moment that rows say they were written at, in seconds; None: this one."""
    wait: float = 0.0
    """Seconds to wait for another job at the same place."""
    open_judge: OpenJudge | None = None
    """Opens what predicts with a run's texts, for the gate on usefulness."""

    def run(self, executor: Executor, tell: Tell = lambda event, what: None) -> dict[str, Any]:
        """Write, check and publish; the manifest of the version."""
        with only_writer(self.place, self.wait) as holder:
            end_forgetting(self.place)
            versions = Versions(self.place)
            plan = self._plan(versions, tell)
            manifest = versions.manifest(plan.version)
            if manifest is None:
                high_water = self._deal(plan, tell)
                self._write(plan, executor, tell)
                manifest = self._finish(plan, versions, high_water, tell)
            return self._publish(plan, manifest, versions, holder, tell)

    def _plan(self, versions: Versions, tell: Tell) -> VersionPlan:
        """The plan to go on with, or a new one, put down."""
        unfinished = versions.unfinished()
        if self.resume:
            if unfinished is None:
                raise WriteError(f"{self.place.url} holds no unfinished version to resume: leave --resume out")
            tell("resumed", {"version": unfinished.version})
            return unfinished
        run = RunView.open(self.run_folder)
        asked = WritingRequest.of(self.settings, run)
        base = find_earlier_version(versions, run, asked, self.settings) if self.only_changed else None
        started = int(time.time()) if self.started is None else self.started
        plan = VersionPlan(
            version=versions.next_name(),
            started=started,
            now=started if self.now is None else self.now,
            shards=1 if base is None else base.shards,
            run=str(self.run_folder.resolve()),
            run_fingerprint=run.fingerprint,
            log_fingerprint=_plain(fingerprint(self.log, run.recipe.source)),
            tables={},
            **asked._asdict(),
            settings=self.settings,
            only="changed" if self.only_changed else "all",
            base=None if base is None else base.version,
        )
        if unfinished is not None:
            like = plan.model_copy(
                update={name: getattr(unfinished, name) for name in ("shards", "tables", "middle_decade")}
            )
            if unfinished.same_job(like) and (self.now is None or self.now == unfinished.now):
                tell("resumed", {"version": unfinished.version})
                return unfinished
        # All that needs the log is decided while it is open, in `_deal`; the name is taken now.
        tell("begun", {"version": plan.version, "base": plan.base})
        return plan

    def _deal(self, plan: VersionPlan, tell: Tell) -> int:
        """Deal the log into the shards' files and put down what workers need; the newest time in the log."""
        inputs = read_inputs(self.place, plan)
        if inputs is not None:
            return int(inputs["high_water"])
        begin = time.monotonic()
        run = RunView.open(Path(plan.run))
        with (
            tempfile.TemporaryDirectory(prefix="trackrec-") as scratch,
            open_log(self.log, run.recipe.source, Path(scratch)) as log,
        ):
            items = run.catalogue(log.items)
            decade = Catalogue(items.select("item_id", "title", *_known(items, "year", "genres"))).middle_decade
            shards = plan.shards if plan.base else self.settings.shards or self._shards(log.rows)
            told = {"shards": shards, "tables": log.tables.model_dump(mode="json"), "middle_decade": decade}
            plan = VersionPlan.model_validate(plan.model_dump() | told)
            same_decade(Versions(self.place), plan)
            self.place.write_json(f"versions/{plan.version}/plan.json", plan.model_dump(mode="json"))
            dealt = partition_log(log.rows, shards, self.place, plan.work, forgotten_at(self.place, Path(plan.run)))
            empty = log.rows.limit(1).collect().clear()
        _put_table(self.place, f"{plan.work}/empty.parquet", empty)
        _put_table(self.place, f"{plan.work}/items.parquet", items)
        recipe = run.recipe.model_dump(mode="json")
        inputs = {"recipe": recipe, "high_water": dealt["high_water"], "rows": dealt["rows"]}
        self.place.write_json(f"{plan.work}/inputs.json", inputs)
        seconds = round(time.monotonic() - begin, 2)
        tell("dealt", {"rows": dealt["rows"], "shards": plan.shards, "seconds": seconds})
        return int(dealt["high_water"])

    def _shards(self, rows: pl.LazyFrame) -> int:
        users = rows.select(pl.col("user_id").approx_n_unique()).collect(engine="streaming").item()
        return max(1, round(int(users) / self.settings.shard_users))

    def _write(self, plan: VersionPlan, executor: Executor, tell: Tell) -> None:
        plan = Versions(self.place).plan(plan.version) or plan
        done = finished(self.place, plan.version, plan.shards)
        seen = Counter[str]()
        folder = f"versions/{plan.version}/shards"
        for shard in sorted(done):
            name = shard_name(shard, plan.shards)
            counts = (part_of(self.place, plan.version, name) or {})["counts"]
            if self.again and counts["failed"]:
                self.place.remove(f"{folder}/{name}.json")
                done.remove(shard)
                continue
            seen.update(users=counts["users"], failed=counts["failed"])
        left = [shard for shard in range(plan.shards) if shard not in done]
        if done:
            tell("found", {"shards": len(done), "left": len(left)})
        for manifest in executor.map(left, ShardWork(self.place.url, plan.version)):
            counts = manifest["counts"]
            seen.update(users=counts["users"], failed=counts["failed"])
            done.add(manifest["shard"])
            tell("shard", {"shards_left": plan.shards - len(done)} | _in_short(manifest))
            self._few_enough(seen, ENOUGH)
        self._few_enough(seen, 1)

    def _few_enough(self, seen: Counter[str], least: int) -> None:
        limit = self.settings.max_rejected
        if seen["users"] >= least and seen["failed"] > limit * seen["users"]:
            raise TooManyRejected(
                f"{seen['failed']} of {seen['users']} users failed, at most {limit:.1%} are allowed (max_rejected): "
                f"the reasons are in versions/*/rejected at {self.place.url}. Mend the cause, and start with --again"
            )

    def _finish(self, plan: VersionPlan, versions: Versions, high_water: int, tell: Tell) -> dict[str, Any]:
        """The manifest, put last of all a version's files."""
        plan = versions.plan(plan.version) or plan
        folder = f"versions/{plan.version}"
        read = [part_of(self.place, plan.version, shard_name(number, plan.shards)) for number in range(plan.shards)]
        lost = [number for number, part in enumerate(read) if part is None]
        if lost:
            raise WriteError(f"shards {lost[:5]} of version {plan.version} are not there: start again")
        parts = [part for part in read if part is not None]
        counts, reasons, seconds = Counter[str](), Counter[str](), Counter[str]()
        for part in parts:
            counts.update(part["counts"] | {"rows": part["rows"], "rejected": part["rejected"], "bytes": part["bytes"]})
            reasons.update(part["reasons"])
            seconds.update(part["core_seconds_by_step"])
        current = versions.current()
        before = versions.manifest(current) if current else None
        shards = [{key: part[key] for key in LISTED if key in part} for part in parts]
        recipe = WritingRecipe.model_validate(read_inputs(self.place, plan)["recipe"])
        useful = usefulness_gate(self.place, plan, shards, before, recipe, self.gates, self.open_judge)
        passed, gates = pass_gates(counts, before["counts"] if before else None, self.gates, useful)
        projection = self._put_projection(plan)
        manifest = {
            "version": plan.version,
            "created": int(time.time()),
            "started": plan.started,
            "run": plan.run,
            "run_fingerprint": plan.run_fingerprint,
            "generator": plan.writer,
            "generator_hash": plan.run_fingerprint.get("generator") if plan.writer == TORCH else None,
            "encoder": plan.encoder,
            "prompt_hash": hashlib.sha256(as_json(recipe.prompts.model_dump(mode="json"))).hexdigest()[:16],
            "cards_hash": plan.run_fingerprint.get("tables/items.parquet"),
            "projection": projection,
            "projection_note": "" if projection else "the run has no saved projection: vectors are the encoder's own",
            "high_water": high_water,
            "now": plan.now,
            "only": plan.only,
            "base": plan.base,
            "counts": dict(sorted(counts.items())),
            "reasons": dict(sorted(reasons.items())),
            "core_seconds": {step: round(value, 2) for step, value in sorted(seconds.items())},
            "peak_gb": max((part.get("peak_gb") or 0.0) for part in parts),
            "gates": {"passed": passed, "gates": gates},
            "cost": {
                "prompt_tokens": counts["prompt_tokens"],
                "completion_tokens": counts["completion_tokens"],
                "core_seconds": round(sum(part["core_seconds"] for part in parts), 2),
            },
            "columns": {"user_id": _type_of(self.place, plan)},
            "shards": shards,
        }
        self.place.create_json(f"{folder}/manifest.json", manifest)
        return versions.manifest(plan.version) or manifest

    def _put_projection(self, plan: VersionPlan) -> str | None:
        path = Path(plan.run) / PROJECTION
        if not plan.run_fingerprint.get(PROJECTION):
            return None
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / PROJECTION
            shutil.copyfile(path, copy)
            self.place.upload(copy, f"versions/{plan.version}/{PROJECTION}")
        beside = projection_note(path)
        if beside is not None:
            self.place.write_json(f"versions/{plan.version}/projection.json", beside)
        return PROJECTION

    def _publish(
        self, plan: VersionPlan, manifest: dict[str, Any], versions: Versions, holder: Holder, tell: Tell
    ) -> dict[str, Any]:
        name = plan.version
        passed = bool(manifest["gates"]["passed"])
        if passed:
            holder.check()
            versions.point(name)
        self.place.remove(plan.work)
        self.place.clear_partial()  # whatever was killed while it was put has been put again, whole
        if not passed:
            says = "; ".join(gate["says"] for gate in manifest["gates"]["gates"] if not gate["passed"])
            tell("refused", {"version": name, "says": says, "current": versions.current()})
            raise GateError(
                f"version {name} is written, not published: {says}. Readers keep {versions.current() or 'nothing'}. "
                f"Look at it, and publish it all the same with: trackrec rollback {self.place.url} --to {name} --force"
            )
        dropped = versions.keep(self.settings.keep_versions)
        tell("published", {"version": name, "counts": manifest["counts"], "dropped": dropped})
        return manifest


def _put_table(place: Place, name: str, table: pl.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "table.parquet"
        table.write_parquet(file)
        place.upload(file, name)


def _type_of(place: Place, plan: VersionPlan) -> str:
    return str(place.read_table(f"{plan.work}/empty.parquet").schema["user_id"])


def _known(table: pl.DataFrame, *names: str) -> list[str]:
    return [name for name in names if name in table.columns]


def _in_short(manifest: dict[str, Any]) -> dict[str, Any]:
    kept = {"name", "rows", "rejected", "bytes", "core_seconds", "seconds_all", "peak_gb"}
    carried = manifest["counts"].get("carried")
    return {key: value for key, value in manifest.items() if key in kept} | ({"carried": carried} if carried else {})


def _plain(value: Any) -> Any:
    """As JSON gives it back, so that a plan equals the one that was put down."""
    import json

    return json.loads(json.dumps(value, default=str))
