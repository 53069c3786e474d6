"""What may an auditor ask of a store? Whether its trail is whole, what it says, and what an incident was judged by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor import capsules
from monitor.clock import Clock
from monitor.config import Config
from monitor.errors import StoreError, UsageError
from monitor.incidents.firing import OpenIncident
from monitor.incidents.incident import Incident
from monitor.ingest.anchors import published
from monitor.store import audit, exhibits
from monitor.store.audit import Anchor, Entry
from monitor.store.checkpoint import DONE, OPEN, decoded, head_of, owner_of
from monitor.store.database import Database


@dataclass(frozen=True, slots=True)
class Verified:
    """A trail that is whole: its end, and with how many published anchors it agrees."""

    end: Anchor
    n_anchors: int


def verify(path: Path, config: Config | None, clock: Clock) -> Verified:
    """Hold the audit trail of the store at ``path`` against itself, its head and, with ``config``, the audit topic.

    Raises
    ------
    StoreError
        There is no store, it has no trail, or that is not as it was written; the message says which entry.
    IngestError
        The audit topic cannot be read.
    UsageError
        ``config`` names no audit topic.
    """
    with _looked_at(path) as database:
        anchors: list[Anchor] = []
        if config is not None:
            kafka = config.require_kafka()
            if not kafka.audit_topic:
                raise UsageError("audit verify: the configuration names no kafka.audit_topic")
            found = published(kafka, owner_of(database), clock)
            anchors = [Anchor(each.entry, bytes.fromhex(each.sha256)) for each in found]
        end = audit.verify(database, head_of(database).trail, anchors)
        if not end.number:
            raise StoreError(f"{path}: has no audit trail: not one entry was ever written to it")
        return Verified(end, len(anchors))


def entries(path: Path) -> Iterator[Entry]:
    """The audit trail of the store at ``path``, oldest first, each entry held against the one before it."""
    with _looked_at(path) as database:
        yield from audit.entries(database)


def exhibit(path: Path, digest: str) -> bytes:
    """The policy or the reference that an incident of the store at ``path`` names by ``digest``."""
    with _looked_at(path) as database:
        found = exhibits.find(database, digest)
        if found is None:
            raise UsageError(f"audit exhibit: no incident of {path} names {digest}")
        return found


def capsule(path: Path, identity: str, *, of_groups: bool) -> dict[str, Any]:
    """All that the incident ``identity`` of the store at ``path`` was judged by: docs/formats/capsule.md.

    ``of_groups`` allows what holds counts of groups of people by batch.

    Raises
    ------
    UsageError
        The store has no such incident, nothing was kept of it, or it speaks of groups and that is not allowed.
    StoreError
        There is no store, or what it holds is damaged.
    """
    with _looked_at(path) as database:
        found = _incident(database, identity)
        if found is None:
            raise UsageError(f"audit capsule: {path} has no incident {identity}")
        told = [entry for entry in audit.entries(database) if entry.kind == "incident" and entry.subject == identity]
        return capsules.capsule(found, lambda digest: exhibits.find(database, digest), told, of_groups=of_groups)


def _incident(database: Database, identity: str) -> Incident | None:
    key = identity.encode()
    if (held := database.get(OPEN + key)) is not None:
        return decoded(held, OpenIncident, "incident").incident
    done = database.get(DONE + key)
    return None if done is None else decoded(done, Incident, "incident")


@contextmanager
def _looked_at(path: Path) -> Iterator[Database]:
    if not (path / "CURRENT").is_file():
        raise StoreError(f"{path}: there is no store here")
    with Database(path, to_look=True) as database:
        yield database
