"""Are the candidate's inputs whole and its answers those of before? The daemon's own questions of two samples."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.series import RETIRED
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Detector, Shares
from monitor.events.columns import Space
from monitor.fleet import Fleet
from monitor.gate.finding import Finding, Part
from monitor.gate.side import Side
from monitor.incidents.telling import cut_words
from monitor.stats.fixed import least_gap, least_rise

Floats = NDArray[np.float64]


def series_findings(side: Side, row: int) -> Iterator[Finding]:
    """Every cell of the model in ``row``: the candidate's counts against those of the reference."""
    fleet = side.fleet
    rows = np.array([r for r in fleet.models.items[row].series if fleet.series.rows["judging"][r] != RETIRED], np.int64)
    if not len(rows):
        return
    view = fleet.judge.view(rows)
    reference = fleet.judge.reference(rows, view)
    for detector in DETECTORS:
        before, now = detector.shares(reference, view), detector.shares(side.counts[rows], view)
        tolerance = fleet.judge.states[detector.name]["tolerance"][rows]
        for i in np.flatnonzero(detector.applies(view)).tolist():
            both = Shares(before.s[i], before.n[i : i + 1]), Shares(now.s[i], now.n[i : i + 1])
            yield _finding(fleet, detector, int(rows[i]), both, float(tolerance[i]))


def _finding(fleet: Fleet, detector: Detector, row: int, both: tuple[Shares, Shares], tolerance: float) -> Finding:
    before, now = both
    (n,), (n_now,) = before.n.tolist(), now.n.tolist()
    rates = [np.minimum(each.s / max(float(each.n[0]), 1.0), 1.0) for each in both]
    gaps = np.abs(rates[1] - rates[0]) if detector.two_sided else rates[1] - rates[0]
    cut = int(np.argmax(gaps))
    least = partial(_least, detector, before, now)
    unseen = n_now == 0 or n == 0
    model = fleet.models.items[int(fleet.series.rows["model"][row])]
    what = cut_words(row, cut, model, fleet.series) if detector.cuts > 1 else ""
    words = "nothing to compare" if unseen else detector.words(float(rates[0][cut]), float(rates[1][cut]), what)
    return Finding(
        part=_part(detector, int(fleet.series.rows["space"][row])),
        detector=detector.name,
        subject=fleet.series.names[row],
        effect=detector.effect,
        value=float(max(gaps[cut], 0.0)),
        tolerance=tolerance,
        before=float(rates[0][cut]),
        now=float(rates[1][cut]),
        sizes=(int(n), int(n_now)),
        words=words,
        verdict="unseen" if unseen else "pass",
        beyond=lambda error: float(gaps[cut]) > tolerance and least(error) > tolerance,
        bound=least,
    )


def _least(detector: Detector, before: Shares, now: Shares, error: float) -> float:
    """The largest movement of a share that is certain: the error is divided among the shares that are asked."""
    used = max(int(((before.s > 0) | (now.s > 0)).sum()), 1)
    bound = least_gap if detector.two_sided else least_rise
    return max(float(bound(before.s, before.n, now.s, now.n, error / used).max()), 0.0)


def _part(detector: Detector, space: int) -> Part:
    if detector.share == "quality":
        return "quality"
    return "prediction" if space == Space.PREDICTION else "inputs"
