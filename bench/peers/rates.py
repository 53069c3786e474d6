"""Run inside a peer's own environment: how many events a CPU second it takes in, and what it keeps a model, as JSON.

It is given a file of events, already in the order of their times, and the name of a way to use the peer. Events are
parsed before anything is measured, and references are fitted before: neither is in a rate, nor is what a peer does at
its first step alone. Where a peer is slow it sees as many of the models as some seconds of CPU allow.
"""

from __future__ import annotations

import copy
import gc
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Row = dict[str, Any]
_REFERENCE = 1000
"""Rows of a reference; the stream's own first ones."""
_SHORT_REFERENCE = 200
"""Rows of the shortest reference that is still one: what alibi-detect does an event grows with them."""
_RUN, _BOOTSTRAPS = 64, 2_000
"""Expected run-time of alibi-detect's detectors, and simulated streams: ten times as many at least, and enough that a
chance of 1 in 64, shared by 18 streams, is a quantile of them. No rate depends on either."""


def resident_kb() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return float(line.split()[1])


class Stream:
    """The events by model, and as one table; ``tick`` of a model are looked at together where many are watched."""

    def __init__(self, path: str, seconds: float, tick: int) -> None:
        self.seconds, self.tick = seconds, tick
        self.rows: list[Row] = []
        self.models: dict[str, list[Row]] = {}
        with Path(path).open("rb") as file:
            for line in file:
                event = json.loads(line)
                row = event["features"] | event["prediction"]
                self.rows.append(row)
                self.models.setdefault(event["model"], []).append(row)
        self.table = pd.DataFrame(self.rows)
        self.numbers = [name for name in self.table if self.table[name].dtype == float]
        self.classes = [name for name in self.table if name not in self.numbers]

    def frames(self) -> list[pd.DataFrame]:
        """A table of each model's first tick."""
        return [pd.DataFrame(rows[: self.tick]) for rows in self.models.values()]

    def rate(self, steps: Iterable[Callable[[], int]]) -> float:
        """Events a second of CPU over as many of ``steps`` as the time allows; each says how many it took.

        The first is not counted: some import what they need when they are first asked.
        """
        coming = iter(steps)
        next(coming)()
        gc.collect()
        events, began = 0, time.process_time()
        for step in coming:
            events += step()
            if time.process_time() - began > self.seconds:
                break
        return events / (time.process_time() - began)


def kept(make: Callable[[int], Any], models: int) -> float:
    """Kilobytes that each of ``models`` keeps; ``make`` gives what is kept of one."""
    gc.collect()
    before = resident_kb()
    held = [make(i) for i in range(models)]
    gc.collect()
    each = (resident_kb() - before) / models
    del held
    return each


def whylogs_rows(stream: Stream) -> tuple[float, float]:
    """A profile a model, each event tracked as it comes."""
    from whylogs.core import DatasetProfile

    profiles: dict[str, Any] = {}

    def track(name: str, row: Row) -> int:
        profiles.setdefault(name, DatasetProfile()).track(row)
        return 1

    some = list(stream.models.items())[:10]
    for name, rows in some:  # what a new profile costs is not counted
        track(name, rows[0])
    events = [(name, rows[i]) for i in range(1, stream.tick) for name, rows in some if i < len(rows)]
    rate = stream.rate(lambda name=name, row=row: track(name, row) for name, row in events)
    rows = next(iter(stream.models.values()))

    def one(_: int) -> Any:
        profile = DatasetProfile()
        for row in rows:
            profile.track(row)
        return profile

    return rate, kept(one, 20)


def whylogs_batches(stream: Stream) -> tuple[float, float]:
    """A profile a model, a table of a tick at a time."""
    from whylogs.core import DatasetProfile

    profiles = []

    def track(frame: pd.DataFrame) -> int:
        profile = DatasetProfile()
        profile.track(pandas=frame)
        profiles.append(profile)
        return len(frame)

    frames, before = stream.frames(), resident_kb()
    rate = stream.rate(lambda frame=frame: track(frame) for frame in frames)
    return rate, (resident_kb() - before) / len(profiles)


def whylogs_table(stream: Stream) -> tuple[float, float]:
    """One model, all events at once."""
    from whylogs.core import DatasetProfile

    def track() -> int:
        DatasetProfile().track(pandas=stream.table)
        return len(stream.table)

    return stream.rate(track for _ in range(20)), float("nan")


def _evidently(stream: Stream, frames: list[pd.DataFrame], fastest: bool = False) -> tuple[float, float]:
    """The drift preset, or the one metric in which no picture is drawn, with the measure of drift that is fastest."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import DriftedColumnsCount
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=stream.numbers, categorical_columns=stream.classes)
    reference = Dataset.from_pandas(stream.table[:_REFERENCE], definition)

    def run(frame: pd.DataFrame) -> int:
        asked = DriftedColumnsCount(num_method="psi", cat_method="psi") if fastest else DataDriftPreset()
        Report([asked]).run(Dataset.from_pandas(frame, definition), reference).dict()
        return len(frame)

    rate = stream.rate(lambda frame=frame: run(frame) for frame in frames)
    own = kept(lambda i: Dataset.from_pandas(pd.DataFrame(stream.rows[i : i + _REFERENCE]), definition), 20)
    return rate, own


def _tables(stream: Stream) -> list[pd.DataFrame]:
    """The events of one model, 10,000 in each table."""
    return [stream.table[i : i + 10_000] for i in range(0, len(stream.table), 10_000)] * 5


def evidently_batches(stream: Stream) -> tuple[float, float]:
    """The drift preset on a tick of a model; what is kept is the reference."""
    return _evidently(stream, stream.frames())


def evidently_batches_fastest(stream: Stream) -> tuple[float, float]:
    """The number of columns that drift, by PSI, on a tick of a model."""
    return _evidently(stream, stream.frames(), fastest=True)


def evidently_table(stream: Stream) -> tuple[float, float]:
    """The drift preset on 10,000 events of one model."""
    return _evidently(stream, _tables(stream))[0], float("nan")


def evidently_table_fastest(stream: Stream) -> tuple[float, float]:
    """The number of columns that drift, by PSI, on 10,000 events of one model."""
    return _evidently(stream, _tables(stream), fastest=True)[0], float("nan")


def _nannyml(
    stream: Stream, frames: list[pd.DataFrame], chunk: int, methods: tuple[str, str] = ("jensen_shannon",) * 2
) -> tuple[float, float]:
    import nannyml as nml

    def fitted(reference: pd.DataFrame) -> Any:
        names = stream.numbers + stream.classes
        of_numbers, of_classes = [methods[0]], [methods[1]]
        calculator = nml.UnivariateDriftCalculator(
            column_names=names, chunk_size=chunk, continuous_methods=of_numbers, categorical_methods=of_classes
        )
        return calculator.fit(reference)

    calculator = fitted(stream.table[: max(_REFERENCE, 4 * chunk)])

    def calculate(frame: pd.DataFrame) -> int:
        calculator.calculate(frame)
        return len(frame)

    rate = stream.rate(lambda frame=frame: calculate(frame) for frame in frames)
    return rate, kept(lambda i: fitted(pd.DataFrame(stream.rows[i : i + _REFERENCE])), 10)


def nannyml_batches(stream: Stream) -> tuple[float, float]:
    """Jensen-Shannon's distance of each column, a tick of a model at a time."""
    return _nannyml(stream, stream.frames(), stream.tick)


def nannyml_table(stream: Stream) -> tuple[float, float]:
    """The same of one model, all events at once in chunks of 6,000."""
    return _nannyml(stream, [stream.table] * 20, len(stream.table) // 10)[0], float("nan")


def nannyml_table_fastest(stream: Stream) -> tuple[float, float]:
    """The same with the methods that are fastest there."""
    methods = ("hellinger", "l_infinity")
    return _nannyml(stream, [stream.table] * 20, len(stream.table) // 10, methods)[0], float("nan")


def _river(stream: Stream, make: Callable[[], Any]) -> tuple[float, float]:
    """A detector for each number of each model, from the first event on."""
    detectors: dict[str, list[Any]] = {}
    numbers = stream.numbers

    def update(name: str, row: Row) -> int:
        own = detectors.get(name) or detectors.setdefault(name, [make() for _ in numbers])
        for detector, number in zip(own, numbers, strict=True):
            detector.update(row[number])
        return 1

    # Some models with as many events as fill a window: a model's own may not.
    shared = [(str(i % 5), row) for i, row in enumerate(stream.rows)]
    for name, row in shared[:1500]:
        update(name, row)
    rate = stream.rate(lambda name=name, row=row: update(name, row) for name, row in shared[1500:])

    def one(i: int) -> list[Any]:
        own = [make() for _ in numbers]
        for row in stream.rows[i : i + 300]:
            for detector, number in zip(own, numbers, strict=True):
                detector.update(row[number])
        return own

    return rate, kept(one, 5)


def adwin(stream: Stream) -> tuple[float, float]:
    """ADWIN with its defaults."""
    from river.drift import ADWIN

    return _river(stream, ADWIN)


def adwin_rarely(stream: Stream) -> tuple[float, float]:
    """ADWIN that looks for a change every 1,024 values instead of every 32."""
    from river.drift import ADWIN

    return _river(stream, lambda: ADWIN(clock=1024))


def page_hinkley(stream: Stream) -> tuple[float, float]:
    """The Page-Hinkley test with its defaults: a mean that rises or falls, and nothing else."""
    from river.drift import PageHinkley

    return _river(stream, PageHinkley)


def kswin(stream: Stream) -> tuple[float, float]:
    """KSWIN with its defaults."""
    from river.drift import KSWIN

    return _river(stream, lambda: KSWIN(seed=1))


def _alibi(stream: Stream, make: Callable[..., Any], x: np.ndarray, reference: int, windows: list[int]) -> Any:
    """Thresholds, on which no rate depends, are simulated once and shared: each takes seconds."""
    detector = make(x[:reference], ert=_RUN, window_sizes=windows, n_bootstraps=_BOOTSTRAPS, verbose=False)

    def predict(row: np.ndarray) -> int:
        detector.predict(row)
        return 1

    rate = stream.rate(lambda row=row: predict(row) for row in x[_REFERENCE:])
    return rate, kept(lambda _: copy.deepcopy(detector), 20)


def _cvm(stream: Stream, reference: int, windows: list[int]) -> tuple[float, float]:
    from alibi_detect.cd import CVMDriftOnline

    return _alibi(stream, CVMDriftOnline, stream.table[stream.numbers].to_numpy(), reference, windows)


def cvm(stream: Stream) -> tuple[float, float]:
    """Cramer and von Mises' online detector over the numbers, windows of 20 and 40."""
    return _cvm(stream, _REFERENCE, [20, 40])


def cvm_fastest(stream: Stream) -> tuple[float, float]:
    """The same with one window of 20 and a short reference."""
    return _cvm(stream, _SHORT_REFERENCE, [20])


def _fet(stream: Stream, reference: int, windows: list[int]) -> tuple[float, float]:
    from alibi_detect.cd import FETDriftOnline

    x = pd.get_dummies(stream.table[stream.classes]).to_numpy(np.int64)
    return _alibi(stream, FETDriftOnline, x, reference, windows)


def fet(stream: Stream) -> tuple[float, float]:
    """Fisher's exact test's online detector over each value of each category, windows of 20 and 40."""
    return _fet(stream, _REFERENCE, [20, 40])


def fet_fastest(stream: Stream) -> tuple[float, float]:
    """The same with one window of 20 and a short reference."""
    return _fet(stream, _SHORT_REFERENCE, [20])


def _driftfdr(stream: Stream, numbers: list[str], models: int) -> tuple[float, float]:
    """The recommended rule, window and reference; all models' events of a round come in one call."""
    from driftfdr import CalibrationConfig, MeanShift, StreamingMonitor

    values = stream.table[numbers].to_numpy()

    def update(monitor: Any, i: int) -> int:
        first = i * models % (len(values) - models)
        monitor.update(values[first : first + models].ravel())
        return models

    def watching(_: int) -> Any:
        calibration = CalibrationConfig()
        monitor = StreamingMonitor(
            models * len(numbers), detector_factory=lambda: MeanShift(3), calibration=calibration
        )
        for i in range(300):
            update(monitor, i)
        return monitor

    monitor = watching(0)
    rate = stream.rate(lambda i=i: update(monitor, i) for i in range(300, 100_000))
    return rate, kept(watching, 5) / models


def driftfdr_error(stream: Stream) -> tuple[float, float]:
    """One number an event, as it is meant: a model's error."""
    return _driftfdr(stream, stream.numbers[:1], 50)


def driftfdr_features(stream: Stream) -> tuple[float, float]:
    """All numbers of an event."""
    return _driftfdr(stream, stream.numbers, 4)


WAYS = {
    way.__name__: way
    for way in (
        *(whylogs_rows, whylogs_batches, whylogs_table),
        *(evidently_batches, evidently_batches_fastest, evidently_table, evidently_table_fastest),
        *(nannyml_batches, nannyml_table, nannyml_table_fastest),
        *(adwin, adwin_rarely, page_hinkley, kswin, cvm, cvm_fastest, fet, fet_fastest),
        *(driftfdr_error, driftfdr_features),
    )
}


def main() -> None:
    """Arguments: the file, the way, the seconds of CPU after which no further step is begun, the events of a tick."""
    warnings.simplefilter("ignore")
    stream = Stream(sys.argv[1], float(sys.argv[3]), int(sys.argv[4]))
    rate, each = WAYS[sys.argv[2]](stream)
    print(json.dumps({"events_per_second": rate, "kb": None if np.isnan(each) else each}))


if __name__ == "__main__":
    main()
