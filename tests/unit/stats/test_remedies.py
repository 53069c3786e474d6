"""What would other uses of a score do? By hand, and against the definitions of those who proposed them."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.stats.remedies import common_thresholds, equal_opportunity, outcome, quantile, repaired, shift

BINS = 32


def sample(rng: np.random.Generator, means: tuple[float, float], n: int = 20_000) -> np.ndarray:
    """Counts (2, BINS) of one group: scores about ``means`` of those who do not merit it, and of those who do."""
    return np.stack(
        [np.histogram(np.clip(rng.normal(m, 0.15, n), 0.0, 0.999), BINS, (0.0, 1.0))[0].astype(float) for m in means]
    )


def groups() -> np.ndarray:
    rng = np.random.default_rng(51)
    return np.stack([sample(rng, (0.25, 0.5)), sample(rng, (0.45, 0.7))])


def test_an_outcome_by_hand() -> None:
    """Rates, the worst ratio to the rest and the cost of both errors, with a threshold inside a bin."""
    counts = np.array([[[10.0, 0.0], [0.0, 10.0]], [[0.0, 10.0], [10.0, 0.0]]])
    found = outcome(counts, np.array([[0.5], [0.75]]), (2.0, 3.0))
    assert found.rates.tolist() == [0.5, 0.25]
    assert found.ratio == 0.5
    # Of the second group half of the ten that do not merit it are favoured, all ten that do are refused.
    assert found.cost == pytest.approx((5 * 2.0 + 10 * 3.0) / 40)


def test_one_threshold_trades_cost_for_disparity() -> None:
    """All thresholds are told; lower ones favour more, and the ratio grows towards 1."""
    options = common_thresholds(groups(), (1.0, 1.0))
    assert [t for t, _ in options] == [k / BINS for k in range(1, BINS)]
    ratios = [found.ratio for _, found in options[:20]]
    assert ratios[0] > 0.95 > 0.3 > ratios[-1]
    cheapest = min(options, key=lambda option: option[1].cost)
    assert 0.4 < cheapest[0] < 0.55
    assert cheapest[1].ratio < 0.8


def test_equal_opportunity_is_equal() -> None:
    """At the thresholds by group the same part of those who merit it is favoured, at no more cost than any one."""
    counts = groups()
    found = equal_opportunity(counts, (1.0, 1.0))
    assert found is not None
    thresholds, target, made = found
    for own, threshold in zip(counts, thresholds, strict=True):
        deserving = outcome(np.stack([np.stack([0.0 * own[1], own[1]])] * 2), np.full((2, 1), threshold), (1.0, 1.0))
        assert deserving.rates[0] == pytest.approx(target, abs=1e-9)
    assert thresholds[0] < thresholds[1]
    assert made.cost < min(option.cost for _, option in common_thresholds(counts, (1.0, 1.0)))
    nobody = counts.copy()
    nobody[0, 1] = 0.0
    assert equal_opportunity(nobody, (1.0, 1.0)) is None


def test_a_repair_makes_groups_alike() -> None:
    """Repaired scores are the same at the same part of each group, and between those of the groups."""
    parts = np.linspace(0.1, 0.9, 9)
    scores, medians = repaired(groups(), parts)
    assert (scores[0] < medians).all()
    assert (medians < scores[1]).all()
    assert (np.diff(medians) > 0.0).all()
    uniform = np.ones(BINS)
    assert [quantile(uniform, part) for part in (0.0, 0.25, 1.0)] == pytest.approx([0.0, 0.25, 1.0])


def test_a_planted_shift_is_found_in_its_interval() -> None:
    """A group whose outcomes are 0.5 logits likelier at the same score is told so, within two errors nearly always."""
    rng = np.random.default_rng(52)
    middle = (np.arange(BINS) + 0.5) / BINS
    logit = np.log(middle / (1.0 - middle))
    inside = 0
    for _ in range(200):
        n, n_rest = np.full(BINS, 30), np.full(BINS, 100)
        y = rng.binomial(n, 1.0 / (1.0 + np.exp(-(logit + 0.5))))
        y_rest = rng.binomial(n_rest, middle)
        found = shift(n.astype(float), y.astype(float), n_rest.astype(float), y_rest.astype(float), 20)
        assert found is not None
        inside += abs(found[0] - 0.5) < 1.959964 * found[1]
    # Of 200 at 95 %: four standard deviations below are 177.
    assert inside >= 177
    none = np.zeros(BINS)
    assert shift(none + 30, none, none + 100, none + 50, 20) is None
    assert shift(none + 30, none + 3, none + 1, none, 20) is None
