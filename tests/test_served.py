"""Generator and validator leave a run, are served by a real server, and write and judge as they do in this process."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from llama_server import KEY, LlamaServer, llama_server
from made_gguf import write_gguf
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.data.roles import Role
from trackrec.engines.base import Decoding, GenerateRequest
from trackrec.errors import RunError
from trackrec.export import export_run
from trackrec.judges.lm import LMValidator, LMValidatorSettings
from trackrec.judges.served import ServedValidator, ServedValidatorSettings
from trackrec.lm.model import LanguageModel, adapter_hash
from trackrec.lm.training import TrainingSettings
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import Dataset, prepare
from trackrec.pipeline.job import open_run, run_recipe
from trackrec.progress import Reporter
from trackrec.recipe import make_recipe
from trackrec.registry import make, settings_of
from trackrec.report import write_report
from trackrec.writing.engine_pool import read_engines
from trackrec.writing.engine_writer import EngineWriter
from trackrec.writing.writers import TorchWriter
from trackrec.writing.writing_recipe import WritingRecipe

LONG = 40
"""Most tokens of a text here."""
PRIOR = 30.0
"""So much that the counts weigh little beside what the model says."""


class Served:
    """A run whose adapters are drawn at random, its export, and a local model with both adapters."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.out = folder / "run", folder / "out"
        tree = tiny_recipe(model, write_tiny_log(folder / "log")).model_dump(mode="json")
        tree["prompts"]["reccot_tokens"] = tree["loop"]["writing"]["max_new_tokens"] = LONG
        tree["judge"]["item_prior"] = PRIOR
        self.recipe = make_recipe(tree)
        run = open_run(self.recipe, self.folder, Reporter())
        self.dataset: Dataset = prepare(self.recipe, run)
        self.components = Components(self.recipe, run, self.dataset)
        self.model: LanguageModel = self.components.model
        self.model.add("generator", 1)
        chance = torch.Generator().manual_seed(1)
        for name, weight in self.model.peft.named_parameters():
            if "lora_B.generator" in name:
                weight.data.normal_(0, 0.1, generator=chance)
        self.model.save("generator", self.folder / "generator")
        # A server tells its most likely tokens: the validator must have learnt to answer.
        users = self.dataset.users(Role.LM)
        texts = pl.DataFrame({"user_id": users, "text": ["They like old dramas."] * len(users)})
        texts = texts.cast({"user_id": self.dataset.roles.schema["user_id"]})
        training = TrainingSettings(learning_rate=0.02, epochs=3, trees_per_step=1)
        judge = self.judge(LMValidatorSettings(training=training))  # over the whole vocabulary, not given the counts
        judge.fit(self.dataset.targets_of(users), texts, self.folder / "validator", 0)
        for role in ("generator", "validator"):
            (self.folder / role / "README.md").write_text("made up\n")
        self.written = export_run(self.folder, "vllm", self.out)

    def judge(self, settings: LMValidatorSettings) -> LMValidator:
        return LMValidator(self.model, "validator", self.components.renderer, self.dataset.history_rows, settings)

    def gguf(self, role: str) -> Path:
        return write_gguf(self.model.merged(role), Path(self.recipe.model.name), self.out.parent / f"{role}.gguf")


@pytest.fixture(scope="module")
def served(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(tmp_path_factory.mktemp("served"), tiny_model_folder)


def test_what_the_export_holds(served: Served, tiny_model_folder: Path) -> None:
    names = {role: f"{role[0]}-{adapter_hash(served.folder / role)[:8]}" for role in ("generator", "validator")}
    assert served.written["models"] == names
    for role in names:
        config = json.loads((served.out / role / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == str(tiny_model_folder)
        ours, theirs = (folder / role / "adapter_model.safetensors" for folder in (served.folder, served.out))
        assert ours.read_bytes() == theirs.read_bytes()
    script = (served.out / "serve.sh").read_text()
    assert subprocess.run(["sh", "-n", str(served.out / "serve.sh")], check=False).returncode == 0
    words = shlex.split(script.partition("exec ")[2].replace("\\\n", ""))
    assert words[:3] == ["vllm", "serve", str(tiny_model_folder)]
    given = {words[place]: words[place + 1] for place, word in enumerate(words[:-1]) if word.startswith("--")}
    assert given["--max-lora-rank"] == "8", "vLLM has no 4"
    assert given["--dtype"] == "float32"
    assert given["--lora-modules"] == f"{names['generator']}=$PWD/generator"
    longest = served.components.renderer.generator_prompt
    prompts = [len(longest(served.dataset.history_rows[user])) for user in served.dataset.roles["user_id"]]
    assert max(prompts) + LONG <= int(given["--max-model-len"]) <= 1024
    engine = yaml.safe_load((served.out / "engines.yaml").read_text())["engines"][0]
    assert engine["consent"] is False, "nothing leaves until somebody says so"
    assert engine["model"] == names["generator"]
    judge = yaml.safe_load((served.out / "judge.yaml").read_text())["judge"]
    assert judge["engine"]["model"] == names["validator"]
    assert judge["engine"]["concurrency"] == 1


def test_runs_without_adapters_are_refused(served: Served, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no recipe\.yaml"):
        export_run(tmp_path, "vllm", tmp_path / "out")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "recipe.yaml").write_text((served.folder / "recipe.yaml").read_text())
    with pytest.raises(RunError, match="no adapter of a promoted generator"):
        export_run(bare, "vllm", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def generator(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    with llama_server(tmp_path_factory.mktemp("g") / "log", gguf=served.gguf("generator")) as running:
        yield running


@pytest.fixture(scope="module")
def validator(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    with llama_server(tmp_path_factory.mktemp("v") / "log", gguf=served.gguf("validator")) as running:
        yield running


def at(server: LlamaServer, engine: dict[str, Any], cache: Path) -> dict[str, Any]:
    """The settings of an exported engine for llama.cpp at another address."""
    return engine | {
        "base_url": server.base_url,
        "server": "llama.cpp",
        "consent": True,
        "api_key_env": "LLAMA_KEY",
        "cache": str(cache),
        "concurrency": 1,
        "top_log_probabilities": 100,
        "extra_body": {"cache_prompt": False},
    }


@pytest.mark.slow
def test_the_served_generator_writes_what_the_local_one_writes(
    served: Served, generator: LlamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_KEY", KEY)
    told = WritingRecipe.read(served.folder / "recipe.yaml")
    tree = read_engines(served.out / "engines.yaml")[0]
    tree["engines"] = [at(generator, tree["engines"][0], tmp_path / "answers")]
    users = served.dataset.users(Role.RANKER)[:8]
    histories = served.dataset.history_rows.frame(users)
    remote = EngineWriter(served.dataset.items, told, [tree])
    found = remote.write(histories)
    expected = TorchWriter(served.dataset.items, told, served.folder / "generator").write(histories)
    assert found.select("user_id", "text", "reason").equals(expected.select("user_id", "text", "reason"))
    # Of noise only the sentences that ended are kept; the engine's own words are compared whole.
    engine = make("engine", settings_of("engine", tree["engines"][0]))
    prompts = [served.components.renderer.generator_prompt(served.dataset.history_rows[user]) for user in users]
    asked = [GenerateRequest(token_ids=tuple(ids)) for ids in prompts]
    answers = engine.generate(asked, 1, Decoding(temperature=0, max_new_tokens=LONG))
    rows = served.components.generator.writer("generator").write(users, 1, served.recipe.loop.writing, 0)
    assert [group[0].text for group in answers] == rows["text"].to_list()
    assert rows["text"].n_unique() > 4


@pytest.mark.slow
def test_the_served_validator_judges_as_the_local_one(
    served: Served, validator: LlamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_KEY", KEY)
    tree = yaml.safe_load((served.out / "judge.yaml").read_text())["judge"]
    assert tree["item_prior"] == PRIOR
    tree["engine"] = at(validator, tree["engine"], tmp_path / "answers")
    settings = ServedValidatorSettings.model_validate(tree)
    components, users = served.components, served.dataset.users(Role.LM_VALIDATION)
    remote = ServedValidator(
        make("engine", settings.engine), components.renderer, served.dataset.history_rows, settings
    )
    texts = pl.DataFrame(
        {"user_id": users * 2, "sample": [0] * len(users) + [-1] * len(users),
         "text": ["They like old dramas."] * len(users) + [None] * len(users)},
        schema={"user_id": served.dataset.roles.schema["user_id"], "sample": pl.Int16, "text": pl.String},
    )  # fmt: skip
    targets = served.dataset.targets_of(users)
    found = remote.score(targets, texts)
    expected = served.judge(LMValidatorSettings(item_prior=PRIOR)).score(targets, texts)
    assert found.drop("yes_probability").equals(expected.drop("yes_probability"))
    off = np.abs(found["yes_probability"].to_numpy() - expected["yes_probability"].to_numpy())
    assert off.max() < 1e-4
    assert expected["yes_probability"].std() > 0.01, "they differ, so that a mistake would show"
    remote.fit(targets, texts, tmp_path / "judge", 0)
    remote.load(tmp_path / "judge")
    (tmp_path / "judge" / "served.json").write_text('{"engine": "another"}')
    with pytest.raises(RunError, match="judged by the engine another"):
        remote.load(tmp_path / "judge")


def test_the_turns_say_what_the_tokens_say(served: Served) -> None:
    renderer, user = served.components.renderer, served.dataset.users(Role.LM)[0]
    target = served.dataset.targets_of([user]).row(0, named=True)
    asked = (target["item_id"], target["raters"], target["likes"])
    history = served.dataset.history_rows[user]
    text = "They like old dramas."
    system, told = renderer.validator_turns(history, text, *asked)
    ids = renderer.validator_prefix(history) + renderer.reccot_segment(text) + renderer.target_segment(*asked)
    shown = renderer._plain._tokenizer.decode(ids)
    assert f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{told}<|im_end|>" in shown


@pytest.mark.slow
def test_a_judge_that_is_asked_in_messages(served: Served) -> None:
    """The engine `torch` is a stranger to this prompt: what is asked and read is what counts."""
    from trackrec.engines.torch import TorchEngine
    from trackrec.testing.component_suites import check_judge

    engine = TorchEngine(model=served.model, adapter="validator")

    def of(world: Any) -> ServedValidator:
        from trackrec.prompts.renderer import Renderer
        from trackrec.users.histories import rows_by_user

        renderer = Renderer(served.model.tokenizer, world.items, served.recipe.prompts)
        settings = ServedValidatorSettings(asks="messages")
        return ServedValidator(engine, renderer, rows_by_user(world.histories), settings)

    check_judge(of, served.folder.parent / "suite", learns=False)


@pytest.mark.slow
def test_a_run_is_judged_by_a_served_validator(
    served: Served, validator: LlamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_KEY", KEY)
    judge = yaml.safe_load((served.out / "judge.yaml").read_text())["judge"]
    tree = served.recipe.model_dump(mode="json")
    tree["judge"] = judge | {"engine": at(validator, judge["engine"], tmp_path / "answers")}
    tree["observer"] = None
    tree["loop"]["rounds"] = 1
    run_recipe(make_recipe(tree), tmp_path / "run")
    tuned = json.loads((tmp_path / "run/manifests/tune-served-1.json").read_text())["counts"]
    assert [tuned[f"fold-{fold}"]["tuned"] for fold in (0, 1)] == [False, False]
    scores = pl.read_parquet(tmp_path / "run/tables/score-served-1.parquet")
    assert scores["yes_probability"].n_unique() > scores.height // 2
    assert write_report(tmp_path / "run").is_file()


def test_whole_models_have_a_server_each(tiny_model_folder: Path, tmp_path: Path) -> None:
    """Of a run that tuned all weights both folders leave as models, and each script serves one under its own name."""
    recipe = tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path / "log"), adapter={"method": "full"})
    folder, out = tmp_path / "run", tmp_path / "out"
    run = open_run(recipe, folder, Reporter())
    model = Components(recipe, run, prepare(recipe, run)).model
    for role in ("generator", "validator"):
        model.add(role, 0)
        model.save(role, folder / role)
    told = export_run(folder, "vllm", out)
    assert set(told["models"]) == {"generator", "validator"}
    assert not (out / "serve.sh").exists()
    ports = []
    for role, name in told["models"].items():
        words = shlex.split((out / f"serve-{role}.sh").read_text(encoding="utf-8").replace("\\\n", " "))
        assert words[words.index("serve") + 1] == f"$PWD/{role}"
        assert words[words.index("--served-model-name") + 1] == name
        assert "--enable-lora" not in words
        ports.append(words[words.index("--port") + 1])
        assert adapter_hash(out / role) == adapter_hash(folder / role)
        assert LanguageModel(recipe.model.model_copy(update={"name": str(out / role)})).tokenizer.chat_template
    assert ports == ["8000", "8001"]
    engines = yaml.safe_load((out / "engines.yaml").read_text(encoding="utf-8"))["engines"]
    judge = yaml.safe_load((out / "judge.yaml").read_text(encoding="utf-8"))["judge"]["engine"]
    assert engines[0]["base_url"] == "http://127.0.0.1:8000/v1"
    assert judge["base_url"] == "http://127.0.0.1:8001/v1"
    assert judge["model"] == told["models"]["validator"]
