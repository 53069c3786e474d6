"""What the log says of incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog
from structlog.testing import CapturingLogger
from unit.notify.stage import incident, resolved

from monitor.notify.facts import Fact
from monitor.notify.log import REMEMBERED_MAX, IncidentLog, log_facts

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


@pytest.fixture
def capture() -> CapturingLogger:
    return CapturingLogger()


@pytest.fixture
def logger(capture: CapturingLogger) -> Any:
    return structlog.wrap_logger(capture, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0))


def said(capture: CapturingLogger) -> list[tuple[str, str]]:
    return [(call.method_name, call.kwargs["event"]) for call in capture.calls]


def test_one_event_for_each_change(capture: CapturingLogger, logger: FilteringBoundLogger) -> None:
    """Firing, a further cell and the end are logged once each; offering the same again is not."""
    log = IncidentLog(logger)
    for state in (incident(), incident(evidence_log10=9.0), incident(cells=(None,)), resolved(), resolved()):
        log.offer([state])
    assert said(capture) == [
        ("warning", "incident_fired"),
        ("info", "incident_changed"),
        ("info", "incident_resolved"),
    ]


def test_what_is_said(capture: CapturingLogger, logger: FilteringBoundLogger) -> None:
    """The event names the incident, its model and its effect, and leaves out what is unknown."""
    IncidentLog(logger).offer([incident()])
    assert capture.calls[0].kwargs == {
        "event": "incident_fired",
        "fired_time": "2026-02-25T06:13:20.000Z",
        "incident": "i-credit",
        "alertname": "ModelFeatureDrift",
        "severity": "warning",
        "model": "credit",
        "version": "7",
        "detector": "drift",
        "feature": "income",
        "cells": 0,
        "effect": "psi 0.312",
        "evidence_log10": 6.3,
    }


def test_the_end_says_why(capture: CapturingLogger, logger: FilteringBoundLogger) -> None:
    """A resolved incident tells the reason and what it was merged into."""
    IncidentLog(logger).offer([resolved(resolved_because="merged", merged_into="i-9")])
    assert capture.calls[0].kwargs["because"] == "merged"
    assert capture.calls[0].kwargs["merged_into"] == "i-9"


def test_restored_incidents_are_not_news(capture: CapturingLogger, logger: FilteringBoundLogger) -> None:
    """What an earlier process has logged is not logged again, but its end is."""
    log = IncidentLog(logger)
    log.restore([incident()])
    log.offer([incident()])
    log.offer([resolved()])
    assert said(capture) == [("info", "incident_resolved")]


def test_memory_is_bounded(logger: FilteringBoundLogger) -> None:
    """The log remembers a bounded number of incidents."""
    log = IncidentLog(logger)
    log.restore([incident(id=str(i)) for i in range(REMEMBERED_MAX + 10)])
    assert len(log._seen) == REMEMBERED_MAX


def test_facts_are_logged(capture: CapturingLogger, logger: FilteringBoundLogger) -> None:
    """Trouble with an Alertmanager is a warning, its return is information."""
    sink = log_facts(logger)
    sink(Fact("alertmanager_failing", "am:9093", "no reply in time", 3))
    sink(Fact("alertmanager_recovered", "am:9093", "after 9 s", 0))
    sink(Fact("alerts_suppressed", "", "more alerts are firing than are sent", 4))
    assert said(capture) == [
        ("warning", "alertmanager_failing"),
        ("info", "alertmanager_recovered"),
        ("warning", "alerts_suppressed"),
    ]
    assert capture.calls[0].kwargs["alertmanager"] == "am:9093"
    assert "alertmanager" not in capture.calls[2].kwargs
