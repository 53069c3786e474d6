"""What does an auditor get of a model and a range? One file, with what it says, how it came about, and its limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from monitor.errors import UsageError
from monitor.web import history_page, html, odds

_SMALL_SHARE = 0.02
"""A group below this part of all cases is often left out of customary figures (29 CFR 1607.4 A and D)."""
_METHOD = """
Each event was counted once into sums by model, feature and tick of event time, and is not kept: what stands here is
made of these sums. Older ones are kept by hours and by days, which loses times and no count.

While it ran, the monitor asked of each feature, of each figure of performance and of each group whether it lies
within what the policy tolerates. Each question bets against the tolerated on every tick; what it wins is its
evidence. An incident opens where the evidence passes what the budget of false alarms allows and the effect passes the
tolerance. That holds however often anybody looks, because the evidence is a betting score and no p-value. Evidence of
one in a thousand says: where nothing beyond the tolerance is true, so much of it comes up at most once in a thousand.

Effects of features compare the range with the reference: the largest difference of a share at nine cuts, or of the
share of what is missing, invalid or new. Seasons are not taken out of them, as they are while the monitor judges.

Rates of groups have intervals that hold at all sizes at once (a mixture of likelihoods, 95 %). A group is compared
with all others together, within the strata that the policy names as legitimate explanations.

Performance counts cases by the time of their prediction, once the outcome horizon is over. Intervals are 95 %:
Wilson's for shares, normal ones for means.
"""
_ANNEX = """
Customary tests are right for one look at a date that was fixed before anybody saw the figures. The dates here are the
ends of calendar months, or the end of the range where it holds no whole month. Each group is compared with the one
that has the highest rate: the ratio of their rates (the four-fifths rule asks for 0.8), the pooled z of the
difference (beyond 2 or 3 is commonly called significant), and the two-sided p-value of Fisher's exact test. They take
no account of how many groups, dates and models are looked at, and none of strata. Ours beside them does.
"""
_LIMITS = """
A rate that differs shows no cause, and a rate that does not differ shows no fairness: what was not sent as an
attribute, an outcome or a reason cannot be seen.

The reference and the policy that stand here are those of the day of the report. What judged an incident is named by
digests in it; the audit trail has both as they were (modelwatch audit exhibit), and says whether it is whole.

Groups are told by periods that depend on nothing that is asked: whole months where the range holds one, else pooled
days. So the range of a figure may be shorter than the range of the report; it stands beside the figure.

Stretches that were planned are not counted among groups. The first 128 values of a number are in no bin.

Cases whose outcome never came are in no figure of performance, unless the policy says what that means.
"""


def write(document: Mapping[str, Any], made: str, version: str, path: Path) -> None:
    """Write the report of a history as the API gives it; ``made`` says when, ``version`` by which program.

    Raises
    ------
    UsageError
        The file cannot be written.
    """
    try:
        path.write_bytes(html.document(f"Report on {document['model']}", _body(document, made, version)))
    except OSError as error:
        raise UsageError(f"report: {path}: cannot be written: {error.strerror}") from error


def _body(document: Mapping[str, Any], made: str, version: str) -> Iterator[str]:
    yield f"<h1>Report on <bdi>{escape(str(document['model']))}</bdi></h1>"
    asked = history_page.span(document["from"], document["until"])
    yield f"<p>{asked}. Made {html.moment(made)} by modelwatch {escape(version)}.</p>"
    yield "<h2>The model</h2>"
    yield history_page.summary(document)
    yield _model(document)
    yield history_page.life(document)
    yield "<h2>Incidents</h2>"
    yield history_page.incidents(document["incidents"], _nowhere)
    yield _judged(document)
    yield history_page.volume(document)
    yield history_page.features(document["features"], history_page.steps_of(document))
    yield history_page.performance(document["performance"])
    yield history_page.groups(document)
    yield from _annex(document)
    yield "<h2>Method</h2>" + "".join(f"<p>{escape(each)}</p>" for each in _paragraphs(_METHOD))
    yield "<h2>Limits</h2><ul>" + "".join(f"<li>{escape(each)}</li>" for each in _limits(document)) + "</ul>"


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _nowhere(_stem: str, name: str, words: str) -> str:
    """What would be a link on a page is its name here."""
    return f"<bdi>{escape(words)}</bdi> <code>{escape(name)}</code>"


def _model(document: Mapping[str, Any]) -> str:
    policy, reference = document["policy"], document["reference"]
    facts = [
        ("Team", html.text(document["team"])),
        ("Version now", html.text(document["version"])),
        ("First event", html.moment(document["first_event_time"])),
        ("Known until", html.moment(document["reached_time"])),
        ("Reference", f"{html.text(reference['source'])}, {html.text(reference['digest'] or 'no file')}"),
        ("Policy, SHA-256", f"<code>{escape(policy['digest'])}</code>"),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    return (
        f"<dl>{listed}</dl><details><summary>The policy in full</summary>"
        f'<pre tabindex="0"><code>{escape(policy["text"])}</code></pre></details>'
    )


def _judged(document: Mapping[str, Any]) -> str:
    """By what each incident was judged, how sure it is, and whom it touched."""
    rows = [
        [
            f"<code>{escape(each['id'])}</code>",
            html.text(html.words(each["detector"])),
            escape(history_page.effect_in_words(each["effect"])),
            escape(odds.odds(each["evidence_log10"])),
            html.text(each["people_affected"]),
            html.text(each["cost"]),
            _digest(each["policy_digest"]),
            _digest(each["reference_digest"]),
            _said(each),
        ]
        for each in document["incidents"]
    ]
    headings = [
        *(("Incident", ""), ("Detector", ""), ("Effect", ""), ("Odds", ""), ("People", "n"), ("Cost", "n")),
        *(("Policy", ""), ("Reference", ""), ("What people said", "")),
    ]
    return html.table("What judged them", headings, rows, stacked=True) if rows else ""


def _digest(digest: str | None) -> str:
    return f"<code>{escape(digest)}</code>" if digest else html.text(None)


def _said(incident: Mapping[str, Any]) -> str:
    lines = []
    if (known := incident["acknowledged"]) is not None:
        note = f": {html.text(known['note'])}" if known["note"] else ""
        lines.append(f"{html.text(known['by'])}: {html.text(html.words(known['reason']))}{note}")
    lines += [f"{html.moment(n['time'])} {html.text(n['by'])}: {html.text(n['text'])}" for n in incident["notes"]]
    return "<br>".join(lines) or '<span class="quiet">nothing</span>'


def _annex(document: Mapping[str, Any]) -> Iterator[str]:
    told = [each for each in document["associations"] if each["customary"]]
    yield "<h2>Annex: customary figures</h2>"
    if not told:
        why = document.get("withheld") or "no group can be told of in this range"
        yield f"<p>{escape(str(why)).capitalize()}.</p>"
        return
    yield from (f"<p>{escape(each)}</p>" for each in _paragraphs(_ANNEX))
    for association in told:
        yield _fixed(association)
    yield _exclusions(document, told)


def _fixed(association: Mapping[str, Any]) -> str:
    ours = {each["group"]: each for each in association["compared"]}
    rows = [
        [
            f"{html.moment(fixed['date'])}",
            f'<span class="nowrap">{html.text(group["group"])}</span>',
            f"{group['n']:,}",
            html.percent(group["share"]),
            f"{group['rate']:.4g}",
            _figure(group["ratio_to_highest"]),
            _figure(group["z"]),
            _figure(group["fisher_p"]),
            _ours(ours.get(group["group"])),
        ]
        for fixed in association["customary"]
        for group in fixed["groups"]
    ]
    headings = [
        *(("Date", ""), ("Group", ""), ("n", "n"), ("Share", "n"), ("Rate", "n"), ("Ratio to the highest", "n")),
        *(("z", "n"), ("Fisher's p", "n"), ("Ours, of the whole range", "")),
    ]
    return html.table(history_page.name_of(association).capitalize(), headings, rows, stacked=True)


def _figure(value: float | None) -> str:
    return '<span class="quiet">none</span>' if value is None else f"{value:.3g}"


def _ours(compared: Mapping[str, Any] | None) -> str:
    if compared is None:
        return html.text(None)
    return f"{escape(history_page.effect_in_words(compared['effect']))}, {html.interval(compared['interval'])}"


def _exclusions(document: Mapping[str, Any], told: list[Mapping[str, Any]]) -> str:
    """What is in no figure, and which groups others would leave out."""
    lines = [
        f"{escape(each['what'].capitalize())}: {history_page.span(each['from'], each['until'])}"
        for each in document["stretches"]
    ]
    for association in told:
        name = escape(history_page.name_of(association))
        if association["hidden"]:
            lines.append(f"{name}: {association['hidden']} groups are not told of, too few people or computable")
        small = {
            group["group"]
            for fixed in association["customary"]
            for group in fixed["groups"]
            if group["share"] < _SMALL_SHARE
        }
        if small:
            lines.append(f"{name}: below 2 % of the cases on some date: {html.text(sorted(small))}")
    listed = "".join(f"<li>{line}</li>" for line in lines) or "<li>Nothing.</li>"
    return f"<h3>Exclusions</h3><ul>{listed}</ul>"


def _limits(document: Mapping[str, Any]) -> Iterator[str]:
    yield from _paragraphs(_LIMITS)
    yield (
        f"No group of fewer than {document['smallest_group']} people is told of, and none whose figures could be "
        "computed from those that are."
    )
    if document.get("withheld"):
        yield f"Not in this report: {document['withheld']}."
