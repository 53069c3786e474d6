"""Is every event counted once by replicas of a cluster, whichever dies, and would this test see it if it were not?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.harness import UNFENCED, Outcome, Rig, Run, prepared
from faults.ledger import DRIFTS, EMPTIES
from servers.kafka import KafkaServer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.servers

EVENTS, SECONDS = 16_000, 16.0
FOR_EVER = 2.0
"""What is faulty stays so: a whole incident may not pass while a replica that died is waited for."""
RUNS = {
    "calm": Run(0, replicas=1),
    "killed": Run(4, seed=7, replicas=3),
    "unfenced": Run(3, seed=8, program=UNFENCED, replicas=2),
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rig, dict[str, Outcome]]:
    """A broker of its own: it may be killed too."""
    directory: Path = tmp_path_factory.mktemp("replicas")
    with KafkaServer(directory / "kafka") as kafka:
        rig = prepared(kafka, directory, EVENTS, mend=FOR_EVER)
        outcomes = rig.run_all(SECONDS, RUNS)
    for name, outcome in outcomes.items():
        print(f"{name}: {outcome}; {outcome.faults}")
    return rig, outcomes


def test_killed_under_load(ran: tuple[Rig, dict[str, Outcome]]) -> None:
    """Of three replicas killed under load the tick logs are the ledger, incidents those of one, all is told once."""
    _, outcomes = ran
    killed, calm = outcomes["killed"], outcomes["calm"]
    assert (calm.lost, calm.doubled) == (0, 0)
    assert (killed.lost, killed.doubled) == (0, 0)
    assert killed.incidents == calm.incidents
    assert {incident[1] for incident in calm.incidents.values()} == {DRIFTS, EMPTIES}
    assert killed.told.keys() == calm.told.keys()
    assert set(killed.told.values()) == {1}


def test_each_in_its_counter(ran: tuple[Rig, dict[str, Outcome]]) -> None:
    """A duplicate is recognised wherever it was read; late and broken records are counted by one replica each."""
    rig, outcomes = ran
    calm, sent = outcomes["calm"], rig.ledger.sent
    names = ("duplicate_events", "late_events", "dead_letters")
    assert [calm.counters[name] for name in names] == [sent["duplicated"], sent["late"], sent["broken"]]


def test_the_control_fails(ran: tuple[Rig, dict[str, Outcome]]) -> None:
    """Replicas that take what they are sent again count it again when one is killed, and the ledger says so.

    They also count what the producer sent twice, two values an event: that much is none of the kills'.
    """
    rig, outcomes = ran
    assert outcomes["unfenced"].doubled - 2 * rig.ledger.sent["duplicated"] > 50
