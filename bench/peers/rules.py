"""Run inside a peer's own environment: its default rule over the streams of a file, as counts on stdout.

It is given the first week as its reference, or to warm up on, and is counted in the second: alarms, and incidents,
which are a model and a day with an alarm.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

WEEK, DAY = 7 * 86400.0, 86400.0
Model = tuple[np.ndarray, np.ndarray]
"""Seconds since the start, (n,), and values, (n, features), NaN for null."""
Counts = dict[str, float]


def counted(alarms: list[tuple[int, int]]) -> Counts:
    """From (model, day) of every alarm."""
    return {"alarms": len(alarms), "incidents": len(set(alarms))}


def of_river(make: Callable[[], Any], models: list[Model], features: list[int]) -> Counts:
    """A detector for each feature, from the first event on."""
    alarms = []
    for i, (at, values) in enumerate(models):
        for j in features:
            detector, known = make(), ~np.isnan(values[:, j])
            for t, x in zip(at[known].tolist(), values[known, j].tolist(), strict=True):
                detector.update(x)
                if detector.drift_detected and t >= WEEK:
                    alarms.append((i, int(t // DAY)))
    return counted(alarms)


def adwin(models: list[Model], categories: list[int]) -> Counts:
    from river.drift import ADWIN

    return of_river(ADWIN, models, [j for j in range(models[0][1].shape[1]) if j not in categories])


def kswin(models: list[Model], _categories: list[int]) -> Counts:
    """One feature of each model: it takes a tenth of a millisecond an event."""
    from river.drift import KSWIN

    return of_river(lambda: KSWIN(seed=1), models, [0])


def frame(values: np.ndarray, categories: list[int]) -> pd.DataFrame:
    table = pd.DataFrame(values, columns=[f"f{j:02}" for j in range(values.shape[1])])
    for j in categories:
        table[f"f{j:02}"] = "c" + table[f"f{j:02}"].astype(int).astype(str)
    return table


def evidently(models: list[Model], categories: list[int]) -> Counts:
    """A report a day and model; a drifted column is an alarm."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    alarms = []
    names = [f"f{j:02}" for j in range(models[0][1].shape[1])]
    classes = [f"f{j:02}" for j in categories]
    definition = DataDefinition(numerical_columns=[n for n in names if n not in classes], categorical_columns=classes)
    for i, (at, values) in enumerate(models):
        reference = Dataset.from_pandas(frame(values[at < WEEK], categories), definition)
        for day in range(7, 14):
            current = Dataset.from_pandas(frame(values[at // DAY == day], categories), definition)
            told = Report([DataDriftPreset()]).run(current, reference).dict()
            drifted = next(m["value"]["count"] for m in told["metrics"] if "DriftedColumnsCount" in str(m))
            alarms += [(i, day)] * int(drifted)
    return counted(alarms)


def nannyml(models: list[Model], categories: list[int]) -> Counts:
    """Univariate drift in chunks of a day, Jensen-Shannon's distance against its own thresholds."""
    import nannyml as nml

    alarms = []
    for i, (at, values) in enumerate(models):
        table = frame(values, categories)
        names = list(table.columns)
        table["at"] = [datetime.fromtimestamp(1_767_225_600.0 + t, UTC).replace(tzinfo=None) for t in at.tolist()]
        calculator = nml.UnivariateDriftCalculator(
            column_names=names,
            timestamp_column_name="at",
            continuous_methods=["jensen_shannon"],
            categorical_methods=["jensen_shannon"],
            chunk_period="D",
        )
        calculator.fit(table[at < WEEK])
        told = calculator.calculate(table[at >= WEEK]).filter(period="analysis").to_df()
        for name in names:
            days = np.flatnonzero(told[(name, "jensen_shannon", "alert")].to_numpy())
            alarms += [(i, int(day)) for day in days]
    return counted(alarms)


def driftfdr(models: list[Model], categories: list[int]) -> Counts:
    """The recommended rule over each number's hourly means: windows of a day, Bonferroni over the fleet."""
    from driftfdr import CalibrationConfig, MeanShift, StreamingMonitor

    numbers = [j for j in range(models[0][1].shape[1]) if j not in categories]
    hours = [
        pd.DataFrame(values[:, numbers])
        .groupby((at // 3600.0).astype(int))
        .mean()
        .reindex(range(14 * 24))
        .ffill()
        .bfill()
        for at, values in models
    ]
    series = np.concatenate([table.to_numpy() for table in hours], axis=1)
    monitor = StreamingMonitor(
        series.shape[1],
        detector_factory=lambda: MeanShift(3),
        n_ref=7 * 24,
        window=24,
        calibration=CalibrationConfig(),
    )
    alarms = []
    for hour, row in enumerate(series):
        alarms += [(int(k) // len(numbers), hour // 24) for k in monitor.update(row)]
    return counted(alarms)


RULES = {"adwin": adwin, "kswin": kswin, "evidently": evidently, "nannyml": nannyml, "driftfdr": driftfdr}


def main() -> None:
    """Arguments: the file, the rule, and the seconds after which no further model is begun."""
    warnings.simplefilter("ignore")
    stored = np.load(sys.argv[1])
    n = int(stored["models"])
    models = [(stored[f"at{i}"], stored[f"values{i}"]) for i in range(n)]
    categories, rule, seconds = stored["categories"].tolist(), RULES[sys.argv[2]], float(sys.argv[3])
    began, done = time.monotonic(), Counter({"models": 0, "alarms": 0, "incidents": 0})
    # driftfdr's is one rule for all models together; the others look at each by itself.
    for some in [models] if rule is driftfdr else [[model] for model in models]:
        if time.monotonic() - began < seconds:
            done.update(rule(some, categories) | {"models": len(some)})
    print(json.dumps(done | {"seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
