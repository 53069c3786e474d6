"""The pages: escaped, complete, accessible."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest
from fakes.desk import FakeDesk, made_incident, made_status

if TYPE_CHECKING:
    from collections.abc import Callable

VOID = {"meta", "input"}


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
        self.links += [value for name, value in attrs if name == "href" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("path", ["/", "/models/quo%22ted", "/incidents/i-0000"])
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
    body = get("/").body.decode()
    assert body.count("<table>") == body.count("<caption>") == 2
    assert body.count('<th scope="col"') == 13
    assert body.count('<th scope="row">') == 6 + 12


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
