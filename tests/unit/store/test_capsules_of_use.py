"""Can an incident about how a model is used, or what it answers, be judged again from its capsule alone?"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import LEARNED, hourly, new_fleet
from fleets.capsules import VERIFY, capsule_of, in_line, kept, of_step, refused, rewritten

from monitor import auditing
from monitor.catalog.outputs import with_outputs
from monitor.catalog.policies import Clause, Policies
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

POLICY = {"tick": "1h", "allowed_outputs": ("cat", "dog")}
NORMAL = np.random.default_rng(61).normal(0, 1, (8, 8_000))
UNIFORM = np.random.default_rng(62).random(8_000)
BEGINS = LEARNED + 34


def watched() -> Fleet:
    fleet = new_fleet(POLICY)
    fleet.reload_policies(with_outputs(Policies([Clause("*", POLICY, "test")])).resolve)
    return fleet


def features(what: str, i: int) -> dict[str, Any]:
    """Numbers of eight features; from some hour on many are the same, or far outside in two at a time."""
    found = {f"x{k}": float(x) for k, x in enumerate(NORMAL[:, i])}
    late = i >= 50 * BEGINS
    if what == "repeated" and late and i % 4 == 0:
        return {f"x{k}": 1.3 + 1e-4 * float(x) for k, x in enumerate(NORMAL[:, i])}
    if what == "far_outside" and late and i % 12 == 0:
        return found | {f"x{i // 12 % 8}": 40.0 + i, f"x{(i // 12 + 3) % 8}": -90.0 - i}
    return found


def lived(fleet: Fleet, what: str, hours: range) -> list[Incident]:
    """What changes of a model; answers that are not allowed come from some hour on too."""
    wrong = lambda i: what == "not_allowed" and i >= 50 * BEGINS and UNIFORM[i] < 0.02
    answer = lambda i: "toaster" if wrong(i) else "cat" if i % 2 else "dog"
    return hourly(fleet, lambda i: features(what, i), hours, prediction=answer)


@cache
def story(what: str) -> tuple[Fleet, Incident]:
    """A fleet to which it happened, and the incident as it opened."""
    fleet = watched()
    return fleet, lived(fleet, what, range(BEGINS + 30))[0]


@pytest.mark.parametrize("what", ["repeated", "far_outside", "not_allowed"])
def test_a_capsule_of_use_is_judged_again(what: str) -> None:
    """Queries that repeat, inputs far outside, answers that are not allowed: each follows from its sums."""
    fleet, incident = story(what)
    found = capsule_of(fleet, incident)
    assert VERIFY.verify(found)[0].startswith(f"{incident.id}: {what} of m had to fire at")
    for change, place in (
        (of_step("s", lambda s: [s[0] + 1], 0), "line 4 of the docket, the tick that ended at"),
        (of_step("n", lambda n: n - 1, 0), "line 4 of the docket, the tick that ended at"),
        (in_line("null", "high", lambda high: [high[0] + 0.01]), "line 3 of the docket: the null's upper edge"),
        (in_line("cell", "hold", lambda _: 7200.0), "it does not fire here"),
        (in_line("fired", "told", lambda told: told + 0.1), "what is told"),
        (in_line("fired", "budget", lambda paid: paid | {"weight": 2.0}), "its budget"),
    ):
        assert place in refused(rewritten(found, change))


def test_a_restart_goes_on_with_a_docket_of_use(tmp_path: Path) -> None:
    """A store that is read back in the middle of a suspicion gives the docket that an unbroken run gives."""
    fleet, fired = story("not_allowed")
    steps = [json.loads(line) for line in capsule_of(fleet, fired)["docket"]]
    ends = [line["end"] for line in steps if line["is"] == "step"]
    assert len(ends) > 1
    hours = BEGINS + 30 - round((max(fleet.models.rows["closed_until"][0] - ends[-1], 0.0)) / 3600.0) - 1
    first, again = watched(), watched()
    lived(first, "not_allowed", range(hours))
    assert len(first.conduct.dockets) == 1
    kept(tmp_path / "store", first, [])
    with Database(tmp_path / "store") as database:
        Checkpoint(database, TickLog(database, np.inf)).load(again, EventTime(0.0))
        after = lived(again, "not_allowed", range(hours, BEGINS + 30))[0]
    assert (after.id, after.docket_digest) == (fired.id, fired.docket_digest)


def test_the_command_writes_it(tmp_path: Path) -> None:
    """From a store, for whoever asks, with the entry of the trail that names its docket."""
    fleet, fired = story("repeated")
    fresh = dict(fleet.exhibits.fresh)
    kept(tmp_path / "store", fleet, [fired])
    fleet.exhibits.fresh = fresh
    found = auditing.capsule(tmp_path / "store", fired.id, of_groups=False)
    entry = next(each for each in auditing.entries(tmp_path / "store") if each.subject == fired.id)
    assert (found["entry"], entry.said["docket"]) == (entry.number, found["incident"]["docket_digest"])
    assert VERIFY.verify(found)
