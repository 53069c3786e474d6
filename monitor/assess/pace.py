"""In ticks of which length is a range judged where nobody said one? By how often its models speak at its beginning."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np

from monitor.catalog.policies import Policies
from monitor.compose import make_decoders
from monitor.config import Config
from monitor.decode.parts import by_decoder
from monitor.ingest.source import Source

TICKS = (60.0, 300.0, 900.0, 3600.0)
EVENTS_A_TICK = 20.0
"""So many events of a model fill a tick. A tick costs some milliseconds of processor time whatever is in it."""
HEAD_RECORDS = 100_000
_RECORDS = 16_000
_WAIT_SECONDS = 0.5
_WIDTH = (1.0, 99.0)
"""Between these percentiles of the times lies what is looked at: a wrong date says nothing of how much comes."""


def paced(config: Config, opened: Callable[[], Source]) -> Config:
    """``config`` in ticks that fit what ``opened`` begins with; as it is where it says a tick, for any model."""
    if "tick" in config.clock.model_fields_set or any("tick" in clause.keys for clause in config.policies.clauses):
        return config
    with closing(opened()) as source:
        a_second = _a_second(config, source)
    tick = next((tick for tick in TICKS if a_second * tick >= EVENTS_A_TICK), TICKS[-1])
    return replace(config, policies=Policies(config.policies.clauses, tick))


def _a_second(config: Config, source: Source) -> float:
    """Events a second and model among the first :data:`HEAD_RECORDS` records; infinite where none can be told."""
    decoder_of = make_decoders(config)
    times, models, n = [np.zeros(0)], [np.zeros(0, np.uint64)], 0
    while n < HEAD_RECORDS and not source.finished():
        raw = source.poll(_RECORDS, _WAIT_SECONDS)
        n += len(raw)
        for part, decoder in by_decoder(raw, decoder_of) if len(raw) else ():
            batch = decoder.decode(part.values, part.timestamps, math.inf, part.keys, part.headers)
            times.append(batch.time)
            models.append(np.unique(batch.model.hash))
    time = np.concatenate(times)
    if not len(time):
        return math.inf
    low, high = np.percentile(time, _WIDTH)
    share = (_WIDTH[1] - _WIDTH[0]) / 100.0
    n_models = len(np.unique(np.concatenate(models)))
    return share * len(time) / (high - low) / n_models if high > low else math.inf
