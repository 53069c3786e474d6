"""Which partitions exist, and which offset a place in their logs has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition, admin

from monitor.clock import Clock
from monitor.errors import IngestError
from monitor.events.raw import Partition
from monitor.ingest.facts import SourceChange, SourceEvent
from monitor.ingest.kafka_client import open_client
from monitor.ingest.settings import KafkaSettings

CONNECT_SECONDS = 15.0
"""How long a command, for which somebody waits, waits for the first answer."""
REQUEST_SECONDS = 5.0

_SPEC: Any = admin.OffsetSpec  # type: ignore[attr-defined]  # public, but its module has no __all__


class Bounds(NamedTuple):
    """The offsets that a log holds: from ``low``, before ``high``."""

    low: int
    high: int


class Cluster:
    """Asks a cluster about its logs, one request for many partitions.

    ``partitions`` and ``topic`` raise ``KafkaException`` when no broker answers; the others leave out what has no
    leader just now.
    """

    def __init__(self, settings: Mapping[str, Any], clock: Clock) -> None:
        self._admin = open_client(admin.AdminClient, settings, clock)

    def partitions(self, wanted: KafkaSettings, timeout_seconds: float) -> frozenset[Partition]:
        """Every partition of the topics that are ``wanted`` and exist.

        A pattern finds no topic whose name begins with two underscores: those are Kafka's own.
        """
        names = [topic.name for topic in wanted.topics if not topic.name.startswith("^")]
        if len(names) == len(wanted.topics):
            return frozenset(each for name in names for each in self.topic(name, timeout_seconds))
        every = self._admin.list_topics(timeout=timeout_seconds).topics
        found = [name for name in every if wanted.topic(name) and (name in names or not name.startswith("__"))]
        return frozenset(Partition(name, number) for name in found for number in every[name].partitions)

    def topic(self, name: str, timeout_seconds: float) -> Sequence[Partition]:
        """The partitions of one topic; none if it does not exist."""
        try:
            found = self._admin.list_topics(name, timeout=timeout_seconds).topics[name]
        except KafkaException:
            self._admin.poll(0)  # lets the client say why no connection was made
            raise
        if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaException(found.error)
        return [Partition(name, number) for number in sorted(found.partitions)]

    def topic_ids(self, names: Iterable[str]) -> Mapping[str, str]:
        """The id of each topic that exists: a topic made anew under the same name has another one."""
        asked = sorted(set(names))
        if not asked:
            return {}
        found = {}
        futures = self._admin.describe_topics(TopicCollection(asked), request_timeout=REQUEST_SECONDS)
        for name, future in futures.items():
            try:
                found[name] = str(future.result(REQUEST_SECONDS + 1).topic_id)
            except (KafkaException, TimeoutError) as error:
                if _is_one_of(error, _DENIED):
                    raise
        return found

    def bounds(self, partitions: Iterable[Partition]) -> Mapping[Partition, Bounds]:
        """Where each log begins and ends; without the partitions that have no leader just now."""
        asked = list(partitions)
        lows = self._list(dict.fromkeys(asked, _SPEC.earliest()))
        highs = self._list(dict.fromkeys(asked, _SPEC.latest()))
        return {each: Bounds(lows[each], highs[each]) for each in asked if each in lows and each in highs}

    def ends(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """The end of what a reader of committed records can see now."""
        return self._list(dict.fromkeys(partitions, _SPEC.latest()), IsolationLevel.READ_COMMITTED)

    def at(self, partitions: Iterable[Partition], seconds: float) -> Mapping[Partition, int]:
        """The first record of ``seconds`` since the epoch or later; -1 where there is none."""
        moment = _SPEC.for_timestamp(round(seconds * 1000))
        return self._list(dict.fromkeys(partitions, moment))

    def _list(
        self, places: Mapping[Partition, Any], isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED
    ) -> Mapping[Partition, int]:
        found, outdated = self._asked(places, isolation)
        if outdated:
            # A leader that came back has another epoch; the client would go on with the one it knows for minutes.
            for name in {each.topic for each in outdated}:
                with contextlib.suppress(KafkaException):
                    self._admin.list_topics(name, timeout=REQUEST_SECONDS)
            found.update(self._asked({each: places[each] for each in outdated}, isolation)[0])
        return found

    def _asked(
        self, places: Mapping[Partition, Any], isolation: IsolationLevel
    ) -> tuple[dict[Partition, int], list[Partition]]:
        """What was answered, and the partitions whose leader the client has a wrong idea of."""
        found: dict[Partition, int] = {}
        outdated: list[Partition] = []
        if not places:
            return found, outdated
        request = {TopicPartition(*each): place for each, place in places.items()}
        futures = self._admin.list_offsets(request, isolation_level=isolation, request_timeout=REQUEST_SECONDS)
        for target, future in futures.items():
            partition = Partition(target.topic, target.partition)
            try:
                found[partition] = int(future.result(REQUEST_SECONDS + 1).offset)
            except (KafkaException, TimeoutError) as error:
                if _is_one_of(error, _DENIED):
                    raise
                if _is_one_of(error, _OUTDATED):
                    outdated.append(partition)
        return found, outdated


_DENIED = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})
_OUTDATED = frozenset(
    {KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.NOT_LEADER_FOR_PARTITION}
)


def _is_one_of(error: BaseException, codes: frozenset[int]) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in codes


def take_up(partition: Partition, stored: int, bounds: Bounds, lost_offsets: str) -> tuple[int, SourceEvent | None]:
    """Return where reading goes on from position ``stored``, and what has to be told about that.

    Raises
    ------
    IngestError
        The position no longer exists and ``lost_offsets`` is ``fail``.
    """
    if bounds.low <= stored <= bounds.high:
        return stored, None
    change = SourceChange.LOST if stored < bounds.low else SourceChange.REWOUND
    if lost_offsets == "fail":
        raise IngestError(
            f"{partition.topic}[{partition.number}]: the stored offset {stored} no longer exists, the log holds "
            f'{bounds.low} to {bounds.high}: with kafka.lost_offsets = "earliest" reading goes on at {bounds.low}'
        )
    return bounds.low, SourceEvent(change, partition, stored, bounds.low)


def begin_anew(partition: Partition, stored: int, bounds: Bounds, lost_offsets: str) -> tuple[int, SourceEvent]:
    """Return where reading begins in a topic that was made anew, whose stored position says nothing of it.

    Raises
    ------
    IngestError
        ``lost_offsets`` is ``fail``.
    """
    if lost_offsets == "fail":
        raise IngestError(
            f"{partition.topic}: was deleted and made anew since offset {stored} of partition {partition.number} was "
            'stored: with kafka.lost_offsets = "earliest" reading begins at its beginning'
        )
    return bounds.low, SourceEvent(SourceChange.REMADE, partition, stored, bounds.low)
