"""The pages of a running demo in a real browser: real models with groups, outcomes and incidents, each page of them."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from servers.chromium import Browser
from servers.daemon import PROGRAM, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.servers

MODELS, SEED = 16, 2
"""A fleet with groups, outcomes and incidents of many kinds."""
_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: {type: "tag", values: arguments[0]}}).then(found => done(
    found.violations.map(each => each.id + ": " + each.nodes[0].html.slice(0, 200))));
"""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


class Demo:
    """A demo that goes on serving."""

    def __init__(self, address: str) -> None:
        self.address = address

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page, as a browser asks for it."""
        request = urllib.request.Request(self.address + path, headers={"Accept": "text/html, application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def api(self, path: str) -> Any:
        """What the API says."""
        return json.loads(self.page(f"/api/v1/{path}")[1])


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    command = [*PROGRAM, "demo", "--models", str(MODELS), "--seed", str(SEED), "--minutes", "30"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean_environment()
    ) as process:
        try:
            address = ""
            assert process.stdout is not None
            for line in process.stdout:
                address = address or "".join(re.findall(r"http://[0-9.:]+", line)[:1])
                if "the status page stays" in line:
                    break
            assert address
            yield Demo(address)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def paths(demo: Demo) -> list[str]:
    """Every page of the demo."""
    models = [f"/models/{quote(each['model'], safe='')}" for each in demo.api("models?limit=1000")["items"]]
    incidents = [f"/incidents/{each['id']}" for each in demo.api("incidents?limit=1000")["items"]]
    assert len(models) == MODELS
    assert len(incidents) > MODELS / 2
    return ["/", "/precision", *models, *incidents]


def test_every_page_is_there(demo: Demo, paths: list[str]) -> None:
    """No page of any model or incident fails, and every link on them leads to a page."""
    linked = set()
    for path in paths:
        status, text = demo.page(path)
        assert status == 200, path
        linked |= {link for link in re.findall(r'href="(/[^"#]*)', text) if not link.startswith("/api/")}
    for link in linked - set(paths):
        assert demo.page(link.replace("&amp;", "&"))[0] == 200, link


def test_what_a_model_shows(demo: Demo, paths: list[str]) -> None:
    """A model with groups and outcomes has a table for each question, and nothing is a document written out."""
    texts = [demo.page(path)[1] for path in paths if path.startswith("/models/")]
    [text, *_] = [each for each in texts if "Calibration by group" in each]
    for words in (
        "Performance",
        "What of it is judged",
        "Groups",
        "What its answers lean on",
        "Traffic",
        "Blind spots",
    ):
        assert words in text
    assert "evidence log10" not in text


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 360)], ids=["light", "dark"])
def test_everybody_can_read_them(
    demo: Demo, paths: list[str], tmp_path_factory: pytest.TempPathFactory, *, dark: bool, width: int
) -> None:
    """At a desk and on a telephone, axe finds nothing on pages of all kinds, and none scrolls sideways."""
    longest = max((path for path in paths if path.startswith("/models/")), key=lambda path: len(demo.page(path)[1]))
    shown = ["/", longest, *[path for path in paths if path.startswith("/incidents/")][:3]]
    axe, found = files("axe_core_python").joinpath("axe.min.js").read_text(), []
    with Browser(tmp_path_factory.mktemp("browser"), dark=dark) as browser:
        browser.size(width, 900)
        for path in shown:
            browser.open(demo.address + path)
            browser.run(axe)
            found += [f"{path} at {width}: {each}" for each in browser.wait_for(_AXE, RULES)]
            wide = browser.run("return document.documentElement.scrollWidth - innerWidth")
            found += [f"{path} at {width}: {wide} pixels too wide"] if wide > 0 else []
    assert found == []
