"""The pages: escaped, complete, accessible."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest
from fakes.desk import NOW, FakeDesk, made_incident, made_status

from monitor.incidents.incident import Acknowledged, Note
from monitor.notify.payload import SUPPRESSED, TEST, WATCHDOG
from monitor.telemetry.metrics import ALERTNAMES
from monitor.web import charts
from monitor.web.charts import Span
from monitor.web.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Callable

INCIDENT = "/incidents/i-0000"
VOID = {"meta", "input", "br"}


class Outline(HTMLParser):
    """Tags, attributes and links of a page; fails where a tag is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.links += [value for name, value in attrs if name == "href" and value and value != "#main"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    "path", ["/", "/models/quo%22ted", "/models/quo%22ted/history", "/incidents/i-0000", "/precision"]
)
def test_pages_are_well_formed_and_run_nothing(get: Any, path: str) -> None:
    """Tags close, there is a language, a title and a heading, and no script, handler or outside resource."""
    answer = get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Outline(answer.body.decode())
    assert ("lang", "en") in page.attributes
    assert page.tags.count("h1") == 1
    assert "main" in page.tags
    assert "title" in page.tags
    assert not {"script", "img", "iframe", "link", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all(link.startswith("/") for link in page.links)


@pytest.mark.parametrize("path", ["/", "/models/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/incidents/i-0000"])
def test_what_events_say_is_text(get: Any, path: str) -> None:
    """Names and details with markup in them show as they are written."""
    body = get(path).body.decode()
    assert "<script" not in body
    assert "<its>" not in body
    assert "<b>" not in body
    assert "alert(1)" in body or "&lt;its&gt;" in body


def test_the_policy_allows_the_style_of_the_page(get: Any) -> None:
    """The hash in the content security policy is that of the style element."""
    answer = get("/")
    style = re.search(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]


def test_tables_have_captions_and_headings(get: Any) -> None:
    """Every table says what it is; every row and column has its heading."""
    for path, tables in (("/", 1), ("/models/quo%22ted", 12), (INCIDENT, 2)):
        found = re.findall(r"<table.*?</table>", get(path).body.decode(), re.DOTALL)
        assert len(found) == tables, path
        for table in found:
            assert table.count("<caption>") == 1
            columns, rows = table.count('<th scope="col"'), table.split("<tbody>")[1].split("<tr>")[1:]
            assert rows
            assert {(row.count('<th scope="row">'), 1 + row.count("<td")) for row in rows} == {(1, columns)}


def test_every_link_leads_somewhere(get: Any, desk: FakeDesk) -> None:
    """All models and open incidents are linked from the first page, and each link is answered."""
    page = Outline(get("/").body.decode())
    linked = {unquote(link.removeprefix("/models/")) for link in page.links if link.startswith("/models/")}
    assert linked == set(desk.published.fleet.names)
    for link in set(page.links):
        assert get(link).status == 200


def test_a_hundred_models_to_a_page(get: Any, desk: FakeDesk) -> None:
    """The next page goes on where this one ends, with the same search, until all were shown."""
    desk.published = made_status([f"model-{i:03d}" for i in range(250)], incidents=0)
    path, seen = "/?q=MODEL&sort=-events", []
    for _ in range(3):
        page = Outline(get(path).body.decode())
        seen += [link for link in page.links if link.startswith("/models/")]
        following = [link for link in page.links if "cursor=" in link]
        path = following[-1] if following else ""
    assert path == ""
    assert len(seen) == len(set(seen)) == 250


def test_an_incident_of_many_models(get: Any, desk: FakeDesk) -> None:
    """A shared cause shows how many models it is about, and on the page of each of them."""
    names = desk.published.fleet.names
    shared = made_incident(0, "", alertname="FleetSharedCause", models=tuple(names[:2]), related=("i-0001",))
    desk.change(incidents=[shared])
    assert "2 models" in get("/").body.decode()
    assert "FleetSharedCause" in get(f"/models/{quote(names[1], safe='')}").body.decode()
    assert "FleetSharedCause" not in get(f"/models/{quote(names[2], safe='')}").body.decode()
    assert '"/incidents/i-0001"' in get("/incidents/i-0000").body.decode()


def test_links_keep_the_path_of_the_external_address(serve: Callable[..., Any]) -> None:
    """Behind a proxy that serves us under a path, links stay under it."""
    get = serve(external_url="https://monitor.example/watch/")
    page = Outline(get("/").body.decode())
    assert page.links
    assert all(link.startswith("/watch/") for link in page.links)


def test_the_worst_incident_comes_first(get: Any, desk: FakeDesk) -> None:
    """Incidents are ranked by harm, acknowledged ones behind the rest; each says what, to whom, since when."""
    names = desk.published.fleet.names
    known = Acknowledged("ana <ops>", "expected", "a campaign", NOW, NOW + 3600)
    made = [
        made_incident(1, names[0], severity="info", people_affected=5),
        made_incident(2, names[1], severity="warning", people_affected=5),
        made_incident(4, names[2], severity="warning", people_affected=900),
        made_incident(5, names[3], severity="critical", people_affected=900),
        made_incident(6, names[4], severity="critical", people_affected=90_000, acknowledged=known),
    ]
    desk.change(incidents=made)
    page = Outline(get("/").body.decode())
    linked = [link.removeprefix("/incidents/") for link in page.links if link.startswith("/incidents/")]
    assert linked == ["i-0005", "i-0004", "i-0002", "i-0001", "i-0006"]
    assert "900 people" in page.text
    assert "since" in page.text
    assert "acknowledged by ana <ops>" in page.text


def test_an_incident_shows_who_knows_of_it(get: Any, desk: FakeDesk) -> None:
    """Acknowledgement and notes are shown with who and when, as text."""
    known = Acknowledged("ana", "not_useful", "it is <planned>", NOW, NOW + 3600)
    notes = (Note("bo", NOW, "see ticket 7"),)
    desk.change(incidents=[made_incident(0, desk.published.fleet.names[0], acknowledged=known, notes=notes)])
    text = Outline(get(INCIDENT).body.decode()).text
    assert "Acknowledged by ana as not useful, until 2026-03-01 10:30 UTC: it is <planned>" in text
    assert "bo: see ticket 7" in text


def test_states_are_told_by_sign_and_word(get: Any) -> None:
    """No state is told by colour alone: wherever its class stands, its sign and its name do."""
    for path in ("/", "/models/quo%22ted", INCIDENT):
        body = get(path).body.decode()
        found = re.findall(r'<span class="(\w+) nowrap"><span aria-hidden="true">([^<]+)</span> (\w+)</span>', body)
        assert found
        assert all(kind == word and sign for kind, sign, word in found)


def test_pictures_say_what_they_show(get: Any) -> None:
    """Every drawing has a role and a title in words, and the numbers stand beside it."""
    for path in ("/models/quo%22ted", INCIDENT):
        body = get(path).body.decode()
        drawings = re.findall(r"<svg [^>]*>(.{7})", body)
        assert drawings
        assert set(drawings) == {"<title>"}
        assert body.count("<svg ") == body.count('role="img"')


def test_an_incident_says_how_sure(get: Any) -> None:
    """Evidence is told in words and odds, the effect beside its tolerance, and where to go on from here."""
    page = Outline(get(INCIDENT).body.decode())
    assert "very strong" in page.text
    assert "once in 32 million" in page.text
    assert "3.1 times the tolerance" in page.text
    assert {"/api/v1/incidents/i-0000", "/runbooks/ModelFeatureDrift"} <= set(page.links)


def test_an_incident_is_shown_while_the_loop_is_busy(get: Any, desk: FakeDesk) -> None:
    """The page does without the model's present when the loop does not answer."""
    desk.busy = True
    answer = get(INCIDENT)
    assert answer.status == 200
    assert b"What it touches, now" not in answer.body


@pytest.mark.parametrize("alertname", [*ALERTNAMES, SUPPRESSED, TEST, WATCHDOG])
def test_every_alert_links_to_its_runbook(get: Any, alertname: str) -> None:
    """The address that alerts carry as runbook_url is answered with that section of the manual."""
    page = Outline(get(f"/runbooks/{alertname}").body.decode())
    for part in ("Means.", "First look.", "Causes.", "Do."):
        assert part in page.text
    assert "**" not in page.text


def test_a_life_is_a_list_too(get: Any, desk: FakeDesk) -> None:
    """What the line of a model's life shows can be read: facts and incidents, newest first."""
    name = desk.published.fleet.names[0]
    desk.change(incidents=[made_incident(0, name), made_incident(3, name)])
    body = get(f"/models/{quote(name, safe='')}").body.decode()
    (listed,) = re.findall(r"<details><summary>3 entries in words(.*?)</details>", body, re.DOTALL)
    assert listed.index("i-0000") < listed.index("i-0003") < listed.index("reference file")


def test_incidents_that_began_at_once() -> None:
    """Of one fault several incidents begin together, some over and some not: each has its lane."""
    spans = [Span(5.0, None, "open"), Span(5.0, 8.0, "over"), Span(5.0, None, "too")]
    drawn = charts.life(0.0, 10.0, [], spans)
    assert drawn.count("<rect") == 3


def test_contrast_is_enough() -> None:
    """Every colour of text reaches 4.5 to 1 on page and card, every one of drawings 3 to 1, light and dark (WCAG 2)."""
    light, dark = (dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", part)) for part in STYLE.split("@media")[:2])
    for palette in (light, {**light, **dark}):
        for ground in (palette["page"], palette["card"]):
            for name in ("ink", "quiet", "alarm", "warn", "good", "link"):
                assert contrast(palette[name], ground) >= 4.5, (name, ground)
        for name in ("now", "then", "alarm", "good"):
            assert contrast(palette[name], palette["page"]) >= 3.0, name


def test_ten_thousand_models_are_paged_quickly(get: Any, desk: FakeDesk) -> None:
    """The page of a fleet of 10,000 models, searched and sorted, takes less than 200 ms."""
    desk.published = made_status([f"model-{i:05d}" for i in range(10_000)], incidents=200)
    for path in ("/", "/?q=9&sort=-drift_ratio&state=firing"):
        took = []
        for _ in range(3):
            began = time.perf_counter()
            assert get(path).status == 200
            took.append(time.perf_counter() - began)
        assert min(took) < 0.2, path


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as WCAG 2 has it."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_what_people_said(get: Any, desk: FakeDesk) -> None:
    """By team and detector: told, confirmed, false, not judged, with the interval; of what fired since."""
    labels = {"team": "<risk>"}
    said = [made_incident(i, "m", labels=labels, verdict=verdict) for i, verdict in enumerate(["fixed", "false", ""])]
    desk.change(incidents=said)
    whole, drift = get("/api/v1/precision").json["items"]
    assert (whole["detector"], drift["detector"], drift["team"]) == (None, "drift", "<risk>")
    assert [drift[name] for name in ("told", "confirmed", "false", "not_judged", "precision")] == [3, 1, 1, 1, 0.5]
    assert drift["interval"] == pytest.approx([0.0945, 0.9055], abs=1e-4)
    page = Outline(get("/precision").body.decode())
    assert "<risk>" in page.text
    assert "9 to 91 %" in page.text
    assert "Somebody said of it: false" in Outline(get("/incidents/i-0001").body.decode()).text
    assert "None yet" in Outline(get("/precision?since=2036-01-01").body.decode()).text
    assert get("/api/v1/precision?since=2036-01-01").json["items"] == []
