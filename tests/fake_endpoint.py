"""An endpoint that misbehaves on demand, for what a real server cannot be made to do."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-very-secret-0123456789"


@dataclass
class Said:
    """What the endpoint says to one call."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Send so many bytes of the body and hang up."""
    drip: float | None = None
    """Seconds between single bytes."""
    delay: float = 0.0
    """Seconds before anything is said."""


def completion(body: dict[str, Any], text: str | None = None, **choice: Any) -> dict[str, Any]:
    """A good answer of chat completions: ``n`` texts that follow from prompt and seed, ten tokens each."""
    told = body.get("messages") or body.get("prompt")
    choices = []
    for number in range(body.get("n", 1)):
        digest = hashlib.sha256(f"{told}/{body.get('seed')}/{number}".encode()).hexdigest()[:8]
        message = {"role": "assistant", "content": f"text {digest}" if text is None else text}
        choices.append({"index": number, "finish_reason": "stop", "message": message, **choice})
    usage = {"prompt_tokens": 100, "completion_tokens": 10 * len(choices), "total_tokens": 100 + 10 * len(choices)}
    return {"object": "chat.completion", "model": "fake-1", "choices": choices, "usage": usage}


def error(message: str, code: Any = None, kind: str = "error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": code}}


Behaviour = Callable[[int, dict[str, Any]], Said]
"""From the number of the call (from 0) and its body to what is said."""


class FakeEndpoint:
    """The running server: ``base_url``, and what arrived."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.bodies: list[dict[str, Any]] = []
        self.authorization: list[str | None] = []
        self.at: list[float] = []
        self.busiest = 0
        self.busy = 0
        self.lock = threading.Lock()


@contextmanager
def fake_endpoint(behave: Behaviour | None = None) -> Iterator[FakeEndpoint]:
    """Serve until the block ends; by default every call gets a good answer."""
    state: FakeEndpoint

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                number = len(state.bodies)
                state.bodies.append(body)
                state.authorization.append(self.headers.get("Authorization"))
                state.at.append(time.monotonic())
                state.busy += 1
                state.busiest = max(state.busiest, state.busy)
            try:
                self.say(behave(number, body) if behave else Said(completion(body)))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                with state.lock:
                    state.busy -= 1

        def say(self, said: Said) -> None:
            time.sleep(said.delay)
            data = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if said.drip is not None:
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(said.drip)
                return
            self.wfile.write(data[: said.cut])
            if said.cut is not None:
                self.wfile.flush()
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = FakeEndpoint(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
