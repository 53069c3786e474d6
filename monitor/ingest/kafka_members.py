"""Who is in a consumer group? The names that its members have, asked for on a thread that may wait."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any

from confluent_kafka import KafkaError, KafkaException, admin

from monitor.clock import Clock
from monitor.ingest.kafka_client import open_client

GIVEN_UP_SECONDS = 15.0
"""After so long without an answer another client asks anew."""
_IMPATIENT: Mapping[str, Any] = {
    "socket.timeout.ms": 5_000,
    "message.timeout.ms": 5_000,
    "retries": 0,  # what is lost with a broker would be sent again for five minutes
}

_Answer = list[str] | KafkaException


class GroupMembers:
    """Asks for the members of ``group`` now and then; :meth:`heard` is called often and never waits.

    By the plain request, although the bindings call it outdated: of the one that shall replace it, librdkafka 2.x never
    hears an answer again once one was missed (a broker restarted), and may end the process meanwhile (its issue 4605).
    """

    def __init__(self, group: str, settings: Mapping[str, Any], clock: Clock) -> None:
        self.group = group
        self._settings = {**settings, **_IMPATIENT}
        self._clock = clock
        self._client = self._open()
        self._answers: SimpleQueue[_Answer] | None = None
        self._asked_at = float("-inf")

    def heard(self, every_seconds: float) -> list[str] | None:
        """The client ids of the members, once for each answer, else ``None``; asked again after ``every_seconds``.

        Raises
        ------
        KafkaException
            No broker answers, or it does not let this client look.
        """
        now, answer = self._clock.monotonic(), None
        if self._answers is not None:
            try:
                answer = self._answers.get_nowait()
            except Empty:
                if now - self._asked_at < GIVEN_UP_SECONDS:
                    return None
                self._client, answer = self._open(), KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
            self._answers = None
        if now - self._asked_at >= every_seconds:
            self._asked_at, self._answers = now, SimpleQueue()
            threading.Thread(target=_ask, args=(self._client, self.group, self._answers), daemon=True).start()
        if isinstance(answer, KafkaException):
            raise answer
        return answer

    def _open(self) -> admin.AdminClient:
        return open_client(admin.AdminClient, self._settings, self._clock)


def _ask(asking: admin.AdminClient, group: str, answers: SimpleQueue[_Answer]) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            found: list[Any] = asking.list_groups(group, timeout=5.0)
        answers.put([member.client_id for each in found if each.id == group for member in each.members])
    except KafkaException as error:
        answers.put(error)
