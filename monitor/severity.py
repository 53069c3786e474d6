"""How grave is an incident? By what moved beside it: inputs alone, the answers too, or people and money."""

from __future__ import annotations

from collections.abc import Iterable

SEVERITIES = ("critical", "warning", "info")
"""The gravest first."""

HARMFUL = frozenset(
    {
        "ModelPerformanceDegraded",
        "ModelCalibrationShift",
        "ModelDisparateImpact",
        "ModelUnequalErrors",
        "ModelUnwarrantedAssociation",
    }
)
"""Alerts that say that outcomes, fairness or cost moved: somebody is harmed already."""
_ANSWERS = "ModelPredictionDrift"
_INPUTS = frozenset({"ModelFeatureDrift", "ModelPopulationMix"})
"""Alerts that harm nobody while the model's answers stay as they were."""


def severity(alertname: str, beside: Iterable[str], *, cost: float | None = None) -> str:
    """The severity of a new incident under ``alertname``, with the alerts ``beside`` it open on the same model.

    Labels are frozen at firing, so an earlier incident keeps its severity and the later one carries the higher:
    feature drift is ``info``, the prediction drift that follows ``warning``, and the loss after it ``critical``.
    ``cost`` is in the model's currency, ``None`` where none is known.
    """
    alerts = {alertname, *beside}
    if alerts & HARMFUL or (cost or 0.0) > 0.0:
        return "critical"
    return "info" if alertname in _INPUTS and _ANSWERS not in alerts else "warning"


def gravest(severities: Iterable[str]) -> str:
    """The gravest of ``severities``, of which there is at least one."""
    return min(severities, key=SEVERITIES.index)
