"""Notifications as the loop and the web see them."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest
from unit.notify.stage import LocalServer, Stage, incident, resolved

from monitor.clock import SystemClock
from monitor.notify.notifier import Notifications
from monitor.notify.payload import SUPPRESSED, WATCHDOG
from monitor.notify.settings import AlertmanagerSettings

if TYPE_CHECKING:
    from collections.abc import Callable


def until(holds: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_threads_deliver_and_end(server: LocalServer) -> None:
    """Started, offered and stopped: the alert arrives over a real socket and no thread stays behind."""
    before = threading.active_count()
    notifications = Notifications(AlertmanagerSettings(urls=(server.url,)), SystemClock())
    notifications.start()
    notifications.offer([incident(fired_time=time.time())])
    until(lambda: notifications.counts()[server.name, "sent"] == 1)
    assert notifications.check()[0][1:] == ("ok", "reached 0 s ago")
    assert notifications.stop() == 0
    until(lambda: threading.active_count() <= before + 1)  # the server's own thread for the connection


@pytest.mark.parametrize("watchdog", [False, True])
def test_the_watchdog_barks_without_an_incident(server: LocalServer, watchdog: bool) -> None:
    """With a watchdog one alert fires from the start, without a model; else nothing but an empty list is posted."""
    settings = AlertmanagerSettings(urls=(server.url,), watchdog=watchdog)
    notifications = Notifications(settings, SystemClock())
    notifications.start()
    until(lambda: server.requests)
    notifications.stop()
    posted = [alert for _, _, body in server.requests for alert in json.loads(body)]
    labels = {"alertname": WATCHDOG, "severity": "info", "service": "modelwatch"}
    assert [alert["labels"] for alert in posted] == ([labels] if watchdog else [])
    assert notifications.active() == int(watchdog)


def test_stop_tells_what_is_untold(server: LocalServer) -> None:
    """What was offered right before the end still arrives."""
    notifications = Notifications(AlertmanagerSettings(urls=(server.url,)), SystemClock())
    notifications.start()
    notifications.offer([incident(f"m{i}", fired_time=time.time()) for i in range(500)])
    assert notifications.stop() == 0
    assert notifications.counts()[server.name, "sent"] == 500


def test_stop_does_not_wait_for_the_dead(server: LocalServer) -> None:
    """An Alertmanager that never answers costs the deadline, and says how much it missed."""
    server.hang.clear()
    notifications = Notifications(
        AlertmanagerSettings(
            urls=(
                server.url,
                "http://127.0.0.1:1",
            )
        ),
        SystemClock(),
    )
    notifications.start()
    notifications.offer([incident(fired_time=time.time())])
    until(lambda: server.requests)
    began = time.monotonic()
    assert notifications.stop(deadline_seconds=0.1) == 2
    assert time.monotonic() - began < 1.0
    assert notifications.stop(deadline_seconds=0.0) == 2


def test_offering_never_waits_for_the_network(server: LocalServer) -> None:
    """While an Alertmanager hangs a thousand incidents are offered: they wait, and it is what hangs on, not we."""
    server.hang.clear()
    notifications = Notifications(AlertmanagerSettings(urls=(server.url,)), SystemClock())
    notifications.start()
    notifications.offer([incident()])
    until(lambda: server.requests)
    notifications.offer([incident(f"m{i}") for i in range(1000)])
    assert (len(server.requests), notifications.counts()[server.name, "sent"]) == (1, 0)
    server.hang.set()
    notifications.stop()


def test_a_dead_neighbour_over_real_sockets(server: LocalServer) -> None:
    """An Alertmanager that hangs does not keep another from being told."""
    server.hang.clear()
    other = LocalServer()
    try:
        notifications = Notifications(
            AlertmanagerSettings(
                urls=(
                    server.url,
                    other.url,
                )
            ),
            SystemClock(),
        )
        notifications.start()
        notifications.offer([incident()])
        until(lambda: notifications.counts()[other.name, "sent"] == 1, 1.0)
        assert notifications.counts()[server.name, "sent"] == 0
        server.hang.set()
        notifications.stop()
    finally:
        other.stop()


def test_restore_tells_firing_ones_at_once() -> None:
    """After a restart open alerts and young ends are told at once, in batches; old ends are not."""
    play = Stage()
    now = play.clock.now()
    play.notifications.restore(
        [incident(f"m{i}", fired_time=now - 86_400) for i in range(300)]
        + [resolved("young", now - 60, fired_time=now - 3600), resolved("old", now - 3600, fired_time=now - 7200)]
    )
    play.run(0.0)
    assert [len(items) for _, items in play.managers[0].posts] == [256, 45]
    assert len(play.managers[0].told("young")) == 1
    assert play.managers[0].told("old") == []


def test_pending_incidents_are_not_told() -> None:
    """Only firing and resolved incidents are alerts."""
    play = Stage()
    play.offer(incident(state="pending"))
    play.run(0.0)
    assert play.managers[0].posts == []


def test_resolved_without_a_time_resolves_now() -> None:
    """An unknown end is the moment of offering."""
    play = Stage()
    play.offer(incident())
    play.run(0.0)
    play.offer(resolved(resolved_time=None))
    play.run(0.0)
    assert len(play.managers[0].told()) == 2


def test_all_results_are_counted_from_the_start() -> None:
    """Every Alertmanager has each result, at zero."""
    play = Stage(("http://a:1", "http://b:2"))
    assert play.notifications.counts() == {
        (name, result): 0 for name in ("a:1", "b:2") for result in ("sent", "failed", "dropped", "rejected")
    }


def test_checks() -> None:
    """A check says since when and why, and how many alerts wait."""
    play = Stage()
    assert play.notifications.check() == [("alertmanager one:9093", "ok", "not reached yet")]
    play.managers[0].broken = True
    play.offer(incident())
    play.run(45)
    assert play.notifications.check() == [
        ("alertmanager one:9093", "degraded", "for 45 s: one:9093: connection refused; 1 alerts wait")
    ]
    play.managers[0].broken = False
    play.run(20)
    assert play.notifications.check()[0][1] == "ok"
    (reach,) = play.notifications.reach()
    assert (reach.waiting, reach.failing_since, reach.error) == (0, None, "")


def test_a_thread_that_ended_is_a_failure() -> None:
    """A delivery that died is shown, not passed over."""
    play = Stage()
    play.deliveries[0]._deadline = 0.0
    play.deliveries[0].start()
    play.deliveries[0].join(5.0)
    assert play.notifications.check() == [("alertmanager one:9093", "failing", "its thread has ended")]
    assert play.managers[0].closed


def test_the_cap_is_told_once() -> None:
    """Beyond the cap the roll-up alert fires, and one fact says so until it is over."""
    play = Stage(alerts_max=5)
    for n in (6, 7, 8):
        play.offer(*(incident(f"m{i}") for i in range(n)))
    play.run(0.0)
    alertnames = [item["labels"]["alertname"] for _, items in play.managers[0].posts for item in items]
    assert alertnames.count(SUPPRESSED) == 1
    assert [(fact.kind, fact.alerts) for fact in play.facts] == [("alerts_suppressed", 1)]
    assert (play.notifications.active(), play.notifications.suppressed()) == (5, 3)


def test_names_of_twins() -> None:
    """Two Alertmanagers behind one gateway have names of their own."""
    assert [reach.alertmanager for reach in Stage(("http://gw/a", "http://gw/b")).notifications.reach()] == [
        "gw:80",
        "gw:80/b/api/v2/alerts",
    ]


def test_without_alertmanagers_there_is_nothing_to_do() -> None:
    """No URL, no thread, no trouble."""
    notifications = Notifications(AlertmanagerSettings(), SystemClock())
    notifications.start()
    notifications.offer([incident()])
    assert (notifications.counts(), notifications.check(), notifications.stop()) == ({}, [], 0)
