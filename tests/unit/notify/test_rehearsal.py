"""The test alert."""

from __future__ import annotations

import json

from unit.notify.stage import LocalServer

from monitor.clock import ManualClock
from monitor.notify.alertmanager import Alertmanager, Reply
from monitor.notify.rehearsal import rehearse
from monitor.notify.settings import AlertmanagerSettings

NOW = 1_772_000_000.0


def test_fires_and_resolves(server: LocalServer) -> None:
    """The alert fires, is held for as long as asked, and is resolved, under equal labels."""
    clock = ManualClock(NOW)
    (result,) = rehearse(
        AlertmanagerSettings(urls=(server.url,), external_labels={"env": "prod"}),
        clock,
        "https://watch.example",
        hold_seconds=120.0,
    )
    assert (result.alertmanager, result.ok, result.detail) == (
        server.name,
        True,
        "fired and resolved",
    )
    (fired,), (ended,) = (json.loads(body) for _, _, body in server.requests)
    assert fired["labels"] == ended["labels"]
    assert fired["labels"] == {
        "alertname": "ModelwatchTest",
        "severity": "info",
        "service": "modelwatch",
        "env": "prod",
    }
    assert fired["endsAt"] == "2026-02-25T06:17:20.000Z"
    assert ended["endsAt"] == "2026-02-25T06:15:20.000Z"
    assert fired["annotations"]["runbook_url"] == "https://watch.example/runbooks/ModelwatchTest"


def test_each_alertmanager_has_its_own_result(server: LocalServer) -> None:
    """One that is dead or refuses is named with the reason, and does not hide the others."""
    refusing = LocalServer()
    refusing.status, refusing.body = 401, b"Unauthorized"
    try:
        results = rehearse(
            AlertmanagerSettings(
                urls=(
                    server.url,
                    "http://127.0.0.1:1",
                    refusing.url,
                )
            ),
            ManualClock(NOW),
        )
        assert [result.ok for result in results] == [True, False, False]
        assert "refused" in results[1].detail
        assert results[2].detail == "HTTP 401 Unauthorized"
        assert len(refusing.requests) == 1
    finally:
        refusing.stop()


def test_one_that_dies_in_between(server: LocalServer) -> None:
    """An Alertmanager that takes the alert but not its end has not passed."""

    class Dying(Alertmanager):
        def post(self, body: bytes, timeout_seconds: float) -> Reply:
            reply = super().post(body, timeout_seconds)
            server.status = 503
            return reply

    (result,) = rehearse(AlertmanagerSettings(urls=(server.url,)), ManualClock(NOW), connect=Dying)
    assert (result.ok, result.detail) == (False, "HTTP 503 {}")
