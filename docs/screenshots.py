"""Make the pictures of the documents: a run's table in a terminal, its report, the served page, the overview.

    make demo
    python docs/screenshots.py runs/demo

needs the extra ``dev`` and a Chromium (``apt-get install chromium``; another one by CHROMIUM). The run must have its
store in its folder, as the demo leaves it; what `trackrec monitor` finds is put into a copy, for the overview.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME

from trackrec.pipeline.summary import print_summary
from trackrec.report import write_report
from trackrec.serving.app import build_app
from trackrec.serving.cards import Cards
from trackrec.serving.monitor import Limits, watch
from trackrec.serving.run_texts import OWN_STORE
from trackrec.serving.service import Service
from trackrec.serving.settings import ServiceSettings
from trackrec.store.opening import open_store
from trackrec.store.store import Store

OUT = Path(__file__).resolve().parent / "images"
MOST_BYTES = 150_000
TERMINAL_STYLE = "body { margin: 0; padding: .6rem 1rem; width: max-content; line-height: 1.165; font-size: 14px; }"
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


@contextlib.contextmanager
def served(service: Service) -> Iterator[str]:
    """The service on a free port of this machine; its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(build_app(service), port=port, access_log=False, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def keep(picture: bytes, name: str) -> None:
    """Write a picture with as few colours as it needs to be small.

    Raises:
        ValueError: it is too large all the same.
    """
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    path = OUT / f"{name}.png"
    OUT.mkdir(exist_ok=True)
    image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path} has {size} bytes, but a picture of the documents has {MOST_BYTES} at most")
    print(f"{path} {image.width}x{image.height}, {size:,} bytes")


def terminal(run: Path, browser: Browser) -> None:
    """The end of a run, as a terminal shows it."""
    command = [sys.executable, "-m", "trackrec.cli", "publish", str(run), "--to", str(run / OWN_STORE)]
    published = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=118, file=nowhere, force_terminal=True, color_system="truecolor")
        print_summary(run, console)
        console.print(
            f"Report: {write_report(run)}\n{published.strip()}", highlight=False, markup=False, soft_wrap=True
        )
    page = browser.new_page(viewport={"width": 1200, "height": 400})
    page.set_content(console.export_html(inline_styles=True, theme=SVG_EXPORT_THEME))
    page.add_style_tag(content=TERMINAL_STYLE)
    keep(page.locator("body").screenshot(), "terminal")
    page.close()


def look(browser: Browser, address: str, name: str, wait: str, phone: bool = False) -> None:
    """A page as people see it; on a phone in the dark."""
    page = browser.new_page(viewport=PHONE if phone else WIDE, color_scheme="dark" if phone else "light")
    page.goto(address)
    page.wait_for_selector(wait)
    if "#" in address:  # as if somebody pointed at the sentence that rests on fewest events
        sentences = page.locator("#sentences > li")
        numbers = [int(told.split()[0]) for told in sentences.get_by_role("button", name="event").all_inner_texts()]
        sentences.nth(numbers.index(min(numbers))).hover()
        page.wait_for_timeout(500)  # colours change smoothly
    keep(page.screenshot(), name)
    page.close()


def person_of(store: Store) -> str:
    """Whose text has most sentences that hold, by most events."""

    def worth(user: str) -> tuple[int, int]:
        found = store.read([user]).found[0]
        sentences: list[dict[str, Any]] = [] if found is None else found.body["sentences"]
        held = [one for one in sentences if one["verdict"] == "supported"]
        return len(held), sum(len(one["events"]) for one in held)

    return max(store.some_ids("", 1_000), key=worth)


def main() -> None:
    """Make them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished demo")
    parser.add_argument("--person", help="whose page is shown; if not given, whoever's text says most that holds")
    given = parser.parse_args()
    run: Path = given.run
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        place = Path(scratch) / OWN_STORE
        with (
            contextlib.closing(sqlite3.connect(run / OWN_STORE)) as own,
            contextlib.closing(sqlite3.connect(place)) as copy,
        ):
            own.backup(copy)
        store = open_store(str(place))
        store.keep_monitored(watch(store, Limits(), None, run))
        person = given.person or person_of(store)
        service = Service.of(store, ServiceSettings(rate=0), run, Cards.shipped_for(run))
        service.warm_up()
        chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        terminal(run, browser)
        look(browser, write_report(run).resolve().as_uri(), "report", "h1")
        with served(service) as address:
            look(browser, f"{address}/#{person}", "page", "#list > li")
            look(browser, f"{address}/#{person}", "page-phone", "#list > li", phone=True)
            look(browser, f"{address}/overview", "overview", "#watch tbody tr")
        browser.close()


if __name__ == "__main__":
    main()
