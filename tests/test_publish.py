"""From a publication into a store: whole versions only, and what people said against their texts stands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.made_publication import made_row, write_publication
from trackrec.errors import StoreError
from trackrec.store.objections import Objection, Rewriter, object_to
from trackrec.store.opening import open_store
from trackrec.store.publication import Publication, publish
from trackrec.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store.sqlite"))


def publish_rows(tmp_path: Path, store: Store, rows: list[dict[str, object]], version: str = "one") -> Publication:
    publication = Publication(str(write_publication(tmp_path / "place [1]", rows, version)))
    publish(publication, store)
    return publication


def test_a_version_is_published_with_its_figures(tmp_path: Path, store: Store) -> None:
    rows = [made_row(user) for user in range(1, 10)]
    rows[0] |= {"text": None, "sentences": None, "vector": None, "raw_vector": None}
    rows[1] |= {"expires": 1}
    publish_rows(tmp_path, store, rows)
    assert store.state().current == "one"
    about = store.about("one")
    assert about["manifest"]["run"] == "runs/made"
    assert "shards" not in about["manifest"]
    summary = about["summary"]
    assert {name: summary[name] for name in ("people", "with_text", "with_vector", "expired", "objected")} == {
        "people": 9,
        "with_text": 8,
        "with_vector": 8,
        "expired": 1,
        "objected": 0,
    }
    assert summary["sentences"] == {"contradicted": 8, "not_checkable": 8, "supported": 8}
    assert summary["contradicted"] == 0.5
    assert len(summary["sample"]) == 8
    found = store.read([3]).found[0]
    assert found is not None
    assert list(found.record.sentences[0].events) == made_row(3)["sentences"][0]["events"]
    assert found.record.history[0].number == 1


def test_the_same_version_again_is_only_switched_to(tmp_path: Path, store: Store) -> None:
    publication = publish_rows(tmp_path, store, [made_row(1)])
    write_publication(tmp_path / "place [1]", [made_row(1, "two")], "two")
    publish(publication, store)
    serial = store.state().serial
    assert publish(publication, store, "one")[0] == "one"
    assert store.state().serial == serial, "nothing was loaded"
    assert store.state().current == "one"
    assert store.rollback() == "two"


def test_old_versions_are_dropped_but_not_the_one_before(tmp_path: Path, store: Store) -> None:
    for number in range(5):
        publish_rows(tmp_path, store, [made_row(1, f"v{number}")], f"v{number}")
    assert set(store.state().versions) == {"v3", "v4"}
    assert store.rollback() == "v3"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("shard", "has SHA-256"),
        ("gone", "is missing, but the manifest lists it"),
        ("manifest", "has no manifest"),
        ("rows", "rows, but the manifest says"),
        ("list", "must list its shards"),
        ("pointer", "no current.json that names a version"),
        ("projection", "the projection of version 'two'"),
        ("nan", "not finite"),
        ("twice", "in it twice"),
    ],
)
def test_what_is_damaged_is_not_served(spoil: str, message: str, tmp_path: Path, store: Store) -> None:
    publication = publish_rows(tmp_path, store, [made_row(1)])
    rows = [made_row(user, "two") for user in (1, 2, 3)]
    if spoil == "nan":
        rows[1]["raw_vector"][5] = float("nan")
    if spoil == "twice":
        rows.append(rows[0])
    folder = write_publication(tmp_path / "place [1]", rows, "two") / "versions" / "two"
    shard = folder / "shards" / "00001-of-00002.parquet"
    manifest = json.loads((folder / "manifest.json").read_text())
    if spoil == "shard":
        shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    elif spoil == "gone":
        shard.unlink()
    elif spoil == "manifest":
        (folder / "manifest.json").unlink()
    elif spoil == "rows":
        manifest["shards"][1]["rows"] += 1
        (folder / "manifest.json").write_text(json.dumps(manifest))
    elif spoil == "list":
        (folder / "manifest.json").write_text(json.dumps(manifest | {"shards": ["00001-of-00002"]}))
    elif spoil == "pointer":
        (tmp_path / "place [1]" / "current.json").write_text("{}")
    elif spoil == "projection":
        (folder / "projection.safetensors").write_bytes(b"nothing")
    with pytest.raises(StoreError, match=message):
        publish(publication, store)
    assert store.state().current == "one"
    assert store.read([1]).found[0] is not None


@pytest.mark.parametrize("name", ["", "..", "../../etc", ".hidden", "a/b", "a\\b"])
def test_a_version_is_a_name_and_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="a version's name is a folder's name"):
        Publication(str(tmp_path)).manifest(name)


class Letters:
    """An encoder that counts letters: equal texts, and only they, get equal vectors here."""

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([[text.count(chr(97 + k % 26)) for k in range(384)] for text in texts], dtype=np.float32)


def test_an_objection_takes_the_sentence_out_and_makes_the_vector_anew(tmp_path: Path, store: Store) -> None:
    publication = publish_rows(tmp_path, store, [made_row(1), made_row(2)])
    rewriter = Rewriter(Letters(), publication.projection("one"))
    before = store.read([1, 2]).found
    told = Objection(kind="wrong", sentence="They turn away from Sci-Fi.")
    after = object_to(store, "1", told, rewriter)
    assert after is not None
    enjoys = made_row(1)["sentences"][0]["text"]
    assert after.text == f"{enjoys} So recommend more Drama to them."
    assert after.vector is not None
    assert (
        after.vector.tolist()
        == Letters().encode(["This viewer enjoys Drama. So recommend more Drama to them."])[0, :6].tolist()
    )
    now = store.read([1, 2]).found
    assert now[0] is not None
    assert now[0].record.as_tree() == after.as_tree()
    assert now[1] == before[1], "nobody else's"
    entry = store.feedback(1)[0]
    assert (entry["kind"], entry["training"], entry["version"]) == ("wrong", False, "one")
    with pytest.raises(StoreError, match="does not have that sentence"):
        object_to(store, 1, told, rewriter)
    added = object_to(store, 1, Objection(kind="add", sentence="I like musicals."), rewriter)
    assert added is not None
    assert added.sentences[-1].verdict == "own"
    assert object_to(store, "nobody", told, rewriter) is None


def test_without_sentences_there_is_no_vector(tmp_path: Path, store: Store) -> None:
    publish_rows(tmp_path, store, [made_row(1)])
    rewriter = Rewriter(Letters(), None)
    for sentence in [one["text"] for one in made_row(1)["sentences"]]:
        after = object_to(store, 1, Objection(kind="wrong", sentence=sentence), rewriter)
    assert after is not None
    assert (after.text, after.vector, after.raw_vector) == ("", None, None)


def test_an_objection_stands_in_the_next_version(tmp_path: Path, store: Store) -> None:
    publication = publish_rows(tmp_path, store, [made_row(1), made_row(2)])
    rewriter = Rewriter.named("none", None)
    object_to(store, 1, Objection(kind="wrong", sentence="They turn away from Sci-Fi."), rewriter)
    object_to(store, 1, Objection(kind="add", sentence="I like musicals."), rewriter)
    write_publication(tmp_path / "place [1]", [made_row(1, "two"), made_row(2, "two")], "two")
    publish(publication, store)
    mine, other = (found.record for found in store.read([1, 2]).found if found is not None)
    assert [one.text for one in mine.sentences] == [
        made_row(1)["sentences"][0]["text"],
        "So recommend more Drama to them.",
        "I like musicals.",
    ]
    assert mine.vector is None, "no encoder was there to make it anew"
    assert len(other.sentences) == 3
    assert other.vector is not None
    assert store.about("two")["summary"]["objected"] == 1


def test_a_person_forgotten_during_the_objection_stays_forgotten(tmp_path: Path, store: Store) -> None:
    publish_rows(tmp_path, store, [made_row(1)])

    def forgets(text: str) -> tuple[None, None]:
        store.forget(1)
        return None, None

    assert object_to(store, 1, Objection(kind="wrong", sentence="They turn away from Sci-Fi."), forgets) is None
    assert store.held(1)["versions"] == {}
    assert store.held(1)["feedback"] == []


def test_the_limits_of_own_sentences(tmp_path: Path, store: Store) -> None:
    publish_rows(tmp_path, store, [made_row(1)])
    rewriter = Rewriter(None, None)
    with pytest.raises(StoreError, match="at most 500 characters"):
        object_to(store, 1, Objection(kind="add", sentence="x" * 501), rewriter)
    for number in range(20):
        object_to(store, 1, Objection(kind="add", sentence=f"I like film {number}."), rewriter)
    with pytest.raises(StoreError, match="at most 20 sentences"):
        object_to(store, 1, Objection(kind="add", sentence="One more."), rewriter)
