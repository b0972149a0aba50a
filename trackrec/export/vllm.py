"""Generator and validator of a run, ready to be served by vLLM: the weights, the command line, who uses them how."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import yaml
from transformers import AutoConfig, AutoTokenizer

from trackrec.assets import resolve_language_model
from trackrec.errors import RunError
from trackrec.files.manifests import as_written
from trackrec.files.shards import link
from trackrec.judges.lm import LMValidatorSettings
from trackrec.lm.model import adapter_hash
from trackrec.lm.settings import remote_code_is_trusted
from trackrec.progress import Reporter
from trackrec.prompts.lengths import PromptLengths
from trackrec.prompts.renderer import Renderer
from trackrec.recipe import Recipe, load_recipe
from trackrec.run import Run

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM takes as `--max-lora-rank`."""
MARGIN, STEP = 1.25, 256
"""Prompts of users to come may be longer than those of the run: so much is added, up to the next full step."""
USERS = 5000
"""Of at most so many users the prompts are made to see how long they are."""
PORT = 8000
"""Of the server; whole models have a server each, the validator's at the next port."""

_SERVE = """#!/bin/sh
# Serves generator and validator of the run {name!r} as LoRA adapters of their base model, with vLLM.
# What is added to the command is given to vLLM, such as: ./serve.sh --port 8001
cd "$(dirname "$0")" || exit 1
exec vllm serve {base} --host 127.0.0.1 \\
  --enable-lora --max-lora-rank {rank} --max-loras {loras} --lora-modules {modules} \\
  --max-model-len {length} --max-logprobs 20 --dtype {dtype} --generation-config vllm "$@"
"""
_SERVE_WHOLE = """#!/bin/sh
# Serves the {role} of the run {name!r}, a whole model, with vLLM.
# What is added to the command is given to vLLM, such as: ./serve-{role}.sh --gpu-memory-utilization 0.4
cd "$(dirname "$0")" || exit 1
exec vllm serve "$PWD/{role}" --served-model-name {model} --host 127.0.0.1 --port {port} \\
  --max-model-len {length} --max-logprobs 20 --dtype {dtype} --generation-config vllm "$@"
"""
_ENGINES = """# Writing for everybody through the served generator: trackrec write --run RUN --to PLACE --engine {file}
# consent: true lets the prompts (titles and ratings of users) go to base_url.
"""
_JUDGE = """# Part of a recipe: the served validator as judge of a run. Whom it was tuned on stands in the manifests of
# the run that it comes from; it must not judge them.
# consent: true lets the prompts (titles, ratings and texts of users) go to base_url.
# concurrency 1: vLLM 0.32 on CPUs dies of several answers scored at once on a LoRA adapter (docs/engines.md).
"""


class Served(NamedTuple):
    """An adapter, or a whole model, that leaves."""

    role: str
    """The folder's name in the run, and in the export."""
    name: str
    """What the endpoint calls it. The weights' hash is part of it: answers are kept under the model's name, and those
    of another generator at the same address must not be taken for this one's."""
    rank: int | None
    """Of the adapter; None: a whole model."""


def write_vllm(run_folder: Path, out: Path) -> dict[str, Any]:
    """Write ``generator/``, ``validator/`` (if it is a language model), ``serve.sh``, ``engines.yaml`` and
    ``judge.yaml`` into an empty folder. Of a run that tuned all weights both are whole models, with a script each.

    Returns:
        ``base, models, max_model_len`` and ``counts``.

    Raises:
        RunError: no finished run with adapters there, or an adapter that vLLM cannot take.
    """
    recipe = load_recipe(run_folder / "recipe.yaml")
    base = resolve_language_model(recipe.model.name)
    served = [_copy(run_folder, out, role, base) for role in ("generator", "validator")]
    found = [adapter for adapter in served if adapter is not None]
    if not found or found[0].role != "generator":
        raise RunError(
            f"{run_folder} holds no adapter of a promoted generator (generator/adapter_config.json), and no whole "
            "model: expected a finished run"
        )
    renderer = _renderer(run_folder, recipe, base)
    length = _longest(run_folder, recipe, base, renderer)
    for name, script in _scripts(found, recipe, base, length).items():
        (out / name).write_text(script, encoding="utf-8")
        (out / name).chmod(0o755)
    engines: dict[str, Any] = {
        "engines": [_engine(found[0], PORT) | {"extra_body": {"stop_token_ids": renderer.stop_ids}}],
        "prompts": "generator",
        "decoding": recipe.loop.writing.model_dump(mode="json"),
    }
    (out / "engines.yaml").write_text(_ENGINES.format(file="engines.yaml") + _dump(engines), encoding="utf-8")
    if len(found) > 1:
        prior = recipe.judge.item_prior if isinstance(recipe.judge, LMValidatorSettings) else None
        engine = _engine(found[1], PORT + (found[1].rank is None)) | {"concurrency": 1}
        judge = {"type": "served", "engine": engine, "item_prior": prior}
        (out / "judge.yaml").write_text(_JUDGE + _dump({"judge": judge}), encoding="utf-8")
    models = {adapter.role: adapter.name for adapter in found}
    return {"base": base, "models": models, "max_model_len": length, "counts": {"adapters": len(found)}}


def _scripts(found: list[Served], recipe: Recipe, base: str, length: int) -> dict[str, str]:
    """The command lines, by file name: one for all adapters, or one for each whole model."""
    common = {"name": recipe.name, "length": length, "dtype": recipe.model.dtype}
    ranks = [model.rank for model in found if model.rank is not None]
    if not ranks:
        return {
            f"serve-{model.role}.sh": _SERVE_WHOLE.format(
                role=model.role, model=model.name, port=PORT + place, **common
            )
            for place, model in enumerate(found)
        }
    modules = " ".join(f'{adapter.name}="$PWD/{adapter.role}"' for adapter in found)
    rank = next(rank for rank in RANKS if rank >= max(ranks))
    told = {"base": shlex.quote(base), "rank": rank, "loras": len(found), "modules": modules}
    return {"serve.sh": _SERVE.format(**common, **told)}


def _copy(run_folder: Path, out: Path, role: str, base: str) -> Served | None:
    """Copy an adapter, with the base model named as vLLM finds it, or a whole model; None: the run's is neither."""
    source, target = as_written(run_folder, run_folder / role), out / role
    if (source / "config.json").is_file():
        shutil.copytree(source, target, copy_function=link)  # tens of gigabytes: a second name where that can be
        return Served(role, f"{role[0]}-{adapter_hash(source)[:8]}", None)
    if not (source / "adapter_config.json").is_file():
        return None
    config = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
    if config["r"] > RANKS[-1]:
        raise RunError(f"{source} has rank {config['r']}, and vLLM serves {RANKS[-1]} at most: merge it into the base "
                       "model, or tune with a smaller adapter.rank")  # fmt: skip
    target.mkdir()
    for name in ("adapter_model.safetensors", "README.md"):
        shutil.copyfile(source / name, target / name)
    config["base_model_name_or_path"] = base
    (target / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    return Served(role, f"{role[0]}-{adapter_hash(source)[:8]}", int(config["r"]))


def _renderer(run_folder: Path, recipe: Recipe, base: str) -> Renderer:
    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=remote_code_is_trusted())
    items = Run(run_folder, Reporter(), recipe.seed, reading=True).read("items")
    return Renderer(tokenizer, items, recipe.prompts, profile=recipe.profile)


def _longest(run_folder: Path, recipe: Recipe, base: str, renderer: Renderer) -> int:
    """Tokens that a prompt and its answer may take, for ``--max-model-len``: never more than the model reads."""
    run = Run(run_folder, Reporter(), recipe.seed, reading=True)
    histories, targets = run.read("histories"), run.read("examples").select("item_id", "raters", "likes").unique()
    lengths = PromptLengths(renderer)
    writes = int(lengths.generator_prompts(histories)["tokens"].max()) + recipe.loop.writing.max_new_tokens  # type: ignore[arg-type]
    users = histories["user_id"].unique(maintain_order=True).head(USERS)
    some = histories.filter(pl.col("user_id").is_in(users)).partition_by("user_id", maintain_order=True)
    prefix = max(len(renderer.validator_prefix(part.sort("position").to_dicts())) for part in some)
    reccot = len(renderer.reccot_segment("")) + recipe.prompts.reccot_tokens
    target = int(lengths.target_segments(targets).max())  # type: ignore[arg-type]
    reads = prefix + reccot + target + max(map(len, renderer.answers))
    wanted = STEP * -(-int(MARGIN * max(writes, reads)) // STEP)
    config = AutoConfig.from_pretrained(base, trust_remote_code=remote_code_is_trusted()).get_text_config()
    return min(wanted, int(getattr(config, "max_position_embeddings", None) or wanted))


def _engine(served: Served, port: int) -> dict[str, Any]:
    """The settings of the engine ``openai`` for what is served."""
    return {
        "type": "openai",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "model": served.name,
        "server": "vllm",
        "consent": False,
        "api_key_env": "",
    }


def _dump(tree: dict[str, Any]) -> str:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
