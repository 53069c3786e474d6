"""Does an incident's capsule hold? Judges its first cell again, from the capsule alone.

    python verify_capsule.py CAPSULE [--reference FILE]

Nothing of modelwatch is imported, and nothing but Python's standard library: this file is the second opinion. What it
computes is described in docs/statistics.md and docs/formats/capsule.md. It is read from the bottom up: `verify` says
what is held against what, and above it each kind of cell has a part of its own: shares, scores, groups. Exit code 0:
the decision follows from the sums; 1: refused, with the place; 2: usage.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import struct
import sys
import tomllib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMAT = "modelwatch capsule 1"
WEEK = 7 * 86400.0
SUSPICIOUS, CLEAR, MARGIN, PRIOR, TICKS_MIN, SCATTER_MAX = 0.4, 1.5, 1.15, 2.0, 10, 10.0
PRESENT_EVENTS, BATCH_DECAY = 300.0, 0.995
BOUND_ERROR, SEASON_Z = 1e-4, 3.719016485455709  # the normal quantile of 1 - 1e-4
NOTHING = -math.inf
BINS, UNSEEN = 32, 31
SCORE_BINS, SCORE_EDGE, FEW, COARSE, GRID = 10, 1e-6, 3, 0.02, 32
FIRED = "the line that says it fired"
LOG_LOSS_MAX, LOSS_LIMITS = math.log(1000.0), 10.0
Line = dict[str, Any]


class RefusedError(Exception):
    """What does not hold, and where."""


def need(holds: bool, place: str, why: str) -> None:
    """Refuse at ``place`` unless it ``holds``."""
    if not holds:
        raise RefusedError(f"{place}: {why}")


def near(found: float, said: float | None, place: str, what: str, error: float = 1e-6) -> None:
    """Refuse at ``place`` unless what was found is what is written, but for roundings."""
    said = math.inf if said is None else said  # JSON has no infinity
    same = found == said or abs(found - said) <= error * max(1.0, abs(said))
    need(same, place, f"{what} is {found:.9g}, and {said:.9g} is written")


# --- bounds and nulls -------------------------------------------------------------------------------------------------


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz)."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - incomplete_beta(1.0 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d, result = 1.0, 0.0, 1.0
    for i in range(20_000):
        m = i // 2
        if i == 0:
            term = 1.0
        elif i % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / (1.0 + term * d or 1e-300)
        c = 1.0 + term / c or 1e-300
        result *= c * d
        if abs(1.0 - c * d) < 1e-15:
            break
    return front * (result - 1.0)


def lower_bound(k: float, n: float) -> float:
    """Clopper and Pearson: the rate at which k or more of n come up with probability 1e-4."""
    if k <= 0.0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if incomplete_beta(middle, k, n - k + 1.0) < BOUND_ERROR else (low, middle)
    return low


def wilson(k: float, n: float, side: float) -> float:
    """One end of Wilson's score interval."""
    z2, rate = SEASON_Z**2, k / n
    reach = SEASON_Z * math.sqrt(rate * (1.0 - rate) / n + z2 / (4.0 * n * n))
    return (rate + z2 / (2.0 * n) + side * reach) / (1.0 + z2 / n)


def edges(null: Line, cut: int, counted: float) -> tuple[float, float]:
    """What a share may be without being suspicious: the reference's own error, and the tolerance beyond it."""
    tolerance, season = null["tolerance"], null["season"]
    if season is not None:
        n = 1.0 / max(1.0 / (null["events"] * null["worth"]) + season["variance"], 1e-12)
        share, slack = null["share"][cut], season["slack"][cut] + tolerance
        low = wilson(max(share * n - 0.5, 0.0), n, -1.0) - slack
        high = wilson(min(share * n + 0.5, n), n, 1.0) + slack
    else:
        k, n = counted * null["worth"], null["events"] * null["worth"]
        low = lower_bound(k, n) - tolerance if n else 0.0
        high = 1.0 - lower_bound(n - k, n) + tolerance if n else 1.0
    if null.get("limit") is not None:  # a contract is the edge itself
        return 0.0, null["limit"]
    return max(low, 0.0), min(high, 1.0)


def counted_in(cell: Line, counts: list[float]) -> tuple[list[float], float]:
    """What a detector asks of the 40 counts of a series: sums at its cuts, of how many (docs/detectors)."""
    if cell["of"] in {"measure", "use"}:  # a reference of cases, or of a model's use, is just that
        return counts[:1], counts[1]
    bins, (nulls, invalid, type_, dropped, below, above, events, present) = counts[:BINS], counts[BINS:]
    values = float(sum(bins))
    match cell["detector"]:
        case "drift" | "mix":
            sums = [float(sum(bins[: at + 1]) if cell["number"] else bins[at]) for at in cell["bins"]]
            return sums, values
        case "missing":
            return [max(float(events - present + nulls), 0.0)], float(events)
        case "invalid":
            return [float(invalid + dropped)], float(present)
        case "out_of_range":
            return [float(below + above)], values
        case "unseen":
            return [float(bins[UNSEEN])], values
        case "schema":
            s, n = (type_, present) if cell["known"] else (present, events)
            return [float(min(s, n))], float(n)
    raise RefusedError(f"line 1: the detector {cell['detector']!r} is not known here")


def check_null(cell: Line, null: Line, reference: list[float], place: str) -> None:
    """A null follows from the reference, its size and the tolerance."""
    sums, n = counted_in(cell, reference)
    if null["last_week"]:  # by the same hour of the week before, of which the null itself has the sums
        sums, n = [round(share * null["events"]) for share in null["share"]], null["events"]
    need(null["events"] <= n, place, f"its reference has {null['events']:.0f} events, the one at firing {n:.0f}")
    for cut, said in enumerate(sums):
        counted, share = said, null["share"][cut]
        plain = said / n if n else 0.0
        if null["season"] is not None:
            plain = min(max(plain + null["season"]["add"][cut], 0.0), 1.0)
        if null["events"] == n:
            near(plain, share, place, f"the reference's share at cut {cut}")
        elif null["season"] is None:  # it has grown since: by what it had then, which must be part of what it has
            whole = cell["of"] != "measure"  # a share is kept with 24 bits; counts are whole
            counted, error = share * null["events"], 0.0 if whole else 1e-6 * n
            counted = round(counted) if whole else counted
            shrank = counted > said + error or null["events"] - counted > n - said + error
            need(not shrank, place, f"the reference shrank at cut {cut}")
        low, high = edges(null, cut, counted)
        near(low, null["low"][cut], place, f"the null's lower edge at cut {cut}")
        near(high, null["high"][cut], place, f"the null's upper edge at cut {cut}")
        null["low"][cut], null["high"][cut] = low, high


# --- evidence ---------------------------------------------------------------------------------------------------------


def float32(x: float) -> float:
    """Round to 24 bits, as the daemon keeps it."""
    return float(struct.unpack("f", struct.pack("f", x))[0])


def add_logs(a: float, b: float) -> float:
    """Compute log(e^a + e^b)."""
    high, low = max(a, b), min(a, b)
    return high if low == NOTHING else high + math.log1p(math.exp(low - high))


class Evidence:
    """R <- (R + b) S for each bet; the sum of them alarms at 1 and begins again at 0."""

    def __init__(self, begun: Line) -> None:
        self.log_r = [NOTHING if each is None else each for each in begun["log_r"]]
        self.scatter = list(begun["scatter"])
        self.carried = self.total()
        self.error = 1e-4
        self.open = 0.0  # nats that do not follow from sums, but are as written within what these allow

    def total(self) -> float:
        """Tell log R of the cell."""
        result = NOTHING
        for each in self.log_r:
            result = add_logs(result, each)
        return result

    def bet(self, step: Line, log_e: list[float | None], size: float, place: str) -> bool:
        """Let a step in; ``None`` stands for a bet that is not made. Returns whether R came to 1."""
        made = sum(each is not None for each in log_e)
        fresh = step["log_budget"] - math.log(max(made, 1))
        self.log_r = [
            NOTHING if e is None else add_logs(r, fresh) + e * step["eta"]
            for r, e in zip(self.log_r, log_e, strict=True)
        ]
        self.error += 4e-7 * size + 4e-6  # the daemon counts with 24 bits
        found = self.total()
        need(
            abs(found - step["log_r"]) <= self.error * (1.0 + abs(found) / 100.0),
            place,
            f"log R comes to {found:.6f} nats, and {step['log_r']:.6f} is written",
        )
        alarm = bool(step["log_r"] >= 0.0)
        if alarm:
            self.log_r = [NOTHING] * len(self.log_r)
        return alarm

    def check_power(self, step: Line, wander: float, place: str) -> None:
        """How far the bets of a step are trusted follows from how the steps before it scattered."""
        scatter, weight, ticks = self.scatter
        phi = scatter / weight if weight > 0.0 else PRIOR
        phi = max(phi, PRIOR) if ticks < TICKS_MIN else phi
        near(1.0 / max(MARGIN * max(phi, wander), 1.0), step["eta"], place, "the power of its bets", 1e-4)

    def follow(
        self, step: Line, before: Line | None, wander: float, sums: Callable[[Line], list[float]], place: str
    ) -> None:
        """Hold the power of a step against the scatter before it, and let the step into that; ``sums`` are its own."""
        if before is None:
            return
        need(step["end"] > before["end"], place, "it does not come after the one before")
        self.check_power(step, wander, place)
        self.scattered([(sums(before), before["n"], sums(step), step["n"])])

    def scattered(self, pairs: list[tuple[list[float], float, list[float], float]]) -> None:
        """Add the differences between batches: (sums, events) before and now."""
        some = False
        for s_before, n_before, s, n in pairs:
            if n_before <= 0.0 or n <= 0.0:
                continue
            total, weight, gap = n_before + n, 0.0, 0.0
            for x, y in zip(s_before, s, strict=True):
                pooled = (x + y) / total
                gap += (y / n - x / n_before) ** 2 * n_before * n / total / len(s)
                weight += pooled * (1.0 - pooled) * total / (total - 1.0) / len(s)
            self.scatter[0] += min(gap, SCATTER_MAX * weight)
            self.scatter[1] += weight
            some |= weight > 0.0
        self.scatter[2] += some


class Gate:
    """An alarm fires once it has lasted for the policy's ``hold``."""

    def __init__(self, hold: float) -> None:
        self.hold, self.since = hold, math.nan

    def fires(self, end: float, alarm: bool, sustained: bool) -> bool:
        """Tell whether the cell fires at ``end``."""
        if math.isnan(self.since):
            self.since = end if alarm else math.nan
        elif not (sustained or alarm):
            self.since = math.nan
        return end - self.since >= self.hold

    def check(self, step: Line, fired: Line, alarm: bool, clear: bool, place: str) -> None:
        """Refuse unless the cell fires at the step at which it is said to, and not before."""
        fires, last = self.fires(step["end"], alarm, clear or suspicious(step)), step["end"] == fired["end"]
        need(fires == last, place, f"it {'fires' if fires else 'does not fire'} here")


def suspicious(step: Line) -> bool:
    """Tell whether a step has more than 0.4 of the evidence that an alarm needs."""
    return bool((step["log_r"] - step["log_budget"]) / -step["log_budget"] > SUSPICIOUS)


def check_budget(paid: Line, step: Line, place: str, *, last: bool) -> None:
    """No cell spends more than its share of a week's false alarms allows."""
    week = min(paid["per_week"], paid["per_model_per_week"]) * paid["part"]
    most = math.log(week * step["seconds"] / WEEK)
    need(step["log_budget"] <= most + 1e-9, place, "it spends more than the budget has")
    if last:
        fleet, model = (max(paid[name], 1) for name in ("cells_of_fleet", "cells_of_model"))
        own = min(paid["per_week"] / fleet, paid["per_model_per_week"] / model) * paid["weight"] * paid["part"]
        own *= step["seconds"] / WEEK
        near(math.log(own), step["log_budget"], place, "its budget", 1e-9)


# --- a share: of a series, of what a measure of cases sums up, of how a model is used ---------------------------------


def bets_on_shares(cell: Line, null: Line, step: Line) -> list[float | None]:
    """Tell the bets of a step: s d - n log(1 - p + p e^d) of a shift by d logits beyond the edge p of the null."""
    found: list[float | None] = []
    for cut in range(cell["cuts"]):
        used = cut < len(cell["bins"]) or cell["cuts"] == 1
        for sign in (1.0, -1.0) if cell["two_sided"] else (1.0,):
            edge = null["high"][cut] if sign > 0.0 else null["low"][cut]
            bettable = used and (edge < 1.0 if sign > 0.0 else edge > 0.0)
            for shift in cell["shifts"]:
                cost = float32(math.log1p(edge * math.expm1(sign * shift))) if bettable else 0.0
                found.append(step["s"][cut] * sign * shift - step["n"] * cost if bettable else None)
    return found


def outside(cell: Line, null: Line, step: Line) -> list[tuple[float, float]]:
    """By how much the present lies outside the null at each cut, and what of that chance explains."""
    n, found = step["now_n"], []
    for cut in range(cell["cuts"]):
        low, high = null["low"][cut], null["high"][cut]
        used = (cut < len(cell["bins"]) or cell["cuts"] == 1) and (high < 1.0 or (cell["two_sided"] and low > 0.0))
        rate = min(step["now_s"][cut] / n, 1.0) if n > 0.0 else 0.0
        beyond = max(rate - high, low - rate if cell["two_sided"] else -1.0)
        edge = high if rate > high else low
        chance = CLEAR * math.sqrt(max(edge * (1.0 - edge), 1e-4) / (2.0 * max(n, 1.0)))
        found.append((beyond if used else -1.0, chance))
    return found


def check_present(step: Line, before: Line | None, null: Line, events: float, place: str) -> None:
    """The present fades by a factor e with so many ``events``; where a season is taken out of it, it is as written."""
    if before is None or null["season"] is not None or null["last_week"] or before["by_hour"]:
        return
    kept = math.exp(-step["values"] / events)
    for now, was, s in zip(step["now_s"], before["now_s"], step["s"], strict=True):
        near(was * kept + s, now, place, "the present", 1e-4)
    near(before["now_n"] * kept + step["n"], step["now_n"], place, "the size of the present", 1e-4)


def check_since(step: Line, before: Line | None, place: str) -> None:
    """What cases gave since suspicion began goes on; where another cell of the model fires, it is of the step alone."""
    own, said = [step["s"][0], step["n"]], step["since"]
    if before is None:
        ok = all(x >= y - 1e-6 for x, y in zip(said, own, strict=True))
    else:
        longer = [x + y for x, y in zip(before["since"], own, strict=True)]
        ok = any(
            all(abs(x - y) <= 1e-6 * max(y, 1.0) for x, y in zip(said, each, strict=True)) for each in (longer, own)
        )
    need(ok, place, f"since suspicion began it is {said}, and of this step {own}")


class Shares:
    """Judges a cell of a series."""

    def __init__(self, cell: Line, fired: Line) -> None:
        self.cell, self.fired = cell, fired
        self.null: Line = {}
        self.before: Line | None = None

    def take_null(self, null: Line, place: str) -> None:
        """Let a null be in force from here on."""
        check_null(self.cell, null, self.fired["reference"], place)
        self.null = null

    def step(self, evidence: Evidence, line: Line, place: str) -> tuple[bool, bool]:
        """Take a step: whether it alarms, and whether the present is clearly beyond the null."""
        cell, null = self.cell, self.null
        evidence.follow(line, self.before, null["wander"], lambda x: x["s"], place)
        check_present(line, self.before, null, cell.get("recent", PRESENT_EVENTS), place)
        size = line["n"] * max(cell["shifts"])
        alarm = evidence.bet(line, bets_on_shares(cell, null, line), size, place)
        beyond = outside(cell, null, line)
        self.before = line | {"by_hour": null["season"] is not None or null["last_week"]}
        return alarm and max(x for x, _ in beyond) > 0.0, any(x > chance for x, chance in beyond)

    def check_told(self, step: Line) -> None:
        """What is told is the share that lies furthest outside, as the present or all since suspicion shows it."""
        fired, null, cut = self.fired, self.null, self.fired["cut"]
        beyond = [x for x, _ in outside(self.cell, null, step)]
        need(beyond[cut] > max(beyond) - 1e-6, FIRED, f"the share that moved furthest is {beyond.index(max(beyond))}")
        now, before, since = step["now_s"][cut] / step["now_n"], null["share"][cut], fired["since"]
        near(min(now, 1.0), fired["now"], FIRED, "the present")
        near(before, fired["before"], FIRED, "what was before")
        by_hour = null["season"] is not None or null["last_week"]
        whole = since is None or by_hour or abs(now - before) > abs(since - before)
        near(fired["now"] if whole else since, fired["told"], FIRED, "what is told")


class Measure(Shares):
    """Judges a cell of what a measure of cases sums up."""

    def step(self, evidence: Evidence, line: Line, place: str) -> tuple[bool, bool]:
        """As of a series, and what was seen since suspicion began goes on."""
        check_since(line, self.before, place)
        return super().step(evidence, line, place)

    def check_told(self, step: Line) -> None:
        """What is told is how the cases since suspicion began did, beside the contract or the reference."""
        s, n = step["since"]
        near(s / max(n, 1.0), self.fired["told"], FIRED, "what is told")
        before = self.null["share"][0] if self.null["limit"] is None else self.null["limit"]
        near(before, self.fired["before"], FIRED, "what was before")


class Use(Shares):
    """Judges a cell of how a model is used."""

    def check_told(self, step: Line) -> None:
        """What is told is the present, beside the reference."""
        near(min(step["now_s"][0] / step["now_n"], 1.0), self.fired["told"], FIRED, "what is told")
        near(self.null["share"][0], self.fired["before"], FIRED, "what was before")


# --- what scores mean -------------------------------------------------------------------------------------------------


def logit(p: float) -> float:
    """Log-odds, of what lies next to 0 and 1 those of a millionth."""
    p = min(max(p, SCORE_EDGE), 1.0 - SCORE_EDGE)
    return math.log(p / (1.0 - p))


def sigmoid(x: float) -> float:
    """The chance that has these log-odds."""
    return 1.0 / (1.0 + math.exp(-x))


def check_curve(cell: Line, null: Line, place: str) -> None:
    """What scores of a bin mean follows from the outcomes that the reference has there."""
    for bin_, (sums, said) in enumerate(zip(null["curve"], null["offset"], strict=True)):
        need((sums is None) == (said is None), place, f"bin {bin_} has a reference or a curve, and not both")
        if sums is None:
            continue
        n, y, scores = sums
        need(n >= cell["bin_min"] and 0 <= y <= n, place, f"bin {bin_} has no such reference")
        bounds = (lower_bound(y, n), (y + 0.5) / (n + 1.0), 1.0 - lower_bound(n - y, n))
        found = [logit(bound) - logit(scores / n) for bound in bounds]
        for name, own, offset in zip(("lower bound", "estimate", "upper bound"), found, said, strict=True):
            near(own, offset, place, f"the curve's {name} in bin {bin_}")
        null["offset"][bin_] = found


def span(f: Callable[[float], float], scores: list[float], place: str) -> tuple[float, float]:
    """Between what the sum of ``f`` over the scores of a bin must lie, by their number, mean and mean square.

    A parabola through three points of ``f`` is known by these; what ``f`` differs from it by lies between the least and
    the most of that in the bin. Without the mean square it is a line, and of a few the mean is known but roughly.
    """
    bin_, n, mean, *square = scores
    low, high = max(bin_ / SCORE_BINS, SCORE_EDGE), min((bin_ + 1) / SCORE_BINS, 1.0 - SCORE_EDGE)
    width, error = high - low, COARSE / 2.0 if n < FEW else 1e-9
    need(n >= 1 and low - error <= mean <= high + error, place, f"no scores of bin {bin_} have such a mean")
    means = [min(max((mean + side * error - low) / width, 0.0), 1.0) for side in (-1.0, 1.0)]
    f0, f1, f2 = (f(low + width * at) for at in (0.0, 0.5, 1.0))
    slope, bend, squared = f2 - f0, 0.0, 0.0
    if square:
        squared = (square[0] - 2.0 * low * mean + low * low) / width**2
        possible = means[0] ** 2 - 1e-6 <= squared <= means[1] + 1e-6
        need(possible, place, f"no scores of bin {bin_} have such a mean square")
        slope, bend = 4.0 * f1 - 3.0 * f0 - f2, 2.0 * (f0 + f2) - 4.0 * f1
    sums = [f0 + slope * each + bend * squared for each in means]
    points = [i / GRID for i in range(GRID + 1)]
    rest = [f(low + width * at) - (f0 + slope * at + bend * at * at) for at in points]
    slack = 0.01 * (max(rest) - min(rest)) + 1e-9  # for what lies between the points
    return n * (min(sums) + min(rest) - slack), n * (max(sums) + max(rest) + slack)


def spanned(step: Line, null: Line, f: Callable[[float, list[float]], float], place: str) -> tuple[float, float]:
    """As :func:`span`, over all bins of a step; ``f`` is of a score's log-odds and the curve there."""
    low = high = 0.0
    for scores in step["scores"]:
        offset = null["offset"][scores[0]]
        need(offset is not None, place, f"bin {scores[0]} has no curve, so nothing is bet there")
        own = span(lambda score, curve=offset: f(logit(score), curve), scores, place)
        low, high = low + own[0], high + own[1]
    return low, high


def within(found: float, bounds: tuple[float, float], place: str, what: str) -> None:
    """Refuse at ``place`` unless what is written lies where the scores leave it."""
    low, high = bounds
    slack = 1e-9 * max(abs(low), abs(high), 1.0)
    need(low - slack <= found <= high + slack, place, f"{what} is {found:.9g}, and lies in {low:.9g} to {high:.9g}")


def check_scores(cell: Line, null: Line, step: Line, place: str) -> float:
    """What was bet on scores, and expected of them, is what they allow; returns how many nats that leaves open."""
    s, n, tolerance = step["s"], step["n"], null["tolerance"]
    near(sum(scores[1] for scores in step["scores"]), n, place, "the number of cases")
    need(0 <= s <= n, place, "more outcomes are positive than there are")
    left = 0.0
    for bet, log_e in zip(cell["bets"], step["log_e"], strict=True):
        side, edge = (2, tolerance) if bet > 0.0 else (0, -tolerance)

        def cost(x: float, curve: list[float], bet: float = bet, side: int = side, edge: float = edge) -> float:
            return math.log1p(sigmoid(x + curve[side] + edge) * math.expm1(bet))

        bounds = spanned(step, null, cost, place)
        within(bet * s - log_e, bounds, place, f"what a bet of {bet} cost")
        left = max(left, bounds[1] - bounds[0])
    chance = spanned(step, null, lambda x, curve: sigmoid(x + curve[1]), place)
    within(s - step["adds"][0], chance, place, "what was expected")
    variance = spanned(step, null, lambda x, curve: sigmoid(x + curve[1]) * sigmoid(-x - curve[1]), place)
    within(step["adds"][1], variance, place, "the variance of what was expected")
    near(n, step["adds"][2], place, "the number of what was expected")
    return left * step["eta"]


class Scores:
    """Judges a cell of what scores mean."""

    def __init__(self, cell: Line, fired: Line) -> None:
        self.cell, self.fired = cell, fired
        self.null: Line = {}
        self.before: Line | None = None

    def take_null(self, null: Line, place: str) -> None:
        """Let a curve be in force from here on."""
        check_curve(self.cell, null, place)
        self.null = null

    def step(self, evidence: Evidence, line: Line, place: str) -> tuple[bool, bool]:
        """Take a cohort: whether it alarms, and whether the present is clearly beyond what is tolerated."""
        evidence.follow(line, self.before, 0.0, lambda x: [x["s"]], place)
        evidence.open += check_scores(self.cell, self.null, line, place)
        if self.before is not None:
            kept = math.exp(-line["n"] / PRESENT_EVENTS)
            for was, adds, now in zip(self.before["now"], line["adds"], line["now"], strict=True):
                near(was * kept + adds, now, place, "the present")
        alarm = evidence.bet(line, line["log_e"], line["n"], place)
        self.before = line
        beyond = abs(shift_of(line)) - self.null["tolerance"]
        many = "smallest_group" not in self.cell or line["people"] >= self.cell["smallest_group"]
        return alarm and beyond > 0.0 and many, beyond > CLEAR / math.sqrt(2.0 * max(line["now"][1], 1e-9))

    def check_told(self, step: Line) -> None:
        """What is told is by how many logits outcomes lie above the curve."""
        near(shift_of(step), self.fired["told"], FIRED, "what is told")


def shift_of(step: Line) -> float:
    """By how many logits the outcomes of the present lie above the curve: one step of Newton's method from 0."""
    excess, variance, _ = step["now"]
    return float(excess / variance) if variance > 0.0 else 0.0


# --- a group against the rest -----------------------------------------------------------------------------------------


def nearest_ratio(a1: float, b1: float, na: float, nb: float, tau: float) -> tuple[float, float]:
    """The nearest point of "b is at least tau times a": where the derivative vanishes, found by halving."""
    if b1 >= tau * a1 or na + nb <= 0.0:
        return a1, b1
    a0 = halved(
        lambda a: na * (a - a1) / (a * (1.0 - a)) + nb * (tau * a - b1) / (a * (1.0 - tau * a)),
        0.0,
        1.0 / max(tau, 1.0),
    )
    return a0, tau * a0


def nearest_gap(a1: float, b1: float, na: float, nb: float, eps: float) -> tuple[float, float]:
    """The nearest point of "a is at most eps above b"."""
    if a1 - b1 <= eps or na + nb <= 0.0:
        return a1, b1
    a0 = halved(
        lambda a: na * (a - a1) / (a * (1.0 - a)) + nb * (a - eps - b1) / ((a - eps) * (1.0 - a + eps)), eps, 1.0
    )
    return a0, a0 - eps


def halved(slope: Any, low: float, high: float) -> float:
    """Where an increasing function of what lies between ``low`` and ``high`` is 0."""
    for _ in range(100):
        middle = (low + high) / 2.0
        low, high = (middle, high) if slope(middle) < 0.0 else (low, middle)
    return (low + high) / 2.0


def log_ratio(s: float, n: float, p1: float, p0: float) -> float:
    """Compute the log likelihood ratio of ``s`` in ``n``."""
    tiny = 1e-300
    return s * math.log(max(p1, tiny) / max(p0, tiny)) + (n - s) * math.log(max(1.0 - p1, tiny) / max(1.0 - p0, tiny))


def bets_of_stratum(cell: Line, batch: list[float], present: list[float]) -> list[float | None]:
    """Against "the group gets it as often as tolerated", and the reverse, at four alternatives each."""
    level = (present[1] + present[3] + 0.5) / (present[0] + present[2] + 1.0)
    level = min(max(level, 1e-4), 0.95)
    found: list[float | None] = []
    for direction in (0, 1):
        asked = direction in cell["directions"]
        asked &= not (cell["two_groups"] and direction == 0 and len(cell["directions"]) > 1)
        na, sa, nb, sb = batch if direction == 0 else [*batch[2:], *batch[:2]]
        share = nb / max(na + nb, 1.0)
        for step, beyond in zip(cell["steps"], cell["beyond"], strict=True):
            if not asked:
                found.append(None)
                continue
            if cell["gap"]:
                gap = max(cell["tolerance"] + beyond, step)
                a1 = min(max(level + share * gap, gap), 0.985)
                b1 = max(a1 - gap, 0.015)
                a0, b0 = nearest_gap(a1, b1, na, nb, cell["tolerance"])
            else:
                ratio = cell["tolerance"] * step
                a1 = min(level / (1.0 - share + share * ratio), 0.97)
                b1 = ratio * a1
                a0, b0 = nearest_ratio(a1, b1, na, nb, cell["tolerance"])
            found.append(log_ratio(sa, na, a1, a0) + log_ratio(sb, nb, b1, b0))
    return found


def beyond_tolerance(cell: Line, within: list[float]) -> list[float]:
    """By how much each direction lies beyond what is tolerated, and last the effect itself."""
    got, due, weight = within
    if cell["gap"]:
        effect = (due - got) / max(weight, 1e-9)
        found = [effect - cell["tolerance"], -effect - cell["tolerance"]]
    else:
        effect = got / due if due > 0.0 else (math.inf if got > 0.0 else 1.0)
        moved = min(max(math.log(effect), -50.0), 50.0) if effect > 0.0 else -50.0
        edge = math.log(max(cell["tolerance"], 1e-9))
        found = [edge - moved, edge + moved]
    return [x if i in cell["directions"] else NOTHING for i, x in enumerate(found)] + [effect]


def noise(cell: Line, seen: list[float]) -> float:
    """The standard error of a comparison, of the logarithm of a ratio or of a gap."""
    weight = 1.0 + BATCH_DECAY
    na, nb = (max(weight * seen[i], 1.0) for i in (0, 2))
    sa, sb = min(weight * seen[1] + 0.5, na), min(weight * seen[3] + 0.5, nb)
    if cell["gap"]:
        return math.sqrt(sa / na * (1.0 - sa / na) / na + sb / nb * (1.0 - sb / nb) / nb)
    return math.sqrt(max(1.0 / sa - 1.0 / na + 1.0 / sb - 1.0 / nb, 1e-9))


def furthest(cell: Line, step: Line, name: str) -> tuple[int, float, bool]:
    """The worse direction of what was seen, by how much it is beyond what is tolerated, and whether clearly so."""
    beyond, seen = beyond_tolerance(cell, step[f"{name}_within"])[:2], step[name]
    direction = 0 if beyond[0] >= beyond[1] else 1
    many = min(seen[0], step["people"][name]) >= cell["smallest_group"]
    far = beyond[direction] if many else NOTHING
    return direction, far, far > CLEAR * noise(cell, seen)


class Strata:
    """What earlier steps said of each stratum, held against what a step says of it."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[list[float], list[float]]] = {}

    def check(self, stratum: Line, place: str) -> None:
        """Hold a batch against the earlier ones of its stratum."""
        named = f"{place}, stratum {stratum['stratum']}"
        na, sa, nb, sb = stratum["batch"]
        need(
            0 <= sa <= na and 0 <= sb <= nb and na >= 1 and nb >= 1 and na + nb >= 10, named, "no such batch is judged"
        )
        if stratum["stratum"] in self.known:
            present, batch = self.known[stratum["stratum"]]
            for i in range(4):
                near(present[i], stratum["present"][i], named, "the present before it")
                near(batch[i], stratum["before"][i], named, "the batch before it")
        present = [BATCH_DECAY * p + b for p, b in zip(stratum["present"], stratum["batch"], strict=True)]
        self.known[stratum["stratum"]] = (present, stratum["batch"])


def check_sums(step: Line, before: Line, place: str) -> None:
    """What a comparison has seen is the sum of its batches: since suspicion began, and fading."""
    whole, within = [0.0] * 4, [0.0] * 3
    for stratum in step["strata"]:
        na, sa, nb, sb = stratum["batch"]
        whole = [x + y for x, y in zip(whole, stratum["batch"], strict=True)]
        added = [sb * na / (na + nb), sa * nb / (na + nb), na * nb / (na + nb)]
        within = [x + y for x, y in zip(within, added, strict=True)]
    for name, sums in (("", whole), ("_within", within)):
        for i, own in enumerate(sums):
            since = own if before["fresh"] else before[f"since{name}"][i] + own
            near(since, step[f"since{name}"][i], place, "what was seen since suspicion began")
            near(BATCH_DECAY * before[f"recent{name}"][i] + own, step[f"recent{name}"][i], place, "the present")


class Groups:
    """Judges a comparison."""

    def __init__(self, cell: Line, fired: Line) -> None:
        self.cell, self.fired = cell, fired
        self.before: Line | None = None
        self.strata, self.direction = Strata(), 0

    def take_null(self, null: Line, place: str) -> None:
        """A comparison has none: what is tolerated stands in its first line."""

    def step(self, evidence: Evidence, line: Line, place: str) -> tuple[bool, bool]:
        """Take the batches of all strata: whether they alarm, and whether what was seen is clearly not tolerated."""
        cell, before = self.cell, self.before
        if before is not None:
            evidence.check_power(line, 0.0, place)
            pairs = [(x["before"][i : i + 2], x["batch"][i : i + 2]) for x in line["strata"] for i in (0, 2)]
            evidence.scattered([([b[1]], b[0], [n[1]], n[0]) for b, n in pairs])
        whole: list[float | None] = [0.0] * 8
        for stratum in line["strata"]:
            self.strata.check(stratum, place)
            own = bets_of_stratum(cell, stratum["batch"], stratum["present"])
            whole = [None if x is None or y is None else x + y for x, y in zip(whole, own, strict=True)]
        if before is not None:
            check_sums(line, before, place)
        alarm = evidence.bet(line, whole, sum(x["batch"][0] + x["batch"][2] for x in line["strata"]), place)
        (now, far, clear), since = furthest(cell, line, "recent"), furthest(cell, line, "since")
        self.direction, far = (since[0], since[1]) if since[1] > far else (now, far)
        level = line["log_budget"] + SUSPICIOUS * max(-line["log_budget"], 1.0)
        self.before = line | {"fresh": line["log_r"] <= level and not alarm}
        # Of an intersection that its groups do not account for the gap is as written.
        alarm = alarm and (line["end"] == self.fired["end"] or not cell["intersection"])
        return alarm and far > 0.0, clear or since[2]

    def check_told(self, step: Line) -> None:
        """What is told is the effect since suspicion began, in the worse direction."""
        effect = beyond_tolerance(self.cell, step["since_within"])[2]
        signed = effect if self.direction == 0 else -effect
        near(signed * self.cell["unit"] if self.cell["gap"] else effect, self.fired["told"], FIRED, "what is told")
        need(self.direction == self.fired["direction"], FIRED, "the direction is another")


# --- the capsule ------------------------------------------------------------------------------------------------------


def lines_of(capsule: Line) -> Iterator[tuple[str, Line]]:
    """The lines of the docket, each held against the chain of hashes."""
    texts, chain, before = capsule["docket"], capsule["chain"], ""
    need(len(texts) == len(chain), "the docket", f"{len(texts)} lines, and {len(chain)} hashes")
    for number, (text, said) in enumerate(zip(texts, chain, strict=True), 1):
        place = f"line {number} of the docket"
        before = hashlib.sha256(before.encode() + b"\n" + text.encode()).hexdigest()
        try:
            line = json.loads(text)
        except ValueError:
            raise RefusedError(f"{place}: it is no JSON") from None
        if "end" in line:
            place += f", the tick that ended at {line['end']:.0f}"
        need(before == said, f"{place} ({line.get('is')})", "it is not as it was written")
        yield place, line
    need(before == capsule["incident"]["docket_digest"], "the docket", "it is not the one that the incident names")


def check_names(capsule: Line, judged: Line, fired: Line) -> None:
    """The incident, the policy and what the docket says of both are the same."""
    incident = capsule["incident"]
    found = hashlib.sha256(capsule["policy"].encode()).hexdigest()
    need(found == judged["policy"], "the policy", f"its SHA-256 is {found}, not the one that judged")
    same = ("model", "version", "alertname", "attribute", "group", "output")
    pairs = [(name, name) for name in same] + [("policy_digest", "policy"), ("reference_digest", "reference")]
    for name, theirs in (*pairs, ("code_version", "program")):
        need(incident[name] == judged[theirs], "the incident", f"its {name} is not that of the docket")
    time = fired.get("due", fired["end"])  # cases are judged when they have matured
    need(time >= fired["end"], FIRED, "it was due before its cases were predicted")
    name = "\0".join((judged["model"], judged["alertname"], judged["attribute"] or "", repr(time)))
    identity = "inc-" + hashlib.sha256(name.encode()).hexdigest()[:16]
    need(incident["id"] == identity, "the incident", f"what fired there is {identity}")


def check_told(incident: Line, cell: Line, fired: Line, null: Line | None) -> None:
    """Effect and tolerance of the incident are those of the cell that opened it."""
    effect, place = incident["effect"], "the incident"
    told = math.inf if fired["told"] is None else fired["told"]
    if null is None:
        tolerance = cell["tolerance"] * (cell["unit"] if cell["gap"] else 1.0)
        value, tolerance = told, 1.0 / tolerance if not cell["gap"] and fired["direction"] == 1 else tolerance
    elif cell["of"] == "measure":
        tolerance = null["tolerance"] if null["limit"] is None else 0.0
        value, tolerance = (told - fired["before"]) * cell["unit"], tolerance * cell["unit"]
    else:
        value, tolerance = told if cell["of"] == "scores" else abs(told - fired["before"]), null["tolerance"]
    near(value, effect["value"], place, "its effect")
    near(tolerance, effect["tolerance"], place, "its tolerance")


def check_tolerance(policy: str, cell: Line, null: Line | None) -> None:
    """Where the policy says a number, that is the tolerance, or what it may not be below."""
    said = tomllib.loads(policy)
    tolerated = said.get("tolerance", {})
    if cell["of"] == "measure":
        assert null is not None
        check_contract(said, tolerated["performance"], cell, null)
    elif cell["of"] == "scores" and "calibration" in tolerated:
        assert null is not None
        near(tolerated["calibration"], null["tolerance"], "the policy", "the shift that it tolerates")
    elif null is not None and cell["detector"] in {"drift", "mix"} and isinstance(tolerated.get("drift"), float | int):
        need(null["tolerance"] >= tolerated["drift"], "the policy", f"it tolerates {tolerated['drift']}, the null less")
    elif cell["detector"] == "impact" and "impact_ratio" in tolerated:
        near(float(tolerated["impact_ratio"]), cell["tolerance"], "the policy", "the ratio that it tolerates")


def check_contract(policy: Line, tolerance: float, cell: Line, null: Line) -> None:
    """What 1 stands for in the sums of a measure, what may rise, and the contract, are those of the policy."""
    measure, limits, costs = cell["measure"], policy.get("limits", {}), policy.get("costs", {})
    unit, limit = 1.0, limits.get("loss")
    if measure == "log_loss":
        unit, tolerance = LOG_LOSS_MAX, tolerance / LOG_LOSS_MAX
    elif measure == "cost":
        unit, limit = max(costs.get("false_positive", 0.0), costs.get("false_negative", 0.0)) or 1.0, limits.get("cost")
    elif measure == "absolute_error":
        unit = LOSS_LIMITS * limit if limit else 1.0
    elif measure in {"error_rate", "brier"}:
        limit = limits.get(measure)
    near(unit, cell["unit"], "the policy", "the unit of the measure")
    near(tolerance, null["tolerance"], "the policy", "the rise that it tolerates")
    if null["limit"] is not None:
        near(math.inf if limit is None else min(limit / unit, 1.0), null["limit"], "the policy", "the contract")
    else:  # a loss may be that of another kind of answer
        need(
            limit is None or measure not in {"error_rate", "cost"}, "the policy", "it has a contract, the null has none"
        )


def check_reference(path: str, judged: Line, cell: Line, fired: Line) -> None:
    """The reference's own file (`modelwatch audit exhibit`) has the digest and the counts that judged."""
    head, _, payload = Path(path).read_bytes().partition(b"\n")
    found = hashlib.sha256(payload).hexdigest()
    need(head.endswith(found.encode()) and found == judged["reference"], path, "it is not the reference that judged")
    series = json.loads(zlib.decompress(payload))["series"]
    own = [each["counts"] for each in series if each["name"] == cell.get("series")]
    need(cell["of"] != "series" or not cell["known"] or fired["reference"] in own, path, "its counts are others")


KINDS: dict[str, Any] = {"series": Shares, "measure": Measure, "use": Use, "scores": Scores, "groups": Groups}
"""By what a cell is of, who judges it again."""


def replay(cell: Line, body: list[tuple[str, Line]], fired: Line) -> Evidence:
    """Go through the steps of a cell; it must fire at the last, and not before."""
    need(cell["of"] in KINDS, "line 1 of the docket", f"what is of {cell['of']!r} is not known here")
    kind, gate = KINDS[cell["of"]](cell, fired), Gate(cell["hold"])
    evidence: Evidence | None = None
    for place, line in body:
        if line["is"] == "begun":
            evidence = evidence or Evidence(line)
        elif line["is"] == "null":
            kind.take_null(line, place)
        elif evidence is None:
            raise RefusedError(f"{place}: nothing is said of what the cell came with")
        else:
            if cell["of"] != "groups":
                check_budget(fired["budget"], line, place, last=line["end"] == fired["end"])
            gate.check(line, fired, *kind.step(evidence, line, place), place)
    if evidence is None or kind.before is None:
        raise RefusedError("the docket: no step is in it")
    kind.check_told(kind.before)
    return evidence


def verify(capsule: Line, reference: str | None = None) -> list[str]:
    """What holds, in sentences; raises `RefusedError` for what does not."""
    need(capsule.get("format") == FORMAT, "the capsule", f"its format is not {FORMAT!r}")
    (_, cell), *body, (_, fired), (_, judged) = lines_of(capsule)
    kinds = [line.get("is") for line in (cell, fired, judged)]
    need(kinds == ["cell", "fired", "judged"], "the docket", f"it has {kinds} where cell, fired and judged belong")
    check_names(capsule, judged, fired)
    evidence = replay(cell, body, fired)
    steps = [line for _, line in body if line["is"] == "step"]
    null = None if cell["of"] == "groups" else [line for _, line in body if line["is"] == "null"][-1]
    check_told(capsule["incident"], cell, fired, null)
    check_tolerance(capsule["policy"], cell, null)
    if reference is not None:
        check_reference(reference, judged, cell, fired)
    first, last = steps[0], steps[-1]
    near(last["log_r"] - last["log_budget"], fired["evidence"], FIRED, "the evidence", 1e-4)
    part = max(evidence.carried - first["log_budget"], 0.0) / max(x["log_r"] - x["log_budget"] for x in steps)
    due, left = fired.get("due", fired["end"]), "."
    if cell["of"] == "scores":
        left = f"; {evidence.open:.2f} nats rest on where scores lay within their bins."
    return [
        f"{capsule['incident']['id']}: {cell['detector']} of {judged['model']} had to fire at {due:.0f}.",
        f"{len(steps)} steps, from {first['end']:.0f} on; {100 * part:.0f} % of the evidence came before{left}",
        f"Reference {judged['reference']}, policy {judged['policy']}, program {judged['program']}.",
        f"Docket {capsule['incident']['docket_digest']}: the audit trail must name it (entry {capsule['entry']}).",
    ]


def main() -> int:
    """Verify the capsule that the command line names."""
    parser = argparse.ArgumentParser(description="Judge the first cell of an incident again, from its capsule alone.")
    parser.add_argument("capsule")
    parser.add_argument("--reference", help="the file of the reference, to be held against what judged")
    arguments = parser.parse_args()
    try:
        capsule = json.loads(Path(arguments.capsule).read_text("utf-8"))
        for sentence in verify(capsule, arguments.reference):
            print(sentence)
    except RefusedError as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 1
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        print(f"refused: the capsule cannot be read: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
