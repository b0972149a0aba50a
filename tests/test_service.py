"""The service over HTTP: what it answers, and what it refuses."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from tests.made_publication import WRITTEN, made_row, write_publication
from tests.made_service import USERS, made_service, read_problem
from tests.running import running
from trackrec.serving import rank_routes
from trackrec.serving.app import build_app
from trackrec.serving.service import Service
from trackrec.store.publication import Publication, publish

ODD = ("a/b?c#d", "🎬 ü", "<script>alert(1)</script>", "..", "x" * 900, "%2F", "a b+c")
LATE = 4_000_000_000


def rows() -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = [made_row(user) for user in range(1, USERS + 1)]
    people += [made_row(odd) for odd in ODD]
    people += [made_row("expired", expires=WRITTEN + 1), made_row("later", written=LATE, expires=LATE + 5)]
    people += [made_row("plain", vector=None, raw_vector=None)]
    return [row | {"user_id": str(row["user_id"])} for row in people]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return made_service(tmp_path_factory.mktemp("service"), rows())


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with running(build_app(service)) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def test_a_person(client: httpx.Client) -> None:
    told = client.get("/v1/users/7?cards=true").json()
    wanted = made_row(7)
    assert (
        told["text"] == "This viewer enjoys Thriller. They turn away from Romance. So recommend more Thriller to them."
    )
    assert [one["verdict"] for one in told["sentences"]] == ["supported", "contradicted", "not_checkable"]
    assert told["sentences"][0]["events"] == wanted["sentences"][0]["events"]
    assert told["history"][0]["item"]["title"].startswith("Film ")
    assert (told["version"], told["written_in"], told["expired"], told["has_vector"]) == ("one", "one", False, True)
    assert told["age_seconds"] > 0
    assert "item" not in client.get("/v1/users/7").json()["history"][0]


@pytest.mark.parametrize("odd", ODD)
def test_odd_ids_are_ids(odd: str, client: httpx.Client) -> None:
    from urllib.parse import quote

    path = quote(odd, safe="") if odd != ".." else "%2E%2E"
    answer = client.send(
        client.build_request("GET", client.base_url.join("/").copy_with(raw_path=f"/v1/users/{path}".encode()))
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["user_id"] == odd


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/v1/users/nobody", 404, "nobody of that id"),
        ("/v1/users/7?version=two", 404, "no such version"),
        ("/v1/users/expired", 410, "too old a history"),
        ("/v1/users/" + "x" * 10_000, 422, "more than 1024 bytes"),
        ("/v1/users/7/why/999", 404, "no item of that id"),
        ("/v1/users/nobody/why/1", 404, "nobody of that id"),
        ("/v1/users/nobody/held", 404, "nothing is held"),
        ("/v1/items/999", 404, "no item of that id"),
        ("/v1/users?limit=1000", 422, "not as /openapi.json says"),
        ("/v1/nothing", 404, "Not Found"),
        ("/assets/..%2Fapp.py", 404, "no such file"),
        ("/v1/users/7?token=secret", 400, "would end up in logs"),
        ("/v1/users/7?Access_Token=", 400, "would end up in logs"),
    ],
)
def test_what_is_refused_says_why(path: str, status: int, detail: str, client: httpx.Client) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    told = read_problem(answer)
    assert detail in told["detail"]
    assert "x" * 100 not in answer.text
    assert "secret" not in answer.text


def test_a_text_from_the_future_is_neither_negative_nor_expired(client: httpx.Client) -> None:
    told = client.get("/v1/users/later").json()
    assert (told["age_seconds"], told["expired"]) == (0, False)


def test_vectors_in_the_order_asked_for(client: httpx.Client) -> None:
    ids = [7, "nobody", "expired", "plain", "3", "🎬 ü"]
    told = client.post("/v1/vectors", json={"ids": ids}).json()
    assert [row["status"] for row in told["vectors"]] == ["ok", "unknown", "expired", "no_vector", "ok", "ok"]
    assert [row["user_id"] for row in told["vectors"]] == ids
    assert told["vectors"][0]["vector"] == pytest.approx(made_row(7)["vector"])
    assert (told["version"], told["dimensions"]) == ("one", 6)
    raw = client.post("/v1/vectors", json={"ids": [7], "kind": "raw"}).json()
    assert raw["vectors"][0]["vector"] == pytest.approx(made_row(7)["raw_vector"])
    assert raw["dimensions"] == 384


def test_vectors_for_machines(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/vectors", json={"ids": [7, "nobody"]}, headers={"Accept": "application/vnd.apache.arrow.stream"}
    )
    table = pa.ipc.open_stream(io.BytesIO(answer.content)).read_all()
    assert table.schema.metadata == {b"version": b"one"}
    assert table.column("status").to_pylist() == ["ok", "unknown"]
    assert table.column("vector").to_pylist()[0] == pytest.approx(made_row(7)["vector"])
    assert table.column("vector").to_pylist()[1] is None


def test_too_much_at_once(client: httpx.Client) -> None:
    answer = client.post("/v1/vectors", json={"ids": list(range(100_000))})
    assert (answer.status_code, read_problem(answer)["detail"][:6]) == (422, "100000")
    large = client.post("/v1/vectors", content=b" " * 1_100_000, headers={"Content-Type": "application/json"})
    assert (large.status_code, read_problem(large)["detail"][:23]) == (413, "the body is larger than")

    def endless() -> Iterator[bytes]:
        for _ in range(300):
            yield b" " * 8_192

    chunked = client.post("/v1/vectors", content=endless(), headers={"Content-Type": "application/json"})
    assert chunked.status_code == 413
    many = client.post("/v1/rank", json={"user_id": 1, "candidates": [1], "events": [{"item_id": 1}] * 1_001})
    assert (many.status_code, read_problem(many)["detail"][:11]) == (422, "1001 events")


@pytest.mark.parametrize(
    "body",
    [
        b'{"ids": [NaN]}',
        b'{"ids": [1], "kind": "other"}',
        b'{"ids": [1], "more": 1}',
        b'{"ids": [[1]]}',
        b"not JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        b"",
        b"null",
        b'{"ids": ["\\ud800"]}',
        b'{"ids": [' + b"9" * 10_000 + b"]}",
    ],
)
def test_broken_bodies(body: bytes, client: httpx.Client) -> None:
    answer = client.post("/v1/vectors", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    read_problem(answer)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/rank", '{"user_id": "\\ud800", "candidates": [1]}'),
        ("/v1/rank", '{"user_id": 7, "candidates": ["\\ud800"]}'),
        ("/v1/rank", '{"user_id": 7, "candidates": [1], "events": [{"item_id": "\\udfff"}]}'),
        ("/v1/users/7/objections", '{"kind": "add", "sentence": "I like \\ud83d."}'),
        ("/v1/users/7/objections", '{"kind": "add", "sentence": ""}'),
    ],
)
def test_halves_of_characters_are_refused(path: str, body: str, client: httpx.Client) -> None:
    answer = client.post(path, content=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    read_problem(answer)


def test_a_ranking(client: httpx.Client) -> None:
    told = client.post("/v1/rank", json={"user_id": 7, "candidates": [*range(1, 31), 999], "top": 6}).json()
    assert told["text"] == "used"
    assert told["unknown"] == [999]
    assert [one["item_id"] % 5 for one in told["items"]].count(7 % 5) >= 5, "items of the liked genre come first"
    chances = [one["probability"] for one in told["items"]]
    assert chances == sorted(chances, reverse=True)
    assert told["items"][0]["without_text"] < chances[0]
    usual = client.post("/v1/rank", json={"user_id": 7}).json()
    seen = {event["item_id"] for event in client.get("/v1/users/7").json()["history"]}
    assert usual["items"]
    assert not seen & {one["item_id"] for one in usual["items"]}


@pytest.mark.parametrize(("person", "text"), [("nobody", "unknown"), ("expired", "expired"), ("plain", "no_vector")])
def test_who_has_no_text_is_ranked_for_by_events(person: str, text: str, client: httpx.Client) -> None:
    body = {"user_id": person, "candidates": [1, 2], "events": [{"item_id": 3, "rating": 5}, {"item_id": "gone"}]}
    told = client.post("/v1/rank", json=body).json()
    assert (told["text"], told["events"], len(told["items"])) == (text, 1, 2)
    assert all(one["probability"] == one["without_text"] for one in told["items"])


def test_many_candidates_are_ranked_as_few_are(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"user_id": 7, "candidates": list(range(1, 31))}
    at_once = client.post("/v1/rank", json=body).json()
    monkeypatch.setattr(rank_routes, "AT_ONCE", 0)
    in_a_thread = client.post("/v1/rank", json=body).json()
    assert in_a_thread == at_once
    assert all(one["probability"] == round(one["probability"], 6) for one in at_once["items"])


@pytest.mark.parametrize("rating", ["NaN", "Infinity", "-Infinity", '"a"'])
def test_a_rating_is_a_number(rating: str, client: httpx.Client) -> None:
    body = f'{{"user_id": 7, "candidates": [1], "events": [{{"item_id": 1, "rating": {rating}}}]}}'
    answer = client.post("/v1/rank", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_why_an_item(client: httpx.Client) -> None:
    liked = next(item for item in range(1, 31) if item % 5 == 2 and item not in seen_by(client, 7))
    told = client.get(f"/v1/users/7/why/{liked}").json()
    assert told["reasons"][0]["sentence"] == "This viewer enjoys Thriller."
    assert told["reasons"][0]["speaks_for"]
    assert "Thriller" in told["reasons"][0]["shared"]
    assert set(told["reasons"][0]["events"]) <= set(made_row(7)["sentences"][0]["events"])
    assert "turn away" not in str(told), "a contradicted sentence is no reason"


def seen_by(client: httpx.Client, user: int) -> set[int]:
    return {event["item_id"] for event in client.get(f"/v1/users/{user}").json()["history"]}


def test_an_item_and_its_card(client: httpx.Client) -> None:
    assert client.get("/v1/items/4").json()["tags"] == ["cult", "dry humour"]
    unknown = client.get("/v1/items/3").json()
    assert (unknown["known"], unknown["tags"], unknown["gist"]) == (0, [], "")


def test_health_versions_and_metrics(client: httpx.Client) -> None:
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").text == "ready\n"
    told = client.get("/v1/versions").json()
    assert (told["current"], told["versions"][0]["records"]) == ("one", len(rows()))
    overview = client.get("/v1/overview").json()
    assert overview["versions"][0]["summary"]["people"] == len(rows())
    assert "sample" not in overview["versions"][0]["summary"]
    text = client.get("/metrics").text
    assert 'trackrec_version_info{version="one"} 1.0' in text
    assert 'trackrec_requests_total{route="/v1/users/{user_id}",status="404"}' in text
    assert "nobody" not in text
    assert client.get("/v1/users?prefix=exp").json() == {"ids": ["expired"]}


def test_the_schema_has_examples_and_every_route(client: httpx.Client) -> None:
    told = client.get("/openapi.json").json()
    assert set(told["paths"]) >= {
        "/v1/users/{user_id}",
        "/v1/users/{user_id}/why/{item_id}",
        "/v1/users/{user_id}/objections",
        "/v1/vectors",
        "/v1/rank",
        "/v1/items/{item_id}",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert told["components"]["schemas"]["VectorsRequest"]["examples"]


def test_every_answer_has_the_headers_of_caution(client: httpx.Client) -> None:
    for path in ("/", "/v1/users/7", "/v1/users/nobody", "/healthz"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_pages_of_other_sites_cannot_ask(client: httpx.Client) -> None:
    assert client.get("/v1/users/7", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/v1/users/7", headers={"Origin": "http://evil.example"}).status_code == 403
    origin = str(client.base_url).rstrip("/")
    assert client.get("/v1/users/7", headers={"Origin": origin}).status_code == 200


def test_ids_are_not_in_the_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    talking = Service(service.store, service.settings.model_copy(update={"log_requests": True}))
    caplog.set_level(logging.INFO)
    with running(build_app(talking)) as address, httpx.Client(base_url=address) as client:
        client.get("/v1/users/zabriskie")
        client.get("/v1/users/expired/why/1")
        client.post("/v1/vectors", json={"ids": ["zabriskie"]})
    told = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("trackrec"))
    assert "/v1/users/{user_id}" in told
    assert "zabriskie" not in told
    assert "expired" not in told


def test_a_token_beyond_loopback(service: Service) -> None:
    with running(build_app(service, token="s3cret-ü")) as address, httpx.Client(base_url=address) as client:
        good = {"Authorization": "Bearer s3cret-ü".encode()}
        assert client.get("/v1/users/7", headers={**good, "Host": "api.example"}).status_code == 200
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic s3cret"},
            {"Authorization": ""},
        ):
            answer = client.get("/v1/users/7", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            read_problem(answer)
        for path in ("/metrics", "/openapi.json", "/v1/versions"):
            assert client.get(path).status_code == 401
        for path in ("/healthz", "/readyz", "/", "/assets/page.js"):
            assert client.get(path).status_code == 200
        assert client.get("/v1/users/7?token=s3cret", headers=good).status_code == 400


def test_a_client_that_asks_too_often_is_told_to_wait(tmp_path: Path, service: Service) -> None:
    slow = Service(service.store, service.settings.model_copy(update={"rate": 5.0}))
    with running(build_app(slow)) as address, httpx.Client(base_url=address) as client:
        answers = [client.get("/healthz") for _ in range(20)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:5] == [200] * 5
    assert statuses.count(429) >= 8
    assert answers[-1].headers["retry-after"] == "1"


def test_a_token_cannot_be_guessed_at_any_rate(service: Service) -> None:
    slow = Service(service.store, service.settings.model_copy(update={"rate": 5.0}))
    with running(build_app(slow, token="t")) as address, httpx.Client(base_url=address) as client:
        tries = [client.get("/v1/users/7", headers={"Authorization": f"Bearer {n}"}).status_code for n in range(20)]
    assert set(tries) == {401, 429}
    assert tries.count(429) >= 8


def test_expired_texts_are_marked_where_they_are_given_out(service: Service) -> None:
    lenient = Service(service.store, service.settings.model_copy(update={"serve_expired": True}))
    with running(build_app(lenient)) as address, httpx.Client(base_url=address) as client:
        assert client.get("/v1/users/expired").json()["expired"] is True
        assert client.post("/v1/vectors", json={"ids": ["expired"]}).json()["vectors"][0]["status"] == "ok"
        rank = client.post("/v1/rank", json={"user_id": 7, "candidates": [1]})
        assert (rank.status_code, read_problem(rank)["detail"][:43]) == (
            501,
            "the service was started without a ranker: p",
        )


def test_objections_over_http(tmp_path: Path) -> None:
    service = made_service(tmp_path)
    with running(build_app(service)) as address, httpx.Client(base_url=address, timeout=30) as client:
        said = {"kind": "wrong", "sentence": "They turn away from Romance."}
        told = client.post("/v1/users/7/objections", json=said).json()
        assert "Romance" not in told["user"]["text"]
        assert told["user"]["objections"] == 1
        assert told["before"]["text"] == "used"
        assert told["after"]["text"] == "no_vector", "this publication's encoder is not named"
        again = client.post("/v1/users/7/objections", json=said)
        assert again.status_code == 409
        assert "does not have that sentence" in read_problem(again)["detail"]
        assert client.post("/v1/users/nobody/objections", json=said).status_code == 404
        held = client.get("/v1/users/7/held").json()
        assert held["feedback"][0]["sentence"] == said["sentence"]
        assert len(held["versions"]["one"]["raw_vector"] or []) == 0
        service.store.forget(7)
        assert client.get("/v1/users/7").status_code == 404
        assert client.get("/v1/users/7/held").status_code == 404


def test_somebody_forgotten_a_moment_ago_is_unknown_everywhere(tmp_path: Path) -> None:
    service = made_service(tmp_path)
    with running(build_app(service)) as address, httpx.Client(base_url=address, timeout=30) as client:
        assert client.get("/v1/users/7").status_code == 200
        service.store.forget(7)
        for path in ("", "/why/1", "/held"):
            assert client.get(f"/v1/users/7{path}").status_code == 404
        assert client.post("/v1/vectors", json={"ids": [7, 8]}).json()["vectors"][0]["status"] == "unknown"
        ranked = client.post("/v1/rank", json={"user_id": 7, "candidates": [1, 2]}).json()
        assert (ranked["text"], ranked["events"]) == ("unknown", 0), "nor is the history used"
        assert "7" not in client.get("/v1/users?prefix=7&limit=50").json()["ids"]
        said = {"kind": "add", "sentence": "I like opera."}
        assert client.post("/v1/users/7/objections", json=said).status_code == 404
        assert service.store.feedback(7) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/vectors", {"ids": [1, "x" * 10_000]}),
        ("/v1/vectors", {"ids": ["ü" * 600]}),
        ("/v1/rank", {"user_id": "x" * 10_000, "candidates": [1]}),
    ],
)
def test_ids_of_many_bytes_are_refused_in_bodies_too(path: str, body: dict[str, Any], client: httpx.Client) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 422
    assert "more than 1024 bytes" in read_problem(answer)["detail"]


def test_a_version_is_switched_under_load_without_a_failed_request(tmp_path: Path) -> None:
    service = made_service(tmp_path, ranker=False)
    two = [made_row(user, "two") for user in range(1, USERS + 1)]
    write_publication(tmp_path / "place", two, "two")
    stop, failures, seen = threading.Event(), [], set()
    with running(build_app(service)) as address:

        def asking() -> None:
            with httpx.Client(base_url=address, timeout=30) as client:
                while not stop.is_set():
                    answer = client.get("/v1/users/7")
                    if answer.status_code != 200:
                        failures.append(answer.text)
                        continue
                    told = answer.json()
                    seen.add(told["version"])
                    if told["version"] != told["written_in"]:
                        failures.append(json.dumps(told))

        threads = [threading.Thread(target=asking) for _ in range(3)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 30

        def wait_for(version: str) -> None:
            while version not in seen and time.monotonic() < deadline:
                time.sleep(0.01)

        wait_for("one")
        publish(Publication(str(tmp_path / "place")), service.store)
        wait_for("two")
        for _ in range(20):
            service.store.rollback()
            time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert seen == {"one", "two"}
