"""Writing to a real S3 server (moto's) that fails one put in ten, and forgetting there."""

from __future__ import annotations

import http.client
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from test_forget_places import ZOE, check_whole, named_log, traces
from test_forget_references import ACTIVE, CHANGED, OTHER, VERSIONS, check_all, dies_before, news_of_one
from writing_world import STARTED, files_of, made_log, publish, rows_of, write_run

from trackrec.errors import TargetBusy
from trackrec.writing.forgotten import forget_at
from trackrec.writing.lock import only_writer
from trackrec.writing.place import Place
from trackrec.writing.versions import Versions, publication_status

pytestmark = pytest.mark.slow
pytest.importorskip("moto")


class Failing(BaseHTTPRequestHandler):
    """Hands requests on, and answers 500 to one put in ten, half of them after it has been done."""

    protocol_version = "HTTP/1.1"
    port = 0
    draw = random.Random(3)
    failed = 0

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fails = self.command == "PUT" and self.draw.random() < 0.1
        if not (fails and self.draw.random() < 0.5):
            link = http.client.HTTPConnection("127.0.0.1", self.port)
            link.request(self.command, self.path, body, dict(self.headers))
            answer = link.getresponse()
            content = answer.read()
        if fails:
            Failing.failed += 1
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _hand_on  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(6000):
            try:
                link = http.client.HTTPConnection("127.0.0.1", port)
                link.request("PUT", "/bucket")
                assert link.getresponse().status == 200
                break
            except OSError:
                assert server.poll() is None, "the S3 server did not start"
                time.sleep(0.1)
        Failing.port = port
        proxy = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        names = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ALLOW_HTTP": "true"}
        names |= {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.server_address[1]}"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in names.items():
                patch.setenv(name, value)
            yield "s3://bucket"
        proxy.shutdown()
    finally:
        server.terminate()
        server.wait()


def test_everything_arrives_once(bucket: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    made_log(users=200).write_parquet(tmp_path / "log.parquet")
    here = publish(run, tmp_path / "here", tmp_path / "log.parquet", shards=12)
    place = Place(f"{bucket}/profiles")
    there = publish(run, place.url, tmp_path / "log.parquet", shards=12)
    assert Failing.failed > 3
    assert files_of(place, there) == files_of(Place(str(tmp_path / "here")), here)
    assert place.read_json("current.json") == {"version": "000001"}
    logs = Place(f"{bucket}/logs")
    for number, part in enumerate(pl.read_parquet(tmp_path / "log.parquet").iter_slices(500)):
        part.write_parquet(tmp_path / "part.parquet")
        logs.write(f"{number:03d}.parquet", (tmp_path / "part.parquet").read_bytes())
    again = publish(run, place.url, f"{bucket}/logs/", only_changed=True, shards=None)
    assert again["counts"]["carried"] == again["counts"]["rows"] == here["counts"]["rows"]
    with only_writer(place), pytest.raises(TargetBusy, match="another job writes to"):
        publish(run, place.url, tmp_path / "log.parquet")


@pytest.mark.parametrize(("name", "neighbour"), [("k[1]", "k1"), ("k*", "k-other"), ("k?", "k2")])
def test_a_name_is_no_pattern(name: str, neighbour: str, bucket: str, tmp_path: Path) -> None:
    """Marks in the name of a folder or an object: neighbours are neither read nor removed."""
    made_log(users=20).write_parquet(tmp_path / "log.parquet")
    made_log(users=30).write_parquet(tmp_path / "other.parquet")
    for folder, log in ((name, "log"), (neighbour, "other")):
        place, content = Place(f"{bucket}/{folder}"), (tmp_path / f"{log}.parquet").read_bytes()
        place.write("logs/part.parquet", content)
        Place(bucket).write(f"{folder}.parquet", content)
        place.write("versions/1/a.json", b"{}")
        place.write("versions/1/work/b.json", b"{}")
    run, to = write_run(tmp_path / "run"), tmp_path / "to"
    expected = publish(run, tmp_path / "plain", tmp_path / "log.parquet")["counts"]["rows"]
    for log in (f"{bucket}/{name}/logs/", f"{bucket}/{name}/logs/part.parquet", f"{bucket}/{name}.parquet"):
        assert publish(run, to, log)["counts"]["rows"] == expected
        shutil.rmtree(to)
    Place(f"{bucket}/{name}").remove("versions/1")
    assert Place(f"{bucket}/{name}").names("versions") == []
    assert Place(f"{bucket}/{neighbour}").names("versions/1") == ["a.json", "work"]


@pytest.fixture(scope="module")
def three(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Place]:
    """Run, log, and a place with a whole version and two that refer to its objects."""
    folder = tmp_path_factory.mktemp("three")
    run, log, place = write_run(folder / "run"), folder / "log.parquet", Place(f"{bucket}/three")
    named_log().write_parquet(log)
    publish(run, place.url, log)
    for turn in (1, 2):
        news_of_one(log, 37 + turn)
        publish(run, place.url, log, started=STARTED + 100 * turn, **CHANGED)
    return run, log, place


def objects(place: Place) -> list[str]:
    """All names at a place, however deep."""
    place._fs.invalidate_cache()
    return [str(path).removeprefix(place.root).lstrip("/") for path in place._fs.find(place.root)]


def copied(place: Place, to: Place) -> Place:
    """The same objects, or files, elsewhere."""
    for name in objects(place):
        to.write(name, place.read(name))
    return to


@pytest.mark.parametrize("killed_before", [None, 3, 9, 14, 19])
def test_who_is_forgotten_is_in_no_object(
    killed_before: int | None, three: tuple[Path, Path, Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three versions, two by reference: whole afterwards, as a copy on disk shows; also if it was killed first, and
    somebody else is forgotten before the command is given again."""
    run, log, first = three
    place = copied(first, Place(f"{first.url}-{killed_before}"))
    before = {name: rows_of(place, Versions(place).manifest(name) or {}) for name in VERSIONS}
    assert any(before[VERSIONS[2]]["version"] == VERSIONS[0])
    gone = [ZOE]
    if killed_before is not None:
        dies_before(killed_before, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            forget_at(ZOE, place)
        monkeypatch.undo()
        forget_at(OTHER, place)
        gone.append(OTHER)
    forget_at(ZOE, place)
    check_all(copied(place, Place(str(tmp_path / "copy"))), *gone)
    for name in VERSIONS:
        after = rows_of(place, Versions(place).manifest(name) or {})
        assert_frame_equal(after, before[name].filter(~pl.col("user_id").is_in(gone)))
    assert "none has any" in forget_at(ZOE, place), "twice is no error"
    # Retention and the next version go on from what is left; a pointer moved back finds a whole version.
    assert Versions(place).rollback(None) == VERSIONS[1]
    last = publish(run, place.url, log, started=STARTED + 300, keep_versions=1, **CHANGED)
    assert last["counts"]["rows"] == 30 - len(gone)
    later = copied(place, Place(str(tmp_path / "later")))
    check_whole(later, last["version"])
    assert [traces(tmp_path / "later", f'"{user}"') for user in gone] == [[]] * len(gone)
    states = [row["state"] for row in publication_status(place)["versions"]]
    assert states.pop() == "current"
    assert set(states) == {"dropped"}, "but for what the last one refers to"
    assert ACTIVE in rows_of(place, last)["user_id"].to_list()
