"""What was known of a model in a past range? Volumes, features, performance, groups and incidents of then."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from monitor.clock import rfc3339
from monitor.web import charts, html, odds
from monitor.web.charts import Mark, Span
from monitor.web.html import Frame

FEATURES_SHOWN = 150
_DAY = 86400.0
_EARLIER = ((7 * _DAY, "A week"), (30 * _DAY, "30 days"), (182 * _DAY, "Half a year"), (365 * _DAY, "A year"))
_LENGTHS = ((_DAY, "A day"), (7 * _DAY, "7 days"), (30 * _DAY, "30 days"), (91 * _DAY, "91 days"))

Link = Callable[[str, str, str], str]
"""Makes a link of a stem, a name and words; plain words where there is nothing to link to."""


def body(frame: Frame, document: Mapping[str, Any]) -> list[str]:
    """The parts of the page; ``document`` is that of the API."""
    name = str(document["model"])
    return [
        f"<h1><bdi>{escape(name)}</bdi>: history</h1>",
        f"<p>Events with {html.text(document['segment'])} alone.</p>" if document["segment"] else "",
        f"<p>{frame.link('/models/', name, 'The model as it is now')}</p>",
        _choose(frame, document),
        summary(document),
        volume(document),
        life(document),
        "<h2>Incidents</h2>",
        incidents(document["incidents"], frame.link),
        features(document["features"], steps_of(document)),
        performance(document["performance"]),
        groups(document),
        _elsewhere(frame, document),
    ]


def seconds(time: Any) -> float:
    """Of a time in a document, since the epoch."""
    return datetime.fromisoformat(str(time)).timestamp()


def steps_of(document: Mapping[str, Any]) -> list[str]:
    """What the steps of the range are called."""
    return [str(step["from"])[:16].replace("T", " ") for step in document["volume"]]


def _address(frame: Frame, name: str, since: float, until: float, segment: str | None) -> str:
    more = {"segment": segment} if segment else {}
    query = urlencode({"since": rfc3339(since), "until": rfc3339(until), **more})
    return escape(f"{frame.href('/models/', name)}/history?{query}")


def _choose(frame: Frame, document: Mapping[str, Any]) -> str:
    """The range as a form, and ranges about it as links."""
    name, since, until = str(document["model"]), seconds(document["from"]), seconds(document["until"])
    length, segment = until - since, document["segment"]
    links = [(since - length, since, "The range before"), (until, until + length, "The range behind")]
    links += [(until - own, until, f"{words} until its end") for own, words in _LENGTHS if own != length]
    links += [(since - by, until - by, f"{words} earlier") for by, words in _EARLIER]
    listed = " ".join(
        f'<a href="{_address(frame, name, begin, end, segment)}">{words}</a>' for begin, end, words in links
    )
    fields = "".join(
        f'<label>{words} (UTC) <input type="datetime-local" name="{field}" value="{_local(moment)}" required></label>\n'
        for field, words, moment in (("since", "From", since), ("until", "Until", until))
    )
    if segment:
        fields += f'<input type="hidden" name="segment" value="{escape(segment)}">\n'
    return (
        f'<form method="get" action="{escape(frame.href("/models/", name))}/history" aria-label="Range">\n{fields}'
        f'<button>Show</button>\n</form>\n<nav class="pages" aria-label="Other ranges">{listed}</nav>'
        + _segments(frame, document)
    )


def _segments(frame: Frame, document: Mapping[str, Any]) -> str:
    """The same range of the values by which the model is split; back to all of it from one."""
    asked = str(document["model"]), seconds(document["from"]), seconds(document["until"])
    others = [(each, html.text(each)) for each in document["segments"]]
    others += [(None, "All segments")] if document["segment"] else []
    if not others:
        return ""
    listed = " ".join(f'<a href="{_address(frame, *asked, segment)}">{words}</a>' for segment, words in others)
    return f'\n<nav class="pages" aria-label="Segments">{listed}</nav>'


def _local(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M")


def summary(document: Mapping[str, Any]) -> str:
    """What the range is, what of it is kept, and what must be known to read the rest."""
    covered, reference = document["covered"], document["reference"]
    said = ", ".join(str(part) for part in (reference["source"], reference["version"], reference["digest"]) if part)
    facts = [
        ("Asked for", span(document["from"], document["until"])),
        ("Kept of it", span(covered["from"], covered["until"]) if covered else "nothing"),
        ("Events", f"{document['events']:,}"),
        ("Versions", html.text(document["versions"])),
        ("Reference beside it", f"{html.text(said)}, of {reference['events']:,} events"),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    notes = []
    if changed := document["reference_changed_since"]:
        notes.append(
            f"The reference is today's. It was changed since, last {html.moment(changed[-1]['time'])}: "
            f"{html.text(changed[-1]['what'])}. What judged an incident is named by its digest."
        )
    notes += [
        f"{html.text(each['what'].capitalize())}: {span(each['from'], each['until'])}"
        + (f" by {html.text(each['by'])}" if each["by"] else "")
        + (f": {html.text(each['note'])}" if each["note"] else "")
        for each in document["stretches"]
    ]
    more = "<ul>" + "".join(f"<li>{note}</li>" for note in notes) + "</ul>" if notes else ""
    return f"<dl>{listed}</dl>{more}"


def span(since: str, until: str) -> str:
    """From when until when."""
    return f"{html.moment(since)} to {html.moment(until)}"


def volume(document: Mapping[str, Any]) -> str:
    """Events by step as bars, and as a table for who cannot see them."""
    steps = document["volume"]
    if not steps:
        return "<h2>Volume</h2>\n<p>Nothing is kept of this range.</p>"
    counts, labels = [step["events"] for step in steps], steps_of(document)
    rows = [
        [html.moment(step["from"]), *(f"{step[name]:,}" for name in ("events", "predictions", "outcomes"))]
        for step in steps
    ]
    headings = [("From", ""), ("Events", "n"), ("Predictions", "n"), ("Outcomes", "n")]
    title = f"Events in steps of {_length(document['step_seconds'])}, at most {max(counts):,}"
    ends = (html.moment(steps[0]["from"]), html.moment(steps[-1]["until"]))
    return (
        f'<h2>Volume</h2>\n<p class="small quiet">{escape(title)}.</p>{charts.volumes(counts, labels, title)}'
        f'<p class="ends small quiet"><span>{ends[0]}</span><span>{ends[1]}</span></p>'
        f"<details><summary>{len(rows)} steps in numbers</summary>{html.table('Steps', headings, rows)}</details>"
    )


def _length(seconds_: float) -> str:
    for unit, words in ((_DAY, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds_ >= unit and seconds_ % unit == 0.0:
            n = int(seconds_ / unit)
            return f"{n} {words}" + ("s" if n > 1 else "")
    return f"{seconds_:g} seconds"


def life(document: Mapping[str, Any]) -> str:
    """What happened in the range, on a line and in words."""
    begin, end = seconds(document["from"]), seconds(document["until"])
    facts, told = document["facts"], document["incidents"]
    if not facts and not told:
        return ""
    marks = [Mark(seconds(fact["time"]), f"{fact['what']} {fact['subject']}, {fact['time'][:16]}") for fact in facts]
    spans = [
        Span(
            seconds(each["onset_time"] or each["fired_time"]),
            seconds(each["resolved_time"]) if each["resolved_time"] else None,
            f"{each['alertname']}: {each['description']}",
        )
        for each in told
    ]
    return f"<h2>Life</h2>\n{charts.life(begin, end, marks, spans)}\n{happened(facts)}"


def happened(facts: Sequence[Mapping[str, Any]]) -> str:
    """Facts of a model's life in words."""
    listed = []
    for fact in facts:
        subject = f" {html.text(fact['subject'])}" if fact["subject"] else ""
        listed.append(f"<li>{html.moment(fact['time'])} {html.text(fact['what'])}{subject}</li>")
    return f"<ul>{''.join(listed)}</ul>" if listed else ""


def incidents(told: Sequence[Mapping[str, Any]], link: Link) -> str:
    """Those that were open in the range, the newest first."""
    if not told:
        return "<p>None.</p>"
    entries = []
    for each in told:
        known = each["acknowledged"]
        ended = f", resolved {html.moment(each['resolved_time'])}" if each["resolved_time"] else ", still open"
        by = f", acknowledged by {html.text(known['by'])} as {html.text(html.words(known['reason']))}" if known else ""
        entries.append(
            f'<li class="{escape(each["severity"])}-edge"><p>{html.state(each["severity"])} '
            f"{link('/incidents/', each['id'], each['alertname'])}: "
            f"<bdi>{escape(each['description'] or each['summary'])}</bdi></p>"
            f'<p class="small quiet">since {html.moment(each["onset_time"] or each["fired_time"])}, fired '
            f"{html.moment(each['fired_time'])}{ended}{by}; {escape(odds.strength(each['evidence_log10']))}</p></li>"
        )
    return f'<ul class="open">{"".join(entries)}</ul>'


def features(told: Sequence[Mapping[str, Any]], steps: Sequence[str]) -> str:
    """Each feature beside its reference, and when it was how far from it."""
    ranked = sorted(told, key=lambda feature: (-(_ratio(feature) or 0.0), str(feature["name"])))[:FEATURES_SHOWN]
    if not ranked:
        return ""
    headings = [
        *(("Name", ""), ("Reference (line) and then (bars)", ""), ("Effect and tolerance", "")),
        *(("Effect over time, at least", ""), ("Evidence over time", ""), ("Customary", "")),
    ]
    more = len(told) - len(ranked)
    rest = f"<p>{more} more, nearer to their references, in the API.</p>" if more else ""
    rows = [_feature(feature, steps) for feature in ranked]
    return html.table("Features and predictions then", headings, rows, stacked=True) + rest


def _ratio(feature: Mapping[str, Any]) -> float | None:
    return feature["cells"][0]["ratio"] if feature["cells"] else None


def _feature(feature: Mapping[str, Any], steps: Sequence[str]) -> list[str]:
    what = html.words(str(feature["kind"]))
    what = what if feature["space"] == "feature" else f"{html.words(str(feature['space']))}, {what}"
    strip, values = charts.over_time(feature["ratios"], steps), f"{feature['present']:,}"
    psi, distance = feature["effects"]["debiased_psi"], feature["effects"]["w1_over_sigma"]
    customary = [f"PSI {psi:.3g}" if psi is not None else "", f"W1 {distance:.3g} sd" if distance is not None else ""]
    return [
        f'{html.text(feature["name"])}<br><span class="quiet small">{escape(what)}, {values} values</span>',
        _picture(feature),
        _effect(feature),
        strip or '<span class="quiet">too few events a step</span>',
        evidence(feature, steps),
        escape(", ".join(part for part in customary if part)) or html.text(None),
    ]


def evidence(feature: Mapping[str, Any], steps: Sequence[str]) -> str:
    """When evidence gathered against a feature, as a picture and in words."""
    ratios = feature["evidence_ratios"]
    picture = charts.evidence(ratios, steps) if ratios else ""
    if not picture:
        return '<span class="quiet">not judged</span>'
    return f'{picture}<span class="small">{escape(charts.evidence_in_words(ratios, steps))}</span>'


def _effect(feature: Mapping[str, Any]) -> str:
    if not feature["cells"]:
        why = feature["not_judged_because"]
        return f'<span class="quiet">not judged{": " + escape(str(why)) if why else ""}</span>'
    worst = feature["cells"][0]
    value, tolerance = float(worst["effect"]["value"]), float(worst["effect"]["tolerance"])
    words = f"{html.words(worst['detector'])}: {effect_in_words(worst['effect'])}"
    return charts.against_tolerance(value, tolerance) + escape(words)


def _picture(feature: Mapping[str, Any]) -> str:
    reference, current = feature["reference"], feature["current"]
    if reference is None or current is None:
        return '<span class="quiet">a group of people: not shown by range</span>'
    if not sum(current["counts"]):
        return '<span class="quiet">nothing to compare</span>'
    named = feature["kind"] == "category"
    return charts.distribution(
        str(feature["name"]), current["bins"], reference["counts"], current["counts"], named=named, when="then"
    )


def performance(told: Mapping[str, Any] | None) -> str:
    """Figures of the cases of the range whose outcomes are known, each with its number and interval."""
    if told is None:
        return "<h2>Performance</h2>\n<p>No whole day of the range has cases that matured.</p>"
    rows = [
        [
            escape(html.words(name)),
            html.text(figure["value"]),
            html.interval(figure.get("interval")),
            html.text(figure.get("n")),
        ]
        for name, figure in told["figures"].items()
    ]
    coverage = told["coverage"]
    said = (
        f"{told['cases']:,} cases of {span(told['from'], told['until'])}, by the time of their predictions; "
        f"{html.percent(coverage['value'])} of them have an outcome."
    )
    headings = [("Figure", ""), ("Value", "n"), ("95 % interval", ""), ("n", "n")]
    return f"<h2>Performance</h2>\n<p>{said}</p>" + (
        html.table("Figures", headings, rows, stacked=True) if rows else ""
    )


def groups(document: Mapping[str, Any]) -> str:
    """Rates of groups by whole periods of the range, with intervals that hold however often they are looked at."""
    told = document["associations"]
    if not told:
        why = document.get("withheld") or "no whole period of the range can be told without telling of few people"
        return f"<h2>Groups</h2>\n<p>{escape(str(why)).capitalize()}.</p>"
    return "<h2>Groups</h2>\n" + "\n".join(_association(each) for each in told)


def name_of(association: Mapping[str, Any]) -> str:
    """What an association is called."""
    output = f", {association['output']}" if association["output"] else ""
    return f"{association['attribute']}: {html.words(association['detector'])}{output}"


def _association(told: Mapping[str, Any]) -> str:
    against = {each["group"]: each for each in told["compared"]}
    rows = []
    for rate in told["rates"]:
        compared = against.get(rate["group"])
        effect = compared["effect"] if compared else None
        words = "" if effect is None else effect_in_words(effect)
        rows.append(
            [
                html.text(rate["group"]),
                f"{rate['n']:,}",
                f"{rate['rate']:.4g}",
                html.interval([rate["low"], rate["high"]]),
                escape(words) or html.text(None),
                html.interval(compared["interval"]) if compared else html.text(None),
            ]
        )
    headings = [
        *(("Group", ""), ("n", "n"), ("Rate", "n"), ("Interval", "")),
        *(("Against the rest", ""), ("Its interval", "")),
    ]
    hidden = f"; {told['hidden']} groups are too small in it, or could be computed" if told["hidden"] else ""
    return (
        html.table(name_of(told).capitalize(), headings, rows, stacked=True)
        + f'<p class="small quiet">{span(told["from"], told["until"])}{hidden}.</p>'
    )


def effect_in_words(effect: Mapping[str, Any]) -> str:
    """An effect beside what is tolerated."""
    return f"{html.words(effect['name'])} {_number(effect['value'])}, tolerated {_number(effect['tolerance'])}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _elsewhere(frame: Frame, document: Mapping[str, Any]) -> str:
    name = str(document["model"])
    more = {"segment": document["segment"]} if document["segment"] else {}
    query = urlencode({"since": document["from"], "until": document["until"], **more})
    api = escape(f"{frame.prefix}/api/v1/models/{quote(name, safe='', errors='replace')}/history?{query}")
    asked = f"--since {document['from']} --until {document['until']}"
    command = f"modelwatch report --model {shlex.quote(name)} {asked} --out report.html"
    return (
        f'<h2>Elsewhere</h2>\n<p><a href="{api}">This range in the API</a>. As one file for an auditor:</p>'
        f'<pre tabindex="0"><code>{escape(command)}</code></pre>'
    )
