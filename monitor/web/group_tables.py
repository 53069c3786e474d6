"""How does a model treat groups? Rates with intervals as pictures and numbers, each group against the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from monitor.web import charts, html, odds

SHOWN = 12
"""Tables that are open; the others are one click away."""

Key = tuple[str, str, str | None]


def tables(associations: Sequence[Mapping[str, Any]]) -> str:
    """A table for each question of an attribute, as the API has them: what fires, and attributes alone, first."""
    asked: dict[Key, list[Mapping[str, Any]]] = {}
    for each in associations:
        asked.setdefault((each["attribute"], each["detector"], each["output"]), []).append(each)
    if not asked:
        return ""
    ordered = sorted(asked.items(), key=lambda pair: _place(pair[1]))
    parts = [_table(key, entries) for key, entries in ordered]
    rest = "\n".join(parts[SHOWN:])
    more = f"<details><summary>{len(parts) - SHOWN} more questions</summary>{rest}</details>" if rest else ""
    head = '<h2>Groups</h2>\n<p class="small quiet">Rates since the first event; lines are 95 % intervals that hold '
    return f"{head}however often they are looked at.</p>\n" + "\n".join(parts[:SHOWN]) + more


def calibration(lines: Sequence[Mapping[str, Any]]) -> str:
    """By how much a group's outcomes come more often than at the same score elsewhere, in logits."""
    rows = [
        [
            f"{html.text(line['attribute'])} {html.text(line['group'])}",
            html.state(line["state"]),
            f"{line['n']:,}",
            charts.span_about(line["logit_shift"], line["interval"], 1.5, "logits"),
            html.text(line["logit_shift"]),
            html.text(line["moved"]),
        ]
        for line in lines
    ]
    headings = [
        *(("Group", ""), ("State", ""), ("n", "n"), ("Shift and interval", "")),
        *(("In logits", "n"), ("Moved since", "n")),
    ]
    return html.table("Calibration by group", headings, rows, stacked=True) if rows else ""


def _place(entries: Sequence[Mapping[str, Any]]) -> tuple[bool, bool]:
    return not any(each["state"] == "firing" for each in entries), any(each["of"] for each in entries)


def _table(key: Key, entries: Sequence[Mapping[str, Any]]) -> str:
    attribute, detector, output = key
    against = {each["group"]: each for each in entries if each["group"] is not None}
    rates = entries[0].get("rates") or []
    top = max((rate["high"] for rate in rates), default=1.0)
    rows = [_row(rate, against.get(rate["group"]), top) for rate in rates]
    name = f"{attribute}: {html.words(detector)}" + (f", {output}" if output else "")
    why = "".join(f'<p class="small quiet">{escape(str(each["why"]))}.</p>' for each in entries if each.get("why"))
    headings = [
        *(("Group", ""), ("State", ""), ("n", "n"), ("Rate", "n"), ("Rate and interval", "")),
        *(("Against the rest", ""), ("Its interval", ""), ("Odds", "")),
    ]
    return (html.table(name, headings, rows, stacked=True) if rows else f"<h3>{escape(name)}</h3>") + why


def _row(rate: Mapping[str, Any], entry: Mapping[str, Any] | None, top: float) -> list[str]:
    effect = entry["effect"] if entry else None
    return [
        html.text(rate["group"]),
        html.state(entry["state"]) if entry else '<span class="quiet">the rest</span>',
        f"{rate['n']:,}",
        f"{rate['rate']:.4g}",
        charts.span_within(rate["rate"], rate["low"], rate["high"], top),
        effect_against(effect) if effect else html.text(None),
        html.interval(entry["interval"]) if entry else html.text(None),
        escape(odds.odds(entry["evidence_log10"])) if entry else html.text(None),
    ]


def effect_against(effect: Mapping[str, Any]) -> str:
    """An effect in words beside what is tolerated."""
    value, tolerance = effect["value"], effect["tolerance"]
    told = "unknown" if value is None else f"{value:.3g}"
    return escape(f"{html.words(effect['name'])} {told}, tolerated {tolerance:.3g}")
