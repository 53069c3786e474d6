"""Is a concept that changed for one group told of that group, and nothing where only inputs or the whole model moved?

Eight models judge 100 cases of each of two groups an hour, 40 hours as ever and 24 otherwise.
"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import HOUR
from fleets.cohorts import fleet_of, judged, matured

from monitor.catalog.policies import Clause, Policies
from monitor.groups.sorting import Memberships
from monitor.kernels.hashing import hash64
from monitor.kernels.judge import FIRING
from monitor.outcomes.alarm import CaseAlarm
from monitor.outcomes.outcomes import Moment

MODELS, PER_TICK, BEFORE, AFTER = 8, 100, 40, 24


class Scoring:
    """Models that score the people of two groups, and what comes of them."""

    def __init__(self, seed: int) -> None:
        self.fleet, self.rng, self.tick = fleet_of(MODELS), np.random.default_rng(seed), 0
        register = self.fleet.groups.register
        members = []
        for model in range(MODELS):
            attribute, stratum = register.attribute(model, "sex"), register.stratum(model, 0)
            groups = (register.group(attribute, value, hash64(value.encode())) for value in "FM")
            members += [register.member(group, stratum) for group in groups]
        self._member = np.repeat(np.array(members, np.int64), PER_TICK)
        self._model = np.repeat(np.arange(MODELS), 2 * PER_TICK)
        self._women = np.tile(np.repeat([True, False], PER_TICK), MODELS)

    def live(self, ticks: int, scores_at: float = 0.0, women: float = 0.0, everybody: float = 0.0) -> list[CaseAlarm]:
        """Alarms of ``ticks``: women's scores lie at ``scores_at``, outcomes so many logits above scores."""
        alarms: list[CaseAlarm] = []
        for _ in range(ticks):
            n = len(self._model)
            logit = self.rng.normal(np.where(self._women, scores_at, 0.0), 1.0, n)
            y = self.rng.random(n) < 1.0 / (1.0 + np.exp(-(logit + everybody + women * self._women)))
            cases = matured(self._model, self.tick, score=1.0 / (1.0 + np.exp(-logit)), y=y.astype(float))
            calibration = self.fleet.by_group.calibration
            calibration.take(cases, Memberships.of(np.arange(n), self._member, n))
            moment: Moment = judged(self.fleet, cases)
            calibration.judge_moment(moment)
            alarms += [alarm for alarm in moment.alarms if alarm.detector == "calibration"]
            self.tick += 1
        return alarms


def told(alarms: list[CaseAlarm]) -> dict[str | None, int]:
    """Of how many models each group was told; ``None`` is the model as a whole."""
    codes = {alarm.group for alarm in alarms}
    return {group: len({alarm.model for alarm in alarms if alarm.group == group}) for group in codes}


@pytest.fixture(scope="module")
def lived() -> Scoring:
    """Models that have their curves, and those of their groups; nothing was told yet."""
    scoring = Scoring(seed=51)
    assert scoring.live(BEFORE) == []
    return scoring


def test_a_concept_that_changed_for_one_group_is_told_of_it() -> None:
    """V10 by group: women's outcomes move by 1.5 logits: women are told in every model; men in none."""
    scoring = Scoring(seed=52)
    scoring.live(BEFORE)
    alarms = scoring.live(AFTER, women=1.5)
    code = scoring.fleet.groups.privacy.code
    found = told(alarms)
    assert found.get(code("sex", "F")) == MODELS
    assert code("sex", "M") not in found
    one = next(alarm for alarm in alarms if alarm.group == code("sex", "F"))
    assert (one.attribute, one.effect.name) == ("sex", "logit_shift")
    assert one.effect.value > one.effect.tolerance == 0.1
    assert one.words.startswith(f"sex {code('sex', 'F')}: the outcome that its score speaks of comes more often")


def test_another_tolerance_begins_anew() -> None:
    """Groups whose scores lost their meaning by more than is tolerated no longer resolve as ``policy changed``."""
    scoring = Scoring(seed=53)
    fleet, calibration = scoring.fleet, scoring.fleet.by_group.calibration
    scoring.live(BEFORE)
    alarms = [alarm for alarm in scoring.live(AFTER, women=1.5) if alarm.group is not None]
    fleet.book.fire(fleet._told_of_model(alarm) for alarm in alarms)
    fires = calibration.rows["firing"][: len(calibration.rows)] == FIRING
    assert fires.sum() == MODELS
    said = {"tick": "1h", "keep_firing": "2h", "tolerance": {"drift": 0.02}}
    tolerant = said | {"tolerance": {"drift": 0.02, "calibration": 2.0}}
    fleet.reload_policies(Policies([Clause("*", said, "test")]).resolve)
    assert fleet.lives.ended == []
    fleet.reload_policies(Policies([Clause("*", tolerant, "test")]).resolve)
    assert [ended.resolved_because for ended in fleet.lives.ended] == ["policy changed"] * MODELS
    assert not calibration.rows["firing"][: len(calibration.rows)].any()
    assert [alarm for alarm in scoring.live(AFTER, women=1.5) if alarm.group is not None] == []


def test_other_people_are_no_other_concept_and_a_models_shift_is_its_own(lived: Scoring) -> None:
    """Women's scores move by a standard deviation: nothing. Then all outcomes move: models are told, groups are not."""
    assert lived.live(AFTER, scores_at=-1.0) == []
    assert told(lived.live(AFTER, everybody=0.8)) == {None: MODELS}


def test_the_cells_of_groups_cost_what_one_cell_does(lived: Scoring) -> None:
    """All cells of a model's groups share the budget of one, which is counted, also after a restart."""
    calibration, models = lived.fleet.by_group.calibration, lived.fleet.models
    rows = np.arange(len(calibration.rows))
    one = calibration.allowance(rows, 100, np.full(len(rows), HOUR)).reshape(MODELS, 2).sum(axis=1)
    whole = lived.fleet.outcomes.calibration.allowance(np.arange(MODELS), 100, np.full(MODELS, HOUR))
    assert one == pytest.approx(whole)
    before = models.rows["n_cells"][:MODELS].copy()
    outcomes = lived.fleet.outcomes
    judged_of_models = (
        outcomes.performance.rows["judged"][:MODELS].sum(axis=1) + outcomes.calibration.rows["judged"][:MODELS]
    )
    assert (before.sum(axis=1) == judged_of_models + 1).all()
    lived.fleet.outcomes.restored()
    lived.fleet.by_group.restored()
    assert (models.rows["n_cells"][:MODELS] == before).all()
