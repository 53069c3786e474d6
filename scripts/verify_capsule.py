"""Does an incident's capsule hold? Judges its first cell again, from the capsule alone.

    python verify_capsule.py CAPSULE [--reference FILE]

Nothing of modelwatch is imported, and nothing but Python's standard library: this file is the second opinion. What it
computes is described in docs/statistics.md and docs/formats/capsule.md. It is read from the bottom up: `verify` says
what is held against what. Exit code 0: the decision follows from the sums; 1: refused, with the place; 2: usage.
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
from collections.abc import Iterator  # noqa: TC003 -- as short as it gets
from pathlib import Path
from typing import Any

FORMAT = "modelwatch capsule 1"
WEEK = 7 * 86400.0
SUSPICIOUS, CLEAR, MARGIN, PRIOR, TICKS_MIN, SCATTER_MAX = 0.4, 1.5, 1.15, 2.0, 10, 10.0
PRESENT_EVENTS, BATCH_DECAY = 300.0, 0.995
BOUND_ERROR, SEASON_Z = 1e-4, 3.719016485455709  # the normal quantile of 1 - 1e-4
NOTHING = -math.inf
BINS, UNSEEN = 32, 31
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
    return max(low, 0.0), min(high, 1.0)


def counted_in(cell: Line, counts: list[int]) -> tuple[list[float], float]:
    """What a detector asks of the 40 counts of a series: sums at its cuts, of how many (docs/detectors)."""
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


def check_null(cell: Line, null: Line, reference: list[int], place: str) -> None:
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
            counted = round(share * null["events"])
            need(counted <= said and null["events"] - counted <= n - said, place, f"the reference shrank at cut {cut}")
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


def suspicious(step: Line) -> bool:
    """Tell whether a step has more than 0.4 of the evidence that an alarm needs."""
    return bool((step["log_r"] - step["log_budget"]) / -step["log_budget"] > SUSPICIOUS)


# --- a cell of a series -----------------------------------------------------------------------------------------------


def bets_of_series(cell: Line, null: Line, step: Line) -> list[float | None]:
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


def check_present(step: Line, before: Line | None, null: Line, place: str) -> None:
    """The present fades by a factor e with every 300 values; where a season is taken out of it, it is as written."""
    if before is None or null["season"] is not None or null["last_week"] or before["by_hour"]:
        return
    kept = math.exp(-step["values"] / PRESENT_EVENTS)
    for now, was, s in zip(step["now_s"], before["now_s"], step["s"], strict=True):
        near(was * kept + s, now, place, "the present", 1e-4)


def replay_series(cell: Line, body: list[tuple[str, Line]], fired: Line) -> Evidence:
    """Go through the steps of a cell of a series; it must fire at the last, and not before."""
    evidence: Evidence | None = None
    null: Line = {}
    before: Line | None = None
    gate, steps = Gate(cell["hold"]), 0
    for place, line in body:
        if line["is"] == "begun":
            evidence = evidence or Evidence(line)
        elif line["is"] == "null":
            null = line
            check_null(cell, null, fired["reference"], place)
        else:
            assert evidence is not None
            need(not steps or line["end"] > before["end"], place, "it does not come after the one before")  # type: ignore[index]
            if before is not None:
                evidence.check_power(line, null["wander"], place)
                evidence.scattered([(before["s"], before["n"], line["s"], line["n"])])
            check_present(line, before, null, place)
            check_budget(fired["budget"], line, place, last=line["end"] == fired["end"])
            size = line["n"] * max(cell["shifts"])
            alarm = evidence.bet(line, bets_of_series(cell, null, line), size, place)
            beyond = outside(cell, null, line)
            alarm = alarm and max(x for x, _ in beyond) > 0.0
            sustained = suspicious(line) or any(x > chance for x, chance in beyond)
            fires = gate.fires(line["end"], alarm, sustained)
            need(fires == (line["end"] == fired["end"]), place, f"it {'fires' if fires else 'does not fire'} here")
            by_hour = null["season"] is not None or null["last_week"]
            before, steps = line | {"by_hour": by_hour}, steps + 1
    if evidence is None or before is None:
        raise RefusedError("the docket: no step is in it")
    check_series_told(cell, null, before, fired)
    return evidence


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


def check_series_told(cell: Line, null: Line, step: Line, fired: Line) -> None:
    """What is told is the share that lies furthest outside, as the present or all since suspicion shows it."""
    place = "the line that says it fired"
    beyond = [x for x, _ in outside(cell, null, step)]
    cut = fired["cut"]
    need(beyond[cut] > max(beyond) - 1e-6, place, f"the share that moved furthest is {beyond.index(max(beyond))}")
    now, before, since = step["now_s"][cut] / step["now_n"], null["share"][cut], fired["since"]
    near(min(now, 1.0), fired["now"], place, "the present")
    near(before, fired["before"], place, "what was before")
    whole = since is None or step["by_hour"] or abs(now - before) > abs(since - before)
    near(fired["now"] if whole else since, fired["told"], place, "what is told")


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


def replay_groups(cell: Line, body: list[tuple[str, Line]], fired: Line) -> Evidence:
    """Go through the batches of a comparison; it must fire at the last, and not before."""
    evidence: Evidence | None = None
    before: Line | None = None
    strata, gate = Strata(), Gate(cell["hold"])
    direction, line = 0, {}
    for place, line in body:
        if line["is"] != "step":
            evidence = evidence or (Evidence(line) if line["is"] == "begun" else None)
            continue
        assert evidence is not None
        if before is not None:
            evidence.check_power(line, 0.0, place)
            pairs = [(x["before"][i : i + 2], x["batch"][i : i + 2]) for x in line["strata"] for i in (0, 2)]
            evidence.scattered([([b[1]], b[0], [n[1]], n[0]) for b, n in pairs])
        whole: list[float | None] = [0.0] * 8
        for stratum in line["strata"]:
            strata.check(stratum, place)
            own = bets_of_stratum(cell, stratum["batch"], stratum["present"])
            whole = [None if x is None or y is None else x + y for x, y in zip(whole, own, strict=True)]
        if before is not None:
            check_sums(line, before, place)
        alarm = evidence.bet(line, whole, sum(x["batch"][0] + x["batch"][2] for x in line["strata"]), place)
        (now, far, clear), since = furthest(cell, line, "recent"), furthest(cell, line, "since")
        direction, far = (since[0], since[1]) if since[1] > far else (now, far)
        last = line["end"] == fired["end"]
        wanted = alarm and far > 0.0 and (last or not cell["intersection"])
        fires = gate.fires(line["end"], wanted, clear or since[2] or suspicious(line))
        need(fires == last, place, f"it {'fires' if fires else 'does not fire'} here")
        level = line["log_budget"] + SUSPICIOUS * max(-line["log_budget"], 1.0)
        before = line | {"fresh": line["log_r"] <= level and not alarm}
    if evidence is None or before is None:
        raise RefusedError("the docket: no step is in it")
    effect = beyond_tolerance(cell, line["since_within"])[2]
    told = (effect if direction == 0 else -effect) * cell["unit"] if cell["gap"] else effect
    near(told, fired["told"], "the line that says it fired", "what is told")
    need(direction == fired["direction"], "the line that says it fired", "the direction is another")
    return evidence


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
    name = "\0".join((judged["model"], judged["alertname"], judged["attribute"] or "", repr(fired["end"])))
    identity = "inc-" + hashlib.sha256(name.encode()).hexdigest()[:16]
    need(incident["id"] == identity, "the incident", f"what fired there is {identity}")


def check_told(incident: Line, cell: Line, fired: Line, null: Line | None) -> None:
    """Effect and tolerance of the incident are those of the cell that opened it."""
    effect, place = incident["effect"], "the incident"
    tolerance = null["tolerance"] if null else cell["tolerance"] * (cell["unit"] if cell["gap"] else 1.0)
    if null is None and not cell["gap"] and fired["direction"] == 1:
        tolerance = 1.0 / tolerance
    told = math.inf if fired["told"] is None else fired["told"]
    value = abs(told - fired["before"]) if null else told
    near(value, effect["value"], place, "its effect")
    near(tolerance, effect["tolerance"], place, "its tolerance")


def check_tolerance(policy: str, cell: Line, null: Line | None) -> None:
    """Where the policy says a number, that is the tolerance, or what it may not be below."""
    said = tomllib.loads(policy).get("tolerance", {})
    if null is not None and cell["detector"] in {"drift", "mix"} and isinstance(said.get("drift"), float | int):
        need(null["tolerance"] >= said["drift"], "the policy", f"it tolerates {said['drift']}, the null less")
    if null is None and cell["detector"] == "impact" and "impact_ratio" in said:
        near(float(said["impact_ratio"]), cell["tolerance"], "the policy", "the ratio that it tolerates")


def check_reference(path: str, judged: Line, cell: Line, fired: Line) -> None:
    """The reference's own file (`modelwatch audit exhibit`) has the digest and the counts that judged."""
    head, _, payload = Path(path).read_bytes().partition(b"\n")
    found = hashlib.sha256(payload).hexdigest()
    need(head.endswith(found.encode()) and found == judged["reference"], path, "it is not the reference that judged")
    series = json.loads(zlib.decompress(payload))["series"]
    own = [each["counts"] for each in series if each["name"] == cell.get("series")]
    need(cell["of"] != "series" or not cell["known"] or fired["reference"] in own, path, "its counts are others")


def verify(capsule: Line, reference: str | None = None) -> list[str]:
    """What holds, in sentences; raises `RefusedError` for what does not."""
    need(capsule.get("format") == FORMAT, "the capsule", f"its format is not {FORMAT!r}")
    (_, cell), *body, (_, fired), (_, judged) = lines_of(capsule)
    kinds = [line.get("is") for line in (cell, fired, judged)]
    need(kinds == ["cell", "fired", "judged"], "the docket", f"it has {kinds} where cell, fired and judged belong")
    check_names(capsule, judged, fired)
    series = cell["of"] == "series"
    evidence = (replay_series if series else replay_groups)(cell, body, fired)
    steps = [line for _, line in body if line["is"] == "step"]
    null = [line for _, line in body if line["is"] == "null"][-1] if series else None
    check_told(capsule["incident"], cell, fired, null)
    check_tolerance(capsule["policy"], cell, null)
    if reference is not None:
        check_reference(reference, judged, cell, fired)
    first, last = steps[0], steps[-1]
    near(last["log_r"] - last["log_budget"], fired["evidence"], "the line that says it fired", "the evidence", 1e-4)
    part = max(evidence.carried - first["log_budget"], 0.0) / max(x["log_r"] - x["log_budget"] for x in steps)
    return [
        f"{capsule['incident']['id']}: {cell['detector']} of {judged['model']} had to fire at {fired['end']:.0f}.",
        f"{len(steps)} steps, from {first['end']:.0f} on; {100 * part:.0f} % of the evidence came before.",
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
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        print(f"refused: the capsule cannot be read: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
