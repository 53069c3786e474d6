"""One replica of a cluster: it reads for all, and judges what the group gave it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from confluent_kafka import KafkaException

from monitor.alone import SampledDeadLetters, note_change, note_schemas
from monitor.catalog.policies import Policies
from monitor.clock import Clock
from monitor.cluster.judges import Judges
from monitor.cluster.router import Router
from monitor.config import Config
from monitor.errors import ConfigError
from monitor.events.raw import Partition
from monitor.ingest.dead_letters import DeadLetters
from monitor.ingest.kafka_client import admin_settings, reason_of
from monitor.ingest.kafka_cluster import Cluster
from monitor.ingest.kafka_internal import InternalTopics, Publisher, events_topic, state_topic
from monitor.ingest.kafka_membership import Membership
from monitor.ingest.kafka_reader import METADATA_SECONDS
from monitor.shard import Audience, Shard
from monitor.status import Check, ClusterView
from monitor.telemetry.metrics import Metrics

REFRESH_SECONDS, RETRY_SECONDS = 60.0, 2.0
_WAIT_SECONDS = 0.05
"""The longest that a quiet turn waits in each of its two stages."""


class Replica:
    """A member of two groups: of one that shares out what is read, and of one that shares out what is judged."""

    def __init__(self, config: Config, clock: Clock, metrics: Metrics, audience: Audience) -> None:
        kafka = config.require_kafka()
        self._config, self._kafka = config, kafka
        self._own = {events_topic(kafka), state_topic(kafka)}
        if named := self._own.intersection(topic.name for topic in kafka.topics):
            raise ConfigError(f"kafka.topics: {min(named)} is an internal topic of the cluster")
        self._clock = clock
        self._metrics = metrics
        self._cleanups = ExitStack()
        letters = DeadLetters(kafka, clock)
        self._cleanups.callback(letters.close)
        self._letters = SampledDeadLetters(letters, clock, metrics)
        publisher = Publisher(kafka, clock)
        self._cleanups.callback(publisher.close)
        self._topics = InternalTopics(kafka, clock)
        self._cluster = Cluster(admin_settings(kafka.bootstrap_servers, kafka.client()), clock)
        self._router = Router(config, publisher, self._letters, clock, metrics)
        self._cleanups.callback(self._router.close)
        self.judges = Judges(config, clock, metrics, audience, publisher, self._topics)
        self._cleanups.callback(self.judges.close)
        asking = admin_settings(kafka.bootstrap_servers, kafka.client())
        self._membership = Membership(kafka.group_id, "cluster", asking, clock)
        self._cleanups.callback(self._membership.close)
        self._refresh_at = clock.monotonic()
        self._missed: frozenset[Partition] = frozenset()
        self._trouble = "no broker has answered yet"
        self._quiet = True
        self._counted: dict[str, int] = {}

    @property
    def shards(self) -> Sequence[Shard]:
        """As :class:`~monitor.alone.Work` says."""
        return self.judges.shards

    @property
    def assured(self) -> bool:
        """As :class:`~monitor.alone.Work` says: by the newest commit that the group took, if it holds anything."""
        return not self.judges.holding or self.judges.group.assured

    def start(self) -> None:
        """As :class:`~monitor.alone.Work` says; the groups are joined once a broker answers."""

    def turn(self) -> None:
        """As :class:`~monitor.alone.Work` says."""
        if self._clock.monotonic() >= self._refresh_at:
            self._refresh()
        self._membership.beat()
        wait = _WAIT_SECONDS if self._quiet else 0.0
        n = self._router.turn(wait) if self._router.group.subscribed else 0
        n += self.judges.turn(wait) if self.judges.group.subscribed else 0
        self._quiet = n == 0

    def watch(self) -> bool:
        """As :class:`~monitor.alone.Work` says."""
        metrics, judges = self._metrics, self.judges
        for event in self._router.drain_events():
            note_change(event, metrics)
        for source in judges.sources:
            source.drain_events()  # what was lost was counted by whoever read it
        self._letters.watch()
        judges.group.count_members()
        metrics.partitions_assigned.set(len(self._router.held))
        note_schemas(self._kafka, len(self._router.group.reader.held), metrics)
        metrics.consumer_lag.show({(p.topic, str(p.number)): float(n) for p, n in self._lag().items()})
        metrics.cluster_members.set(judges.group.members)
        metrics.cluster_generation.set(judges.group.generation)
        metrics.cluster_shards.set(len(judges.numbers))
        metrics.cluster_take_over_seconds.set(judges.restore_seconds)
        for name, total in {
            "rebalances": judges.group.rebalances,
            "commits_refused": judges.group.refused + self._router.group.refused,
            "records_repeated": judges.repeated,
            "bundles_refused": judges.bundles_refused,
        }.items():
            getattr(metrics, f"cluster_{name}").inc(total - self._counted.get(name, 0))
            self._counted[name] = total
        return judges.group.generation >= 0 and self._router.group.generation >= 0 and not judges.group.fresh

    def checks(self) -> Mapping[str, Check]:
        """As :class:`~monitor.alone.Work` says."""
        now, judges = self._clock.now(), self.judges
        reader = self._router.group.reader
        trouble = self._trouble or reader.trouble or reader.waits or judges.group.reader.trouble
        detail = trouble or f"reading {len(self._router.held)} partitions"
        view = self.view()
        held = f"{len(view.shards)} of {view.shards_total} shards"
        if view.generation < 0:
            said = Check("degraded", "the group was not joined yet", now)
        elif judges.group.fresh:
            said = Check("degraded", f"{held}, {len(judges.group.fresh)} are being put together", now)
        elif judges.numbers and not judges.group.assured:
            said = Check("degraded", f"{held}, and no commit was taken for a while: nothing is told meanwhile", now)
        else:
            said = Check("ok", f"{held}, {view.members} members, generation {view.generation}", now)
        return {
            "kafka": Check("degraded" if trouble else "ok", detail, now),
            "store": Check("ok", state_topic(self._kafka), now),
            "cluster": said,
        }

    def view(self) -> ClusterView:
        """As :class:`~monitor.alone.Work` says."""
        group = self.judges.group
        return ClusterView(
            member=group.member,
            members=group.members,
            generation=group.generation,
            shards=tuple(self.judges.numbers),
            shards_total=self._config.cluster.shards,
            partitions=tuple(f"{p.topic}[{p.number}]" for p in sorted(self._router.held)),
        )

    def reload(self, policies: Policies) -> int:
        """As :class:`~monitor.alone.Work` says; shards that come later have them too."""
        self.judges.config = replace(self.judges.config, policies=policies)
        return sum(shard.pipeline.reload(policies.resolve) for shard in self.shards)

    def commit(self) -> None:
        """As :class:`~monitor.alone.Work` says."""
        self._router.commit()
        self.judges.commit()

    def close(self) -> None:
        """As :class:`~monitor.alone.Work` says."""
        self._cleanups.close()

    def _lag(self) -> dict[Partition, int]:
        cursors = self.judges.group.reader.cursors
        positions = cursors.positions()
        waiting = {
            p: int(cursors.high[slot]) - at for p, at in positions.items() if (slot := cursors.slot(p)) is not None
        }
        return {**self._router.lag(), **{p: max(n, 0) for p, n in waiting.items()}}

    def _refresh(self) -> None:
        """Look which partitions there are: every shard must know of all of them, whoever reads them."""
        self._refresh_at = self._clock.monotonic() + RETRY_SECONDS
        try:
            # A daemon that has the whole fleet to itself would tell everything twice; replicas are no rivals.
            if not self._membership.alone([topic.name for topic in self._kafka.topics]):
                self._trouble = f"a daemon of group {self._kafka.group_id} that is no replica is there, or was just now"
                return
            if not self.judges.group.subscribed:
                self._topics.ensure(self._config.cluster.shards, self._config.cluster.replication)
                self.judges.group.subscribe([events_topic(self._kafka)])
            found = self._cluster.partitions(self._kafka, METADATA_SECONDS)
        except KafkaException as error:
            self._trouble = reason_of(error)
            return
        existing = frozenset(each for each in found if each.topic not in self._own)
        absent = self.judges.existing - existing
        self.judges.existing = existing | (absent - self._missed)
        self._missed = absent
        if not existing:
            self._trouble = "no such topic yet"
            return
        self._trouble = ""
        self._router.group.subscribe(each.topic for each in existing)
        self._refresh_at = self._clock.monotonic() + REFRESH_SECONDS
