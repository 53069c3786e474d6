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
    need = silence.remarkable(gaps_of(draw(300)), np.full(200, np.log(1e3)), np.ones(200, bool))
    beyond = int((draw(2000) > need).sum())
    mean = 200 * 2000 * 1e-3
    print(f"{law}: {beyond} of {mean:.0f} allowed")
    assert beyond <= mean + 4 * np.sqrt(mean)


def test_clockwork_is_missed_soon() -> None:
    """What comes at even intervals is missed after five of them, what comes at random after as many as nats."""
    rng = np.random.default_rng(6)
    nats, no = np.array([20.0]), np.zeros(1, bool)
    even = silence.remarkable(gaps_of(np.abs(rng.normal(1.0, 0.2, (500, 1)))), nats, no)[0]
    random = silence.remarkable(gaps_of(rng.exponential(1.0, (500, 1))), nats, no)[0]
    assert even < 5.0
    assert 20.0 < random < 40.0


def test_gaps_of_one_length_are_a_law() -> None:
    """Gaps that are all alike, to rounding, make a silence of three; ten prove less than forty, bursts nothing."""
    nats, one = np.array([20.0]), np.ones((1, 1))
    few, many = (silence.remarkable(gaps_of(np.repeat(one, n, 0)), nats, np.ones(1, bool))[0] for n in (10, 40))
    assert 2.1 < many < 3.0 < few < 6.0
    assert np.isinf(silence.remarkable(gaps_of(np.repeat(one, 40, 0)), nats, np.zeros(1, bool))[0])
    rounded = gaps_of(1.0 + 1e-9 * np.random.default_rng(4).normal(size=(40, 1)))
    assert silence.remarkable(rounded, nats, np.ones(1, bool))[0] == pytest.approx(many, rel=1e-6)
    assert silence.evidence(rounded, np.array([many]))[0] == pytest.approx(20.0, rel=1e-3)


@pytest.mark.statistical
@pytest.mark.parametrize("n", [10, 14, 20])
@pytest.mark.parametrize("shape", [1.0, 4.0, 100.0])
def test_few_gaps_keep_to_their_error(n: int, shape: float) -> None:
    """So do gaps of which too few were longer than the mean to know their law by those."""
    rng = np.random.default_rng(10)
    gaps = gaps_of(rng.gamma(shape, 1.0 / shape, (n, 20_000)))
    need = silence.remarkable(gaps, np.full(20_000, np.log(1e3)), np.ones(20_000, bool))
    assert np.isfinite(need).all()
    beyond, mean = int((rng.gamma(shape, 1.0 / shape, (20, 20_000)) > need).sum()), 20 * 20_000 * 1e-3
    print(f"{n} gaps of shape {shape:g}: {beyond} of {mean:.0f} allowed")
    assert beyond <= mean + 4 * np.sqrt(mean)


def test_few_gaps_prove_nothing() -> None:
    """Before five longer gaps nothing is a silence, and few gaps need much longer ones than many."""
    rng = np.random.default_rng(7)
    sample = rng.exponential(1.0, (500, 50))
    nats, yes = np.full(50, 20.0), np.ones(50, bool)
    few, more, many = (silence.remarkable(gaps_of(sample[:n]), nats, yes) for n in (4, 30, 500))
    assert np.isinf(few).all()
    assert np.median(more) > 1.3 * np.median(many)


def test_evidence_is_what_was_needed() -> None:
    """At the very gap that is remarkable the evidence is the nats that were asked for, unless the longest decides."""
    gaps = gaps_of(np.random.default_rng(8).exponential(1.0, (500, 20)))
    need = silence.remarkable(gaps, np.full(20, 20.0), np.zeros(20, bool))
    by_law = need > 1.5 * gaps[:, 5] + 1e-9
    assert by_law.any()
    assert np.allclose(silence.evidence(gaps, need)[by_law], 20.0, rtol=1e-3)


def test_an_outage_does_not_hide_the_next_for_ever() -> None:
    """The longest gap fades with those that follow."""
    gaps = gaps_of(np.r_[np.full((1, 1), 1e4), np.random.default_rng(9).exponential(1.0, (60_000, 1))])
    assert gaps[0, 5] < 100.0
