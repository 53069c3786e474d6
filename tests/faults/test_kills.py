"""Is every event counted once whatever is killed, and would this test see it if it were not?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.harness import BROKEN, Outcome, Rig, Run, prepared
from faults.ledger import DRIFTS, EMPTIES

if TYPE_CHECKING:
    from pathlib import Path

    from servers.kafka import KafkaServer

pytestmark = pytest.mark.servers

EVENTS, SECONDS = 16_000, 18.0
RUNS = {"calm": Run(0), "killed": Run(6, seed=7), "broken": Run(4, seed=8, program=BROKEN)}


@pytest.fixture(scope="module")
def ran(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Rig, dict[str, Outcome]]:
    directory: Path = tmp_path_factory.mktemp("faults")
    rig = prepared(kafka, directory, EVENTS)
    outcomes = rig.run_all(SECONDS, RUNS)
    for name, outcome in outcomes.items():
        print(f"{name}: {outcome}")
    return rig, outcomes


def test_killed_under_load(ran: tuple[Rig, dict[str, Outcome]]) -> None:
    """Killed under load the tick log is the ledger, incidents are those of an undisturbed run, all is told once."""
    _, outcomes = ran
    killed, calm = outcomes["killed"], outcomes["calm"]
    assert (killed.lost, killed.doubled) == (0, 0)
    assert killed.incidents == calm.incidents
    assert {incident[1] for incident in calm.incidents.values()} == {DRIFTS, EMPTIES}
    assert "resolved" in {incident[2] for incident in calm.incidents.values()}
    assert killed.told.keys() == calm.told.keys()
    assert set(killed.told.values()) == {1}


def test_each_in_its_counter(ran: tuple[Rig, dict[str, Outcome]]) -> None:
    """Duplicated, late and broken records are each in their counter, and the rest is exact, out of order or not."""
    rig, outcomes = ran
    calm, sent = outcomes["calm"], rig.ledger.sent
    assert sent["reordered"] > EVENTS * 0.08
    assert (calm.lost, calm.doubled) == (0, 0)
    names = ("duplicate_events", "late_events", "dead_letters")
    assert [calm.counters[name] for name in names] == [sent["duplicated"], sent["late"], sent["broken"]]
    assert min(sent.values()) > 50


def test_the_control_fails(ran: tuple[Rig, dict[str, Outcome]]) -> None:
    """A daemon whose offsets are not those of its sums counts twice when it is killed, and the ledger says so."""
    assert ran[1]["broken"].doubled > 0
