"""The pieces that pages are made of: escaped text, tables, states as sign and word, links under one prefix."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from monitor.web.messages import HTML, Response
from monitor.web.style import STYLE, STYLE_SOURCE

SIGNS = {
    "learning": "○",
    "watching": "✓",
    "firing": "▲",
    "silent": "…",
    "resolved": "✓",
    "blind": "?",
    "ok": "✓",
    "degraded": "!",
    "failing": "✗",
    "critical": "▲▲",
    "warning": "▲",
    "info": "△",
}

_ALONE = f"default-src 'none'; style-src {STYLE_SOURCE}"
"""What a page that stands alone may ask for: nothing."""

Column = tuple[str, str]
"""A heading and the class of its cells: ``n`` for numbers."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What all pages share: where links begin (``prefix``, without a slash at its end), head and foot.

    ``keeps_past`` tells whether there are pages of the past that links could lead to.
    """

    prefix: str
    keeps_past: bool = True

    def page(self, title: str, body: Iterable[str]) -> Response:
        """A whole page; empty parts of ``body`` are left out."""
        home = escape(self.prefix)
        text = (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(title)} - modelwatch</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            f'<header><a class="skip" href="#main">To the content</a><nav aria-label="Main">'
            f'<a href="{home}/">All models</a> <a href="{home}/precision">What people said</a></nav></header>\n'
            f'<main id="main">\n{chr(10).join(part for part in body if part)}\n</main>\n</body>\n</html>\n'
        )
        return Response(200, HTML, text.encode("utf-8", "replace"))

    def link(self, stem: str, name: str, words: str = "") -> str:
        """A link to ``stem`` and the encoded ``name``."""
        return f'<a href="{escape(self.href(stem, name))}"><bdi>{escape(words or name)}</bdi></a>'

    def href(self, stem: str, name: str = "") -> str:
        """The address of ``stem`` and the encoded ``name``; not escaped yet."""
        return f"{self.prefix}{stem}{quote(name, safe='', errors='replace')}"


def document(title: str, body: Iterable[str]) -> bytes:
    """A page that stands alone in a file: nothing of it is anywhere else."""
    text = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_ALONE}">\n'
        f"<title>{escape(title)} - modelwatch</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<main id="main">\n{chr(10).join(part for part in body if part)}\n</main>\n</body>\n</html>\n'
    )
    return text.encode("utf-8", "replace")


def table(caption: str, headings: Sequence[Column], rows: Iterable[Sequence[str]], *, stacked: bool = False) -> str:
    """A table that scrolls by itself, or whose rows stack on a narrow screen; first cells are headings.

    Cells are HTML already, headings are text.
    """
    head = "".join(f'<th scope="col"{_class(kind)}>{escape(heading)}</th>' for heading, kind in headings)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(
            f'<td{_class(kind)} data-label="{escape(heading)}">{cell}</td>'
            for cell, (heading, kind) in zip(rest, headings[1:], strict=True)
        )
        + "</tr>"
        for first, *rest in rows
    )
    whole = (
        f"<table{_class('stack' if stacked else '')}>\n<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )
    # What scrolls must be within reach of the keyboard, and say what it is.
    return (
        whole
        if stacked
        else f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">\n{whole}\n</div>'
    )


def definitions(values: Mapping[str, Any]) -> str:
    """A list of names and their values."""
    pairs = "".join(f"<dt>{escape(words(name))}</dt><dd>{text(value)}</dd>" for name, value in values.items())
    return f"<dl>{pairs}</dl>"


def quoted(value: str) -> str:
    """A value as a part of an address; not escaped yet."""
    return quote(value, safe="", errors="replace")


def options(choices: Iterable[tuple[str, str]], chosen: str) -> str:
    """The options of a select."""
    return "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(words_)}</option>'
        for value, words_ in choices
    )


def words(name: str) -> str:
    """A field's name as words."""
    return name.replace("_", " ")


def text(value: Any) -> str:
    """Any JSON value as HTML."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return '<span class="quiet">unknown</span>'
    if value in ("", [], {}):
        return '<span class="quiet">none</span>'
    if isinstance(value, dict):
        return definitions(value)
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"<bdi>{escape(str(value))}</bdi>"


def moment(time: str | None) -> str:
    """A time to the minute as people read it, exact in ``datetime``."""
    if not time:
        return '<span class="quiet">unknown</span>'
    return f'<time datetime="{escape(time)}">{escape(time[:16].replace("T", " "))} UTC</time>'


def interval(ends: Sequence[float | None] | None) -> str:
    """An interval as people read it."""
    if not ends:
        return text(None)
    low, high = (text(None) if end is None else f"{end:.4g}" for end in ends)
    return f'<span class="nowrap">{low} to {high}</span>'


def percent(share: float | None) -> str:
    """A share as people read it."""
    return text(None) if share is None or math.isnan(share) else f"{100 * share:.3g} %"


def state(name: str) -> str:
    """A state as a sign and a word, never by colour alone."""
    sign = f'<span aria-hidden="true">{SIGNS.get(name, "")}</span>'
    return f'<span class="{escape(name)} nowrap">{sign} {escape(name)}</span>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
