"""The pages in a real browser: who can read them, who can write from them, and what they ask of whom.

The server is the daemon's own over a made picture of a fleet, so that every state and every kind of name is there.
"""

from __future__ import annotations

from contextlib import ExitStack
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from fakes.desk import NOW, FakeDesk, made_incident, made_status, past
from servers.chromium import Browser

from monitor import report
from monitor.clock import SystemClock, rfc3339
from monitor.incidents.document import incident_document
from monitor.incidents.order import Outcome
from monitor.telemetry.metrics import Metrics
from monitor.web.server import WebServer
from monitor.web.settings import HttpSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers

WIDTHS = (360, 1280, 3840)
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")
_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: {type: "tag", values: arguments[0]}}).then(found => done(
    found.violations.map(each => each.id + ": " + each.nodes[0].html.slice(0, 200))));
"""


class Served:
    """A server with tokens, what was asked of its loop, and the pages to look at."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.desk = FakeDesk(made_status())
        self.desk.outcome = Outcome((made_incident(1, "m"),))
        tokens = folder / "tokens"
        tokens.write_text("reads status\nwrites write\n")
        settings = HttpSettings(listen="127.0.0.1:0", token_file=str(tokens))
        server = WebServer(settings, self.desk, Metrics(version="0"), SystemClock())
        stack.callback(server.stop)
        server.start()
        self.port = server.port
        incident = self.desk.status().incidents[0]
        self.pages = {
            "fleet": "/",
            "model": f"/models/{quote(incident.model, safe='')}",
            "history": f"/models/{quote(incident.model, safe='')}/history",
            "evidence": f"/models/{quote(incident.model, safe='')}?evidence=24",
            "incident": f"/incidents/{incident.id}",
            "precision": "/precision",
            "runbook": f"/runbooks/{incident.alertname}",
            "nothing": "/incidents/none",
        }

    def address(self, path: str) -> str:
        """With the token as the password that a browser would have asked for."""
        return f"http://ada:reads@127.0.0.1:{self.port}{path}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ExitStack() as stack:
        yield Served(tmp_path_factory.mktemp("pages"), stack)


@pytest.fixture(scope="module", params=["light", "dark"])
def browser(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser"), dark=request.param == "dark") as browser:
        yield browser


def test_everybody_can_read_every_page(served: Served, browser: Browser) -> None:
    """At three widths, in light and dark, axe finds nothing (contrast, names, order), and no page scrolls sideways."""
    axe = files("axe_core_python").joinpath("axe.min.js").read_text()
    found = []
    for width in WIDTHS:
        browser.size(width, 900)
        for name, path in served.pages.items():
            browser.open(served.address(path))
            browser.run(axe)
            found += [f"{name} at {width}: {each}" for each in browser.wait_for(_AXE, list(RULES))]
            wide = browser.run("return document.documentElement.scrollWidth - innerWidth")
            found += [f"{name} at {width}: {wide} pixels too wide"] if wide > 0 else []
    assert found == []


def test_nothing_is_asked_of_anybody_else(served: Served, browser: Browser) -> None:
    """Every request goes to the server that the page is of, and the browser has nothing to complain about."""
    browser.open("about:blank")
    browser.requested()
    browser.complaints()
    for name, path in served.pages.items():
        if name != "nothing":
            browser.open(served.address(path))
    asked = [url for url in browser.requested() if not url.startswith(("chrome:", "about:"))]
    assert len(asked) >= len(served.pages) - 1
    assert [url for url in asked if f"127.0.0.1:{served.port}/" not in url] == []
    assert [each for each in browser.complaints() if "favicon" not in each] == []


def test_a_report_is_read_by_everybody_and_asks_nobody(browser: Browser, tmp_path: Path) -> None:
    """A file for an auditor: axe finds nothing, it never scrolls sideways, and the browser asks for nothing but it."""
    known, out = past("a/b", NOW - 40 * 86400.0, NOW), tmp_path / "report.html"
    incidents = [incident_document(incident) for incident in known.incidents]
    report.write({**known.document, "incidents": incidents}, rfc3339(NOW), "0", out)
    axe, found = files("axe_core_python").joinpath("axe.min.js").read_text(), []
    browser.open("about:blank")
    browser.requested()
    browser.complaints()
    for width in WIDTHS:
        browser.size(width, 900)
        browser.open(out.as_uri())
        found += [url for url in browser.requested() if url not in {out.as_uri(), "about:blank"}]
        browser.run(axe)
        found += browser.wait_for(_AXE, list(RULES))
        wide = browser.run("return document.documentElement.scrollWidth - innerWidth")
        found += [f"{wide} pixels too wide"] if wide > 0 else []
    assert found == []
    assert browser.complaints() == []


def test_from_the_alert_to_the_cause(served: Served, browser: Browser) -> None:
    """From the link of an alert: what happened is on the page, the runbook and the model are one click away each."""
    path = served.pages["incident"]
    browser.open(served.address(path))
    text = browser.run("return document.body.innerText")
    for words in ("Since", "How sure", "What to look at first", "What judged it"):
        assert words in text
    browser.click('a[href^="/runbooks/"]')
    assert "/runbooks/" in browser.address
    browser.open(served.address(path))
    browser.click('main a[href^="/models/"]')
    assert "/models/" in browser.address


def test_acknowledged_from_the_page_by_keyboard(served: Served, browser: Browser) -> None:
    """Fields, token and Enter: the order reaches the loop, and the browser is back on the incident's page."""
    before = len(served.desk.orders)
    browser.open(served.address(served.pages["incident"]))
    form = 'form[aria-label="Acknowledge"]'
    browser.write(f'{form} [name="note"]', "known since noon")
    browser.write(f'{form} [name="by"]', "ada")
    browser.write(f'{form} [name="token"]', "writes\n")
    browser.wait_for("setTimeout(arguments[0], 200)")
    assert browser.address.endswith(served.pages["incident"])
    (order,) = served.desk.orders[before:]
    assert (order.verb, order.by, order.reason, order.note) == ("ack", "ada", "expected", "known since noon")


def test_excluded_from_the_page(served: Served, browser: Browser) -> None:
    """Opened, filled in and sent: the stretch of the incident leaves its model's past, and the browser is back."""
    before = len(served.desk.orders)
    browser.open(served.address(served.pages["incident"]))
    browser.click("details:has(form) > summary")
    form = 'form[aria-label="Exclude"]'
    browser.write(f'{form} [name="note"]', "a test in production")
    browser.write(f'{form} [name="by"]', "ada")
    browser.write(f'{form} [name="token"]', "writes\n")
    browser.wait_for("setTimeout(arguments[0], 200)")
    assert browser.address.endswith(served.pages["incident"])
    (order,) = served.desk.orders[before:]
    assert (order.verb, order.by, order.note) == ("exclude", "ada", "a test in production")
    assert order.from_ < order.until
