"""A desk with a generated fleet, for everything that reads a Status."""

from __future__ import annotations

from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.catalog.profile import Profile, number_series, packed
from monitor.clock import rfc3339
from monitor.dockets import digest
from monitor.incidents.incident import CellReport, Effect, Incident
from monitor.incidents.order import Order, Outcome
from monitor.status import MODEL_STATES, Check, DriftingFeature, DrilledModel, Fleet, History, ImpactRatio, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOCKET = b'{"is":"cell"}\n{"is":"judged"}'
NOW = 1_772_357_400.25
"""2026-03-01T09:30:00.250Z."""

HOSTILE_NAMES = (
    'quo"ted',
    "back\\slash",
    "new\nline",
    "a/b/c",
    "/",
    "naïve-模型-🙂",
    "<script>alert(1)</script>",
    "per%2Fcent?x=1#y",
    " spaced ",
    "it's & more",
    "{brace}",
    "\u202ereversed",
)


def made_fleet(names: Sequence[str]) -> Fleet:
    """Models in every state, some without events, some not judged yet."""
    names = sorted(names)
    n = len(names)
    rng = np.random.default_rng(7)
    last = np.where(np.arange(n) % 7 == 3, np.nan, NOW - rng.uniform(0, 3600, n))
    return Fleet(
        names=names,
        versions=[str(i % 3) if i % 4 else "" for i in range(n)],
        teams=["risk" if i % 2 else "" for i in range(n)],
        state=(np.arange(n) % len(MODEL_STATES)).astype(np.uint8),
        events=rng.integers(0, 10**6, n).astype(np.int64),
        last_event_time=last,
        drift_ratio=np.where(np.arange(n) % 5 == 2, np.nan, np.round(rng.gamma(1.0, 0.5, n), 3)),
    )


def made_incident(number: int, model: str, **changes: Any) -> Incident:
    """Incident ``number``, fired that many seconds before NOW; some things in it are unknown."""
    effect = Effect("shift", 0.31, 0.1)
    cell = CellReport("drift", "income\n", None, None, None, effect, float("nan"), None, NOW - number)
    fields: dict[str, Any] = {
        "id": f"i-{number:04d}",
        "kind": "drift",
        "alertname": "ModelFeatureDrift",
        "model": model,
        "version": "7",
        "detector": "drift",
        "feature": "income\n",
        "output": None,
        "attribute": None,
        "group": None,
        "severity": ("critical", "warning", "info")[number % 3],
        "state": "resolved" if number % 4 == 3 else "firing",
        "onset_time": None if number % 2 else NOW - 2 * number,
        "fired_time": NOW - number,
        "resolved_time": NOW if number % 4 == 3 else None,
        "effect": effect,
        "evidence_log10": 7.5,
        "summary": "A model input feature has left <its> reference.",
        "description": "income moved",
        "labels": {"alertname": "ModelFeatureDrift", "model": model},
        "cells": (cell,),
        "people_affected": 12,
        "cost": float("nan"),
        "related": ("i-0001",) if number == 0 else (),
        "policy_digest": "0" * 64,
        "reference_digest": "1" * 64,
        "docket_digest": digest(DOCKET),
    }
    return Incident(**{**fields, **changes})


def made_status(names: Sequence[str] = HOSTILE_NAMES, *, incidents: int = 8) -> Status:
    fleet = made_fleet(names)
    found = [made_incident(i, fleet.names[i % len(fleet.names)]) for i in range(incidents)] if fleet.names else []
    return Status(
        version="0.1.0",
        mode="run",
        started_at=NOW - 100,
        published_at=NOW - 0.5,
        watermark=NOW - 120,
        ready=True,
        loop_turned_at=NOW - 0.5,
        checks={"kafka": Check("ok", "12 partitions", NOW), "alertmanager": Check("degraded", "refused <b>", NOW)},
        fleet=fleet,
        incidents=found,
        budget={"per_week": 5.0, "shares": {"drift": 0.2}, "spent": {"drift": 0.25, "fairness": 1.5}},
        config_hash="abc",
        config_loaded_at=NOW - 100,
        drifting=[
            DriftingFeature(name, f"feature-{i}\n", "drift", 1.0 + i / 10) for i, name in enumerate(fleet.names[:5])
        ],
        drilled=[
            DrilledModel(name, {"shift_0.5": 1.5, "group_0.75": 30.0}, i) for i, name in enumerate(fleet.names[:4])
        ],
        impact=[ImpactRatio(name, "sex", f'g-"{i}', 0.5 + i / 10) for i, name in enumerate(fleet.names[:3])],
    )


def drilled(model: str) -> dict[str, Any]:
    """What a fire drill found of a model: one fault that would be seen, one that would not."""
    found = {"feature": "x", "space": "feature", "fault": "shift_1", "words": "if <x> moved"}
    found |= {"attribute": None, "group": None, "asked": None}
    seen, unseen = {**found, "detector": "drift", "days": 0.5}, {**found, "detector": None, "days": None}
    when = {"time": "2026-03-01T09:30:00.250Z", "measured_until": "2026-03-01T09:00:00.000Z", "measured_days": 7.0}
    return {"model": model, **when, "horizon_days": 30.0, "faults": [seen, unseen], "blind_spots": [unseen]}


def detail(model: str) -> dict[str, Any]:
    """A document such as the loop gives."""
    return {
        "model": model,
        "version": "7",
        "state": "firing",
        "events": 1234,
        "first_event_time": "2026-02-01T09:30:00.250Z",
        "last_event_time": "2026-03-01T09:30:00.250Z",
        "facts": [{"time": "2026-02-01T09:30:00.250Z", "what": "reference file", "subject": "abc"}],
        "features": [
            {
                "name": "income <b>",
                "space": "feature",
                "kind": "numeric",
                "state": "firing",
                "effect": {"name": "shift", "value": 0.31, "tolerance": 0.1},
                "evidence_log10": float("nan"),
                "reference": {"bins": ["<= 0", "0 to 1", "> 1"], "counts": [3, 4, 5], "missing": 1.0},
                "current": {"bins": ["<= 0", "0 to 1", "> 1"], "counts": [1, 1, 9], "missing": 0.0},
            }
        ],
        "splits": [{"segment": "country=<SE>", "state": "watching", "events": 40}],
        "associations": [
            {
                "detector": "impact",
                "attribute": "sex",
                "group": "g-00112233",
                "of": None,
                "output": None,
                "rates": [{"group": "g-00112233", "n": 50, "favourable": 9, "rate": 0.18, "low": 0.1, "high": 0.3}],
                "effect": {"name": "impact_ratio", "value": 0.6, "tolerance": 0.8},
                "interval": [0.4, 0.7],
                "evidence_log10": 3.2,
                "state": "firing",
            },
            {
                "detector": "opportunity",
                "attribute": "sex",
                "group": None,
                "of": None,
                "output": None,
                "rates": [],
                "effect": None,
                "interval": None,
                "evidence_log10": None,
                "state": "not identified",
                "why": "only <some> outcomes are known",
            },
        ],
        "performance": {
            "waiting": 4,
            "cases": 900,
            "outcomes": 890,
            "mean_delay_seconds": 7200.0,
            "fates": {"joined": 890, "repeated": 3},
            "figures": {"cost": {"value": 1.25, "n": 890, "interval": [1.0, 1.5]}},
            "cells": [
                {
                    "measure": "error_rate",
                    "state": "watching",
                    "present": 0.05,
                    "reference": 0.04,
                    "reference_cases": 500,
                    "contract": None,
                    "edge": 0.09,
                    "evidence_log10": 0.2,
                },
                {
                    "measure": "logit_shift",
                    "state": "learning",
                    "present": None,
                    "reference_cases": 500,
                    "tolerance": 0.2,
                    "evidence_log10": None,
                },
            ],
            "reliability": [
                {"from": 0.0, "to": 0.5, "mean_score": 0.3, "value": 0.28, "n": 400, "interval": [0.24, 0.33]},
                {"from": 0.5, "to": 1.0, "mean_score": 0.7, "value": 0.9, "n": 400, "interval": [0.86, 0.93]},
            ],
            "early": {"error_rate": {"value": 0.06, "n": 30, "interval": [0.01, 0.2]}},
            "estimate": {"estimate": True, "error_rate": {"value": 0.05, "n": 300, "interval": None}},
            "currency": "EUR",
        },
        "calibration_by_group": [
            {
                "attribute": "sex",
                "group": "g-00112233",
                "n": 50,
                "logit_shift": -0.3,
                "interval": [None, 0.1],
                "state": "watching",
                "moved": 0.1,
            }
        ],
        "advice": {"action": "roll_back", "reason": "a <new> version came with it"},
        "leaning": {
            "follows": 0.4,
            "features": [
                {
                    "feature": "income <b>",
                    "lean": 0.2,
                    "loss_lean": None,
                    "strata": [
                        {"stratum": "<= 1", "answer": {"value": 0.4}, "answer_since": {"value": 0.5}},
                        {"stratum": "> 1", "answer": {"value": 0.2}, "answer_since": {"value": None}},
                    ],
                }
            ],
            "bill": {
                "loss": {
                    "before": 0.2,
                    "after": 0.3,
                    "change": 0.1,
                    "by": "income <b>",
                    "population": 0.02,
                    "behaviour": 0.08,
                    "cases": 88,
                }
            },
        },
        "traffic": {
            "retired": False,
            "judged": True,
            "silent_at": "2026-03-01T12:30:00.000Z",
            "ratio": 0.9,
            "expected_by_hour_of_week": [float(hour % 24) for hour in range(168)],
        },
        "conduct": [
            {
                "detector": "far_outside",
                "state": "watching",
                "before": 0.01,
                "now": 0.02,
                "effect": {"name": "rate", "value": 0.01, "tolerance": 0.02},
                "evidence_log10": 0.4,
            }
        ],
        "blind_spots": [
            {"detector": "impact", "attribute": "age_band", "why": "too few events", "events_needed": 9000}
        ],
        "drill": drilled(model),
    }


PROFILE = Profile("m", "7", 1000, "learned", [number_series("income <b>", "feature", np.arange(1000.0), 1000)])
EXHIBITS = {"0" * 64: b'favourable = ["<yes>"]\n', "1" * 64: packed(PROFILE)[1], digest(DOCKET): DOCKET}
"""What judged the incidents that are made: a policy, a reference and a docket by digest."""


def past(model: str, since: float, until: float) -> History:
    """What was known in a range, such as a shard gives, with names of every kind."""
    begin, end, step = rfc3339(since), rfc3339(until), (until - since) / 4
    bins = {"bins": ["<= 0", "0 to 1", "> 1"], "missing": 1.0, "invalid": 0.0, "wrong_type": 0.0}
    cell = {"detector": "drift", "effect": {"name": "share_gap", "value": 0.31, "tolerance": 0.1}, "ratio": 3.1}
    feature = {
        "name": "income <b>",
        "space": "feature",
        "kind": "number",
        "retired": False,
        "reference_complete": True,
        "not_judged_because": None,
        "events": 400,
        "present": 399,
        "cells": [cell],
        "ratios": [None, 0.4, 1.2, 5.0],
        "evidence_ratios": [None, 0.0, 0.42, 1.0],
        "effects": {"debiased_psi": 0.21, "w1_over_sigma": None},
        "reference": {**bins, "counts": [3, 4, 5]},
        "current": {**bins, "counts": [1, 1, 9]},
    }
    hidden = {**feature, "name": "sex", "kind": "category", "cells": [], "ratios": [None] * 4, "evidence_ratios": None}
    hidden |= {"reference": None, "current": None}
    rates = [
        {"group": group, "n": n, "favourable": k, "rate": k / n, "low": 0.1, "high": 0.8}
        for group, n, k in (("g-00112233", 50, 9), ("g-44556677", 90, 40))
    ]
    effect = {"name": "impact_ratio", "value": 0.405, "tolerance": 0.8}
    customary = [
        {
            "group": "g-00112233",
            "n": 50,
            "share": 50 / 140,
            "rate": 0.18,
            "ratio_to_highest": 0.405,
            "z": -3.1,
            "fisher_p": 0.002,
        },
        {
            "group": "g-44556677",
            "n": 90,
            "share": 90 / 140,
            "rate": 0.444,
            "ratio_to_highest": 1.0,
            "z": None,
            "fisher_p": None,
        },
    ]
    association = {
        "attribute": "sex",
        "detector": "impact",
        "output": None,
        "from": begin,
        "until": end,
        "hidden": 2,
        "rates": rates,
        "compared": [{"group": "g-00112233", "effect": effect, "interval": [0.2, None]}],
        "customary": [{"date": end, "from": begin, "groups": customary}],
    }
    figure = {"value": 0.05, "n": 900, "interval": [0.04, 0.066]}
    fact = {"time": begin, "what": "reference complete", "subject": "7"}
    document = {
        "model": model,
        "segment": None,
        "segments": ["country=<SE>"],
        "from": begin,
        "until": end,
        "version": "7",
        "team": "risk",
        "smallest_group": 20,
        "versions": ["6", "7"],
        "policy": {"digest": "a" * 64, "text": 'favourable = ["<yes>"]\n'},
        "reference": {"digest": None, "source": "learned", "version": None, "events": 10_000},
        "first_event_time": begin,
        "reached_time": end,
        "covered": {"from": begin, "until": end},
        "events": 400,
        "step_seconds": step,
        "volume": [
            {
                "from": rfc3339(since + i * step),
                "until": rfc3339(since + (i + 1) * step),
                "events": 100,
                "predictions": 90,
                "outcomes": 9,
            }
            for i in range(4)
        ],
        "features": [feature, hidden],
        "facts": [fact],
        "reference_changed_since": [fact],
        "stretches": [{"what": "excluded", "from": begin, "until": end, "by": "ada", "note": "<i>"}],
        "performance": {
            "from": begin,
            "until": end,
            "currency": None,
            "cases": 900,
            "outcomes": 900,
            "coverage": {"value": 1.0, "n": 900, "interval": [0.99, 1.0]},
            "figures": {"error_rate": figure, "recall": {"value": None, "why": "not identified"}},
        },
        "associations": [association],
    }
    group = {"attribute": "sex", "group": "g-00112233", "alertname": "ModelDisparateImpact", "kind": "fairness"}
    return History(document, [made_incident(3, model), made_incident(4, model, **group)])


class FakeDesk:
    """Publishes what a test sets. ``gate`` holds detail requests back until it is set; ``busy`` times them out."""

    keeps_past = True

    def __init__(self, status: Status) -> None:
        self.published = status
        self.busy = False
        self.broken = False
        self.asked = 0
        self.orders: list[Order] = []
        self.exhibits: dict[str, bytes] = dict(EXHIBITS)
        self.outcome = Outcome()
        self.gate = Event()
        self.gate.set()

    def change(self, **changes: Any) -> None:
        self.published = replace(self.published, **changes)

    def status(self) -> Status:
        return self.published

    def group_codes(self, model: str) -> dict[str, Any] | None:
        if model not in self.status().fleet.names:
            return None
        groups = [{"group": "g-0badcafe", "value": "F", "n": 40}]
        return {"model": model, "attributes": [{"attribute": "sex", "groups": groups, "hidden": 2}]}

    def drill(self, model: str) -> Callable[[], dict[str, Any]] | None:
        if self.busy:
            raise TimeoutError
        return (lambda: drilled(model)) if model in self.published.fleet.names else None

    def history(self, model: str, segment: str = "") -> Callable[[float, float], History] | None:
        if self.busy:
            raise TimeoutError
        known = model in self.published.fleet.names and segment in {"", "country=<SE>"}
        return (lambda since, until: past(model, since, until)) if known else None

    def exhibit(self, digest: str) -> bytes | None:
        return self.exhibits.get(digest)

    def order(self, order: Order) -> Outcome:
        """Remember what was asked for, and say what a test set."""
        if self.busy:
            raise TimeoutError
        self.orders.append(order)
        return self.outcome

    def model_detail(self, model: str) -> dict[str, Any] | None:
        self.asked += 1
        assert self.gate.wait(10)
        if self.busy:
            raise TimeoutError
        if self.broken:
            raise ZeroDivisionError
        return detail(model) if model in self.published.fleet.names else None
