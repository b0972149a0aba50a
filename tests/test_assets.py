"""Assets: the download is pip's own, from a folder of home-made wheels instead of the index."""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from trackrec import assets
from trackrec.errors import AssetError

METADATA = "Metadata-Version: 2.1\nName: tiny-asset\nVersion: 1.0\nRequires-Python: >=99\n"


def make_wheel(folder: Path, members: dict[str, str]) -> str:
    """A wheel that pip accepts; returns its SHA-256."""
    file = folder / "tiny_asset-1.0-py3-none-any.whl"
    info = "tiny_asset-1.0.dist-info"
    files = {
        **members,
        f"{info}/METADATA": METADATA,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that stands for the package index, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("TRACKREC_CACHE", str(tmp_path / "cache"))
    return folder


def register(monkeypatch: pytest.MonkeyPatch, sha256: str, inside: str = "tiny/data/") -> None:
    asset = assets.Asset("tiny-asset", "1.0", sha256, inside, megabytes=1, licence="none")
    monkeypatch.setitem(assets.ASSETS, "tiny", asset)


@pytest.mark.parametrize("change", ["a byte", "a missing file", "a new file"])
def test_a_damaged_asset_is_found(index: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    register(monkeypatch, make_wheel(index, {"tiny/data/a.txt": "A", "tiny/data/b.txt": "B"}))
    folder = assets.fetch("tiny")
    if change == "a byte":
        (folder / "a.txt").write_text("C")
    elif change == "a missing file":
        (folder / "a.txt").unlink()
    else:
        (folder / "a.txt").rename(folder / "code.py")
    monkeypatch.setattr(assets, "_checked", set())
    with pytest.raises(AssetError, match=r"is damaged: a\.txt.* is not what was unpacked\. Delete that folder"):
        assets.fetch("tiny")
    shutil.rmtree(folder)
    assert (assets.fetch("tiny") / "a.txt").read_text() == "A"


def test_an_asset_of_before_there_were_hashes_is_taken_as_it_is(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, make_wheel(index, {"tiny/data/a.txt": "A"}))
    folder = assets.fetch("tiny")
    folder.with_name(folder.name + ".sha256.json").unlink()
    monkeypatch.setattr(assets, "_checked", set())
    assert assets.fetch("tiny") == folder
    (folder / "a.txt").write_text("C")
    monkeypatch.setattr(assets, "_checked", set())
    with pytest.raises(AssetError, match="is damaged"):
        assets.fetch("tiny")


def test_fetch_unpacks_the_named_part_alone_and_downloads_once(
    index: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sha256 = make_wheel(index, {"tiny/data/a.txt": "A", "tiny/data/deep/b.txt": "B", "tiny/code.py": "boom"})
    register(monkeypatch, sha256)
    with caplog.at_level(logging.INFO, "trackrec.assets"):
        folder = assets.fetch("tiny")
    assert "fetching tiny (1 MB, tiny-asset==1.0) with pip" in caplog.text
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == ["a.txt", "deep/b.txt"]
    assert (folder / "deep/b.txt").read_text() == "B"
    (index / "tiny_asset-1.0-py3-none-any.whl").unlink()
    assert assets.fetch("tiny") == folder
    assert [p.name for p in folder.parent.iterdir() if "partial" in p.name] == []


def test_a_name_prefix_keeps_the_file_names(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = make_wheel(index, {"tiny/data/Movie_a": "A", "tiny/data/Other": "B"})
    register(monkeypatch, sha256, inside="tiny/data/Movie_")
    assert [p.name for p in assets.fetch("tiny").iterdir()] == ["Movie_a"]


def test_a_wheel_with_another_hash_is_refused(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = make_wheel(index, {"tiny/data/a.txt": "A"})
    register(monkeypatch, "0" * 64)
    with pytest.raises(AssetError, match=f"SHA-256 {sha256}, expected {'0' * 64}"):
        assets.fetch("tiny")
    register(monkeypatch, sha256)
    assert (assets.fetch("tiny") / "a.txt").read_text() == "A"


def test_an_index_that_cannot_be_reached(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "0" * 64)
    with pytest.raises(AssetError, match=r"could not download tiny-asset==1\.0 .* Check that the index can be reached"):
        assets.fetch("tiny")


def test_unknown_asset_names_the_known_ones() -> None:
    with pytest.raises(AssetError, match="unknown asset 'movies': expected one of all-minilm-l6-v2, movielens-100k"):
        assets.fetch("movies")


@pytest.mark.parametrize("evil", ["tiny/data/../../../evil.txt", "tiny/data//../evil.txt"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, evil: str) -> None:
    make_wheel(tmp_path, {evil: "evil"})
    target = tmp_path / "x" / "y" / "z"
    target.mkdir(parents=True)
    with pytest.raises(AssetError, match="points out of the asset's folder"):
        assets._unpack(tmp_path / "tiny_asset-1.0-py3-none-any.whl", "tiny/data/", target)
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_wheel_without_the_named_part_is_refused(tmp_path: Path) -> None:
    make_wheel(tmp_path, {"other/a.txt": "A"})
    with pytest.raises(AssetError, match="holds nothing under 'tiny/data/'"):
        assets._unpack(tmp_path / "tiny_asset-1.0-py3-none-any.whl", "tiny/data/", tmp_path)


def test_racing_builders_build_once_and_a_failed_build_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKREC_CACHE", str(tmp_path))
    built: list[Path] = []

    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise AssetError("broken off")

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "whole").write_text("whole")

    with pytest.raises(AssetError, match="broken off"):
        assets._build_once("thing", fail)
    assert not (tmp_path / "thing").exists()
    (tmp_path / ".thing.partial").mkdir()  # what a killed process leaves behind
    (tmp_path / ".thing.partial" / "half").write_text("half")
    threads = [threading.Thread(target=assets._build_once, args=("thing", build)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert [p.name for p in (tmp_path / "thing").iterdir()] == ["whole"]


def test_cache_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("TRACKREC_CACHE", str(file / "cache"))
    with pytest.raises(AssetError, match="Set TRACKREC_CACHE to a folder"):
        assets._build_once("thing", lambda folder: None)


def test_asset_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKREC_CACHE", str(tmp_path / "a"))
    assert assets.asset_folder() == tmp_path / "a"
    monkeypatch.delenv("TRACKREC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert assets.asset_folder() == tmp_path / "b" / "trackrec"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "c"))
    assert assets.asset_folder() == tmp_path / "c" / ".cache" / "trackrec"


def test_other_names_pass_through() -> None:
    assert assets.resolve_language_model("Qwen/Qwen2.5-7B-Instruct") == "Qwen/Qwen2.5-7B-Instruct"
    assert assets.resolve_language_model("/some/folder") == "/some/folder"
    assert assets.resolve_encoder("BAAI/bge-base-en") == "BAAI/bge-base-en"


@pytest.mark.slow
def test_the_embedded_language_model_answers_a_chat() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = assets.resolve_language_model("SmolLM2-135M-Instruct")
    assert (Path(folder) / "model.safetensors").is_file()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert model.config.tie_word_embeddings
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"]) == [1, 2]
    assert tokenizer("Yes", add_special_tokens=True).input_ids == tokenizer.convert_tokens_to_ids(["Yes"])
    assert tokenizer.tokenize("in  1995") == ["in", "ĠĠ", "1", "9", "9", "5"]
    assert tokenizer.decode(tokenizer("Amélie (2001)\n- 5").input_ids) == "Amélie (2001)\n- 5"
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text.endswith("<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n")
    prompt = torch.tensor([tokenizer(text).input_ids])
    with torch.no_grad():
        answer = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0, prompt.shape[1] :])
    assert answer[0, -1] == tokenizer.convert_tokens_to_ids("<|im_end|>")


@pytest.mark.slow
def test_the_embedded_encoder_knows_what_is_alike() -> None:
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(assets.resolve_encoder("all-minilm-l6-v2"), device="cpu")
    vectors = encoder.encode(["a scary film", "a horror movie", "a recipe for soup"], normalize_embeddings=True)
    assert vectors.shape == (3, 384)
    assert encoder.max_seq_length == 256
    alike, apart = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert alike > 0.5 > apart


@pytest.mark.slow
def test_the_movielens_files_are_there() -> None:
    names = {file.name for file in assets.movielens_100k().iterdir()}
    assert names == {f"MovieLens100k_{part}.parquet.brotli" for part in ("data", "items", "users")}
