"""The parts of a model's page that are no feature and no group: traffic, conduct, performance, leaning, blind spots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from monitor.web import charts, html, odds

LEANING_SHOWN = 10
SPOTS_SHOWN = 8
"""Blind spots of one kind that are named; the API has them all."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def traffic(told: Mapping[str, Any] | None) -> str:
    """How much comes beside what is usual, when it would be called silent, and what is usual by hour of the week."""
    if not told:
        return ""
    if told["retired"]:
        return "<h2>Traffic</h2>\n<p>Retired: nothing is expected.</p>"
    said = ["Judged" if told["judged"] else "Not judged yet: what is usual is still learned"]
    if told.get("ratio") is not None:
        said.append(f"lately {told['ratio']:.3g} times what is usual")
    if told["silent_at"]:
        said.append(f"silent from {html.moment(told['silent_at'])} on if nothing comes")
    usual = told.get("expected_by_hour_of_week") or []
    picture = ""
    if any(usual):
        labels = [f"{_DAYS[hour // 24]} {hour % 24:02d}:00" for hour in range(len(usual))]
        title = f"Events expected by hour of the week, at most {max(usual):,.4g}, from Monday on (UTC)"
        picture = f'<p class="small quiet">{title}</p>{charts.volumes(usual, labels, title)}'
    return f"<h2>Traffic</h2>\n<p>{', '.join(said)}.</p>{picture}"


def conduct(lines: Sequence[Mapping[str, Any]]) -> str:
    """How the model is used, as no single feature shows it."""
    rows = [
        [
            escape(html.words(line["detector"])),
            html.state(line["state"]),
            html.percent(line["before"]),
            html.percent(line["now"]),
            charts.against_tolerance(line["effect"]["value"], line["effect"]["tolerance"])
            if line["effect"]["value"] is not None
            else html.text(None),
            escape(odds.odds(line["evidence_log10"])),
        ]
        for line in lines
    ]
    headings = [
        *(("Question", ""), ("State", ""), ("Before", "n"), ("Now", "n")),
        *(("Effect and tolerance", ""), ("Odds", "")),
    ]
    return html.table("How it is used", headings, rows, stacked=True) if rows else ""


def performance(told: Mapping[str, Any] | None) -> str:
    """Figures of matured cases with their intervals, what of them is judged by what, and how scores keep their word."""
    if not told or not told["cases"]:
        return ""
    currency = f" {told['currency']}" if told.get("currency") else ""
    late = f", {told['waiting']:,} wait for their outcome" if told["waiting"] else ""
    fates = {name: n for name, n in told["fates"].items() if n and name != "joined"}
    counted = "".join(f"; {html.words(name)} {n:,}" for name, n in fates.items())
    delay = told.get("mean_delay_seconds")
    after = f", on average {_hours(delay)} after their prediction" if delay is not None else ""
    said = f"{told['outcomes']:,} of {told['cases']:,} matured cases have an outcome{after}{late}{counted}."
    parts = [f"<h2>Performance</h2>\n<p>{escape(said)}</p>", figures("Figures", told["figures"], currency)]
    parts += [_judged(told["cells"]), _reliability(told["reliability"])]
    for name, words in (
        ("early", "Early view, of cases that are not mature"),
        ("estimate", "Estimate, without outcomes"),
    ):
        estimate = told.get(name)
        if isinstance(estimate, Mapping):
            kept = {
                key: figure for key, figure in estimate.items() if isinstance(figure, Mapping) and "value" in figure
            }
            parts.append(figures(f"{words}: judges nothing", kept, currency))
    return "\n".join(part for part in parts if part)


def figures(caption: str, told: Mapping[str, Mapping[str, Any]], currency: str = "") -> str:
    """Figures with interval and number of cases; money in ``currency``."""
    rows = [
        [
            escape(html.words(name)),
            html.text(figure["value"]) + (escape(currency) if name.startswith("cost") else ""),
            html.interval(figure.get("interval")),
            html.text(figure.get("n")),
        ]
        for name, figure in told.items()
    ]
    headings = [("Figure", ""), ("Value", "n"), ("95 % interval", ""), ("n", "n")]
    return html.table(caption, headings, rows, stacked=True) if rows else ""


def leaning(told: Mapping[str, Any] | None) -> str:
    """Which inputs the answers lean on now, how they differ along each, and what moved figures since the reference."""
    if not told:
        return ""
    rows = [_leans(each) for each in told["features"][:LEANING_SHOWN]]
    headings = [
        *(("Feature", ""), ("Of the answers' variance", "n"), ("Of the errors'", "n")),
        *(("Mean answer along it: before (line), since (bars)", ""),),
    ]
    follows = told.get("follows")
    said = f"<p>It follows its strongest feature {follows:.3g} times as much as before.</p>" if follows else ""
    more = len(told["features"]) - LEANING_SHOWN
    rest = f"<p>{more} more in the API.</p>" if more > 0 else ""
    table = html.table("What its answers lean on", headings, rows, stacked=True) if rows else ""
    return table + rest + said + _bills(told["bill"])


def blind_spots(spots: Sequence[Mapping[str, Any]]) -> str:
    """What could not be seen within thirty days, by reason, each with what it would take."""
    by_reason: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for spot in spots:
        by_reason.setdefault((str(spot.get("detector") or ""), str(spot["why"])), []).append(spot)
    if not by_reason:
        return "<h2>Blind spots</h2>\n<p>None that are known.</p>"
    entries = "".join(_spots(key, found) for key, found in by_reason.items())
    return (
        f"<h2>Blind spots</h2>\n<details><summary>{len(spots)} things that would not be seen within 30 days, "
        f"{len(by_reason)} reasons</summary><ul>{entries}</ul></details>"
    )


def drill(told: Mapping[str, Any] | None) -> str:
    """What a planted fault would come to, by the last fire drill."""
    if not told or not told["faults"]:
        return ""
    listed = "".join(f"<li>{html.text(fault['words'])}</li>" for fault in told["faults"])
    when = f", measured on {told['measured_days']:.3g} days until {html.moment(told['measured_until'])}"
    return (
        f"<h2>The last fire drill</h2>\n<p>{len(told['faults'])} planted faults{when}.</p>"
        f"<details><summary>When each would be known</summary><ul>{listed}</ul></details>"
    )


def splits(lines: Sequence[Mapping[str, Any]], past: str) -> str:
    """The values of a segment that are kept apart; ``past`` is the address of the model's history, if there is one."""
    rows = [
        [
            _segment(str(line["segment"]), past),
            html.state(str(line["state"])),
            f"{line['events']:,}",
        ]
        for line in lines
    ]
    return (
        html.table("Kept apart", [("Segment", ""), ("State", ""), ("Events", "n")], rows, stacked=True) if rows else ""
    )


def _segment(name: str, past: str) -> str:
    return (
        f'<a href="{escape(f"{past}?segment={html.quoted(name)}")}">{html.text(name)}</a>' if past else html.text(name)
    )


def _hours(seconds: float) -> str:
    for unit, words in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {words}"
    return f"{seconds:.3g} seconds"


def _judged(cells: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            escape(html.words(str(cell["measure"]))),
            html.state(cell["state"]),
            html.text(cell["present"]),
            (html.text(cell["reference"]) if "reference" in cell else "")
            + f' <span class="quiet small">of {cell["reference_cases"]:,}</span>',
            '<span class="quiet">none</span>' if cell.get("contract") is None else html.text(cell["contract"]),
            html.text(cell.get("edge", cell.get("tolerance"))),
            escape(odds.odds(cell["evidence_log10"])),
        ]
        for cell in cells
    ]
    headings = [
        *(("Measure", ""), ("State", ""), ("Now", "n"), ("Reference", "n"), ("Contract", "n")),
        *(("Tolerated up to", "n"), ("Odds", "")),
    ]
    return html.table("What of it is judged", headings, rows, stacked=True) if rows else ""


def _reliability(bins: Sequence[Mapping[str, Any]] | None) -> str:
    some = [each for each in bins or [] if each["n"]]
    if not some:
        return ""
    points = [(each["mean_score"], each["value"], *each["interval"]) for each in some]
    rows = [
        [
            f"{each['from']:.2g} to {each['to']:.2g}",
            f"{each['n']:,}",
            html.text(each["mean_score"]),
            html.text(each["value"]),
            html.interval(each["interval"]),
        ]
        for each in some
    ]
    headings = [("Scores", ""), ("n", "n"), ("Their mean", "n"), ("Came true", "n"), ("95 % interval", "")]
    numbers = html.table("By score", headings, rows, stacked=True)
    return (
        f"<h3>How scores keep their word</h3>{charts.reliability(points)}"
        f"<details><summary>{len(rows)} stretches of the score in numbers</summary>{numbers}</details>"
    )


def _leans(feature: Mapping[str, Any]) -> list[str]:
    strata = [each for each in feature["strata"] if each["answer"]["value"] is not None]
    picture = charts.means(
        str(feature["feature"]),
        [str(each["stratum"]) for each in strata],
        [each["answer"]["value"] for each in strata],
        [each["answer_since"]["value"] for each in strata],
    )
    lost = feature["loss_lean"]
    return [html.text(feature["feature"]), html.percent(feature["lean"]), html.percent(lost), picture]


def _bills(bills: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            escape(html.words(measure)),
            html.text(bill["before"]),
            html.text(bill["after"]),
            f"{bill['change']:+.3g}",
            f"{bill['population']:+.3g}",
            f"{bill['behaviour']:+.3g}",
            html.text(bill["by"]),
            f"{bill['cases']:,}",
        ]
        for measure, bill in bills.items()
    ]
    headings = [
        *(("Figure", ""), ("Before", "n"), ("Since", "n"), ("Change", "n"), ("Other people", "n")),
        *(("Other behaviour", "n"), ("By", ""), ("Cases", "n")),
    ]
    return html.table("What moved since the reference, and why", headings, rows, stacked=True) if rows else ""


def _spots(key: tuple[str, str], spots: Sequence[Mapping[str, Any]]) -> str:
    detector, why = key
    names = [_name(spot) for spot in spots if _name(spot)]
    needed = [spot["events_needed"] for spot in spots if spot.get("events_needed")]
    takes = f" (from {min(needed):,} events on)" if needed else ""
    more = f" and {len(names) - SPOTS_SHOWN} more" if len(names) > SPOTS_SHOWN else ""
    of = f": {html.text(names[:SPOTS_SHOWN])}{more}" if names else ""
    return f"<li>{escape(html.words(detector))}: {escape(why)}{takes}{of}</li>"


def _name(spot: Mapping[str, Any]) -> str:
    parts = (spot.get("feature"), spot.get("measure"), spot.get("attribute"), spot.get("group"))
    return " ".join(str(part) for part in parts if part)
