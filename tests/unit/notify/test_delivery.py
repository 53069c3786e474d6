"""What one Alertmanager is sent, and when, on a clock that stands still."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest
from unit.notify.stage import Stage, incident, resolved


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_firing_alert_is_told_at_once_and_again() -> None:
    """It is sent as soon as it is offered, then every minute, and ends by itself four resends later."""
    play = Stage()
    play.offer(incident())
    play.run(600)
    told = play.managers[0].told()
    times = [at - play.clock.now() + 600 for at, _ in told]
    assert times[0] == 0.0
    assert 5 <= times[1] <= 65
    assert [b - a for a, b in pairwise(times[1:])] == pytest.approx([60.0] * (len(times) - 2))
    for at, item in told:
        assert seconds(item["endsAt"]) == pytest.approx(at + 240, abs=0.001)
        assert item["startsAt"] == told[0][1]["startsAt"]


def test_a_resolved_alert_has_its_own_end() -> None:
    """The end that is sent is the moment of resolving, each time, for fifteen minutes."""
    play = Stage()
    play.offer(incident())
    play.run(100)
    ended_at = play.clock.now()
    play.offer(resolved(resolved_time=ended_at))
    play.run(3000)
    ends = [(at, item) for at, item in play.managers[0].told() if at >= ended_at]
    assert ends[0][0] == ended_at
    assert {seconds(item["endsAt"]) for _, item in ends} == {ended_at}
    assert 840 <= ends[-1][0] - ended_at < 900


def test_batches() -> None:
    """Ten thousand alerts go out in posts of at most 256."""
    play = Stage()
    play.offer(*(incident(f"m{i}") for i in range(1000)))
    play.run(0.0)
    assert [len(items) for _, items in play.managers[0].posts] == [256, 256, 256, 232]
    assert play.notifications.counts()["one:9093", "sent"] == 1000


def test_external_labels_are_added() -> None:
    """External labels come on top, without touching the alert's own."""
    play = Stage(external_labels={"env": "prod", "model": "theirs"})
    play.offer(incident())
    play.run(0.0)
    labels = play.managers[0].posts[0][1][0]["labels"]
    assert (labels["env"], labels["model"]) == ("prod", "credit")


@pytest.mark.parametrize("status", [500, 503, 404, 401, 429, 302, 0])
def test_failures_back_off(status: int) -> None:
    """Pauses double from 1 s to at most 30 s, the alert is kept, and the first answer ends them."""
    play = Stage()
    manager = play.managers[0]
    manager.status, manager.broken = status, status == 0
    play.offer(incident())
    play.run(120)
    gaps = [b - a for a, b in pairwise(manager.tries)]
    assert gaps[:6] == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 30.0])
    assert max(gaps) <= 30.0 + 1e-6
    manager.status, manager.broken = 200, False
    play.run(31)
    assert manager.told()
    assert play.notifications.counts()["one:9093", "failed"] == len(manager.tries) - len(manager.posts)
    assert [fact.kind for fact in play.facts] == ["alertmanager_failing", "alertmanager_recovered"]


def test_backoff_is_jittered() -> None:
    """A pause is a uniform share of its ceiling, so that daemons do not come back in step."""
    play = Stage(jitter=iter([0.5, 0.25, 0.0, 1.0, 1.0]).__next__)
    play.managers[0].broken = True
    play.offer(incident())
    play.run(10.0)
    began = play.managers[0].tries[0]
    assert [at - began for at in play.managers[0].tries] == pytest.approx([0.0, 0.5, 1.0, 1.0, 9.0])


def test_many_failures_do_not_overflow() -> None:
    """After days of failing the pause is still 30 s."""
    play = Stage()
    play.managers[0].broken = True
    play.offer(incident())
    play.run(86_400)
    assert 2800 < len(play.managers[0].tries) < 2900
    assert len(play.facts) == 1


def test_what_an_absent_alertmanager_missed_is_only_the_latest() -> None:
    """Back after an outage, it is told the present state of each alert once, not the history."""
    play = Stage()
    play.managers[0].broken = True
    for i in range(20):
        play.offer(incident(id=f"i{i}", fired_time=play.clock.now()))
        play.offer(resolved(id=f"i{i}", resolved_time=play.clock.now()))
        play.run(10)
    play.offer(incident(id="last", fired_time=play.clock.now()))
    play.managers[0].broken = False
    play.run(30)
    told = play.managers[0].told()
    assert len(told) <= 2  # once at its return, and once more if the slot of its resend came within these 30 s
    assert all(seconds(item["endsAt"]) == pytest.approx(at + 240, abs=0.001) for at, item in told)
    assert len({item["startsAt"] for _, item in told}) == 1


def test_a_dead_or_slow_one_does_not_delay_another() -> None:
    """Each Alertmanager has its own pace: what one is told does not depend on the other."""
    play = Stage(("http://dead:9093", "http://live:9093"))
    dead, live = play.managers
    dead.broken = True
    play.offer(incident())
    play.run(300)
    assert live.tries[0] == dead.tries[0]
    assert len(live.told()) in (5, 6)
    counts = play.notifications.counts()
    assert counts["live:9093", "failed"] == 0
    assert counts["dead:9093", "sent"] == 0


def test_a_bad_alert_is_found_among_good_ones() -> None:
    """A refused batch is sent one by one: the good ones arrive, the bad one is counted and logged once."""
    play = Stage()
    manager = play.managers[0]
    manager.bad = {"m7"}
    play.offer(*(incident(f"m{i}") for i in range(20)))
    play.run(0.0)
    assert len(manager.tries) == 21
    assert manager.models() == {f"m{i}" for i in range(20) if i != 7}
    counts = play.notifications.counts()
    assert (counts["one:9093", "sent"], counts["one:9093", "rejected"]) == (19, 1)
    play.run(800)
    assert play.notifications.counts()["one:9093", "rejected"] == 1
    play.run(800)
    assert play.notifications.counts()["one:9093", "rejected"] == 2
    assert [(fact.kind, fact.detail) for fact in play.facts] == [
        ("alert_rejected", "ModelFeatureDrift: one:9093: HTTP 400 bad label")
    ]
    assert play.notifications.counts()["one:9093", "failed"] == 0


@pytest.mark.parametrize("status", [400, 413, 422])
def test_refusals_are_not_retried(status: int) -> None:
    """One that refuses everything is not hammered."""
    play = Stage()
    play.managers[0].status = status
    play.offer(*(incident(f"m{i}") for i in range(3)))
    play.run(50)
    assert len(play.managers[0].tries) == 4
    assert play.notifications.check() == [("alertmanager one:9093", "degraded", f"refused: one:9093: HTTP {status} ")]


def test_failing_in_the_middle_of_singles() -> None:
    """When it dies while a refused batch is sent one by one, the rest is kept for later."""
    play = Stage()
    manager = play.managers[0]
    manager.bad = {"m0"}

    def dies() -> None:
        manager.broken = len(manager.tries) == 4

    manager.on_post = dies
    play.offer(*(incident(f"m{i}") for i in range(6)))
    play.run(5.0)
    assert manager.models() == {"m1", "m2", "m3", "m4", "m5"}


def test_heartbeat() -> None:
    """With nothing to say it is sent an empty list every minute, so that its absence is known beforehand."""
    play = Stage()
    play.run(180)
    assert [at - play.managers[0].tries[0] for at in play.managers[0].tries] == [0.0, 60.0, 120.0, 180.0]
    assert play.notifications.counts()["one:9093", "sent"] == 0
    play.managers[0].broken = True
    play.run(60)
    assert play.notifications.check()[0][1] == "degraded"


def test_a_slow_one_still_gets_everything() -> None:
    """One that takes five seconds a post is sent full batches and falls behind without losing an alert."""
    play = Stage()
    play.managers[0].takes = 5.0
    play.offer(*(incident(f"m{i}") for i in range(600)))
    play.run(15.0)
    assert len(play.managers[0].models()) == 600


def test_drain_sends_news_alone() -> None:
    """At the end what is untold is sent, what is due for a resend is not, and nothing is resolved."""
    play = Stage()
    play.offer(incident("old"))
    play.run(0.0)
    play.clock.advance(3600)
    play.offer(incident("new"))
    play.deliveries[0].drain(play.clock.monotonic() + 5.0)
    _, items = play.managers[0].posts[-1]
    assert [item["labels"]["model"] for item in items] == ["new"]
    assert seconds(items[0]["endsAt"]) > play.clock.now()


def test_drain_keeps_its_deadline() -> None:
    """A slow Alertmanager gets the time that is left and no more; a failure ends the draining."""
    play = Stage()
    manager = play.managers[0]
    manager.takes = 2.0
    play.offer(*(incident(f"m{i}") for i in range(2000)))
    play.deliveries[0].drain(play.clock.monotonic() + 5.0)
    assert manager.patience == [5.0, 3.0, 1.0]
    manager.broken = True
    play.deliveries[0].drain(play.clock.monotonic() + 100.0)
    assert len(manager.tries) == 4


def test_nothing_is_told_that_may_be_anothers() -> None:
    """While it is not sure that its incidents are its own, a replica posts nothing, then what is due."""
    mine = [False]
    play = Stage(assured=lambda: mine[0])
    play.offer(incident())
    play.run(30.0)
    assert play.managers[0].posts == []
    mine[0] = True
    play.run(1.0)
    assert [len(items) for _, items in play.managers[0].posts] == [1]
