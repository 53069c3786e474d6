"""How long a gap must be to be a silence.

Tolerance of the simulation. A gap of n alarms with probability exp(-nats) at most; of G gaps the number is at most
Poisson of mean G exp(-nats), so above mean + 4 sqrt(mean) but once in 30,000 runs.
"""

from __future__ import annotations

import numpy as np
import pytest

from monitor.traffic import silence


def gaps_of(sample: np.ndarray) -> np.ndarray:
    """What is known after a row of gaps for each model; ``sample`` is (n, models)."""
    gaps = np.zeros((sample.shape[1], 6))
    for gap in sample:
        gaps = silence.learned(gaps, gap)
    return gaps


@pytest.mark.statistical
@pytest.mark.parametrize("law", ["random", "clockwork", "crowds"])
def test_usual_gaps_keep_to_their_error(law: str) -> None:
    """Of further gaps of the same law not more are remarkable than the error that was allowed."""
    rng = np.random.default_rng(5)
    draw = {
        "random": lambda n: rng.exponential(1.0, (n, 200)),
        "clockwork": lambda n: rng.gamma(100.0, 0.01, (n, 200)),
        "crowds": lambda n: np.where(rng.random((n, 200)) < 0.9, 0.05, rng.exponential(20.0, (n, 200))),
    }[law]
    need = silence.remarkable(gaps_of(draw(300)), np.full(200, np.log(1e3)))
    beyond = int((draw(2000) > need).sum())
    mean = 200 * 2000 * 1e-3
    print(f"{law}: {beyond} of {mean:.0f} allowed")
    assert beyond <= mean + 4 * np.sqrt(mean)


def test_clockwork_is_missed_soon() -> None:
    """What comes at even intervals is missed after five of them, what comes at random after as many as nats."""
    rng = np.random.default_rng(6)
    nats = np.array([20.0])
    even = silence.remarkable(gaps_of(np.abs(rng.normal(1.0, 0.2, (500, 1)))), nats)[0]
    random = silence.remarkable(gaps_of(rng.exponential(1.0, (500, 1))), nats)[0]
    assert even < 5.0
    assert 20.0 < random < 40.0


def test_few_gaps_prove_nothing() -> None:
    """Before five longer gaps nothing is a silence, and few gaps need much longer ones than many."""
    rng = np.random.default_rng(7)
    sample = rng.exponential(1.0, (500, 50))
    few, more, many = (silence.remarkable(gaps_of(sample[:n]), np.full(50, 20.0)) for n in (4, 30, 500))
    assert np.isinf(few).all()
    assert np.median(more) > 1.3 * np.median(many)


def test_evidence_is_what_was_needed() -> None:
    """At the very gap that is remarkable the evidence is the nats that were asked for, unless the longest decides."""
    gaps = gaps_of(np.random.default_rng(8).exponential(1.0, (500, 20)))
    need = silence.remarkable(gaps, np.full(20, 20.0))
    by_law = need > 1.5 * gaps[:, 5] + 1e-9
    assert by_law.any()
    assert np.allclose(silence.evidence(gaps, need)[by_law], 20.0, rtol=1e-3)


def test_an_outage_does_not_hide_the_next_for_ever() -> None:
    """The longest gap fades with those that follow."""
    gaps = gaps_of(np.r_[np.full((1, 1), 1e4), np.random.default_rng(9).exponential(1.0, (60_000, 1))])
    assert gaps[0, 5] < 100.0
