"""Two contenders of a running node are compared, while it runs and after, and the page opens from a disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.system.conftest import Up
from tests.system.running import podium, until
from tests.system.test_protocols import BROWSER_OPTIONS, CHROMIUM

REQUESTS = 40


def compared(project: Path, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(podium(project, "compare", *words, "--json").stdout)
    return found


def test_contenders_are_compared_while_the_node_runs_and_when_it_does_not(project: Path, up: Up) -> None:
    node = up(project)
    for number in range(REQUESTS):
        node.score(f"bmi={number / 400}", podium_id=f"r{number:03d}")
    until(lambda: node.status().archived == REQUESTS, what=node.status)
    # An answer may be archived a moment before the score of one that did not answer.
    until(lambda: compared(project, "linear", "forest")["common"] == REQUESTS)

    found = compared(project, "diabetes", "linear@1", "forest", "--since", "1h")
    assert (found["common"], found["a"]["scored"] + found["a"]["late"]) == (REQUESTS, REQUESTS)
    assert (found["a"]["number"], found["b"]["number"]) == (1, 1)
    assert found["canary"]["model"] == "reference"
    worst = found["worst"][0]
    asked = [
        node.score(f"bmi={worst['inputs']['bmi']}", podium_force=model) for model in ("linear", "forest")
    ]
    assert [one["answer"]["progression"] for one in asked] == pytest.approx([worst["a"], worst["b"]])

    until(lambda: node.status().archived == REQUESTS + 2, what=node.status)
    assert node.stop() == 0
    assert compared(project, "linear", "forest")["common"] == REQUESTS + 2  # a stop archives all
    page = project / "page.html"
    said = podium(project, "compare", "linear", "forest", "--html", str(page))
    assert said.stdout.startswith("diabetes: forest@")
    look_at(page)


def look_at(file: Path) -> None:
    """In a browser: nothing is fetched, nothing is wrong, plots and tables are named, and dark is dark."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_OPTIONS)
        try:
            grounds = [_ground(browser, file, scheme) for scheme in ("light", "dark")]
        finally:
            browser.close()
    assert grounds[0] == "rgb(255, 255, 255)"
    assert grounds[1] != grounds[0]


def _ground(browser: Browser, file: Path, scheme: Literal["light", "dark"]) -> str:
    page = browser.new_page(color_scheme=scheme, viewport={"width": 420, "height": 900})
    fetched: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    assert (fetched, said) == ([file.as_uri()], [])
    for name in ("Q–Q plot of progression", "Differences of progression", "Latency quantiles"):
        assert page.get_by_role("img", name=name).bounding_box()
    assert page.get_by_role("columnheader", name="p99").count() == 1
    assert page.get_by_role("rowheader", name="linear@").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))
