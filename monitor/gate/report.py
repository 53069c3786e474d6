"""How is a gate's verdict told? As text, as JSON, and as one page that needs nothing beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TextIO

from monitor.errors import UsageError
from monitor.gate.finding import PARTS, Finding
from monitor.gate.gate import Gated, ModelVerdict
from monitor.web import html

_SHOWN = 20
"""Findings of a kind that are told in text; the page and the JSON have all."""
_WORDS = {"fail": "FAIL", "note": "note", "unseen": "not seen", "pass": "pass"}
_METHOD = (
    "Each question is asked once, of samples whose sizes were settled beforehand. It fails where the difference lies "
    "beyond its tolerance with certainty: bounds that hold at any size (Clopper and Pearson; Chernoff; Maurer and "
    "Pontil), corrected for the number of questions (Holm). A candidate that is no worse than is tolerated is refused "
    "with a probability of at most {level:g}, over all questions together. Where groups are compared within strata the "
    "bound is that of Mantel and Haenszel, for large samples. Inputs fail nothing: where they differ, the two sides "
    "were not given the same, and whatever else differs may come of that. A question that passes was not shown to be "
    "harmless: small samples show only large differences."
)


def write_text(gated: Gated, out: TextIO) -> None:
    """The verdict, what failed and what to know of it, then how much was asked."""
    for verdict in gated.models:
        out.write(f"{verdict.model}: {'pass' if verdict.passed else 'FAIL'} ({_asked(verdict)})\n")
        for word in ("fail", "note", "unseen"):
            found = [finding for finding in verdict.findings if finding.verdict == word]
            out.writelines(f"  {_line(finding)}\n" for finding in found[:_SHOWN])
            if len(found) > _SHOWN:
                out.write(f"  and {len(found) - _SHOWN} more\n")
    if gated.missing:
        out.write(f"only on one side: {', '.join(gated.missing)}\n")
    out.write(f"{'pass' if gated.passed else 'FAIL'}: {gated.candidate} against {gated.against}\n")


def write_json(gated: Gated, out: TextIO) -> None:
    """One JSON object."""
    out.write(json.dumps(gated.document()) + "\n")


def write_page(gated: Gated, path: Path) -> None:
    """One HTML file; raises :class:`~monitor.errors.UsageError` where it cannot be written."""
    try:
        path.write_bytes(html.document("Release gate", _body(gated)))
    except OSError as error:
        raise UsageError(f"gate: {path}: cannot be written: {error.strerror}") from error


def _line(finding: Finding) -> str:
    where = f"{finding.part} {finding.subject} ({finding.detector})"
    if finding.verdict == "unseen":
        return f"{_WORDS[finding.verdict]}: {where}: {finding.words}"
    return f"{_WORDS[finding.verdict]}: {where}: {finding.words}; {_effect(finding)}"


def _effect(finding: Finding) -> str:
    """The effect, its tolerance, and what it is with certainty."""
    least = "" if math.isnan(finding.least) else f", {_end(finding)} {finding.least:.3g}"
    return f"{finding.effect} {finding.value:.3g}{least}, tolerated {finding.tolerance:.3g}"


def _end(finding: Finding) -> str:
    """A ratio below 1 is bad where it is small."""
    return "at most" if "ratio" in finding.effect and finding.tolerance < 1.0 else "at least"


def _asked(verdict: ModelVerdict) -> str:
    parts = []
    for part in PARTS:
        own = [finding for finding in verdict.findings if finding.part == part]
        if own:
            parts.append(f"{part} {sum(f.verdict == 'pass' for f in own)} of {len(own)}")
    rejected = f", {verdict.rejected} rejected" if verdict.rejected else ""
    return f"{verdict.events[1]} events against {verdict.events[0]}{rejected}; in order: {', '.join(parts)}"


def _body(gated: Gated) -> Iterator[str]:
    word = "watching" if gated.passed else "firing"
    said = "may be released" if gated.passed else "is worse than is tolerated"
    yield f"<h1>{escape(gated.candidate)} {said}</h1>"
    verdict_shown = _signed(word, html.SIGNS[word], "pass" if gated.passed else "fail")
    yield f"<p>{verdict_shown}, against {escape(gated.against)}.</p>"
    if gated.missing:
        yield f"<p>Only on one side: {escape(', '.join(gated.missing))}.</p>"
    for verdict in gated.models:
        yield f"<h2>{escape(verdict.model)}: {'pass' if verdict.passed else 'fail'}</h2>"
        yield f"<p>{escape(_asked(verdict))}.</p>"
        yield _table(verdict)
    yield f"<h2>Method</h2><p>{escape(_METHOD.format(level=gated.level))}</p>"


def _signed(kind: str, sign: str, word: str) -> str:
    """A verdict as a sign and a word, never by colour alone."""
    return f'<span class="{kind} nowrap"><span aria-hidden="true">{sign}</span> {word}</span>'


def _table(verdict: ModelVerdict) -> str:
    headings = [
        *(("Subject", ""), ("Verdict", ""), ("Part", ""), ("Detector", ""), ("What", "")),
        *(("Before", "n"), ("Now", "n"), ("Effect", "n"), ("With certainty", "n"), ("Tolerated", "n"), ("n", "n")),
    ]
    signs = {"fail": "▲", "note": "△", "unseen": "?", "pass": "✓"}
    classes = {"fail": "firing", "note": "warning", "unseen": "quiet", "pass": "ok"}
    rows = [
        [
            escape(finding.subject),
            _signed(classes[finding.verdict], signs[finding.verdict], _WORDS[finding.verdict].lower()),
            finding.part,
            escape(finding.detector),
            escape(finding.words),
            *(html.text(value) for value in (finding.before, finding.now, finding.value)),
            html.text(finding.least),
            html.text(finding.tolerance),
            f"{finding.sizes[0]:,} / {finding.sizes[1]:,}",
        ]
        for finding in verdict.findings
    ]
    return html.table(f"{len(rows)} questions, what failed first", headings, rows)
