"""Each export, loaded by the library that it is for: ``python examples/load_exports.py RUN [FORMAT ...]``.

Parquet is read by pyarrow and Hugging Face's form by ``datasets`` (part of the development tools). FuxiCTR brings ray
and RecBole wants NumPy 1, so each of the two gets an environment of its own under ``.peers/``, made on first use.
What is loaded is compared with the run's own tables; with FuxiCTR (on a thousand examples of each part) and
RecBole (on all) a small model is then trained for an epoch, with the vectors in its input.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = {
    "fuxictr": ["fuxictr==2.3.10", "torch==2.13.0"],
    # RecBole 1.2.1 dislikes NumPy 2; with pandas 3 its filling of empty fields no longer happens in place.
    "recbole": ["recbole==1.2.1", "numpy<2", "pandas<3", "torch==2.13.0"],
}


def peer_python(name: str) -> Path:
    """The interpreter of a library's own environment, which is made if it is missing."""
    folder = ROOT / ".peers" / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (folder / ".installed").is_file():
        print(f"Setting up {folder} (once, some minutes) ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run([*pip, *PEERS[name]], check=True)
        (folder / ".installed").touch()
    return python


def load_parquet(folder: Path) -> dict[str, object]:
    """Read by pyarrow, and held against the schema that was written beside it."""
    import pyarrow.parquet as pq

    schema = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    rows = {}
    for name, said in schema.items():
        table = pq.read_table(folder / f"{name}.parquet")
        assert table.num_rows == said["rows"]
        assert table.column_names == list(said["columns"])
        for column, about in said["columns"].items():
            assert table.column(column).null_count == about["missing"], column
        rows[name] = table.num_rows
    return rows


def load_huggingface(folder: Path) -> dict[str, object]:
    """Read by ``datasets.load_dataset``."""
    from datasets import load_dataset

    examples = load_dataset(str(folder), "examples")
    users = load_dataset(str(folder), "users", split="train")
    parts = {name: set(part["user_id"]) for name, part in examples.items()}
    assert not parts["train"] & parts["test"], "a user is on both sides"
    wide = {len(vector) for vector in users["reccot_vector"] if vector is not None}
    return {**{name: len(part) for name, part in examples.items()}, "users": len(users), "vector": sorted(wide)}


def load_with_peer(name: str, folder: Path) -> dict[str, object]:
    """Run the script of that library in its own environment; it prints what it found as JSON."""
    script = Path(__file__).with_name(f"load_{name}.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_DEDUP_LOGS": "0"}
    done = subprocess.run(
        [peer_python(name), script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{name} could not load {folder}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Export and load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("formats", nargs="*", default=["parquet", "huggingface", "fuxictr", "recbole"])
    parser.add_argument("--out", type=Path, default=Path("out/exports"))
    arguments = parser.parse_args()
    from trackrec.export import export_run

    for form in arguments.formats:
        folder = arguments.out / form
        written = export_run(arguments.run, form, folder)
        own = {"parquet": load_parquet, "huggingface": load_huggingface}
        found = own[form](folder) if form in own else load_with_peer(form, folder)
        print(form, json.dumps({"written": written["counts"], "loaded": found}), flush=True)


if __name__ == "__main__":
    main()
