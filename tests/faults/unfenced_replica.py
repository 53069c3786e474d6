"""A replica that is wrong on purpose: it takes whatever it is sent, as often as it is sent, and forgets what it met.

The control of the fault tests with replicas: killed, what was sent and not committed is sent again and counted again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from monitor.cli import main
from monitor.ingest.routed import RoutedSource, _Chain
from monitor.tally.duplicates import Duplicates

if TYPE_CHECKING:
    from monitor.ingest.bundles import Bundle


def _take_everything(self: RoutedSource, bundle: Bundle) -> int:
    chain = self._chains.setdefault(bundle.partition, _Chain(bundle.topic_id, bundle.first))
    chain.seen, chain.at_end, chain.told_at = bundle.after, bundle.at_end, self._clock.monotonic()
    self._stirred.add(bundle.partition)
    return 0


RoutedSource._taken_up = _take_everything  # type: ignore[method-assign]
Duplicates.find = lambda _self, keys, _marks: keys != keys  # type: ignore[method-assign]
sys.exit(main())
