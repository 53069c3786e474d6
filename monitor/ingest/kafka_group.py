"""Partitions that a consumer group shares out: taken, read, and committed under the fence of its generation."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from monitor.clock import Clock
from monitor.errors import IngestError
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.kafka_client import admin_settings, consumer_settings, reason_of
from monitor.ingest.kafka_members import GroupMembers
from monitor.ingest.kafka_reader import Reader
from monitor.ingest.schema_gate import SchemaGate
from monitor.ingest.settings import KafkaSettings

COMMITTED_SECONDS = 10.0
RETRY_SECONDS = 0.5
_MEMBERS_SECONDS = 10.0
_MAGIC = b"CGMDv2:"
_GENERATION = struct.Struct("<i")

GROUP_SETTINGS: Mapping[str, Any] = {
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 1_000,
    # Also how long a group that gathers anew waits at most for a member that does not come. A broker that came back
    # from a crash now and then keeps those of before, under their old names, and never lets their sessions end.
    "max.poll.interval.ms": 60_000,
}
_OWNED: Mapping[str, Any] = {"partition.assignment.strategy": "cooperative-sticky"}
_FOR_GOOD = frozenset({KafkaError.OFFSET_METADATA_TOO_LARGE, KafkaError.INVALID_COMMIT_OFFSET_SIZE})


class Committed(NamedTuple):
    """An offset, and what was written beside it."""

    offset: int
    metadata: str


class Holder(Protocol):
    """Who holds the partitions that the group gives to this member."""

    def begin(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Make ready to read ``partitions``; from where to read those that are. Asked again for the others.

        May raise ``KafkaException`` while a broker is away.
        """
        ...

    def give_up(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """``partitions`` are this member's no longer; while they are not ``lost``, they may be committed once more.

        Some of them may not have been begun.
        """
        ...


class GroupReader:
    """A member of a consumer group. Its callbacks run inside :meth:`read`, and nothing else touches the group.

    A commit is fenced: it is refused once the group has gone on without this member. ``confirmed_at`` is the monotonic
    moment at which the newest commit that was not refused began: for :attr:`session_seconds` from then on the group
    gives nothing of this member's to another one unasked.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        holder: Holder,
        clock: Clock,
        reads_headers: Callable[[str], bool] = lambda _topic: False,
        gate: SchemaGate | None = None,
        is_native: Callable[[str], bool] = lambda _topic: False,
    ) -> None:
        bootstrap, settings = kafka.bootstrap_servers, kafka.client()
        ours = {**consumer_settings(bootstrap, group, {**GROUP_SETTINGS, **settings}), **_OWNED}
        self.group = group
        self.session_seconds = float(ours["session.timeout.ms"]) / 1000.0
        self.confirmed_at = float("-inf")
        self.rebalances = 0
        self.refused = 0
        """Commits that the group did not take."""
        self.members = 0
        self._holder = holder
        self._clock = clock
        self._topics: frozenset[str] = frozenset()
        self.reader = Reader(ours, clock, reads_headers, gate, is_native)
        self._asking = GroupMembers(group, admin_settings(bootstrap, settings), clock)
        self.fresh: set[Partition] = set()
        """Given by the group, and not read yet."""
        self._begin_at = float("-inf")

    def subscribe(self, topics: Iterable[str]) -> None:
        """Take part in sharing out the partitions of ``topics``, which exist."""
        wanted = frozenset(topics)
        if wanted and wanted != self._topics:
            self._topics = wanted
            self.reader.consumer.subscribe(
                sorted(wanted), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )

    @property
    def subscribed(self) -> bool:
        """Whether there is anything to share out."""
        return bool(self._topics)

    def read(self, records_max: int, timeout_seconds: float) -> RawBatch:
        """Return the next records of the partitions that are held; partitions come and go meanwhile.

        What is returned may hold records of partitions that were given up since they were read, never of those that
        were begun since.
        """
        if self.fresh and self._clock.monotonic() >= self._begin_at:
            self._begin()
        try:
            batch = self.reader.read(records_max, timeout_seconds)
        except KafkaException as error:  # of taking partitions up again behind an outage, while they are shared out
            raise IngestError(f"group {self.group}: {reason_of(error)}") from error
        if self.reader.lost:
            self._begin_anew(sorted(self.reader.lost))
        return batch

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:
        """What the group has of each partition; nothing of one that it never committed. Raises ``KafkaException``."""
        asked = [TopicPartition(*each) for each in partitions]
        found = {}
        for each in self.reader.consumer.committed(asked, timeout=COMMITTED_SECONDS):
            if each.error is not None:
                raise KafkaException(each.error)
            if each.offset >= 0:
                found[Partition(each.topic, each.partition)] = Committed(each.offset, each.metadata or "")
        return found

    def commit(self, offsets: Mapping[Partition, tuple[int, str]]) -> bool:
        """Commit offsets, each with what is written beside it; ``False`` where the group did not take them now.

        Raises
        ------
        IngestError
            It never will.
        """
        began = self._clock.monotonic()
        targets = [TopicPartition(*each, offset, metadata) for each, (offset, metadata) in offsets.items()]
        try:
            answers = self.reader.consumer.commit(offsets=targets, asynchronous=False) or []
        except KafkaException as error:
            return self._not_taken(error.args[0])
        for answer in answers:
            if answer.error is not None:
                return self._not_taken(answer.error)
        self.confirmed_at = began
        return True

    @property
    def assured(self) -> bool:
        """Whether nobody else can hold what this member does, by what it knows."""
        return self._clock.monotonic() < self.confirmed_at + self.session_seconds

    @property
    def generation(self) -> int:
        """Of the group, as this member knows it; -1 before it joined."""
        known = self.reader.consumer.consumer_group_metadata()
        if not isinstance(known, bytes) or not known.startswith(_MAGIC):
            return -1
        return int(_GENERATION.unpack_from(known, len(_MAGIC))[0])

    @property
    def member(self) -> str:
        """The name that the group gave this member."""
        return self.reader.consumer.memberid() or ""

    def count_members(self) -> None:
        """Take in how many members the group has, if that was answered; never waits."""
        with contextlib.suppress(KafkaException):
            names = self._asking.heard(_MEMBERS_SECONDS)
            self.members = self.members if names is None else len(names)

    def close(self) -> None:
        """Give up everything, and leave the group."""
        self.reader.close()

    def _not_taken(self, error: KafkaError) -> bool:
        if error.code() in _FOR_GOOD or error.fatal():
            raise IngestError(f"group {self.group} does not take a commit: {error.str()}")
        self.refused += 1
        return False

    def _begin(self) -> None:
        """Read what was given and is ready, between two batches: nothing waits inside the group's callbacks."""
        try:
            starts = self._holder.begin(sorted(self.fresh))
            if starts:
                self.reader.place(starts)
                self.fresh -= starts.keys()
            else:
                self._begin_at = self._clock.monotonic() + RETRY_SECONDS
        except KafkaException as error:
            self.reader.trouble = reason_of(error)
            self._begin_at = self._clock.monotonic() + RETRY_SECONDS

    def _begin_anew(self, partitions: Sequence[Partition]) -> None:
        """The broker has not what comes next in ``partitions``: whoever holds them is asked where to go on."""
        self._holder.give_up(partitions, lost=True)
        self.reader.drop(partitions)
        self.reader.lost.clear()
        self.fresh |= set(partitions)

    def _assigned(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        self.rebalances += 1
        self.fresh |= {Partition(each.topic, each.partition) for each in given}
        self._begin_at = self._clock.monotonic()
        consumer.incremental_assign([])

    def _revoked(self, _: Consumer, taken: list[TopicPartition]) -> None:
        self._let_go(taken, lost=False)

    def _lost(self, _: Consumer, taken: list[TopicPartition]) -> None:
        self._let_go(taken, lost=True)

    def _let_go(self, taken: list[TopicPartition], *, lost: bool) -> None:
        self.rebalances += 1
        partitions = [Partition(each.topic, each.partition) for each in taken]
        self._holder.give_up(partitions, lost=lost)
        self.fresh -= set(partitions)
        if not self.reader.drop(partitions):
            self.reader.consumer.incremental_unassign([])
