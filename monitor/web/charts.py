"""Pictures of numbers as inline SVG: a distribution then and now, an effect against its tolerance, a life on a line.

Nothing here is told by colour alone: each picture has a title that says it in words, and stands beside the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _HEIGHT, _FLOOR = 320, 84, 68
_LIFE_WIDTH, _LANE = 960, 18
_LANES_MAX = 12
_STRIP = 36
_CATEGORIES_NAMED = 6


class Mark(NamedTuple):
    """A moment in a life; seconds since the epoch."""

    time: float
    words: str


class Span(NamedTuple):
    """A stretch of a life, up to now where ``until`` is ``None``; seconds since the epoch."""

    since: float
    until: float | None
    words: str


def shares(counts: Sequence[float]) -> list[float]:
    """Counts as parts of their sum; zeros where there is nothing."""
    total = sum(counts)
    return [count / total if total > 0 else 0.0 for count in counts]


def distribution(
    name: str, bins: Sequence[str], then: Sequence[float], now: Sequence[float], *, named: bool, when: str = "now"
) -> str:
    """The reference as a line over bars of the present, bin by bin; ``named`` writes the bins' names below.

    ``then`` and ``now`` are counts, one for each of ``bins``; ``when`` says of what time the bars are.
    """
    before, present = shares(then), shares(now)
    top = max([*before, *present, 1e-9])
    width = _WIDTH / max(len(bins), 1)
    bars, steps = [], []
    for i, (label, was, is_) in enumerate(zip(bins, before, present, strict=True)):
        x, height = i * width, is_ / top * (_FLOOR - 4)
        title = f"<title>{escape(label)}: {_percent(was)} in the reference, {_percent(is_)} {when}</title>"
        bars.append(
            f'<rect class="now" x="{x + width * 0.12:.1f}" y="{_FLOOR - height:.1f}" width="{width * 0.76:.1f}" '
            f'height="{height:.1f}">{title}</rect>'
        )
        level = _FLOOR - was / top * (_FLOOR - 4)
        steps.append(f"{'M' if not i else 'L'}{x:.1f} {level:.1f}H{x + width:.1f}")
    ends = _names(bins, width) if named else _ends(bins)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img">'
        f"<title>{escape(_largest_move(name, bins, before, present))}</title>{''.join(bars)}"
        f'<path class="then" d="{"".join(steps)}"/>'
        f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{_FLOOR}" y2="{_FLOOR}"/>{ends}</svg>'
    )


def against_tolerance(effect: float, tolerance: float) -> str:
    """An effect as a bar, and its tolerance as a line at a third of the width; what is beyond the width is cut."""
    ratio = effect / tolerance if tolerance > 0 else math.inf
    length = min(max(ratio, 0.0), 3.0) / 3.0 * 150
    kind = "beyond" if ratio > 1 else "within"
    words = "beyond" if ratio > 1 else "within"
    return (
        f'<svg viewBox="0 0 150 16" width="150" height="16" role="img"><title>{effect:.3g}: {words} the tolerance of '
        f'{tolerance:.3g}</title><rect class="bed" y="6" width="150" height="4"/>'
        f'<rect class="{kind}" y="3" width="{length:.1f}" height="10"/>'
        f'<line class="edge" x1="50" x2="50" y1="0" y2="16"/></svg>'
    )


def span_within(value: float, low: float, high: float, top: float) -> str:
    """A value from 0 to ``top`` as a dot on the line of its interval."""
    x, left, right = (min(max(end, 0.0) / max(top, 1e-9), 1.0) * 146 + 2 for end in (value, low, high))
    return _interval(f"{value:.4g}, between {low:.4g} and {high:.4g}", x, left, right, 2.0)


def span_about(value: float, interval: Sequence[float | None] | None, reach: float, unit: str) -> str:
    """A value about nought as a dot on the line of its interval, up to ``reach`` on both sides; the edge is nought."""
    low, high = interval or (None, None)
    ends = [-reach if low is None else low, reach if high is None else high]
    x, left, right = ((min(max(end / reach, -1.0), 1.0) + 1.0) * 73 + 2 for end in (value, *ends))
    return _interval(f"{value:+.3g} {unit}, between {ends[0]:.3g} and {ends[1]:.3g}", x, left, right, 75.0)


def _interval(title: str, x: float, left: float, right: float, edge: float) -> str:
    return (
        f'<svg viewBox="0 0 150 16" width="150" height="16" role="img"><title>{escape(title)}</title>'
        f'<line class="axis" x1="{edge:.1f}" x2="{edge:.1f}" y1="0" y2="16"/>'
        f'<line class="reach" x1="{left:.1f}" x2="{right:.1f}" y1="8" y2="8"/>'
        f'<circle class="fact" cx="{x:.1f}" cy="8" r="3.5"/></svg>'
    )


def reliability(points: Sequence[tuple[float, float, float, float]]) -> str:
    """What came true (with its interval) against the mean score: on the diagonal scores keep their word.

    ``points``, from 0 to 1, are (mean score, share that came true, low, high).
    """
    side = 180.0

    def at(share: float) -> float:
        return side - 6 - min(max(share, 0.0), 1.0) * (side - 12)

    drawn = "".join(
        f"<g><title>scores about {score:.3g}: {share:.3g} came true, between {low:.3g} and {high:.3g}</title>"
        f'<line class="reach" x1="{side - at(score):.1f}" x2="{side - at(score):.1f}" y1="{at(low):.1f}" '
        f'y2="{at(high):.1f}"/><circle class="fact" cx="{side - at(score):.1f}" cy="{at(share):.1f}" r="3.5"/></g>'
        for score, share, low, high in points
    )
    off = sum(not low <= score <= high for score, _, low, high in points)
    title = f"{len(points) - off} of {len(points)} stretches of the score came true as often as they say"
    return (
        f'<svg viewBox="0 0 {side:g} {side:g}" width="{side:g}" height="{side:g}" role="img"><title>{title}</title>'
        f'<rect class="frame" x="6" y="6" width="{side - 12:g}" height="{side - 12:g}"/>'
        f'<line class="axis" x1="6" y1="{side - 6:g}" x2="{side - 6:g}" y2="6"/>{drawn}</svg>'
    )


def means(name: str, labels: Sequence[str], before: Sequence[float], since: Sequence[float | None]) -> str:
    """Means along a feature: what they were as a line over bars of what they are since, from the least of all."""
    known = [*before, *(each for each in since if each is not None)]
    if not known:
        return '<span class="quiet">unknown</span>'
    low, width = min(0.0, *known), 200 / max(len(labels), 1)
    scale = (_STRIP - 4) / max(max(known) - low, 1e-9)
    bars, steps = [], []
    for i, (label, was, is_) in enumerate(zip(labels, before, since, strict=True)):
        height, level = ((each - low) * scale if each is not None else 0.0 for each in (is_, was))
        told = f"{label}: {was:.3g} before, " + ("nothing since" if is_ is None else f"{is_:.3g} since")
        bars.append(
            f'<rect class="now" x="{(i + 0.12) * width:.1f}" y="{_STRIP - height:.1f}" width="{width * 0.76:.1f}" '
            f'height="{height:.1f}"><title>{escape(told)}</title></rect>'
        )
        steps.append(f"{'M' if not i else 'L'}{i * width:.1f} {_STRIP - level:.1f}H{(i + 1) * width:.1f}")
    title = f"{name}: the mean answer was {min(before):.3g} to {max(before):.3g} along it"
    return (
        f'<svg viewBox="0 0 200 {_STRIP}" width="200" height="{_STRIP}" role="img"><title>{escape(title)}</title>'
        f'{"".join(bars)}<path class="then" d="{"".join(steps)}"/></svg>'
    )


def volumes(counts: Sequence[float], labels: Sequence[str], title: str) -> str:
    """Counts over time as bars; ``labels`` say of each when it was."""
    top, width = max([*counts, 1.0]), (_LIFE_WIDTH - 20) / max(len(counts), 1)
    bars = "".join(
        f'<rect class="now" x="{10 + i * width:.2f}" y="{_FLOOR - count / top * (_FLOOR - 4):.1f}" '
        f'width="{max(width * 0.9, 0.5):.2f}" height="{count / top * (_FLOOR - 4):.1f}">'
        f"<title>{escape(label)}: {count:,.0f}</title></rect>"
        for i, (count, label) in enumerate(zip(counts, labels, strict=True))
    )
    return (
        f'<svg class="life" viewBox="0 0 {_LIFE_WIDTH} {_FLOOR + 2}" width="{_LIFE_WIDTH}" height="{_FLOOR + 2}" '
        f'preserveAspectRatio="none" role="img"><title>{escape(title)}</title>{bars}'
        f'<line class="axis" x1="10" x2="{_LIFE_WIDTH - 10}" y1="{_FLOOR}" y2="{_FLOOR}"/></svg>'
    )


def over_time(ratios: Sequence[float | None], labels: Sequence[str]) -> str:
    """The least that effects were over what is tolerated, as bars over time, cut at three; the line is that."""
    known = [(ratio, label) for ratio, label in zip(ratios, labels, strict=True) if ratio is not None]
    if not known:
        return ""
    width, edge = 200 / len(ratios), _STRIP - (_STRIP - 2) / 3.0
    largest, when = max(known)
    bars = []
    for i, (ratio, label) in enumerate(zip(ratios, labels, strict=True)):
        if ratio is not None:
            height = max(min(ratio, 3.0) / 3.0 * (_STRIP - 2), 1.0)
            bars.append(
                f'<rect class="{"beyond" if ratio > 1 else "within"}" x="{i * width:.2f}" y="{_STRIP - height:.1f}" '
                f'width="{max(width * 0.85, 0.5):.2f}" height="{height:.1f}"><title>{escape(label)}: '
                f"at least {ratio:.2f} times the tolerance</title></rect>"
            )
    n_beyond = sum(ratio > 1 for ratio, _ in known)
    title = f"surely beyond the tolerance in {n_beyond} of {len(known)} steps; at most {largest:.2f} times it, {when}"
    return (
        f'<svg viewBox="0 0 200 {_STRIP}" width="200" height="{_STRIP}" role="img"><title>{escape(title)}</title>'
        f'{"".join(bars)}<line class="edge" x1="0" x2="200" y1="{edge:.1f}" y2="{edge:.1f}"/></svg>'
    )


def evidence(ratios: Sequence[float | None], labels: Sequence[str]) -> str:
    """Evidence over what an alarm takes (logarithms), bars over time, cut at one and a half; the line is an alarm."""
    known = [(ratio, label) for ratio, label in zip(ratios, labels, strict=True) if ratio is not None]
    if not known:
        return ""
    width, edge = 200 / len(ratios), _STRIP - (_STRIP - 2) / 1.5
    bars = "".join(
        f'<rect class="{"beyond" if ratio >= 1 else "within"}" x="{i * width:.2f}" '
        f'y="{_STRIP - _evidence_height(ratio):.1f}" width="{max(width * 0.85, 0.5):.2f}" '
        f'height="{_evidence_height(ratio):.1f}"><title>{escape(label)}: {_gathered(ratio)}</title></rect>'
        for i, (ratio, label) in enumerate(zip(ratios, labels, strict=True))
        if ratio is not None
    )
    return (
        f'<svg viewBox="0 0 200 {_STRIP}" width="200" height="{_STRIP}" role="img"><title>'
        f"{escape(evidence_in_words(ratios, labels))}</title>"
        f'{bars}<line class="edge" x1="0" x2="200" y1="{edge:.1f}" y2="{edge:.1f}"/></svg>'
    )


def evidence_in_words(ratios: Sequence[float | None], labels: Sequence[str]) -> str:
    """The same in a sentence."""
    known = [(ratio, label) for ratio, label in zip(ratios, labels, strict=True) if ratio is not None]
    alarms = [label for ratio, label in known if ratio >= 1]
    if alarms:
        return f"enough for an alarm at {alarms[0]}" + (f", and {len(alarms) - 1} times after" if alarms[1:] else "")
    largest, when = max(known)
    return f"at most {_gathered(largest)}, at {when}" if largest >= 0.005 else "none"


def _evidence_height(ratio: float) -> float:
    return max(min(ratio, 1.5) / 1.5 * (_STRIP - 2), 1.0)


def _gathered(ratio: float) -> str:
    return "enough for an alarm" if ratio >= 1 else f"{100 * ratio:.0f} % of what an alarm takes"


def life(begin: float, end: float, marks: Sequence[Mark], spans: Sequence[Span]) -> str:
    """A life from ``begin`` to ``end`` (seconds since the epoch): marks on its line, incidents in lanes below.

    The newest incidents have lanes, up to twelve; a list beside it must have them all.
    """
    scale = (_LIFE_WIDTH - 20) / max(end - begin, 1.0)
    shown = sorted(spans, key=lambda span: span.since)[-_LANES_MAX:]
    height = 24 + _LANE * len(shown)

    def x(time: float) -> float:
        return 10 + (min(max(time, begin), end) - begin) * scale

    drawn = [
        f'<path class="fact" d="M{x(mark.time):.1f} 12l-5 -9h10z"><title>{escape(mark.words)}</title></path>'
        for mark in marks
    ]
    for lane, span in enumerate(shown):
        until = end if span.until is None else span.until
        kind, width = "span" if span.until is None else "span over", max(x(until) - x(span.since), 3.0)
        drawn.append(
            f'<rect class="{kind}" x="{x(span.since):.1f}" y="{20 + lane * _LANE}" width="{width:.1f}" '
            f'height="{_LANE - 6}"><title>{escape(span.words)}</title></rect>'
        )
    what = f"The model's life: {len(marks)} events and {len(spans)} incidents; the list below has them all"
    return (
        f'<svg class="life" viewBox="0 0 {_LIFE_WIDTH} {height}" width="{_LIFE_WIDTH}" height="{height}" '
        f'preserveAspectRatio="none" role="img"><title>{what}</title>'
        f'<line class="axis" x1="10" x2="{_LIFE_WIDTH - 10}" y1="14" y2="14"/>{"".join(drawn)}</svg>'
    )


def _ends(bins: Sequence[str]) -> str:
    if not bins:
        return ""
    return (
        f'<text x="0" y="{_HEIGHT - 3}">{escape(bins[0])}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 3}" text-anchor="end">{escape(bins[-1])}</text>'
    )


def _names(bins: Sequence[str], width: float) -> str:
    """The names of the first bins, as far as they have room; all of them are titles of their bars."""
    room = max(int(width / 7), 1)
    return "".join(
        f'<text x="{(i + 0.5) * width:.1f}" y="{_HEIGHT - 3}" text-anchor="middle">{escape(_short(label, room))}</text>'
        for i, label in enumerate(bins)
        if len(bins) <= _CATEGORIES_NAMED or room > 3
    )


def _short(label: str, room: int) -> str:
    return label if len(label) <= room else label[: max(room - 1, 1)] + "…"


def _largest_move(name: str, bins: Sequence[str], then: Sequence[float], now: Sequence[float]) -> str:
    if not bins:
        return f"{name}: nothing was counted"
    at = max(range(len(bins)), key=lambda i: abs(now[i] - then[i]))
    return f"{name}: the largest move is at {bins[at]}, from {_percent(then[at])} to {_percent(now[at])}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
