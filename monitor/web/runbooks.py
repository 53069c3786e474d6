"""What is to be done about an alert? The sections of the operator's manual, as the pages show them."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

_SECTION = re.compile(r"^### (\S+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)]+)\)")


def runbook(alertname: str) -> str | None:
    """The runbook of an alert as HTML, ``None`` where there is none."""
    return _all().get(alertname)


@cache
def _all() -> dict[str, str]:
    return {name: _html(text) for name, text in _SECTION.findall(_manual())}


def _manual() -> str:
    """The manual: packed beside the pages in a wheel, under ``docs/`` in a working copy."""
    packed = files("monitor.web").joinpath("operations.md")
    if packed.is_file():
        return packed.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")


def _html(text: str) -> str:
    """The little Markdown that runbooks are written in: paragraphs, lists, code, tables as they stand."""
    return "\n".join(_block(block) for block in re.split(r"\n\s*\n", text.strip()) if block.strip())


def _block(block: str) -> str:
    lines = block.strip().splitlines()
    if lines[0].startswith("```"):
        return f"<pre>{escape(chr(10).join(line for line in lines if not line.startswith('```')))}</pre>"
    if lines[0].startswith("|"):
        return f"<pre>{escape(chr(10).join(lines))}</pre>"
    if lines[0].startswith("- "):
        items = re.split(r"^- ", block.strip(), flags=re.MULTILINE)[1:]
        return "<ul>" + "".join(f"<li>{_inline(' '.join(item.split()))}</li>" for item in items) + "</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _inline(text: str) -> str:
    """Code, strong and emphasised words; of links the words alone."""
    parts, at = [], 0
    for match in _INLINE.finditer(text):
        parts.append(escape(text[at : match.start()]))
        at = match.end()
        code, strong, emphasis, words, _ = match.groups()
        if code is not None:
            parts.append(f"<code>{escape(code)}</code>")
        elif strong is not None:
            parts.append(f"<strong>{escape(strong)}</strong>")
        else:
            parts.append(f"<em>{escape(emphasis)}</em>" if emphasis is not None else escape(words))
    return "".join([*parts, escape(text[at:])])
