"""A replica that is wrong on purpose: it takes whatever it is sent, as often as it is sent, and forgets what it met.

The control of the fault tests with replicas: who takes partitions over sends again what was not committed, and here
some records more, as if the last commits had been lost. Who keeps to the fence has had them; this one counts them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from monitor.cli import main
from monitor.cluster.router import Router
from monitor.ingest.routed import RoutedSource, _Chain
from monitor.tally.duplicates import Duplicates

if TYPE_CHECKING:
    from monitor.events.raw import Partition
    from monitor.ingest.bundles import Bundle
    from monitor.ingest.kafka_cluster import Bounds
    from monitor.ingest.kafka_group import Committed


def _take_everything(self: RoutedSource, bundle: Bundle) -> int:
    chain = self._chains.setdefault(bundle.partition, _Chain(bundle.topic_id, bundle.first))
    chain.seen, chain.at_end, chain.told_at = bundle.after, bundle.at_end, self._clock.monotonic()
    self._stirred.add(bundle.partition)
    return 0


AGAIN = 100
"""Records of a partition that are sent again: event time that is within the lateness."""
_router_taken_up = Router._taken_up


def _some_earlier(self: Router, partition: Partition, committed: Committed | None, bounds: Bounds) -> Any:
    at, noted = _router_taken_up(self, partition, committed, bounds)
    return (at, None) if noted is None else (max(bounds.low, noted.base, at - AGAIN), noted)


Router._taken_up = _some_earlier  # type: ignore[method-assign]
RoutedSource._taken_up = _take_everything  # type: ignore[method-assign]
Duplicates.find = lambda _self, keys, _marks: keys != keys  # type: ignore[method-assign]
sys.exit(main())
