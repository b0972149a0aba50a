"""All that TrackRec works with, tried for real: ``python examples/integrations [NAME ...]`` (``make integrations``).

Each library gets an environment of its own under ``.peers/``, with the versions named below, and does there what its
user would do: load an export and train a small model on it, keep the figures of a run, serve the vectors. What it read
is compared with what was written. What shares TrackRec's own process (TRL, Delta, Iceberg, Redis, Ray) is tried by the
tests, in an environment with the newest versions in place of the pinned ones. ``--docs`` writes the results into
docs/integrations.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "integrations.md"
TORCH = "torch==2.13.0"
OURS = ("--editable", f"{ROOT}[all,testing]", TORCH, "trl==1.16.0", "pyiceberg[sql-sqlite]", "hypothesis")
LANGUAGE_MODEL = (
    "sampling",
    "generator",
    "scoring",
    "training",
    "tree",
    "tree_attention",
    "lm_validator",
    "model",
    "engine_torch",
)


@dataclass(frozen=True)
class Check:
    """One library and how it is tried."""

    package: str
    """Its name on the index, whose version is reported."""
    requires: tuple[str, ...]
    """What is installed into its environment."""
    did: str
    """What is done, for the table."""
    form: str = ""
    """The export that ``script`` is run in; empty: it is given the run's folder."""
    script: str = ""
    """A file in this folder, run by the environment's Python; its last line is what it found, as JSON."""
    tests: tuple[str, ...] = ()
    """Arguments of pytest: run in the environment, or beside it where it has no TrackRec."""
    environment: str = ""
    """Name of an environment that several share."""


CHECKS = {
    "parquet": Check(
        "pyarrow",
        ("pyarrow==25.0.0",),
        "reads `export --format parquet`; rows, columns and gaps are those of `schema.json`",
        form="parquet",
        script="parquet_export.py",
    ),
    "huggingface": Check(
        "datasets",
        ("datasets==5.2.0",),
        "`load_dataset` of `export --format huggingface`; no user in two splits, vectors of one length",
        form="huggingface",
        script="huggingface_export.py",
    ),
    "fuxictr": Check(
        "fuxictr",
        ("fuxictr==2.3.10", TORCH),
        "builds its data set of `export --format fuxictr`, looks up every vector as it was written, trains 20 steps",
        form="fuxictr",
        script="fuxictr_export.py",
    ),
    "recbole": Check(
        "recbole",
        # RecBole 1.2.1 dislikes NumPy 2; with pandas 3 its filling of empty fields no longer happens in place.
        ("recbole==1.2.1", "numpy<2", "pandas<3", TORCH),
        "reads `export --format recbole`, every vector as it was written, trains DeepFM for an epoch",
        form="recbole",
        script="recbole_export.py",
    ),
    "torch-rechub": Check(
        "torch-rechub",
        ("torch-rechub==0.9.0", TORCH, "pyarrow==25.0.0"),
        "trains Wide & Deep for an epoch on `export --format parquet`, with the vectors as dense features",
        form="parquet",
        script="torch_rechub_export.py",
    ),
    "mlflow": Check(
        "mlflow",
        ("mlflow==3.17.2",),
        "keeps settings, figures and report of a run; what it gives back is what `metrics.json` says",
        script="mlflow_run.py",
    ),
    "trackio": Check(
        "trackio",
        ("trackio==0.43.0",),
        "keeps the settings and the figures of a run, round by round",
        script="trackio_run.py",
    ),
    "feast": Check(
        "feast",
        ("feast==0.67.0",),
        "`feast apply` on `store feast`, values into the online store, one person's vector read as it was published",
        tests=("tests/test_feast.py",),
    ),
    "transformers": Check(
        "transformers",
        OURS,
        "the newest one in place of the pinned one: writing, scoring and training equal plain passes of the model",
        tests=tuple(f"tests/test_{name}.py" for name in LANGUAGE_MODEL),
        environment="ours",
    ),
    "trl": Check(
        "trl",
        OURS,
        "softmax-DPO as a Trainer: with one rejected text a row it learns, step for step, as TRL's `DPOTrainer` does",
        tests=("tests/test_softmax_dpo_trainer.py",),
        environment="ours",
    ),
    "delta": Check(
        "deltalake",
        OURS,
        "`write` from a Delta table gives what it gives from Parquet",
        tests=("tests/test_writing.py", "-k", "delta"),
        environment="ours",
    ),
    "iceberg": Check(
        "pyiceberg",
        OURS,
        "`write` from an Iceberg table gives what it gives from Parquet",
        tests=("tests/test_writing.py", "-k", "iceberg"),
        environment="ours",
    ),
    "redis": Check(
        "redis",
        OURS,
        "the store on a real Redis server: the suite of all stores; slow, stopped and started again",
        tests=("tests/test_stores.py", "tests/test_service_stores.py", "-k", "redis or Redis"),
        environment="ours",
    ),
    "ray": Check(
        "ray",
        OURS,
        "`write --executor ray`, killed workers included, gives the bits that one process gives",
        tests=("tests/test_writing_ray.py",),
        environment="ours",
    ),
}


def python_of(name: str, check: Check) -> Path:
    """The interpreter of a check's environment, which is made if it is missing."""
    folder = ROOT / ".peers" / (check.environment or name)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (folder / ".installed").is_file():
        print(f"Setting up {folder} (some minutes) ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        subprocess.run([*pip, "--only-binary", ":all:", *check.requires], check=True)
        (folder / ".installed").touch()
    return python


def found_by(name: str, check: Check, run: Path, out: Path) -> dict[str, object]:
    """Do what a check does, and return what it found.

    Raises:
        RuntimeError: it failed; the message is the end of what it printed.
    """
    python = python_of(name, check)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "RAY_DEDUP_LOGS": "0"}
    where = ROOT
    if check.tests:
        tester = python if check.environment else Path(sys.executable)
        environment |= {f"TRACKREC_{name.upper()}": str(python)}
        command = [str(tester), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "slow or not slow", *check.tests]
    else:
        command = [str(python), str(Path(__file__).with_name(check.script))]
        if check.form:
            from trackrec.export import export_run

            where = out / name
            export_run(run, check.form, where)
        else:
            command += [str(run.resolve()), str((out / name).resolve())]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    last = done.stdout.strip().splitlines()[-1]
    if not check.tests:
        return dict(json.loads(last))
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|skipped)", last)}
    if not counts.get("passed") or counts.get("skipped"):
        raise RuntimeError(f"a check must not skip: {last}\n{done.stdout[-3000:]}")
    return {"tests passed": counts["passed"]}


def version(python: Path, package: str) -> str:
    """The version that is installed in an environment."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def write_page(results: dict[str, list[str]]) -> None:
    """Put the rows into the table of the page; rows of other checks stay."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for name, cells in results.items():
        row = f"| {' | '.join([name, *cells])} |"
        place = next(number for number, line in enumerate(lines) if line.startswith(f"| {name} |"))
        lines[place] = row
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Try them, one after another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CHECKS)}; none: all")
    parser.add_argument(
        "--run", type=Path, default=ROOT / "runs" / "integrations", help="a finished run; made if missing"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "integrations")
    parser.add_argument("--keep", action="store_true", help="leave the environments there (.peers/, about 1 GB each)")
    parser.add_argument("--docs", action="store_true", help="write the results into docs/integrations.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(CHECKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    names = arguments.names or list(CHECKS)
    if not (arguments.run / "report" / "index.html").is_file() and any(not CHECKS[name].tests for name in names):
        command = [sys.executable, "-m", "trackrec.cli", "demo", "--quick", "--out", str(arguments.run)]
        subprocess.run(command, cwd=ROOT, check=True)
    results, failed = {}, []
    for place, name in enumerate(names):
        check = CHECKS[name]
        try:
            found = found_by(name, check, arguments.run, arguments.out)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            failed.append(name)
            print(f"{name}: FAILED\n{error}", file=sys.stderr, flush=True)
            continue
        used = version(python_of(name, check), check.package)
        told = ", ".join(f"{key} {value}" for key, value in found.items())
        day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        results[name] = [f"{check.package} {used}", check.did, told, day]
        print(f"{name}: {check.package} {used}: {told}", flush=True)
        folder = check.environment or name
        if not arguments.keep and folder not in {CHECKS[later].environment for later in names[place + 1 :]}:
            shutil.rmtree(ROOT / ".peers" / folder, ignore_errors=True)
    if arguments.docs:
        write_page(results)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
