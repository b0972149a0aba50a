"""The page in a real browser: what people see, can do by keyboard, and what no title, text or id can do to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.made_publication import made_row
from tests.made_service import made_service
from tests.running import running
from trackrec.serving.app import build_app
from trackrec.serving.run_texts import JudgedItems
from trackrec.serving.service import Service
from trackrec.store.objections import Rewriter

pytestmark = pytest.mark.slow
SCRIPTS = (
    "<script>window.hurt=1</script>",
    '"><img src=x onerror="window.hurt=1">',
    "<svg/onload=window.hurt=1>",
    "javascript:window.hurt=1",
    "'-window.hurt=1-'",
    "</textarea><iframe srcdoc='<script>parent.hurt=1</script>'>",
    "{{constructor.constructor('window.hurt=1')()}}",
)


class Letters:
    """An encoder without a model: what it says follows from the text's letters."""

    def encode(self, texts: list[str]) -> Any:
        rows = [[text.count(chr(97 + k % 26)) / 10 for k in range(384)] for text in texts]
        return np.array(rows, dtype=np.float32)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    rows: list[dict[str, Any]] = [made_row(user) for user in range(1, 40)]
    for script in SCRIPTS:
        row = made_row(f"id {script}")
        for sentence in row["sentences"]:
            sentence["text"] = f"They like {script} [1]."
            sentence["verdict"] = script
        rows.append(row)
    rows = [row | {"user_id": str(row["user_id"])} for row in rows]
    service = made_service(tmp_path_factory.mktemp("page"), rows, title=f"Film {' '.join(SCRIPTS)}")
    service._rewriters["one"] = Rewriter(Letters(), None, "letters")
    told = {
        "user_id": [row["user_id"] for row in rows],
        "item_id": 1,
        "label": 1,
        "with_text": 0.8,
        "without_text": 0.3,
    }
    service.judged = JudgedItems("one", pl.DataFrame(told))
    return service


@pytest.fixture(scope="module")
def address(service: Service) -> Iterator[str]:
    with running(build_app(service)) as address:
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    context = browser.new_context(base_url=address)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    yield page
    context.close()


def open_person(page: Any, user: str) -> None:
    page.goto("/")
    page.get_by_label("Person's id").fill(user)
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_selector("#list > li")


def test_a_person_is_shown_with_what_the_text_rests_on(page: Any) -> None:
    open_person(page, "7")
    assert page.get_by_role("heading", level=1).inner_text() == "Person 7"
    first = page.locator("#sentences > li").first
    assert "This viewer enjoys Thriller." in first.inner_text()
    assert "✓ holds" in first.inner_text()
    first.hover()
    numbers = page.locator("#history > li.active .number").all_inner_texts()
    assert sorted(map(int, numbers)) == made_row(7)["sentences"][0]["events"]
    page.locator("#list > li").first.get_by_role("button", name="Why").click()
    page.wait_for_selector("#list > li:first-child .why p")
    assert "It shares" in page.locator("#list > li .why").first.inner_text()
    judged = page.locator("#judged-list > li").first.inner_text()
    assert "liked" in judged
    assert "80% / 30%" in judged
    assert not page.locator("#judged-more").is_visible()
    assert page.faults == []


def test_ten_of_the_judges_answers_are_shown_until_all_are_asked_for(page: Any, service: Service) -> None:
    many = [{"user_id": "8", "item_id": n, "label": 0, "with_text": n / 40, "without_text": 0.5} for n in range(1, 26)]
    before, service.judged = service.judged, JudgedItems("one", pl.DataFrame(many))
    open_person(page, "8")
    page.locator("#judged-list > li").first.wait_for()
    rows = page.locator("#judged-list > li:visible")
    assert rows.count() == 10
    assert "63%" in rows.first.inner_text(), "the likeliest first"
    page.get_by_role("button", name="Show all 25").press("Enter")
    assert rows.count() == 25
    assert page.evaluate("document.activeElement.querySelector('.number').textContent") == "11"
    assert page.faults == []
    service.judged = before


def test_somebody_unknown_is_said_to_be(page: Any) -> None:
    page.goto("/#nobody")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "nobody of that id" in page.get_by_role("alert").inner_text()
    assert not page.locator("#person").is_visible()


def test_an_objection_by_keyboard_alone(page: Any, service: Service) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.get_by_label("Person's id").focus()
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    page.wait_for_selector("#list > li")
    for _ in range(40):
        page.keyboard.press("Tab")
        if "turn away" in (page.evaluate("document.activeElement.getAttribute('aria-label')") or ""):
            break
    assert page.locator("#sentences > li.active").count() == 1, "focus marks the events as pointing does"
    page.keyboard.press("Enter")
    page.get_by_role("status").filter(has_text="Taken out").wait_for()
    assert "turn away" not in page.locator("#sentences").inner_text()
    found = service.store.read(["12"]).found[0]
    assert found is not None
    assert found.record.objections == 1
    assert found.raw_vector is not None
    entry = service.store.feedback("12")[0]
    assert (entry["kind"], entry["training"]) == ("wrong", False)
    page.get_by_label("Say something yourself").fill("I like <b>musicals</b>.")
    page.get_by_role("button", name="Add the sentence").press("Enter")
    page.get_by_role("status").filter(has_text="Added").wait_for()
    assert "I like <b>musicals</b>." in page.locator("#sentences").inner_text()
    assert "✎ own words" in page.locator("#sentences").inner_text()
    assert page.faults == []


def test_an_objection_takes_less_than_300_ms(address: str, service: Service) -> None:
    """Of a core, client and service together, which are this process: by the clock a busy machine would be measured."""
    import time

    import httpx

    with httpx.Client(base_url=address, timeout=30) as client:
        client.post("/v1/users/20/objections", json={"kind": "add", "sentence": "I like opera."})
        seconds = []
        for number in range(5):
            started = time.process_time()
            told = client.post("/v1/users/20/objections", json={"kind": "add", "sentence": f"I like opera {number}."})
            seconds.append(time.process_time() - started)
            assert told.json()["after"]["text"] == "used"
    assert min(seconds) < 0.3, seconds


@pytest.mark.parametrize("script", SCRIPTS)
def test_live_scripts_are_only_letters(script: str, page: Any) -> None:
    open_person(page, f"id {script}")
    page.get_by_role("button", name="event").first.click()
    page.locator("#list > li").first.get_by_role("button", name="Why").click()
    page.get_by_role("button", name="Show it as JSON").click()
    page.wait_for_selector("#held:not([hidden])")
    page.locator("#history summary").first.click()
    assert script in page.locator("#sentences > li p").first.inner_text()
    assert script in page.get_by_role("heading", level=1).inner_text()
    assert script in page.locator("#history > li").first.inner_text()
    page.wait_for_timeout(200)
    assert page.evaluate("window.hurt") is None
    assert page.locator("main script, main img, main iframe, main svg").count() == 0
    assert page.faults == []
    page.goto("/overview")
    page.wait_for_selector("#versions tbody tr")
    assert page.evaluate("window.hurt") is None


def test_the_policy_stops_a_script_that_got_in_all_the_same(page: Any) -> None:
    page.goto("/")
    page.evaluate(
        "try { const s = document.createElement('script'); s.textContent = 'window.hurt = 1'; "
        "document.body.append(s) } catch (error) { window.stopped = String(error) }"
    )
    assert page.evaluate("window.hurt") is None
    assert "TrustedScript" in page.evaluate("window.stopped")


@pytest.mark.parametrize("path", ["/", "/#7", "/overview"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_serious(path: str, scheme: str, width: int, browser: Any, address: str) -> None:
    pytest.importorskip("axe_playwright_python")
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    size = {"width": width, "height": 800}
    context = browser.new_context(base_url=address, color_scheme=scheme, viewport=size, bypass_csp=True)
    page = context.new_page()
    page.goto(path)
    page.wait_for_selector("#versions tbody tr" if path == "/overview" else "#list > li" if "#" in path else "#some a")
    if "#" in path:  # with everything open
        page.get_by_role("button", name="event").first.click()
        page.locator("#list > li").first.get_by_role("button", name="Why").click()
        page.locator("#history summary").first.click()
        page.get_by_role("button", name="Show it as JSON").click()
        page.wait_for_selector("#held:not([hidden])")
        page.wait_for_timeout(300)  # colours change smoothly
    page.evaluate(axe)
    found = page.evaluate("axe.run().then((told) => told.violations)")
    told = [f"{one['impact']}: {one['id']}: {one['nodes'][0]['html'][:120]}" for one in found]
    assert [line for line in told if re.match("serious|critical|moderate", line)] == []
    context.close()


@pytest.mark.parametrize("path", ["/#7", "/overview"])
def test_nothing_sticks_out_on_a_phone(path: str, browser: Any, address: str) -> None:
    context = browser.new_context(base_url=address, viewport={"width": 360, "height": 740}, has_touch=True)
    page = context.new_page()
    page.goto(path)
    page.wait_for_selector("#versions tbody tr" if path == "/overview" else "#list > li")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    if path == "/#7":
        page.get_by_role("button", name="event").first.tap()
        assert page.locator(".cited:visible li").count() >= 1
    context.close()


def test_a_token_is_asked_for_once_and_kept_in_the_tab(browser: Any, service: Service) -> None:
    with running(build_app(service, token="s3cret")) as guarded:
        context = browser.new_context(base_url=guarded)
        page = context.new_page()
        asked = []
        page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept("s3cret")))
        page.goto("/#7")
        page.wait_for_selector("#list > li")
        assert asked
        number = len(asked)
        page.reload()
        page.wait_for_selector("#list > li")
        assert len(asked) == number
        assert "s3cret" not in page.url
        context.close()
