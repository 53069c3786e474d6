"""Which schemas are known, which are being asked for, and what became of the questions.

The loop asks and never waits: a thread carries the questions to the registry and makes readers of the answers. Schemas
never change, so an answer is kept; that there is none is believed for a while.
"""

from __future__ import annotations

import errno
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final

from monitor.clock import Clock, SystemClock
from monitor.schemas import avro, protobuf
from monitor.schemas.client import Asked, Client, Written
from monitor.schemas.faults import RegistryAwayError, UnknownSchemaError, UnreadableSchemaError
from monitor.schemas.settings import SchemaRegistrySettings

FRAME_BYTES: Final = 5
"""A byte that is 0, and the id of the schema in four more, big-endian: what a registry's serializer begins with."""
SCHEMAS_MAX: Final = 10_000
ASKED_MAX: Final = 100
"""So many questions wait at once; what is not asked now is asked when a record needs it still."""
UNKNOWN_SECONDS: Final = 60.0
UNREADABLE_SECONDS: Final = 600.0
AGAIN_SECONDS: Final = 1.0
"""A schema that is not there is asked for twice: a registry of several nodes may learn of it a moment later."""
RETRY_SECONDS: Final = (0.2, 10.0)
"""Between two questions to a registry that is away: the first pause, which doubles, and the longest."""
_OF_OURS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)
"""What is wrong with this machine and not with a schema: its records wait until that is over."""
NEEDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"avro": ("fastavro",), "protobuf": ("google.protobuf", "grpc_tools")}
)
"""What must be installed to read a format."""

Read = Callable[[bytes, bool], Any]
"""What a record says, as JSON would say it; the second argument is whether its fields are those of an event."""

_READERS: Final[Mapping[str, Callable[[str, Mapping[str, str], int], Read]]] = MappingProxyType(
    {"AVRO": avro.reader, "PROTOBUF": protobuf.reader}
)


def installed(format_: str) -> bool:
    """Whether the libraries that ``format_`` needs are there."""
    try:
        return all(find_spec(name) is not None for name in NEEDS[format_])
    except ModuleNotFoundError:  # a package around it is not there
        return False


@dataclass(frozen=True, slots=True)
class Schema:
    """What is known of an id: ``read`` is ``None`` where its schema cannot be used, ``kind`` empty where there is none.

    It is asked for again once ``until`` (monotonic seconds) has passed.
    """

    kind: str = ""
    read: Read | None = None
    until: float = float("inf")


class Registry:
    """Schemas by the first bytes of the records that were written by them. The loop calls it, and its own thread."""

    def __init__(self, asked: Asked, clock: Clock, retry_seconds: tuple[float, float] = RETRY_SECONDS) -> None:
        self._asked = asked
        self._clock = clock
        self._retry, self._retry_max = retry_seconds
        self._known: dict[bytes, Schema] = {}
        self._questions: dict[bytes, None] = {}
        self._stirred = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._counts: Counter[str] = Counter()
        self._faults: dict[int, str] = {}
        self.trouble = ""
        """Why the registry does not answer, empty where it does."""

    def unanswered(self, frames: Iterable[bytes]) -> set[bytes]:
        """Those of ``frames`` of which nothing is known yet; they are being asked for from now on."""
        now = self._clock.monotonic()
        wanted = set(frames)
        missing = {each for each in wanted if (known := self._known.get(each)) is None or known.until <= now}
        if missing:
            self._make_room(wanted)
            with self._stirred:
                for each in sorted(missing - self._questions.keys())[: ASKED_MAX - len(self._questions)]:
                    self._questions[each] = None
                self._stirred.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="schemas", daemon=True)
                self._thread.start()
        return missing

    def schema(self, frame: bytes) -> Schema:
        """What is known of ``frame``; an unknown schema where nobody asked."""
        return self._known.get(frame, Schema())

    def drain(self) -> tuple[Mapping[str, int], Mapping[int, str]]:
        """How many questions ended ``found``, ``unknown``, ``unreadable`` and ``failed`` since the last call.

        With it, by id, what is wrong with schemas that cannot be used.
        """
        with self._stirred:
            counts, self._counts = self._counts, Counter()
            faults, self._faults = self._faults, {}
        return counts, faults

    def close(self) -> None:
        """End the thread, within the time of one question."""
        self._stop.set()
        with self._stirred:
            self._stirred.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _make_room(self, wanted: set[bytes]) -> None:
        """Forget the oldest beyond :data:`SCHEMAS_MAX`, none of those that records at hand need."""
        beyond = len(self._known) - SCHEMAS_MAX
        if beyond > 0:
            for each in [frame for frame in self._known if frame not in wanted][:beyond]:
                del self._known[each]

    def _work(self) -> None:
        pause = self._retry
        while not self._stop.is_set():
            with self._stirred:
                while not self._questions and not self._stop.is_set():
                    self._stirred.wait()
                frame = next(iter(self._questions), None)
            if frame is None:
                return
            try:
                schema = self._answered(int.from_bytes(frame[1:]))
            except RegistryAwayError as error:
                self._count("failed")
                self.trouble = str(error)
                self._stop.wait(pause)
                pause = min(2 * pause, self._retry_max)
                continue
            pause, self.trouble = self._retry, ""
            with self._stirred:
                self._known[frame] = schema
                del self._questions[frame]
                self._stirred.notify_all()

    def _answered(self, number: int) -> Schema:
        try:
            try:
                written = self._asked.schema(number)
            except UnknownSchemaError:
                self._stop.wait(AGAIN_SECONDS)
                written = self._asked.schema(number)
            read = _reader(written)
        except UnknownSchemaError:
            self._count("unknown")
            return Schema(until=self._clock.monotonic() + UNKNOWN_SECONDS)
        except UnreadableSchemaError as error:
            self._count("unreadable")
            with self._stirred:
                self._faults[number] = str(error)
            return Schema("unreadable", until=self._clock.monotonic() + UNREADABLE_SECONDS)
        self._count("found")
        return Schema(written.kind, read)

    def _count(self, result: str) -> None:
        with self._stirred:
            self._counts[result] += 1


def _reader(written: Written) -> Read:
    make = _READERS.get(written.kind)
    if make is None:
        raise UnreadableSchemaError(f"is of the type {written.kind[:20]}")
    try:
        return make(written.text, written.imports, FRAME_BYTES)
    except (UnreadableSchemaError, RegistryAwayError):
        raise
    except Exception as error:  # noqa: BLE001 -- else the thread would end, and its partitions wait for ever
        why = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.errno in _OF_OURS:
            raise RegistryAwayError(f"a schema cannot be read here: {why}") from None
        raise UnreadableSchemaError(why) from None


@cache
def shared(settings: SchemaRegistrySettings) -> Registry:
    """The registry at ``settings``: one for the whole process, so that who reads and who decodes know the same."""
    return Registry(Client(settings), SystemClock())
