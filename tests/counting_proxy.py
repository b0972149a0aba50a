"""A proxy that counts what is asked of a real server and what of it was answered, and that can drop the line."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class CountingProxy:
    """The running proxy: ``base_url``, the last message of each call that came, and of each that was answered."""

    def __init__(self) -> None:
        self.base_url = ""
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.drop = False
        """Whether calls are hung up on."""


@contextmanager
def counting_proxy(target: str) -> Iterator[CountingProxy]:
    """Pass calls on to ``target`` until the block ends."""
    state, where = CountingProxy(), urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if state.drop:
                self.close_connection = True
                return
            told = json.loads(data)["messages"][-1]["content"]
            state.asked.append(told)
            upstream = http.client.HTTPConnection(str(where.hostname), where.port, timeout=120)
            kept = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
            try:
                upstream.request("POST", self.path, data, kept)
                response = upstream.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):  # the server was killed
                self.close_connection = True
                return
            if state.drop:
                self.close_connection = True
                return
            self.send_response(response.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            state.answered.append(told)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
