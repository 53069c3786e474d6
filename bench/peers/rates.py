"""Run inside a peer's own environment: how many events a CPU second it takes in, and what it keeps a model, as JSON.

It is given a file of events, already in the order of their times, and the name of a way to use the peer. Events are
parsed before anything is measured, and references are fitted before: neither is in a rate. Where a peer is slow it sees
as many of the models as some seconds of CPU allow.
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
_BATCH = 60
"""Events of a model that are looked at together where many models are watched: a tick of the default configuration."""
_REFERENCE = 1000
"""Rows of a reference; the stream's own first ones."""
_SIMULATED = 200
"""Rows of a reference from which thresholds are simulated: that takes their square."""


def resident_kb() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return float(line.split()[1])


class Stream:
    """The events by model, and as one table."""

    def __init__(self, path: str, seconds: float) -> None:
        self.seconds = seconds
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
        """A table of each model's first batch."""
        return [pd.DataFrame(rows[:_BATCH]) for rows in self.models.values()]

    def rate(self, steps: Iterable[Callable[[], int]]) -> float:
        """Events a second of CPU over as many of ``steps`` as the time allows; each says how many it took."""
        gc.collect()
        events, began = 0, time.process_time()
        for step in steps:
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
    events = [(name, rows[i]) for i in range(1, _BATCH) for name, rows in some if i < len(rows)]
    rate = stream.rate(lambda name=name, row=row: track(name, row) for name, row in events)
    rows = next(iter(stream.models.values()))

    def one(_: int) -> Any:
        profile = DatasetProfile()
        for row in rows:
            profile.track(row)
        return profile

    return rate, kept(one, 20)


def whylogs_batches(stream: Stream) -> tuple[float, float]:
    """A profile a model, a table of 60 events at a time."""
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


def _evidently(stream: Stream, frames: list[pd.DataFrame]) -> tuple[float, float]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=stream.numbers, categorical_columns=stream.classes)
    reference = Dataset.from_pandas(stream.table[:_REFERENCE], definition)

    def run(frame: pd.DataFrame) -> int:
        Report([DataDriftPreset()]).run(Dataset.from_pandas(frame, definition), reference).dict()
        return len(frame)

    rate = stream.rate(lambda frame=frame: run(frame) for frame in frames)
    own = kept(lambda i: Dataset.from_pandas(pd.DataFrame(stream.rows[i : i + _REFERENCE]), definition), 20)
    return rate, own


def evidently_batches(stream: Stream) -> tuple[float, float]:
    """The drift preset on 60 events of a model; what is kept is the reference."""
    return _evidently(stream, stream.frames())


def evidently_table(stream: Stream) -> tuple[float, float]:
    """The drift preset on 10,000 events of one model."""
    return _evidently(stream, [stream.table[i : i + 10_000] for i in range(0, len(stream.table), 10_000)] * 5)


def _nannyml(stream: Stream, frames: list[pd.DataFrame], chunk: int) -> tuple[float, float]:
    import nannyml as nml

    def fitted(reference: pd.DataFrame) -> Any:
        methods = {"continuous_methods": ["jensen_shannon"], "categorical_methods": ["jensen_shannon"]}
        names = stream.numbers + stream.classes
        return nml.UnivariateDriftCalculator(column_names=names, chunk_size=chunk, **methods).fit(reference)

    calculator = fitted(stream.table[: max(_REFERENCE, 4 * chunk)])

    def calculate(frame: pd.DataFrame) -> int:
        calculator.calculate(frame)
        return len(frame)

    rate = stream.rate(lambda frame=frame: calculate(frame) for frame in frames)
    return rate, kept(lambda i: fitted(pd.DataFrame(stream.rows[i : i + _REFERENCE])), 10)


def nannyml_batches(stream: Stream) -> tuple[float, float]:
    """Jensen-Shannon's distance of each column, a chunk of 60 events of a model at a time."""
    return _nannyml(stream, stream.frames(), _BATCH)


def nannyml_table(stream: Stream) -> tuple[float, float]:
    """The same of one model, all events at once in chunks of 6,000."""
    return _nannyml(stream, [stream.table] * 20, len(stream.table) // 10)


def _river(stream: Stream, make: Callable[[], Any]) -> tuple[float, float]:
    """A detector for each number of each model, from the first event on."""
    detectors: dict[str, list[Any]] = {}
    numbers = stream.numbers

    def update(name: str, row: Row) -> int:
        own = detectors.get(name) or detectors.setdefault(name, [make() for _ in numbers])
        for detector, number in zip(own, numbers, strict=True):
            detector.update(row[number])
        return 1

    # Some models with as many events as fill a window: a model's own 60 do not.
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


def kswin(stream: Stream) -> tuple[float, float]:
    """KSWIN with its defaults."""
    from river.drift import KSWIN

    return _river(stream, lambda: KSWIN(seed=1))


def _alibi(stream: Stream, make: Callable[..., Any], x: np.ndarray, **settings: Any) -> tuple[float, float]:
    """Thresholds, on which no rate depends, are simulated once, for a short run, and shared: each takes minutes."""
    detector = make(x[:_SIMULATED], ert=64, n_bootstraps=500, verbose=False, **settings)

    def predict(row: np.ndarray) -> int:
        detector.predict(row)
        return 1

    rate = stream.rate(lambda row=row: predict(row) for row in x[_REFERENCE:])
    return rate, kept(lambda _: copy.deepcopy(detector), 20)


def cvm(stream: Stream) -> tuple[float, float]:
    """Cramer and von Mises' online detector over the numbers, windows of 20 and 40."""
    from alibi_detect.cd import CVMDriftOnline

    return _alibi(stream, CVMDriftOnline, stream.table[stream.numbers].to_numpy(), window_sizes=[20, 40])


def cvm_one(stream: Stream) -> tuple[float, float]:
    """The same with one window of 20."""
    from alibi_detect.cd import CVMDriftOnline

    return _alibi(stream, CVMDriftOnline, stream.table[stream.numbers].to_numpy(), window_sizes=[20])


def fet(stream: Stream) -> tuple[float, float]:
    """Fisher's exact test's online detector over each value of each category, windows of 20 and 40."""
    from alibi_detect.cd import FETDriftOnline

    x = pd.get_dummies(stream.table[stream.classes]).to_numpy(np.int64)
    return _alibi(stream, FETDriftOnline, x, window_sizes=[20, 40])


def _driftfdr(stream: Stream, numbers: list[str], models: int) -> tuple[float, float]:
    """The recommended rule, window and reference; all models' events of a round come in one call."""
    from driftfdr import CalibrationConfig, MeanShift, StreamingMonitor

    values = stream.table[numbers].to_numpy()
    before = resident_kb()
    n, calibration = models * len(numbers), CalibrationConfig()
    monitor = StreamingMonitor(n, detector_factory=lambda: MeanShift(3), calibration=calibration)

    def update(i: int) -> int:
        first = i * models % (len(values) - models)
        monitor.update(values[first : first + models].ravel())
        return models

    for i in range(300):
        update(i)
    rate = stream.rate(lambda i=i: update(i) for i in range(300, 100_000))
    return rate, (resident_kb() - before) / models


def driftfdr_error(stream: Stream) -> tuple[float, float]:
    """One number an event, as it is meant: a model's error."""
    return _driftfdr(stream, stream.numbers[:1], 50)


def driftfdr_features(stream: Stream) -> tuple[float, float]:
    """All numbers of an event."""
    return _driftfdr(stream, stream.numbers, 4)


WAYS = {
    way.__name__: way
    for way in (
        *(whylogs_rows, whylogs_batches, whylogs_table, evidently_batches, evidently_table),
        *(nannyml_batches, nannyml_table, adwin, adwin_rarely, kswin, cvm, cvm_one, fet),
        *(driftfdr_error, driftfdr_features),
    )
}


def main() -> None:
    """Arguments: the file, the way, and the seconds of CPU after which no further step is begun."""
    warnings.simplefilter("ignore")
    stream = Stream(sys.argv[1], float(sys.argv[3]))
    rate, each = WAYS[sys.argv[2]](stream)
    print(json.dumps({"events_per_second": rate, "kb": None if np.isnan(each) else each}))


if __name__ == "__main__":
    main()
