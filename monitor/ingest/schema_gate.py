"""Up to which record may a batch be read? Up to the first whose schema is being asked for: it waits, and loses nothing.

A registry that is away holds a partition up in this way, as a broker that is away does. What lies behind the record in
its partition waits too, since a partition is read in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from monitor.events.raw import Partition, RawBatch
from monitor.ingest.settings import KafkaSettings
from monitor.schemas.registry import FRAME_BYTES, shared


class Stop(NamedTuple):
    """Where a partition is to stand still: before the record at ``offset``, until ``frame`` is known."""

    offset: int
    frame: bytes


class Schemas(Protocol):
    """What is asked of a registry: see :class:`monitor.schemas.registry.Registry`."""

    trouble: str

    def unanswered(self, frames: set[bytes]) -> set[bytes]:
        """Those of ``frames`` that nothing is known of yet; they are being asked for from now on."""
        ...


class SchemaGate:
    """Looks at the first bytes of records of topics that ``is_framed`` names, and asks for schemas nobody knows yet."""

    def __init__(self, schemas: Schemas | None, is_framed: Callable[[str], bool]) -> None:
        self._schemas = schemas
        self._is_framed = is_framed
        self._framed: dict[str, bool] = {}

    def stops(self, batch: RawBatch) -> Mapping[Partition, Stop]:
        """The partitions of ``batch`` that may not be read to their ends yet."""
        found: dict[Partition, Stop] = {}
        for number, partition in enumerate(batch.partitions):
            if not self._looks_at(partition.topic):
                continue
            rows = np.flatnonzero(batch.source == number).tolist()
            at = self._first_unanswered([batch.values[i] for i in rows])
            if at is not None:
                value = batch.values[rows[at]]
                assert value is not None
                found[partition] = Stop(int(batch.offsets[rows[at]]), value[:FRAME_BYTES])
        return found

    def passes(self, topic: str, values: Sequence[bytes | None]) -> bool:
        """Whether all of ``values`` may be read."""
        return not self._looks_at(topic) or self._first_unanswered(values) is None

    def answered(self, frame: bytes) -> bool:
        """Whether ``frame`` is known by now; if not it is asked for."""
        return self._schemas is None or not self._schemas.unanswered({frame})

    @property
    def trouble(self) -> str:
        """What to say while a partition stands still."""
        why = self._schemas.trouble if self._schemas is not None else ""
        return f"the schema registry does not answer: {why}" if why else "waiting for a schema"

    def _looks_at(self, topic: str) -> bool:
        if self._schemas is None:
            return False
        if topic not in self._framed:
            self._framed[topic] = self._is_framed(topic)
        return self._framed[topic]

    def _first_unanswered(self, values: Sequence[bytes | None]) -> int | None:
        frames = [value[:FRAME_BYTES] if value and not value[0] else b"" for value in values]
        whole = {frame for frame in frames if len(frame) == FRAME_BYTES}
        missing = self._schemas.unanswered(whole) if whole and self._schemas is not None else ()
        return next(i for i, frame in enumerate(frames) if frame in missing) if missing else None


def gate_of(settings: KafkaSettings) -> SchemaGate:
    """The gate of the topics that ``settings`` name."""
    registry = settings.schema_registry
    return SchemaGate(shared(registry) if registry.urls else None, settings.is_framed)
