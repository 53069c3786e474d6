"""What a shard reads: the bundles of its own partition of the internal topic, each record of them once.

Several replicas may have sent the same stretch of a partition: one that was killed and the one that took over, or one
that came back from the dead. For every partition a shard knows up to which offset it has had everything; it takes of a
bundle what lies behind that, and nothing of one that would leave a gap. So whatever comes twice, late, or from a
replica that lost some of what it sent, each record is delivered once and in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from monitor.clock import Clock
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.bundles import Bundle, columns, unpacked
from monitor.ingest.facts import SourceChange, SourceEvent
from monitor.ingest.schema_gate import SchemaGate


@dataclass(slots=True)
class _Chain:
    """One partition as this shard has had it: everything below ``seen``."""

    topic_id: str
    seen: int
    at_end: bool = False
    told_at: float = -np.inf
    former: set[str] = field(default_factory=set)


class RoutedSource:
    """The records of one shard. ``next`` is the next offset of its partition of the internal topic.

    ``positions`` and ``topic_ids`` are what its store has, ``start`` the offset from which it is fed. Nothing is
    delivered before :attr:`existing` says which partitions there are: event time must wait for all of them.
    ``fresh_seconds`` is for how long it is believed that a partition is at its end. A bundle waits for the schemas of
    its records, where a ``gate`` says that they are not known here yet.
    """

    def __init__(
        self,
        positions: Mapping[Partition, int],
        topic_ids: Mapping[str, str],
        start: int,
        clock: Clock,
        fresh_seconds: float,
        gate: SchemaGate | None = None,
    ) -> None:
        self.next = start
        self.existing: frozenset[Partition] = frozenset()
        self.repeated = 0
        """Records that came again."""
        self.refused = 0
        """Bundles that would have left a gap."""
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._gate = gate
        self._chains = {each: _Chain(topic_ids.get(each.topic, ""), seen) for each, seen in positions.items()}
        self._waiting: deque[tuple[int, Bundle]] = deque()
        self._stirred: set[Partition] = set()
        self._events: list[SourceEvent] = []

    @property
    def merged(self) -> bool:
        """No: each partition is at a time of its own."""
        return False

    @property
    def topic_ids(self) -> dict[str, str]:
        """By name, of the topics that the positions belong to."""
        return {partition.topic: chain.topic_id for partition, chain in self._chains.items()}

    def feed(self, records: Iterable[tuple[int, bytes | None]]) -> None:
        """Take in records of the internal partition, by offset."""
        self._waiting.extend((offset, unpacked(value)) for offset, value in records)

    def __len__(self) -> int:
        return len(self._waiting)

    def poll(self, records_max: int, timeout_seconds: float) -> RawBatch:
        """As :class:`~monitor.ingest.source.Source` says; never waits.

        A batch is records, or news of partitions that have none for this shard, never both: so how far event time has
        come behind each record does not depend on how batches are cut.
        """
        self._stirred.clear()
        taken: list[tuple[Bundle, int]] = []
        passed: dict[Partition, float] = {}
        n = 0
        while self._waiting and self.existing and n < records_max:
            offset, bundle = self._waiting[0]
            if (passed and bundle.values) or (taken and not bundle.values):
                break
            if self._gate is not None and not self._gate.passes(bundle.topic, bundle.values):
                break
            self._waiting.popleft()
            self.next = offset + 1
            skipped = self._taken_up(bundle)
            if skipped is None:
                continue
            if skipped < len(bundle.values):
                taken.append((bundle, skipped))
                n += len(bundle.values) - skipped
            else:
                passed[bundle.partition] = max(bundle.reached, passed.get(bundle.partition, -np.inf))
                if taken:
                    break
        return _batch(taken, passed)

    def positions(self) -> Mapping[Partition, int]:
        """Every partition there is, with how far it was had; -1 where nothing of it has come."""
        return {each: self._chains[each].seen if each in self._chains else -1 for each in self.existing}

    def exhausted(self, partition: Partition) -> bool:
        """Whether somebody reads ``partition``, and said a moment ago that it is at its end.

        While nobody reads it, it holds event time up: what it holds must not be late when somebody does.
        """
        chain = self._chains.get(partition)
        if chain is None or partition in self._stirred or not chain.at_end:
            return False
        return self._clock.monotonic() - chain.told_at <= self._fresh_seconds

    def finished(self) -> bool:
        """Never."""
        return False

    def lag(self) -> Mapping[Partition, int]:
        """Nothing: whoever reads the partitions knows."""
        return {}

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """Nothing more to tell: the commit was the group's own."""

    def drain_events(self) -> list[SourceEvent]:
        """What happened to partitions since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Nothing to let go of."""

    def _taken_up(self, bundle: Bundle) -> int | None:
        """How many records of ``bundle`` were had before; ``None`` where nothing of it is to be taken."""
        partition, chain = bundle.partition, self._chains.get(bundle.partition)
        if chain is not None and chain.topic_id != bundle.topic_id:
            if bundle.topic_id in chain.former or bundle.first != bundle.base:
                self.refused += 1
                return None
            self._events.append(SourceEvent(SourceChange.REMADE, partition, chain.seen, bundle.base))
            former = {*chain.former, chain.topic_id} - {""}
            chain = self._chains[partition] = _Chain(bundle.topic_id, bundle.first, former=former)
        if chain is None:
            if bundle.first != bundle.base:
                self.refused += 1
                return None
            chain = self._chains[partition] = _Chain(bundle.topic_id, bundle.first)
        if not self._joins(bundle, chain):
            return None
        skipped = int(np.searchsorted(columns(bundle)[0], chain.seen))
        self.repeated += skipped
        if bundle.after < chain.seen:
            return None
        if bundle.after > chain.seen:
            self._stirred.add(partition)
        chain.seen, chain.at_end, chain.told_at = bundle.after, bundle.at_end, self._clock.monotonic()
        return skipped

    def _joins(self, bundle: Bundle, chain: _Chain) -> bool:
        """Whether nothing lies between what was had and ``bundle``, but what the group decided to pass over."""
        if bundle.first <= chain.seen:
            return True
        if bundle.first != bundle.base:
            self.refused += 1
            return False
        self._events.append(SourceEvent(SourceChange.LOST, bundle.partition, chain.seen, bundle.first))
        chain.seen = bundle.first
        return True


def _batch(taken: list[tuple[Bundle, int]], passed: Mapping[Partition, float]) -> RawBatch:
    partitions = list(dict.fromkeys(bundle.partition for bundle, _ in taken))
    parts = [[column[skipped:] for column in columns(bundle)] for bundle, skipped in taken]
    offsets, timestamps, marks = (
        np.concatenate([part[i] for part in parts]) if parts else np.zeros(0) for i in range(3)
    )
    counts = [len(bundle.values) - skipped for bundle, skipped in taken]
    source = np.repeat([partitions.index(bundle.partition) for bundle, _ in taken], counts).astype(np.int32)

    def gathered(name: str) -> list:  # type: ignore[type-arg]
        if all(not getattr(bundle, name) for bundle, _ in taken):
            return []
        return [
            each
            for (bundle, skipped), n in zip(taken, counts, strict=True)
            for each in (getattr(bundle, name)[skipped:] or [None] * n)
        ]

    return RawBatch(
        gathered("values"),
        timestamps,
        partitions,
        source,
        offsets.astype(np.int64),
        gathered("keys"),
        gathered("headers"),
        marks,
        passed,
    )
