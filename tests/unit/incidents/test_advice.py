"""Is the advice that which the cause asks for? The table of what fires with what."""

from __future__ import annotations

import pytest

from monitor.incidents.advice import (
    ACTIONS,
    FIX_INPUT,
    NOTHING,
    RECALIBRATE,
    RETRAIN,
    ROLL_BACK,
    RULES,
    Setting,
    advise,
)

JUDGED = Setting(began=1e6, born=0.0, judged_by_outcomes=True)
DRIFT, ANSWERS, QUALITY = "ModelFeatureDrift", "ModelPredictionDrift", "ModelDataQuality"
PERFORMANCE, CALIBRATION, IMPACT = "ModelPerformanceDegraded", "ModelCalibrationShift", "ModelDisparateImpact"


@pytest.mark.parametrize(
    ("fires", "known", "action"),
    [
        ({QUALITY, DRIFT, ANSWERS, PERFORMANCE}, JUDGED, FIX_INPUT),
        ({"FleetSharedCause", QUALITY}, JUDGED, FIX_INPUT),
        ({"ModelLabelGap"}, JUDGED, FIX_INPUT),
        ({ANSWERS}, JUDGED, ROLL_BACK),
        ({ANSWERS, CALIBRATION, PERFORMANCE}, JUDGED, ROLL_BACK),
        ({PERFORMANCE}, Setting(began=1e6, born=0.0, judged_by_outcomes=True, follows=0.1), ROLL_BACK),
        ({PERFORMANCE}, Setting(began=1e6, born=0.0, version_since=1e6 - 60.0), ROLL_BACK),
        ({PERFORMANCE}, Setting(began=1e6, born=0.0, version_since=1e5), RETRAIN),
        ({CALIBRATION}, JUDGED, RECALIBRATE),
        ({CALIBRATION}, Setting(own_movement=0.1), RECALIBRATE),
        ({CALIBRATION}, Setting(own_movement=0.5), ROLL_BACK),
        ({CALIBRATION, DRIFT, PERFORMANCE}, Setting(own_movement=0.5), RETRAIN),
        ({CALIBRATION, PERFORMANCE}, JUDGED, RETRAIN),
        ({DRIFT, PERFORMANCE}, JUDGED, RETRAIN),
        ({PERFORMANCE}, Setting(follows=0.95), RETRAIN),
        ({IMPACT}, JUDGED, ROLL_BACK),
        ({IMPACT}, Setting(began=3600.0, born=0.0), RETRAIN),
        ({IMPACT, DRIFT}, JUDGED, RETRAIN),
        ({"ModelSilent"}, JUDGED, FIX_INPUT),
        ({DRIFT}, JUDGED, NOTHING),
        ({DRIFT, ANSWERS}, JUDGED, NOTHING),
        ({"ModelPopulationMix"}, Setting(), NOTHING),
    ],
)
def test_advice(fires: set[str], known: Setting, action: str) -> None:
    """Each pattern of alerts asks for one thing, with a reason."""
    said = advise(fires, known)
    assert said.action == action
    assert said.reason


def test_every_rule_is_reachable_and_every_action_has_one() -> None:
    """There is a last rule that always applies, and no action without a rule."""
    assert {rule.action for rule in RULES} == set(ACTIONS)
    assert RULES[-1].applies((), Setting())
    reasons = [advise({DRIFT}, known).reason for known in (JUDGED, Setting())]
    assert len(set(reasons)) == 2
