"""Who may spend how much: of the fleet, of a model, of a team."""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import LEARNED, SHARES, hourly, new_fleet
from hypothesis import given
from hypothesis import strategies as st

from monitor.budget import WEEK_SECONDS, Budget, Crowd

TEAMS = ["", "a", "b", "c", "d"]
PARTS = st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4)
"""Of the four teams with a name, before they are made to fit into the whole; 0 is a team without a part."""
FLEETS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4)), min_size=1, max_size=30)
"""Of each model, its cells and its team."""


def handed_out(budget: Budget, cells: list[int], team: list[int], weight: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """What each cell is allowed in a week, and its model."""
    of_model = np.array(cells) * weight
    crowd = Crowd(float(of_model.sum()), of_model, np.array([*team, 0, 0], np.int32), TEAMS)
    model = np.repeat(np.arange(len(cells)), cells)
    week = np.full(len(model), WEEK_SECONDS)
    return weight * budget.allowance("drift", crowd, model, week), model


@pytest.mark.parametrize("models", [1, 2, 20])
def test_allowances_add_up(models: int) -> None:
    """Whatever the cells of a week are, together they are allowed what the fleet and the models are."""
    allowance, model = handed_out(Budget(5.0, 1.0, SHARES), list(range(1, models + 1)), [0] * models)
    assert allowance.sum() <= 5.0 * 0.2 + 1e-12
    assert np.bincount(model, weights=allowance).max() <= 1.0 * 0.2 + 1e-12


@given(fleet=FLEETS, asked=PARTS, weight=st.sampled_from([0.25, 1.0]))
def test_teams_never_have_more_than_the_whole(fleet: list[tuple[int, int]], asked: list[float], weight: float) -> None:
    """However models and parts fall on teams, each has at most its part, and all together at most the budget."""
    fitted = np.array(asked) / max(sum(asked), 1.0)
    parts = {name: part for name, part in zip(TEAMS[1:], fitted.tolist(), strict=True) if part > 0.0}
    cells, team = [n for n, _ in fleet], [t for _, t in fleet]
    allowance, model = handed_out(Budget(5.0, 1e9, SHARES, parts), cells, team, weight)
    by_team = np.bincount(np.array(team)[model], weights=allowance, minlength=len(TEAMS))
    rest = 1.0 - sum(parts.values())
    assert allowance.sum() <= 5.0 * 0.2 * (1 + 1e-9)
    for name, part in parts.items():
        assert by_team[TEAMS.index(name)] <= 5.0 * 0.2 * part * (1 + 1e-9) + 1e-12
    assert sum(by_team[i] for i, name in enumerate(TEAMS) if name not in parts) <= 5.0 * 0.2 * rest + 1e-9


def test_a_part_is_used_up_by_those_who_have_it() -> None:
    """A team's part goes to its cells alone, all of it; what parts leave is that of all others, however many teams."""
    allowance, model = handed_out(Budget(5.0, 1e9, SHARES, {"a": 0.6}), [3, 2, 10, 5], [1, 1, 0, 2])
    assert np.bincount(model, weights=allowance) == pytest.approx([0.36, 0.24, 0.4 * 10 / 15, 0.4 * 5 / 15])


def test_spending_is_by_team() -> None:
    """What cells were allowed is written down for the team that pays, and sums to what all spent."""
    fleet = new_fleet(
        {"tick": "1h"},
        clauses=[("r*", {"team": "risk"}), ("s*", {"team": "sales", "owners": {"quality": "data"}})],
        teams={"risk": 0.5, "data": 0.1},
    )
    for name in ("r1", "s1", "x1"):
        hourly(fleet, lambda i: {"x": float(i % 7)}, range(LEARNED + 10), model=name)
    budget = fleet.judge.budget
    assert set(budget.spent_by_team) == {"risk", "sales", "data", ""}
    assert sum(budget.spent_by_team.values()) == pytest.approx(sum(budget.spent.values()), rel=1e-12)
    assert budget.spent_by_team["risk"] > budget.spent_by_team["data"] > 0.0


def test_a_larger_part_is_told_sooner() -> None:
    """Of two models that move alike, that of the team with the larger part of the budget is told of first."""
    values = np.repeat(np.random.default_rng(3).normal(0.0, 1.0, 10_000), 2)
    teams = {"rich": 0.9, "poor": 1e-6}
    fleet = new_fleet({"tick": "1h"}, clauses=[(team, {"team": team}) for team in teams], per_model=1e9, teams=teams)
    fired: dict[str, float] = {}
    for hours, moved in ((range(LEARNED), 0.0), (range(LEARNED, LEARNED + 60), 0.8)):
        for told in hourly(
            fleet,
            lambda i, moved=moved: {"x": float(values[i]) + moved},
            hours,
            100,
            model=lambda i: ("rich", "poor")[i % 2],
        ):
            fired.setdefault(told.model, told.fired_time)
    assert fired["rich"] < fired["poor"]


SEVERITIES = st.fixed_dictionaries({name: st.floats(1e-3, 1e3) for name in ("info", "warning", "critical")})


@given(weights=SEVERITIES, kinds=st.tuples(st.integers(0, 50), st.integers(0, 50)), alone=st.booleans())
def test_severities_never_have_more_than_the_whole(
    weights: dict[str, float], kinds: tuple[int, int], alone: bool
) -> None:
    """However cells weigh, together they are allowed what the fleet, or the model, is, and in proportion to weights."""
    budget = Budget(5.0, 0.7 if alone else 1e9, SHARES, severities=weights)
    each = [budget.weight("info")] * kinds[0] + [budget.weight("warning")] * kinds[1]
    of_model = np.array([sum(each)])
    crowd = Crowd(float(sum(each)), of_model, np.zeros(1, np.int32), TEAMS)
    n = len(each)
    allowance = np.array(each) * budget.allowance("drift", crowd, np.zeros(n, int), np.full(n, WEEK_SECONDS))
    assert allowance.sum() <= (0.7 if alone else 5.0) * 0.2 * (1 + 1e-9)
    if sum(kinds) and min(kinds):
        ratio = budget.weight("warning") / budget.weight("info")
        assert allowance[-1] / allowance[0] == pytest.approx(ratio, rel=1e-9)


def test_a_graver_cell_has_more() -> None:
    """With a weight for warnings a model's prediction is told sooner than its feature, which moves alike."""
    values = np.random.default_rng(5).normal(0.0, 1.0, 40_000)
    fired: dict[str, dict[str, float]] = {}
    for name, severities in (("even", {}), ("graver", {"info": 0.001, "warning": 1000.0})):
        fleet = new_fleet({"tick": "1h"}, per_model=1e9, severities=severities)
        own = fired.setdefault(name, {})
        for hours, moved in ((range(LEARNED), 0.0), (range(LEARNED, LEARNED + 60), 0.4)):
            for told in hourly(
                fleet,
                lambda i, moved=moved: {"x": float(values[i]) + moved},
                hours,
                100,
                prediction=lambda i, moved=moved: {"score": float(values[i]) + moved},
            ):
                own.setdefault(told.alertname, told.fired_time)
        spent = fleet.judge.budget.spent_by_severity
        assert sum(spent.values()) == pytest.approx(sum(fleet.judge.budget.spent.values()), rel=1e-9)
    assert fired["even"]["ModelPredictionDrift"] == fired["even"]["ModelFeatureDrift"]
    assert fired["graver"]["ModelPredictionDrift"] < fired["even"]["ModelPredictionDrift"]
    assert fired["graver"].get("ModelFeatureDrift", np.inf) > fired["even"]["ModelFeatureDrift"]


def test_counts_of_cells_do_not_depend_on_the_order() -> None:
    """After cells came, went and were counted anew the sums of weights are the same to the last bit."""
    fleet = new_fleet({"tick": "1h"}, severities={"info": 0.3, "warning": 1.7})
    for name in ("a", "b", "c"):
        hourly(fleet, lambda i: {"x": float(i % 7), "y": float(i % 11)}, range(LEARNED), model=name)
    rows = fleet.lives.series_rows(fleet.find_model("b"))
    fleet.judge.end(rows)
    fleet.judge.begin(rows)
    before = (dict(fleet.judge.n_cells), fleet.models.rows["n_cells"].copy())
    fleet.judge.recount()
    assert fleet.judge.n_cells["drift"] == before[0]["drift"] > 0.0
    assert np.array_equal(fleet.models.rows["n_cells"][:, 0], before[1][:, 0])
