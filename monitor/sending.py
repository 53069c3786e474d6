"""How do outcomes and attributes in a file get to a topic? Row by row as events; what was sent is remembered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.catalog.tables import did_you_mean
from monitor.clock import Clock
from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.errors import IngestError, UsageError
from monitor.events.columns import Reason
from monitor.ingest.kafka_client import admin_settings, open_client, producer_settings, reason_of, unreachable
from monitor.ingest.kafka_cluster import CONNECT_SECONDS, Cluster
from monitor.ingest.settings import KafkaSettings
from monitor.ingest.tables import KINDS, TableColumns, table_columns, table_events

PATIENCE_SECONDS = 60.0
"""How long a broker may say nothing."""
_HASH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Task:
    """The table at ``path`` goes to ``topic``. ``model`` is that of all rows, where no column says it.

    How many have arrived is kept in the file ``state``, which is ``FILE.published`` if not said.
    """

    path: Path
    topic: str
    columns: TableColumns
    model: str = ""
    state: Path | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """How many rows the file has, how many of them had been sent before, and how many were now."""

    rows: int
    before: int
    now: int


@dataclass(frozen=True, slots=True)
class _Progress:
    """What stands in the file beside the table: what was sent, where to, and how many rows of it have arrived."""

    sha256: str
    topic: str
    columns: str
    rows: int

    def save(self, path: Path) -> None:
        scratch = path.with_name(path.name + ".partial")
        try:
            scratch.write_text(json.dumps({name: getattr(self, name) for name in self.__slots__}) + "\n")
            scratch.replace(path)
        except OSError as error:
            raise UsageError(f"publish: {path}: cannot be written: {error.strerror}") from error


class _Keyed(msgspec.Struct):
    model: str = ""


_keyed = msgspec.json.Decoder(_Keyed).decode


def publish(
    task: Task,
    settings: KafkaSettings,
    clock: Clock,
    *,
    again: bool = False,
    progress: Callable[[int], object] = lambda _rows: None,
) -> Sent:
    """Send the rows of a table as native events, keyed by their models, in their order.

    Every row is looked at before the first is sent. How many have arrived is written down after each few thousand, and
    a second call sends the rest: none, where all have; where none has arrived nothing is written down. What a crash
    sent twice has the same id, by which the daemon counts it once. ``again`` sends all rows whatever stands there.

    Raises
    ------
    UsageError
        A row is no event, a column that was named is not there, or the file is another than the one that was begun; the
        message names the row or column.
    IngestError
        The file cannot be read, or the broker does not take the rows.
    """
    path, topic, columns, model = task.path, task.topic, task.columns, task.model
    if not path.name.endswith(KINDS):
        raise UsageError(f"publish: {path}: not a kind of table that can be read: {', '.join(KINDS)}")
    state = task.state or path.with_name(path.name + ".published")
    known = _Progress(_digest(path), topic, _columns_text(columns, model), 0)
    _check_names(path, columns)
    before = 0 if again else _resumed(state, known, path)
    rows = _check(path, columns, model, clock)
    if before >= rows:
        return Sent(rows, before, 0)
    _look_for(topic, settings, clock)
    producer, delivery = open_client(Producer, _settings(settings), clock), _Delivery()
    done = before
    with _kept_if_sent(state, producer, delivery):
        replace(known, rows=before).save(state)  # what cannot be written down later is not begun
        try:
            for events in table_events(path, columns, before):
                for event in _named(events, model):
                    _produce(producer, topic, event, delivery)
                _flush(producer, len(events), delivery)
                done += len(events)
                replace(known, rows=done).save(state)
                progress(done)
        except KafkaException as error:
            arrived = before + delivery.n_arrived
            raise IngestError(f"publish: {topic}: {reason_of(error)}; {arrived} of {rows} rows have arrived") from error
    return Sent(rows, before, done - before)


class _Delivery:
    """What the broker said of rows that were handed over: how many it took, and why it did not take one."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None
        self.n_arrived = 0

    def __call__(self, error: KafkaError | None, _message: Message) -> None:
        self.error = self.error or error
        self.n_arrived += error is None


def _look_for(topic: str, settings: KafkaSettings, clock: Clock) -> None:
    """Whether there is a broker, and the topic: one that is away is told at once and not row by row."""
    try:
        cluster = Cluster(admin_settings(settings.bootstrap_servers, settings.client()), clock)
        found = cluster.topic(topic, CONNECT_SECONDS)
    except KafkaException as error:
        raise IngestError(
            f"publish: {topic}: {unreachable(settings.bootstrap_servers, error)}; nothing was sent"
        ) from error
    if not found:
        raise IngestError(f"publish: {topic}: no such topic at {settings.bootstrap_servers}; nothing was sent")


@contextmanager
def _kept_if_sent(state: Path, producer: Producer, delivery: _Delivery) -> Iterator[None]:
    """Where no row arrived the file ``state`` is as it was before: what was not sent may be sent otherwise."""
    earlier = state.read_bytes() if state.exists() else None
    try:
        yield
    finally:
        producer.poll(0)  # what was answered while nobody listened
        if not delivery.n_arrived and earlier is None:
            state.unlink(missing_ok=True)
        elif not delivery.n_arrived and earlier is not None:
            state.write_bytes(earlier)


def _settings(settings: KafkaSettings) -> dict[str, Any]:
    """An idempotent producer: the broker takes each row once, and in order, as long as the producer lives."""
    return producer_settings(settings.bootstrap_servers, settings.client()) | {"enable.idempotence": True}


def _produce(producer: Producer, topic: str, event: bytes, delivery: _Delivery) -> None:
    while True:
        try:
            producer.produce(topic, event, _keyed(event).model, on_delivery=delivery)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def _flush(producer: Producer, n: int, delivery: _Delivery) -> None:
    left = producer.flush(PATIENCE_SECONDS)
    if delivery.error is not None:
        raise KafkaException(delivery.error)
    if left:
        raise IngestError(f"publish: the broker has not taken {left} of {n} rows for {PATIENCE_SECONDS:.0f} s")


def _check_names(path: Path, columns: TableColumns) -> None:
    """Every column that was spoken of is there: a name mistyped would leave out what was to be sent."""
    there = table_columns(path)
    for name in (*columns.parts, *sorted(columns.left_out)):
        if name not in there:
            raise UsageError(f'publish: {path}: has no column "{name}"{did_you_mean(name, there)}')


def _check(path: Path, columns: TableColumns, model: str, clock: Clock) -> int:
    """Look at every row; how many there are."""
    decoder, rows = NativeDecoder(DecodeLimits()), 0
    for events in table_events(path, columns):
        named = list(_named(events, model))
        found = decoder.decode(named, np.full(len(named), clock.now()))
        if len(found.rejected):
            first = int(np.argmin(found.rejected))
            reason = Reason(int(found.reasons[first])).name.lower()
            raise UsageError(
                f"publish: {path}: row {rows + int(found.rejected[first]) + 1} is no event: {reason}"
                + (" (--model names the model of all rows)" if reason == "missing_model" else "")
            )
        without = np.flatnonzero(found.id.length == 0)
        if len(without):
            row = rows + int(found.record[without[0]]) + 1
            raise UsageError(f"publish: {path}: row {row} has no id, without which it belongs to no prediction")
        rows += len(events)
    return rows


def _named(events: Sequence[bytes], model: str) -> Iterator[bytes]:
    """The events, of ``model`` where they are of none themselves."""
    if not model:
        yield from events
        return
    head = b'{"model":' + msgspec.json.encode(model)
    for event in events:
        yield head + (b"}" if event == b"{}" else b"," + event[1:])


def _resumed(state: Path, known: _Progress, path: Path) -> int:
    """How many rows have arrived by an earlier call."""
    if not state.exists():
        return 0
    try:
        said = json.loads(state.read_text())
        before = _Progress(**said)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"publish: {state}: is not what this program writes; --again begins anew") from error
    if replace(before, rows=0) != known:
        raise UsageError(
            f"publish: {path}: at least {before.rows} rows of it were sent as it was then, or otherwise "
            f"({state.name}); --again sends all of it: what comes twice with one id counts once"
        )
    return before.rows


def _columns_text(columns: TableColumns, model: str) -> str:
    """What the columns were said to be, to be compared."""
    return json.dumps({"model": model, **columns.parts, "left out": sorted(columns.left_out)}, sort_keys=True)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_HASH_BYTES):
                digest.update(block)
    except OSError as error:
        raise IngestError(f"{path}: {error.strerror}") from error
    return digest.hexdigest()
