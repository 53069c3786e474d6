"""Is the evidence told in words that people take as it is meant?"""

from __future__ import annotations

import math

import pytest

from monitor.web.odds import odds, strength


@pytest.mark.parametrize(
    ("evidence", "word", "number"),
    [
        (0.5, "little", "3.2 to 1"),
        (1.0, "some", "10 to 1"),
        (2.5, "some", "316 to 1"),
        (3.0, "strong", "1 thousand to 1"),
        (5.95, "strong", "891 thousand to 1"),
        (7.5, "very strong", "32 million to 1"),
        (10.2, "very strong", "16 thousand million to 1"),
        (15.0, "beyond reasonable doubt", "10^15.0 to 1"),
        (-2.0, "little", "below 1 to 1"),
    ],
)
def test_evidence_has_its_word_and_its_odds(evidence: float, word: str, number: str) -> None:
    """Each power of ten has the word and the number that a reader would give it."""
    assert strength(evidence).split(":")[0] == word
    assert odds(evidence) == number


@pytest.mark.parametrize("evidence", [None, math.nan, math.inf])
def test_what_is_not_known_is_not_told(evidence: float | None) -> None:
    """Without a number there are no odds."""
    assert strength(evidence) == odds(evidence) == "unknown"
