"""Who is in a consumer group? The names that its members have."""

from __future__ import annotations

import warnings
from typing import Any

from confluent_kafka import admin


def client_ids(asking: admin.AdminClient, group: str, timeout_seconds: float) -> list[str]:
    """The client id of each member; none of a group that is not there. Raises ``KafkaException``.

    By the plain request, although the bindings call it outdated: of the one that shall replace it, librdkafka 2.x never
    hears an answer again once one was missed (a broker restarted), and may end the process meanwhile (its issue 4605).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found: list[Any] = asking.list_groups(group, timeout=timeout_seconds)
    return [member.client_id for each in found if each.id == group for member in each.members]
