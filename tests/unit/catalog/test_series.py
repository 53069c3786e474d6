"""Which series are no distributions worth judging, and are they listed with the reason?"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from fleets.build import LEARNED, START, hourly, new_fleet, series_named

from monitor.catalog.references import unjudged_number
from monitor.catalog.series import UNJUDGED
from monitor.portrait import model_document

RNG = np.random.default_rng(11)
NORMAL = RNG.normal(0, 1, 10_000)
WORDS = ["the", "payment", "was", "refused", "by", "our", "bank", "twice"]


def moment(i: int, spelling: str) -> str:
    return datetime.fromtimestamp(START + 60 * i, UTC).strftime(spelling)


CASES = {
    "normal": (lambda i: float(NORMAL[i]), None),
    "count": (lambda i: int(RNG.poisson(3)), None),
    "level": (lambda i: ["low", "mid", "high"][i % 3], None),
    "flag": (lambda i: i % 3 == 0, None),
    "always": (lambda i: 7.0, "constant"),
    "one": (lambda i: "x", "constant"),
    "row": (lambda i: 1000 + i, "counter"),
    "created": (lambda i: START + 60 * i - 3600, "timestamp"),
    "created_ms": (lambda i: int((START + 60 * i) * 1000), "timestamp"),
    "created_on": (lambda i: moment(i, "%Y-%m-%d"), "timestamp"),
    "created_at": (lambda i: moment(i, "%Y-%m-%dT%H:%M:%S.%fZ"), "timestamp"),
    "day": (lambda i: int(moment(i, "%Y%m%d")), "timestamp"),
    "midnight": (lambda i: (START + 60 * i) // 86400 * 86400, "timestamp"),
    "batch": (lambda i: 1000 + i // 3, "counter"),
    "run": (lambda i: 7 + i // 50, "counter"),
    "hour": (lambda i: i // 50 % 24, None),
    "policy_since": (lambda i: "2019-07-01", "constant"),
    "plan_of": (lambda i: ["2019-07-01", "2021-01-01"][i % 2], None),
    "user_id": (lambda i: int(RNG.integers(0, 10**9)), "identifier"),
    "token": (lambda i: f"{RNG.integers(0, 2**60):015x}", "identifier"),
    "comment": (lambda i: " ".join(RNG.choice(WORDS, 6)) + f" {i}", "free text"),
    "either": (lambda i: 1.5 if i % 3 == 0 else "text", "mixed types"),
}


@pytest.fixture(scope="module")
def judged():
    fleet = new_fleet({"tick": "1h"})
    hourly(fleet, lambda i: {name: make(i) for name, (make, _) in CASES.items()}, range(LEARNED))
    return fleet


@pytest.mark.parametrize("name", list(CASES))
def test_recognised(judged, name: str) -> None:
    """Constants, counters, clocks, identifiers, free text and mixed types are not judged for drift; the rest is."""
    row, reason = series_named(judged, name), CASES[name][1]
    assert UNJUDGED[int(judged.series.rows["unjudged"][row])] == (reason or "")
    assert bool(judged.judge.states["drift"]["applies"][row]) == (reason is None)
    assert judged.judge.states["missing"]["applies"][row] == 1


def test_listed_with_the_reason(judged) -> None:
    """The model's document tells of each feature why it is not judged, and lists it as a blind spot."""
    document = model_document(judged, 0, 1)
    told = {feature["name"]: feature["not_judged_because"] for feature in document["features"]}
    assert told == {name: reason for name, (_, reason) in CASES.items()}
    blind = {
        spot["feature"]: spot["why"]
        for spot in document["blind_spots"]
        if spot["detector"] == "drift" and "days" not in spot
    }
    assert blind == {name: reason for name, (_, reason) in CASES.items() if reason}


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("age", np.arange(18, 118) % 60, ""),
        ("income", np.random.default_rng(0).permutation(np.arange(20_000, 20_100)), ""),
        ("customer_id", np.random.default_rng(0).permutation(np.arange(20_000, 20_100)), "identifier"),
        ("customerId", np.random.default_rng(0).permutation(np.arange(20_000, 20_100)), "identifier"),
        ("humidity", np.random.default_rng(0).permutation(np.arange(20_000, 20_100)), ""),
        ("valid", np.random.default_rng(0).permutation(np.arange(20_000, 20_100)), ""),
        ("x", np.random.default_rng(0).integers(0, 2**52, 100), "identifier"),
        ("x", np.arange(100) * 3, "counter"),
        ("x", np.arange(100) * 0.5, ""),
        ("x", np.arange(128) // 3, "counter"),
        ("hour", np.arange(128) // 6, ""),
        ("x", np.arange(128).reshape(-1, 4)[:, [0, 2, 1, 3]].ravel(), "counter"),
        ("customer_id", np.random.default_rng(0).integers(1_000, 1_300, 128), "identifier"),
        ("custid", np.random.default_rng(0).integers(10**6, 10**8, 128), "identifier"),
        ("account_number", np.random.default_rng(0).integers(10**6, 10**8, 128), "identifier"),
        ("store_id", np.arange(128) % 5, ""),
        ("x", np.full(100, 20260301.0), ""),
        ("x", np.arange(20), ""),
        ("x", START + np.arange(100) * 86400.0, "timestamp"),
        ("x", (START - 90 * 86400.0 + np.arange(100)) * 1e9, "timestamp"),
        ("x", START + np.arange(100) * 366 * 86400.0, "counter"),
        ("x", np.append(1.7e308, np.arange(99) % 7), ""),
    ],
)
def test_numbers_by_their_first_values(name: str, values, reason: str) -> None:
    """What gives a number away is its name, that it only rises, that it never repeats, or that it tells the time."""
    assert UNJUDGED[unjudged_number(name, values.astype(np.float64), START)] == reason


def test_labels_of_bins(judged) -> None:
    """A bin is named by its category or by its range."""
    row = series_named(judged, "level")
    assert [judged.series.bin_label(row, i) for i in (0, 1, 2, 30, 31)] == ["low", "mid", "high", "other", "unseen"]
    row = series_named(judged, "count")
    assert judged.series.bin_label(row, 0) == "<= 0"
    assert judged.series.bin_label(row, 1) == "0 to 1"
    assert judged.series.bin_label(row, 31).startswith("> ")


def test_running_numbers_leave_no_range() -> None:
    """Counters, clocks and identifiers grow for ever, and that is no fault; a constant that moves is one."""
    fleet, clocks = new_fleet({"tick": "1h"}), ("created", "created_ms", "created_on", "created_at", "day", "midnight")
    running = ("row", "batch", "user_id", *clocks)
    features = lambda i: {name: CASES[name][0](i) for name in running} | {"always": 7.0 if i < 5000 else 8.0}
    assert hourly(fleet, features, range(100)) == []
    assert [i.feature for i in hourly(fleet, features, range(100, 110))] == ["always"]
