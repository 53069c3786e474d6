"""How sure is an alarm? Evidence in words and odds, an effect and its tolerance in a sentence."""

from __future__ import annotations

import math

_WORDS = ((12.0, "beyond reasonable doubt"), (6.0, "very strong"), (3.0, "strong"), (1.0, "some"))
_NUMBERS = ((9, "thousand million"), (6, "million"), (3, "thousand"))


def strength(evidence_log10: float | None) -> str:
    """The evidence in words: how strong, and how rarely so much of it comes up by chance."""
    if evidence_log10 is None or not math.isfinite(evidence_log10):
        return "unknown"
    word = next((word for least, word in _WORDS if evidence_log10 >= least), "little")
    if evidence_log10 < 1.0:
        return f"{word}: chance alone brings up as much often"
    return f"{word}: within the tolerance, chance brings up as much at most once in {_number(evidence_log10)}"


def odds(evidence_log10: float | None) -> str:
    """The evidence as odds: what a bet of 1 against "within the tolerance" has come to."""
    if evidence_log10 is None or not math.isfinite(evidence_log10):
        return "unknown"
    return f"{_number(evidence_log10)} to 1" if evidence_log10 >= 0 else "below 1 to 1"


def _number(log10: float) -> str:
    """Ten to ``log10`` with two digits, in words up to a million million."""
    if log10 >= 12:
        return f"10^{log10:.1f}"
    value = 10.0**log10
    for power, word in _NUMBERS:
        if log10 >= power:
            return f"{value / 10**power:.2g} {word}" if value / 10**power < 100 else f"{value / 10**power:.0f} {word}"
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"
