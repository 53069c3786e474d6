"""Is this the only daemon of its group? Each joins a group beside its own assignment, so that another one is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from monitor.clock import Clock
from monitor.errors import IngestError
from monitor.ingest.kafka_client import open_client
from monitor.ingest.kafka_members import GroupMembers

SESSION_SECONDS = 6.0
"""After so long without a sign of life the broker lets a member go."""
PATIENCE_SECONDS = SESSION_SECONDS + 4.0
"""How long another member may be a dead one that the broker still believes in."""
WAITING_SECONDS, SEATED_SECONDS = 0.5, 10.0
"""How often it is asked who is there: while this daemon waits for a seat of its own, and afterwards."""
_NAME = "modelwatch"


class Membership:
    """A seat in the group ``<group_id>.members``, whose members are daemons and read nothing through it.

    ``owner`` names the store: a member of the same owner is this daemon's own past, for a store is open in one process
    at a time; replicas of a cluster are one owner together. Of two others the one that started later is refused; where
    the machines' clocks differ, the one whose clock says so.
    """

    def __init__(self, group_id: str, owner: str, settings: Mapping[str, Any], clock: Clock) -> None:
        self.group = f"{group_id}.members"
        self._group_id = group_id
        self._clock = clock
        self._own = (round(clock.now() * 1000), owner)
        self._seen_since = float("inf")
        self._joined = False
        self._asking = GroupMembers(self.group, settings, clock)
        self._members: list[tuple[int, str]] | None = None
        """When each member started, in milliseconds since the epoch, and its owner; others than daemons left out."""
        self._trouble: KafkaException | None = None
        ours = {
            "group.id": self.group,
            "client.id": f"{_NAME}/{owner}/{self._own[0]}",
            "session.timeout.ms": round(SESSION_SECONDS * 1000),
            "heartbeat.interval.ms": 1_000,
            "max.poll.interval.ms": 60_000,
            "enable.auto.commit": False,
        }
        self._consumer = open_client(Consumer, {**settings, **ours}, clock)

    def alone(self, topics: Sequence[str]) -> bool:
        """Whether no other daemon was there first; ``False`` while one may be dead and not yet let go.

        Nor is anyone alone before they have a seat themselves: of two that start at once, each sees the other then.

        Raises
        ------
        IngestError
            Another one was there first, and lives.
        KafkaException
            No broker answers, or it does not let this client look.
        """
        if not self._joined:
            self._consumer.subscribe(list(topics), on_assign=_read_nothing)
            self._joined = True
        self.beat()
        if self._trouble is not None:
            raise self._trouble
        now = self._clock.monotonic()
        if not self._rivals():
            self._seen_since = float("inf")
            return self._seated
        self._seen_since = min(self._seen_since, now)
        if now - self._seen_since > PATIENCE_SECONDS:
            raise IngestError(
                f"another modelwatch reads as group {self._group_id}, with a store of its own: everything would be "
                "told twice. Stop it, give one of them another kafka.group_id, or share the fleet by [cluster] enabled"
            )
        return False

    def beat(self) -> None:
        """Say that this daemon lives, and hear who else does; called with every turn of the loop."""
        self._consumer.poll(0)
        if self._joined:
            self._listen()

    def close(self) -> None:
        """Leave the group, so that another daemon need not wait."""
        self._consumer.close()

    @property
    def _seated(self) -> bool:
        return self._own in (self._members or ())

    def _rivals(self) -> list[tuple[int, str]]:
        return [each for each in self._members or () if each[1] != self._own[1] and each < self._own]

    def _listen(self) -> None:
        """Take in who is there, if that was answered; asked often before this daemon has its seat for itself."""
        calm = self._seated and not self._rivals()
        try:
            names = self._asking.heard(SEATED_SECONDS if calm else WAITING_SECONDS)
        except KafkaException as error:
            self._trouble = error
            return
        if names is None:
            return
        parts = [name.split("/") for name in names]
        own = [part for part in parts if len(part) == 3 and part[0] == _NAME and part[2].isdigit()]
        self._members, self._trouble = [(int(part[2]), part[1]) for part in own], None


def _read_nothing(consumer: Consumer, _: list[TopicPartition]) -> None:
    consumer.assign([])
