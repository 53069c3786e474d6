"""What a gate found of one question: both sides, how far they differ at least, and what follows from that."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from monitor.stats.fixed import holm, p_value

Part = Literal["quality", "prediction", "performance", "groups", "inputs"]
PARTS: tuple[Part, ...] = ("quality", "prediction", "performance", "groups", "inputs")
"""What is compared. ``inputs`` (features, metrics, segments) are told and fail nothing: they say whether both sides
were given the same."""
Verdict = Literal["pass", "fail", "note", "unseen"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One question. ``value`` is the effect, ``tolerance`` what is too small to matter, both in its unit.

    ``sizes`` are the cases before and now. ``p`` is the probability that samples of what is tolerated look so at most,
    ``beyond`` says at which error they do. ``least`` is what the effect is at least (at most, of a ratio), at the level
    at which it was judged.
    """

    part: Part
    detector: str
    subject: str
    effect: str
    value: float
    tolerance: float
    before: float
    now: float
    sizes: tuple[int, int]
    words: str
    p: float = 1.0
    least: float = math.nan
    verdict: Verdict = "pass"
    beyond: Callable[[float], bool] = field(default=lambda _error: False, repr=False, compare=False)
    bound: Callable[[float], float] = field(default=lambda _error: math.nan, repr=False, compare=False)

    def document(self) -> dict[str, Any]:
        """In JSON types."""
        return {
            "part": self.part,
            "detector": self.detector,
            "subject": self.subject,
            "verdict": self.verdict,
            "effect": {"name": self.effect, "value": _finite(self.value), "tolerance": self.tolerance},
            "at_least": _finite(self.least),
            "before": _finite(self.before),
            "now": _finite(self.now),
            "n_before": self.sizes[0],
            "n_now": self.sizes[1],
            "p": self.p,
            "words": self.words,
        }


def judged(findings: list[Finding], level: float) -> list[Finding]:
    """The findings with p-values and verdicts: an unchanged candidate fails with probability at most ``level``.

    Questions that could not be asked stay ``unseen``; those of inputs are told where they differ.
    """
    findings = [each if each.verdict == "unseen" else replace(each, p=p_value(each.beyond)) for each in findings]
    asked = [i for i, each in enumerate(findings) if each.verdict != "unseen" and each.part != "inputs"]
    notes = [i for i, each in enumerate(findings) if each.verdict != "unseen" and each.part == "inputs"]
    out = list(findings)
    for places, word in ((asked, "fail"), (notes, "note")):
        yes = holm(np.array([findings[i].p for i in places]), level)
        for i, found in zip(places, yes.tolist(), strict=True):
            verdict: Verdict = ("fail" if word == "fail" else "note") if found else "pass"
            out[i] = replace(findings[i], verdict=verdict, least=findings[i].bound(level / len(places)))
    order: dict[Verdict, int] = {"fail": 0, "note": 1, "unseen": 2, "pass": 3}
    return sorted(out, key=lambda each: (order[each.verdict], PARTS.index(each.part), each.p, -_ratio(each)))


def _ratio(finding: Finding) -> float:
    ratio = finding.value / max(finding.tolerance, 1e-9)
    return ratio if math.isfinite(ratio) else 0.0


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
