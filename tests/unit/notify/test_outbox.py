"""What the outbox keeps, and when it says that something is due."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from monitor.notify.outbox import SLOTS, Notice, Outbox
from monitor.notify.payload import SUPPRESSED, Alert, Key, Links

WALL = 1_772_000_000.0


def alert(model: str = "credit", text: str = "") -> Alert:
    return Alert({"alertname": "A", "model": model}, {"description": text})


def firing(model: str = "credit", incident: str = "", at: float = WALL, text: str = "") -> Notice:
    return Notice(incident or model, alert(model, text), at, None)


def ended(model: str = "credit", incident: str = "", at: float = WALL) -> Notice:
    return Notice(incident or model, alert(model), at, at)


def outbox(readers: int = 1, alerts_max: int = 10_000) -> Outbox:
    return Outbox(readers, 60.0, Links(), alerts_max)


def test_only_the_latest_state_is_kept() -> None:
    """An alert that fired and resolved before anyone was told is one parcel, resolved."""
    box = outbox()
    box.put([firing()], WALL, 0.0)
    box.put([ended(at=WALL + 5)], WALL + 5, 5.0)
    (parcel,) = box.take(0, 5.0, 256)
    assert parcel.ends_at == WALL + 5


def test_what_another_process_tells_is_forgotten() -> None:
    """Nothing more is said of it, not even its end; an alert that another incident keeps firing goes on."""
    box = outbox(alerts_max=2)
    box.put([firing("a"), firing("b", "one"), firing("b", "two"), firing("c")], WALL, 0.0)
    assert (box.active(), box.suppressed()) == (2, 1)
    box.forget(frozenset({"a", "one", "c"}))
    assert (box.active(), box.suppressed()) == (1, 0)
    told = [parcel.alert.labels.get("model") for parcel in box.take(0, 0.0, 256) if parcel.ends_at is None]
    assert "b" in told
    assert not {"a", "c"} & set(told)
    box.put([firing("a")], WALL, 1.0)
    assert box.active() == 2


def test_every_resend_comes_within_the_interval_and_then_exactly() -> None:
    """The first resend is at most one slot late, and from then on they come every 60 s."""
    box = outbox()
    box.put([firing(f"m{i}") for i in range(200)], WALL, 0.0)
    box.delivered(0, box.take(0, 0.0, 1000), 0.0)
    sent: dict[Key, list[float]] = {}
    while (now := box.next_due(0)) < 300.0:
        parcels = box.take(0, now, 1000)
        for parcel in parcels:
            sent.setdefault(parcel.key, [0.0]).append(now)
        box.delivered(0, parcels, now)
    assert len(sent) == 200
    for times in sent.values():
        gaps = [b - a for a, b in pairwise(times)]
        assert 5.0 <= gaps[0] <= 65.0
        assert gaps[1:] == pytest.approx([60.0] * len(gaps[1:]))


def test_resends_are_spread() -> None:
    """10,000 alerts do not leave in one burst: each of 12 moments takes its share."""
    box = outbox()
    box.put([firing(f"m{i}") for i in range(10_000)], WALL, 0.0)
    box.delivered(0, box.take(0, 0.0, 10_000), 0.0)
    sizes = []
    while (now := box.next_due(0)) < 70.0:
        parcels = box.take(0, now, 10_000)
        sizes.append(len(parcels))
        box.delivered(0, parcels, now)
    first_round = sizes[:SLOTS]
    assert sum(first_round) == 10_000
    assert max(first_round) < 1_000  # 833 expected, standard deviation 28


def test_an_unchanged_state_is_not_sent_before_it_is_due() -> None:
    """Offering the same incident again changes its annotations at the next resend and nothing else."""
    box = outbox()
    box.put([firing()], WALL, 0.0)
    box.delivered(0, box.take(0, 0.0, 256), 0.0)
    box.put([firing(text="more evidence")], WALL + 1, 1.0)
    assert box.take(0, 1.0, 256) == []
    assert box.news(0) == 0
    (parcel,) = box.take(0, box.next_due(0), 256)
    assert parcel.alert.annotations["description"] == "more evidence"


def test_starts_at_stays_the_same() -> None:
    """However often it is offered or sent, an alert keeps its start."""
    box = outbox()
    box.put([firing(at=WALL - 30)], WALL, 0.0)
    box.put([firing(at=WALL - 30)], WALL + 500, 500.0)
    assert box.take(0, 500.0, 1)[0].starts_at == WALL - 30


@pytest.mark.parametrize(("fired", "starts"), [(-59.0, -59.0), (-61.0, 0.0), (-86_400.0, 0.0), (300.0, 0.0)])
def test_an_old_alarm_begins_when_it_is_offered(fired: float, starts: float) -> None:
    """A start older than a minute would make Alertmanager tear its group; one in the future is now."""
    box = outbox()
    box.put([firing(at=WALL + fired)], WALL, 0.0)
    assert box.take(0, 0.0, 1)[0].starts_at == WALL + starts


@pytest.mark.parametrize("end", [-3600.0, 3600.0])
def test_an_end_lies_between_the_start_and_now(end: float) -> None:
    """An end before the start is refused, and one in the future would keep the alert firing."""
    box = outbox()
    box.put([firing(at=WALL - 7200)], WALL, 0.0)
    box.put([ended(at=WALL + end)], WALL + 10, 10.0)
    (parcel,) = box.take(0, 10.0, 1)
    assert parcel.starts_at <= parcel.ends_at <= WALL + 10


def test_resolved_is_told_for_fifteen_minutes() -> None:
    """A resolved alert is resent like a firing one, and forgotten after its retention."""
    box = outbox()
    box.put([firing()], WALL, 0.0)
    box.put([ended()], WALL, 0.0)
    times = []
    while (now := box.next_due(0)) < math.inf:
        parcels = box.take(0, now, 256)
        times += [now] * len(parcels)
        box.delivered(0, parcels, now)
    assert 15 <= len(times) <= 16
    assert times[-1] < 900.0
    assert box.dropped(0) == 0


def test_an_end_nobody_could_be_told_is_counted() -> None:
    """A reader that was away for the whole retention has lost the end, and the count says so."""
    box = outbox(readers=2)
    box.put([firing()], WALL, 0.0)
    box.put([ended()], WALL, 0.0)
    box.delivered(0, box.take(0, 0.0, 256), 0.0)
    box.take(1, 901.0, 256)
    assert (box.dropped(0), box.dropped(1)) == (0, 1)


def test_two_incidents_with_equal_labels_are_one_alert() -> None:
    """It fires as long as one of them does, in whatever order they are offered."""
    box = outbox()
    box.put([firing(incident="new"), ended(incident="old")], WALL, 0.0)
    assert box.take(0, 0.0, 1)[0].ends_at is None
    box.put([firing(incident="third")], WALL, 1.0)
    box.put([ended(incident="new")], WALL, 2.0)
    assert box.take(0, 2.0, 1)[0].ends_at is None
    box.put([ended(incident="third")], WALL, 3.0)
    assert box.take(0, 3.0, 1)[0].ends_at is not None


def test_an_alert_that_fires_again_begins_anew() -> None:
    """A second firing of the same alert has a start of its own."""
    box = outbox()
    box.put([firing()], WALL, 0.0)
    box.put([ended(at=WALL + 10)], WALL + 10, 10.0)
    box.delivered(0, box.take(0, 10.0, 1), 10.0)
    box.put([firing(incident="again", at=WALL + 20)], WALL + 20, 20.0)
    (parcel,) = box.take(0, 20.0, 1)
    assert (parcel.starts_at, parcel.ends_at) == (WALL + 20, None)
    assert box.dropped(0) == 0


def test_a_change_on_the_way_stays_due() -> None:
    """A state that was replaced while its parcel was under way is not taken for told."""
    box = outbox()
    box.put([firing()], WALL, 0.0)
    parcels = box.take(0, 0.0, 1)
    box.put([ended()], WALL, 1.0)
    box.delivered(0, parcels, 2.0)
    assert box.news(0) == 1
    assert box.take(0, 2.0, 1)[0].ends_at is not None


def test_news_goes_before_resends() -> None:
    """After an outage a new alert does not wait behind ten thousand resends."""
    box = outbox()
    box.put([firing(f"m{i}") for i in range(1000)], WALL, 0.0)
    box.delivered(0, box.take(0, 0.0, 1000), 0.0)
    box.put([firing("new")], WALL, 500.0)
    assert box.take(0, 500.0, 256)[0].alert.labels["model"] == "new"


def test_a_refused_alert_rests() -> None:
    """What was refused is tried again after the retention time, or as soon as its state changes."""
    box = outbox()
    box.put([firing()], WALL, 0.0)
    box.refused(0, box.take(0, 0.0, 1), 0.0)
    assert box.take(0, 899.0, 1) == []
    assert len(box.take(0, 900.0, 1)) == 1
    box.put([ended()], WALL, 901.0)
    assert len(box.take(0, 901.0, 1)) == 1


def test_ends_of_an_earlier_process() -> None:
    """An end unknown to this process is told if it is younger than the retention, for what is left of it."""
    box = outbox()
    box.put([ended("young", at=WALL - 600), ended("old", at=WALL - 901)], WALL, 0.0)
    (parcel,) = box.take(0, 0.0, 256)
    assert parcel.alert.labels["model"] == "young"
    box.delivered(0, [parcel], 0.0)
    assert box.take(0, 299.0, 256) != []
    assert box.take(0, 301.0, 256) == []


def test_beyond_the_cap_one_alert_says_so() -> None:
    """Alerts beyond the cap wait, the oldest first, one alert tells how many, and it resolves with the last of them."""
    box = outbox(alerts_max=3)
    box.put([firing(f"m{i}") for i in range(5)], WALL, 0.0)
    sent = box.take(0, 0.0, 256)
    roll_up = [parcel for parcel in sent if parcel.alert.labels["alertname"] == SUPPRESSED]
    assert len(sent) == 4
    assert roll_up[0].alert.annotations["suppressed"] == "2"
    assert (box.suppressed(), box.dropped(0)) == (2, 2)
    box.put([ended("m0")], WALL + 100, 100.0)
    assert box.suppressed() == 1
    promoted = {p.alert.labels.get("model"): p for p in box.take(0, 100.0, 256)}["m3"]
    assert promoted.starts_at == WALL + 100
    box.put([ended("m4")], WALL, 101.0)
    assert box.suppressed() == 0
    after = {p.alert.labels["alertname"]: p for p in box.take(0, 101.0, 256)}
    assert after[SUPPRESSED].ends_at is not None


def test_what_waits_is_bounded_too() -> None:
    """However many alerts fire, at most twice the cap is kept, and every one beyond it is counted."""
    box = outbox(alerts_max=10)
    box.put([firing(f"m{i}") for i in range(1000)], WALL, 0.0)
    assert len(box.take(0, 0.0, 10_000)) == 11
    assert (box.suppressed(), box.dropped(0)) == (10, 990)


def test_resolved_alerts_are_bounded() -> None:
    """A storm of short alerts keeps the newest ends, and counts those nobody was told."""
    box = outbox(alerts_max=10)
    for i in range(100):
        box.put([firing(f"m{i}"), ended(f"m{i}")], WALL, float(i))
    assert len(box.take(0, 100.0, 1000)) == 10
    assert box.dropped(0) == 90


class AnyHistory(RuleBasedStateMachine):
    """However incidents come and go and readers fail, what a reader has been told last is what holds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.box = outbox(readers=2, alerts_max=4)
        self.open: set[str] = set()
        self.known: list[dict[str, bool]] = [{}, {}]

    @rule(model=st.sampled_from("abcdefg"))
    def fire(self, model: str) -> None:
        self.open.add(model)
        self.box.put([firing(model, at=WALL + self.now)], WALL + self.now, self.now)

    @rule(model=st.sampled_from("abcdefg"))
    def resolve(self, model: str) -> None:
        self.open.discard(model)
        self.box.put([ended(model, at=WALL + self.now)], WALL + self.now, self.now)

    @rule(seconds=st.sampled_from([0.5, 30.0, 61.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(reader=st.sampled_from([0, 1]), limit=st.integers(1, 8))
    def deliver(self, reader: int, limit: int) -> None:
        parcels = self.box.take(reader, self.now, limit)
        self.box.delivered(reader, parcels, self.now)
        for parcel in parcels:
            assert parcel.ends_at is None or parcel.ends_at >= parcel.starts_at
            self.known[reader][parcel.alert.labels.get("model", "")] = parcel.ends_at is None

    @invariant()
    def nothing_is_forgotten(self) -> None:
        if self.box.suppressed() or self.box.news(0) or self.box.news(1):
            return
        for known in self.known:
            assert self.open <= {model for model, burns in known.items() if burns}

    @invariant()
    def sizes_are_bounded(self) -> None:
        assert len(self.box._entries) <= 2 * 4 + 1
        assert len(self.box._waiting) <= 4
        assert self.box._firing == sum(
            entry.ends_at is None and entry.alert.labels["alertname"] != SUPPRESSED
            for entry in self.box._entries.values()
        )


AnyHistory.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyHistory = AnyHistory.TestCase
