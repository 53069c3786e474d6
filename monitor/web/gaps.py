"""What do gaps between groups come from, which features tell groups apart, and what if? As tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from monitor.web import html

OPEN = 6
"""Rows of a long table that are seen at once, the others a click away."""
SHOWN = 30
"""Gaps that are told by stratum, in the order in which the API has them: those that fire come first."""


def tables(associations: Sequence[Mapping[str, Any]]) -> str:
    """A table of the bills of all ``associations``, as the API has them, and one of strata for each that has some."""
    billed = [entry for entry in associations if entry.get("bill")]
    if not billed:
        return ""
    rows = [[_who(entry), escape(_points(entry["bill"]["gap"])), *_parts(entry["bill"])] for entry in billed[:SHOWN]]
    headings = [("Group", ""), ("Gap to the rest", ""), ("Composition", ""), ("Behaviour", "")]
    parts = [html.table("What gaps come from", headings, rows[:OPEN], stacked=True)]
    behind = [html.table("Further gaps", headings, rows[OPEN:], stacked=True)] if rows[OPEN:] else []
    behind += [_strata(entry) for entry in billed[:SHOWN] if entry["bill"]["strata"]]
    if behind:
        told = "\n".join(behind)
        parts.append(f"<details><summary>Further gaps, and gaps by stratum</summary>{told}</details>")
    more = len(billed) - SHOWN
    return "\n".join(parts) + (f"<p>{more} more in the API.</p>" if more > 0 else "")


def features(lines: Sequence[Mapping[str, Any]]) -> str:
    """A table of the features that tell groups apart, as the API has them."""
    rows = [
        [
            html.text(line["feature"]),
            f"{html.text(line['attribute'])} {html.text(line['group'])}",
            escape(f"{line['distance']['value']:.3f}, at least {line['distance']['low']:.3f}"),
            _certificate(line["certificate"]),
            _percent(line["lean"]),
            html.state(line["state"]),
            _percent(line["moved"]),
        ]
        for line in lines
    ]
    headings = [
        *(("Feature", ""), ("Group", ""), ("Distance from the rest", "")),
        *(("Admits disparate impact", ""), ("The model leans on it", "")),
        *(("State", ""), ("Moved since", "")),
    ]
    if not rows:
        return ""
    more = html.table("Further features", headings, rows[OPEN:], stacked=True) if rows[OPEN:] else ""
    return html.table("Features that tell groups apart", headings, rows[:OPEN], stacked=True) + (
        f"<details><summary>{len(rows) - OPEN} further features</summary>{more}</details>" if more else ""
    )


def remedies(lines: Sequence[Mapping[str, Any]]) -> str:
    """Of each attribute a table of what other uses of the score would do."""
    return "\n".join(_remedy(line) for line in lines)


def _remedy(line: Mapping[str, Any]) -> str:
    common, equal = line["common_threshold"], line["equal_opportunity"]
    rows = [
        _rule(name, option, html.text(option["threshold"]))
        for name, option in (
            ("one threshold, at the least cost", common["cheapest"]),
            ("one threshold, within the tolerance", common["cheapest_within_tolerance"]),
        )
        if option
    ]
    if equal:
        said = ", ".join(f"{each['group']} {each['threshold']:.3f}" for each in equal["thresholds"])
        rows.append(_rule("thresholds by group, equal opportunity (differential treatment)", equal, html.text(said)))
    headings = [("What if", ""), ("Threshold", ""), ("Impact ratio", ""), ("Cost of a case", "")]
    return html.table(f"What if: {line['attribute']}", headings, rows, stacked=True)


def _rule(name: str, option: Mapping[str, Any], threshold: str) -> list[str]:
    return [escape(name), threshold, f"{option['impact_ratio']:.3f}", f"{option['cost']:.4g}"]


def _certificate(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return html.text(None)
    return escape(f"{'yes' if found['admits_disparate_impact'] else 'not shown'}, from {found['needed']:.3f}")


def _strata(entry: Mapping[str, Any]) -> str:
    headings = [
        *(("Stratum", ""), ("Share of the group", ""), ("Of the rest", "")),
        *(("Rate of the group", ""), ("Of the rest", ""), ("Composition", ""), ("Behaviour", "")),
    ]
    rows = [
        [
            html.text(line["stratum"]),
            *(_percent(line[name]) for name in ("share_of_group", "share_of_rest", "rate_of_group", "rate_of_rest")),
            *(escape(_points(line[name])) for name in ("composition", "behaviour")),
        ]
        for line in entry["bill"]["strata"]
    ]
    within = " and ".join(entry["bill"]["by"])
    name = " ".join(str(entry[part]) for part in ("detector", "output", "attribute", "group") if entry.get(part))
    return html.table(f"{name}, by {within}", headings, rows, stacked=True)


def _who(entry: Mapping[str, Any]) -> str:
    output = f" {html.text(entry['output'])}" if entry.get("output") else ""
    return f"{html.text(entry['detector'])}{output}: {html.text(entry['attribute'])} {html.text(entry['group'])}"


def _parts(bill: Mapping[str, Any]) -> list[str]:
    told = []
    for name in ("composition", "behaviour"):
        cost = bill[f"cost_of_{name}"]
        money = "" if cost is None else f", {cost:,.2f} {bill['currency'] or ''}".rstrip()
        told.append(escape(f"{_points(bill[name])}, {bill[f'people_of_{name}']:+,.0f} people{money}"))
    return told


def _points(part: float) -> str:
    return f"{100.0 * part:+.2f} points"


def _percent(share: float | None) -> str:
    return html.text(None) if share is None else f"{100.0 * share:.1f} %"
