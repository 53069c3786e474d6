"""Are unequal groups found, and equal ones left alone, within the budget? The experiments of docs/statistics.md."""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import START, event, feed, new_fleet
from numpy.typing import NDArray

from monitor.fleet import Fleet
from monitor.groups.questions import ASKED, Kind
from monitor.groups.ranking import log_odds_z
from monitor.groups.sums import TallySums
from monitor.kernels.compare import Sides, log_e
from monitor.kernels.hashing import hash64
from monitor.stats.bounds import anytime, wald_difference

TICK = 604.8
"""Seconds: a thousand ticks are a week."""


class Pairs:
    """A fleet of models with two groups each, fed with sums by tick."""

    def __init__(self, models: int, per_week: float, **policy: object) -> None:
        self.fleet: Fleet = new_fleet(
            {"favourable": ("y",), "tick": f"{TICK}s", **policy},
            per_week=per_week,
            per_model=per_week,
            models_max=models,
        )
        register = self.fleet.groups.register
        members = []
        for i in range(models):
            name = f"m{i}"
            row = self.fleet.models.add(name, hash64(name.encode()), self.fleet.discovery.policy_of(name), START)
            attribute, stratum = register.attribute(row, "sex"), register.stratum(row, 0)
            groups = [register.group(attribute, value, hash64(value.encode())) for value in ("F", "M")]
            members += [register.member(group, stratum) for group in groups]
        self.rows = register.bases(np.array(members), Kind.DECISION)
        self.tick = 0

    def feed(self, n: NDArray[np.float64], s: NDArray[np.float64]) -> set[int]:
        """One tick of ``n`` and ``s`` (models, 2); the models that begin to alarm in it."""
        self.tick += 1
        sums = TallySums(self.rows, n.ravel(), s.ravel())
        compared = self.fleet.groups.comparer.judge(START + self.tick * TICK, sums)
        register = self.fleet.groups.register
        return {int(register.outputs["model"][register.cells["output"][alarm.cell]]) for alarm in compared.alarms}


def test_violations_are_found_and_nothing_else() -> None:
    """V5, V6: of 400 models at a ratio of 0.9, 20 fall to 0.6: most are found, few others; naive rules cry wolf."""
    rng = np.random.default_rng(17)
    pairs, naive, first = Pairs(400, 5.0), 0, {}
    rate = np.tile([0.27, 0.30], (400, 1))
    for tick in range(600):
        if tick == 100:
            rate[:20, 0] = 0.18
        n = np.tile([20.0, 80.0], (400, 1))
        s = rng.binomial(n.astype(int), rate).astype(float)
        naive += int((s[20:, 0] / n[20:, 0] < 0.8 * s[20:, 1] / n[20:, 1]).sum())
        for model in pairs.feed(n, s):
            first.setdefault(model, tick)
    found = [first[m] - 100 for m in range(20) if m in first]
    assert len(found) >= 18
    assert min(found) > 0
    assert np.median(found) < 150
    # Four standard errors about a mean of at most 2.5 * 0.6.
    assert sum(model >= 20 for model in first) <= 6
    assert naive > 10_000


def test_the_boundary_of_the_null_stays_within_the_budget() -> None:
    """V4: every model exactly at four fifths, group sizes at random: alarms are at most the budget that was spent."""
    rng = np.random.default_rng(18)
    pairs, alarms = Pairs(200, 400.0, keep_firing="0s"), 0
    for _ in range(300):
        n = np.stack([rng.poisson(15, 200), rng.poisson(60, 200)], axis=1).astype(float)
        s = rng.binomial(n.astype(int), [0.24, 0.30]).astype(float)
        alarms += len(pairs.feed(n, s))
    spent = pairs.fleet.judge.budget.spent["fairness"]
    assert 0.5 * 0.5 * 400.0 * 0.3 < spent <= 0.5 * 400.0 * 0.3 + 1e-6
    assert alarms <= spent


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_power_at_small_shares(share: float) -> None:
    """A ratio of 0.5 is found also where the group is a hundredth of the people; the smaller, the later."""
    rng = np.random.default_rng(19)
    pairs, first = Pairs(20, 5.0), {}
    for tick in range(1000):
        n = np.stack([rng.poisson(200 * share, 20), rng.poisson(200 * (1 - share), 20)], axis=1).astype(float)
        s = rng.binomial(n.astype(int), [0.3, 0.6]).astype(float)
        for model in pairs.feed(n, s):
            first.setdefault(model, tick)
        if len(first) == 20:
            break
    assert len(first) == 20
    assert np.median(list(first.values())) < {0.01: 300, 0.05: 60, 0.2: 20}[share]


BERKELEY = {
    "A": ((825, 512), (108, 89)),
    "B": ((560, 353), (25, 17)),
    "C": ((325, 120), (593, 202)),
    "D": ((417, 138), (375, 131)),
    "E": ((191, 53), (393, 94)),
    "F": ((373, 22), (341, 24)),
}
"""Bickel, Hammel and O'Connell (1975): men and women who applied, and who were admitted, by department."""


def admissions(seed: int) -> list[tuple[str, str, bool]]:
    """All applications in a random order: sex, department, admitted."""
    people = [
        (sex, department, i < admitted)
        for department, counts in BERKELEY.items()
        for sex, (applied, admitted) in zip("MF", counts, strict=True)
        for i in range(applied)
    ]
    return [people[i] for i in np.random.default_rng(seed).permutation(len(people)).tolist()]


def test_berkeley_marginal_and_stratified() -> None:
    """V15: batches of 100 speak against four fifths for women; their product over departments speaks for it."""

    def evidence(people: list[tuple[str, str, bool]]) -> float:
        before, total = np.zeros((1, 4)), np.zeros(3)
        for start in range(0, len(people), 100):
            part = people[start : start + 100]
            sums = np.zeros((1, 4))
            for sex, _, admitted in part:
                sums[0, 2 * (sex == "F") : 2 * (sex == "F") + 2] += (1, admitted)
            kind, tolerance = np.array([Kind.DECISION], np.uint8), np.array([0.8])
            if sums[0, 0] and sums[0, 2]:
                total += log_e(ASKED, kind, tolerance, Sides.of(sums), Sides.of(before), np.array([True]))[0, :3]
            before = 0.995 * before + sums
        return float(np.logaddexp.reduce(total) - np.log(3)) / np.log(10)

    marginal, stratified = [], []
    for seed in range(15):
        people = admissions(seed)
        marginal.append(evidence(people))
        stratified.append(sum(evidence([p for p in people if p[1] == d]) for d in BERKELEY))
    assert np.median(marginal) > 2.0
    assert max(stratified) < -5.0


@pytest.mark.parametrize("explained", [False, True])
def test_berkeley_through_the_fleet(explained: bool) -> None:
    """Women are found where nothing explains the gap, and not where departments do (Simpson's paradox)."""
    fleet = new_fleet(
        {
            "favourable": ("y",),
            "tick": "20m",
            "include_group_values": True,
            "explain_by": ("dept",) if explained else (),
        }
    )
    incidents = []
    people = [
        {"sensitive": {"sex": sex}, "features": {"dept": department}, "prediction": "y" if admitted else "n"}
        for sex, department, admitted in admissions(3)
    ]
    for i in range(0, len(people), 20):
        part = enumerate(people[i : i + 20], start=i)
        incidents += feed(fleet, [event(START + 60.0 * at, **said) for at, said in part]).incidents
    unfair = [incident for incident in incidents if incident.alertname == "ModelDisparateImpact"]
    assert {(incident.attribute, incident.group) for incident in unfair} == (set() if explained else {("sex", "F")})
    if not explained:
        assert unfair[0].effect.value < 0.8
        assert unfair[0].people_affected is not None
        assert unfair[0].people_affected > 0


def test_what_a_factor_hides_is_seen() -> None:
    """Two departments each favour men; the marginal rates are alike, the stratified ones are not."""
    rng = np.random.default_rng(23)
    counts = {("A", "M"): 0.8, ("A", "F"): 0.5, ("B", "M"): 0.35, ("B", "F"): 0.15}
    shares = {("A", "M"): 0.15, ("A", "F"): 0.35, ("B", "M"): 0.35, ("B", "F"): 0.15}
    keys = list(counts)
    names: dict[bool, set[str]] = {}
    for explained in (False, True):
        fleet = new_fleet({"favourable": ("y",), "tick": "1m", "explain_by": ("dept",) if explained else ()})
        for minute in range(200):
            drawn = [keys[i] for i in rng.choice(4, 20, p=[shares[k] for k in keys]).tolist()]
            times = START + 60 * minute + np.arange(20) * 2.0
            feed(
                fleet,
                [
                    event(
                        t,
                        sensitive={"sex": sex},
                        features={"dept": dept},
                        prediction="y" if rng.random() < counts[dept, sex] else "n",
                    )
                    for t, (dept, sex) in zip(times.tolist(), drawn, strict=True)
                ],
            )
        names[explained] = {held.incident.alertname for held in fleet.book.open.values()}
    assert "ModelDisparateImpact" not in names[False]
    assert "ModelDisparateImpact" in names[True]


def test_figure_10_of_fairtest() -> None:
    """V14: intervals of the difference of tag rates, at a level shared by 35 tags, equal the published ones."""
    published = {
        (29, 2): (0.013734, 0.065191),
        (7, 65): (-0.133888, -0.052530),
        (17, 1): (0.003653, 0.043162),
        (654, 623): (-0.056308, -0.004239),
    }
    for (black, white), ends in published.items():
        low, high = wald_difference(black, 680, white, 628, 0.05 / 35)
        assert (round(float(low), 6), round(float(high), 6)) == ends


def test_rare_tags_do_not_come_first() -> None:
    """Log-odds with a prior rank what came up often above what came up four times, though its ratio is infinite."""
    y, rest = np.array([29, 17, 4]), np.array([2, 1, 0])
    z = log_odds_z(y, 3400, rest, 3140)
    assert z[0] > z[1] > z[2] > 0
    assert log_odds_z(rest, 3140, y, 3400) == pytest.approx(-z)


def test_a_watch_list_is_found_where_no_tag_is() -> None:
    """V17: 38 of 1,404 against 5 of 1,243 over eleven tags; the list alarms, none of its tags does."""
    rng = np.random.default_rng(29)
    apes = [f"ape{i}" for i in range(11)]
    images = [("Black", i < 38) for i in range(1404)] + [("White", i < 5) for i in range(1243)]
    fleet = new_fleet(
        {
            "tick": "5m",
            "include_group_values": True,
            "watch_tags": ({"name": "apes", "tags": tuple(apes), "budget_share": 0.2},),
        }
    )
    said = []
    for at, i in enumerate(rng.permutation(len(images)).tolist()):
        race, ape = images[i]
        tags = [f"tag{t}" for t in rng.choice(60, 4, replace=False)] + ([apes[at % 11]] if ape else [])
        said.append(event(START + 30.0 * at, sensitive={"race": race}, prediction={"tags": tags}))
    cells = set()
    for i in range(0, len(said), 10):
        for incident in feed(fleet, said[i : i + 10]).incidents:
            cells |= {(cell.output, cell.group) for cell in incident.cells}
    assert cells == {("apes", "Black")}


def test_intervals_hold_at_all_times() -> None:
    """Looked at after each of 2,000 events, no more than 5 % of intervals ever lose the true rate."""
    rng = np.random.default_rng(31)
    lost = np.zeros(400, bool)
    true = np.repeat([0.03, 0.2, 0.5, 0.9], 100)
    k = np.zeros(400)
    for n in range(1, 2001):
        k += rng.random(400) < true
        low, high = anytime(k, n)
        lost |= (true < low) | (true > high)
    # Four standard errors above 5 %.
    assert lost.mean() < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)
    assert float(high[200] - low[200]) < 0.12
