"""One model twice on the same people, as it came out and with decisions made alike for its groups: one is flagged.

A logistic regression learns from one half of real people and decides on the other; the second one has a threshold for
each group under which both are favoured alike. The four-fifths rule must tell them apart, and nothing else is said of
disparate impact.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fleets.build import START, decoded, event, new_fleet
from numpy.typing import NDArray
from real_data.cases import DATA, _table, rows_of

from monitor.stats.bounds import wald_difference

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} with the real data sets is not there"),
]

SECONDS = 0.5
Floats = NDArray[np.float64]
People = tuple[list[dict[str, Any]], tuple[str, ...], tuple[str, ...], Callable[..., str], Callable[..., bool], float]


def adult() -> People:
    """Census of 1994: who earns more than 50,000 a year."""
    numbers = ("age", "education_num", "hours_per_week", "capital_gain", "capital_loss")
    names = ("marital_status", "occupation", "relationship", "workclass")
    return rows_of("adult"), numbers, names, lambda r: str(r["sex"]), lambda r: ">50K" in str(r["class"]), 0.5


def law_school() -> People:
    """Law students of 1991: who passes the bar."""
    rows, numbers = _table("law_school/data.csv.gz"), ("lsat", "ugpa", "fam_inc", "tier", "decile1b")
    return rows, numbers, ("fulltime",), lambda r: str(r["race"]), lambda r: float(r["pass_bar"]) > 0.5, 0.9


def compas() -> People:
    """Defendants in Broward County, 2013 and 2014: who is not arrested again."""
    rows = [r for r in _table("compas/two_years.csv.gz") if r["race"] in {"African-American", "Caucasian"}]
    numbers, names = ("age", "priors_count", "juv_fel_count", "juv_misd_count"), ("sex", "c_charge_degree")
    return rows, numbers, names, lambda r: str(r["race"]), lambda r: r["two_year_recid"] == "0", 0.5


def columns(rows: list[dict[str, Any]], numbers: tuple[str, ...], names: tuple[str, ...]) -> Floats:
    """Numbers in standard deviations, names as columns of 0 and 1, and a column of ones."""
    made = [np.ones(len(rows))]
    for name in numbers:
        x = np.array([float(r[name]) for r in rows])
        made.append((x - x.mean()) / x.std())
    for name in names:
        said = [str(r[name]) for r in rows]
        made += [np.array([each == value for each in said], float) for value in sorted(set(said))[1:]]
    return np.array(made).T


def learned(x: Floats, y: Floats) -> Floats:
    """Coefficients of a logistic regression with a weak ridge, by Newton's method."""
    w = np.zeros(x.shape[1])
    for _ in range(12):
        p = 1.0 / (1.0 + np.exp(-x @ w))
        curvature = (x * (p * (1.0 - p))[:, None]).T @ x + np.eye(len(w))
        w -= np.linalg.solve(curvature, x.T @ (p - y) + w)
    return w


@pytest.mark.parametrize("of", [adult, law_school, compas])
def test_the_biased_one_is_flagged(of: Callable[[], People]) -> None:
    """Disparate impact is told of the model as it came out, for the group that has less, and not of the other one."""
    rows, numbers, names, group_of, merits, threshold = of()
    group, y = np.array([group_of(r) for r in rows]), np.array([merits(r) for r in rows], float)
    second = group == np.unique(group)[1]
    x = np.c_[columns(rows, numbers, names), second]
    order = np.random.default_rng(5).permutation(len(rows))
    train, rest = np.split(order, [len(rows) // 2])
    score = 1.0 / (1.0 + np.exp(-x @ learned(x[train], y[train])))
    biased = score >= threshold
    alike = np.zeros(len(rows), bool)
    for own in (second, ~second):
        alike[own] = score[own] >= np.quantile(score[train][own[train]], 1.0 - biased[train].mean())
    worse = min(np.unique(group), key=lambda g: biased[rest][group[rest] == g].mean())
    assert found("biased", biased[rest], group[rest]) == {(str(worse), True)}
    assert found("alike", alike[rest], group[rest]) == set()


def found(model: str, favoured: NDArray[np.bool_], group: NDArray[np.str_]) -> set[tuple[str | None, bool]]:
    """The groups of which disparate impact is told, and whether with a ratio below 0.8."""
    fleet, told = new_fleet({"favourable": ("yes",), "include_group_values": True, "tick": "1m"}), set()
    for start in range(0, min(len(group), 10_000), 120):
        part = range(start, min(start + 120, len(group)))
        said = (
            event(
                START + SECONDS * i,
                model=model,
                sensitive={"group": str(group[i])},
                prediction="yes" if favoured[i] else "no",
            )
            for i in part
        )
        batch = decoded(list(said))
        fleet.absorb(batch, np.zeros(len(batch), bool))
        for incident in fleet.close(START + SECONDS * (start + 120)).incidents:
            assert incident.alertname == "ModelDisparateImpact"
            told |= {(cell.group, cell.effect.value < 0.8) for cell in incident.cells}
    return told


def test_all_intervals_that_fairtest_published() -> None:
    """V14: each tag's interval in FairTest's report follows from its counts to the printed digit, at a shared level."""
    report = (DATA / "fairtest_reports" / "report_caffe.txt").read_text(encoding="utf-8")
    published = re.findall(r"^([a-z ]+?)\s+(-?\d\.\d{6})\s+(-?\d\.\d{6})\s+\d\.\d+e[+-]\d+$", report, re.MULTILINE)
    counts = {
        tag.strip(): (int(black), int(white))
        for tag, black, white in re.findall(
            r"^\|([a-z ]+)\|[^\n]*Total\|(?:\n.*){2}\n\|1\s*\|\s*(\d+)[^|]*\|\s*(\d+)", report, re.MULTILINE
        )
    }
    known = [(counts[tag], float(low), float(high)) for tag, low, high in published if tag in counts]
    assert len(known) >= 8
    for (black, white), low, high in known:
        ends = wald_difference(black, 680, white, 628, 0.05 / 35)
        assert [round(float(end), 6) for end in ends] == [low, high]
