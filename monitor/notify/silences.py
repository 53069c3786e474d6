"""What do the Alertmanagers keep quiet? Their silences, read back, and the incidents that they acknowledge."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from monitor.catalog.durations import parse_instant
from monitor.errors import NotifyError
from monitor.incidents.incident import Incident
from monitor.incidents.order import BY_MAX, NOTE_MAX, Order
from monitor.notify.alertmanager import Alertmanager, endpoint
from monitor.notify.facts import Fact, Sink
from monitor.notify.settings import AlertmanagerSettings

SILENCES_PATH = "/api/v2/silences"
_SILENCES_MAX = 10_000


class Matcher(msgspec.Struct, frozen=True):
    """One condition of a silence, as Alertmanager's API v2 writes it."""

    name: str
    value: str
    is_regex: bool = msgspec.field(name="isRegex", default=False)
    is_equal: bool = msgspec.field(name="isEqual", default=True)


class _State(msgspec.Struct):
    state: str


class _Said(msgspec.Struct):
    id: str
    matchers: list[Matcher]
    ends_at: str = msgspec.field(name="endsAt")
    status: _State
    created_by: str = msgspec.field(name="createdBy", default="")
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """An active silence; ``ends_at`` in seconds since the epoch."""

    id: str
    matchers: tuple[Matcher, ...]
    ends_at: float
    by: str
    comment: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all conditions hold; a label that is not there is empty, and a regex fits the whole value."""
        return all(_holds(matcher, labels.get(matcher.name, "")) for matcher in self.matchers)


class Reader(Protocol):
    """What fetches a document from one Alertmanager."""

    def get(self, path: str, timeout_seconds: float) -> bytes:
        """The body; raises ``NotifyError`` where there is none."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


def read_silences(body: bytes) -> tuple[Silence, ...]:
    """The active silences of ``GET /api/v2/silences``.

    A matcher whose expression Python cannot read never holds, so its silence acknowledges nothing.

    Raises
    ------
    NotifyError
        The body is not what API v2 gives.
    """
    try:
        said = msgspec.json.decode(body, type=list[_Said])
        active = [one for one in said if one.status.state == "active" and one.matchers][:_SILENCES_MAX]
        return tuple(
            Silence(one.id, tuple(one.matchers), parse_instant(one.ends_at), one.created_by, one.comment)
            for one in active
        )
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotifyError(f"{SILENCES_PATH}: {error}") from error


def orders(
    silences: Sequence[Silence], incidents: Iterable[Incident], external_labels: Mapping[str, str], now: float
) -> list[Order]:
    """What the silences ask for: open incidents whose alert one matches are acknowledged until it ends.

    An incident that somebody acknowledged by hand stays as it is. One whose silence is gone is open again. ``now`` is
    wall time.
    """
    asked = []
    for incident in incidents:
        known = incident.acknowledged
        if incident.state != "firing" or (known is not None and not known.silence):
            continue
        labels = {**external_labels, **incident.labels}
        fitting = [silence for silence in silences if silence.ends_at > now and silence.matches(labels)]
        longest = max(fitting, key=lambda silence: (silence.ends_at, silence.id), default=None)
        if longest is None and known is not None:
            asked.append(Order("unack", incident.id, known.by, now, silence=known.silence))
        elif longest is not None and (known is None or (known.silence, known.until) != (longest.id, longest.ends_at)):
            by, comment = (longest.by or "a silence")[:BY_MAX], longest.comment[:NOTE_MAX]
            asked.append(Order("ack", incident.id, by, now, "silenced", comment, longest.ends_at, silence=longest.id))
    return asked


class SilenceWatch:
    """Reads the silences of all Alertmanagers once a ``resend``, on a thread of its own; the newest ones are at hand.

    Of one that does not answer the last that it said stays, for silences end by themselves.
    """

    def __init__(
        self,
        settings: AlertmanagerSettings,
        sink: Sink,
        connect: Callable[[str, AlertmanagerSettings], Reader] = Alertmanager,
    ) -> None:
        self._timeout = settings.timeout
        self._every = settings.resend
        self._sink = sink
        self._readers = {url: connect(url, settings) for url in settings.urls}
        self._said: dict[str, tuple[Silence, ...]] = {}
        self._failing: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="silences", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        if self._readers:
            self._thread.start()

    def stop(self) -> None:
        """End; the thread goes when its reply comes."""
        self._stop.set()

    def active(self) -> tuple[Silence, ...]:
        """The silences of all Alertmanagers as they were last read; never blocks."""
        return tuple({silence.id: silence for said in list(self._said.values()) for silence in said}.values())

    def read(self) -> None:
        """Ask each Alertmanager once."""
        for url, reader in self._readers.items():
            try:
                self._said = {**self._said, url: read_silences(reader.get(SILENCES_PATH, self._timeout))}
                self._failing.discard(url)
            except NotifyError as error:
                if url not in self._failing:
                    self._sink(Fact("silences_unread", endpoint(url).name, str(error), 0))
                self._failing.add(url)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.read()
            self._stop.wait(self._every)
        for reader in self._readers.values():
            reader.close()


def _holds(matcher: Matcher, value: str) -> bool:
    if not matcher.is_regex:
        return (matcher.value == value) == matcher.is_equal
    try:
        found = re.fullmatch(matcher.value, value) is not None
    except re.error:
        return False
    return found == matcher.is_equal
