"""Real data sets with known answers as native events: where they are, and what each row becomes."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
START = datetime(2026, 1, 1, tzinfo=UTC)
"""When data without times of their own begin."""

Event = tuple[datetime, dict[str, Any]]


LOAN_FEATURES = (
    *("car_value", "salary_range", "debt_to_income_ratio", "loan_length"),
    *("repaid_loan_on_prev_car", "size_of_downpayment", "driver_tenure"),
)


def rows_of(name: str, file: str = "data") -> list[dict[str, Any]]:
    """The rows of a data set, values as JSON has them: what is not a number is ``None``."""
    table = pq.read_table(DATA / name / f"{file}.parquet")
    names, columns = table.column_names, [_values(column) for column in table.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_floating(column.type):
        numbers = column.to_numpy()
        values = numbers.astype(object)
        values[np.isnan(numbers)] = None
        return list(values)
    return list(column.to_pylist() if column.null_count else column.to_numpy().tolist())


def elec2() -> Iterator[Event]:
    """Half-hourly electricity prices; those of the other state stand still up to row 17,424."""
    features = ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
    for i, row in enumerate(rows_of("elec2")):
        when, case = START + timedelta(minutes=30 * i), {"model": "elec2", "id": f"e{i}"}
        answer = {"label": "up" if row["nswprice"] > 0.06 else "down"}
        yield when, case | {"features": {name: row[name] for name in features}, "prediction": answer}
        yield when + timedelta(hours=1), case | {"outcome": "up" if row["class"] else "down"}


def sea() -> Iterator[Event]:
    """Three uniform numbers whose distribution never changes; only what they mean does."""
    for i, row in enumerate(rows_of("sea")):
        when, case = START + timedelta(seconds=6 * i), {"model": "sea", "id": f"s{i}"}
        features = {name: row[name] for name in ("a1", "a2", "a3")}
        answer = {"label": "1" if row["a1"] + row["a2"] <= 8 else "0"}
        yield when, case | {"features": features, "prediction": answer}
        yield when + timedelta(seconds=30), case | {"outcome": str(row["label"])}


def car_loan() -> Iterator[Event]:
    """Car loans of two years; the cars' values leave their range in the last quarter of the rows."""
    rows = list(enumerate(rows_of("nannyml_car_loan")))
    for i, row in sorted(rows, key=lambda pair: pair[1]["timestamp"]):
        answer = {"label": "repaid" if row["y_pred"] else "default", "score": row["y_pred_proba"]}
        case = {"model": "car_loan", "id": f"n{i}", "features": {name: row[name] for name in LOAN_FEATURES}}
        yield datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC), case | {"prediction": answer}


def car_loan_quality() -> Iterator[Event]:
    """The same cars before the drift, then with values taken out of two features, and a class that was never there."""
    before = [row for row in rows_of("nannyml_car_loan") if row["period"] == "reference"]
    after = rows_of("nannyml_car_loan", "data_quality_analysis")
    # The planted drift of the values begins with the 25,000th row, where the file's other half begins.
    for i, row in enumerate(sorted(before + after[:25_000], key=lambda row: row["timestamp"])):
        answer = {"label": "repaid" if row["y_pred"] else "default", "score": row["y_pred_proba"]}
        case = {"model": "car_loan_quality", "id": f"q{i}", "features": {name: row[name] for name in LOAN_FEATURES}}
        yield datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC), case | {"prediction": answer}


def noaa_weather() -> Iterator[Event]:
    """Each day's weather from 1949 to 1999 at one place, and whether it rained; seasons, and nothing labelled."""
    for i, row in enumerate(rows_of("noaa_weather")):
        features = {name: value for name, value in row.items() if name != "target"}
        case = {"model": "noaa_weather", "id": f"w{i}", "features": features}
        when = datetime(1949, 1, 1, 12, tzinfo=UTC) + timedelta(days=i)
        yield when, case | {"prediction": {"label": "rain" if row["target"] else "dry"}}


def bank_marketing() -> Iterator[Event]:
    """Calls of a bank, as they followed each other from May 2008 to November 2010, half an hour each."""
    yield from _in_turn("bank_marketing", _table("bank_marketing/data.csv.gz"), "y", 1800.0, left_out=("day", "month"))


def credit_default() -> Iterator[Event]:
    """Clients in a random order: whatever is found of them is false."""
    clients = _table("credit_default/data.csv.gz")
    random.Random(1).shuffle(clients)
    yield from _in_turn("credit_default", clients, "default payment", 60.0)


def diabetes130() -> Iterator[Event]:
    """Stays in hospital in a random order: features of hundreds of codes, and of one; whatever is found is false."""
    stays = rows_of("diabetes130")
    random.Random(1).shuffle(stays)
    yield from _in_turn("diabetes130", stays, "readmitted", 20.0, left_out=("encounter_id", "patient_nbr"))


def _in_turn(
    model: str, rows: Iterable[dict[str, Any]], target: str, seconds: float, left_out: tuple[str, ...] = ()
) -> Iterator[Event]:
    """A row every so many seconds, its target told as the model's answer; what reads as a number is one."""
    for i, row in enumerate(rows):
        features = {name: _number(value) for name, value in row.items() if name not in {target, *left_out}}
        case = {"model": model, "id": f"x{i}", "features": features, "prediction": {"label": str(row[target])}}
        yield START + timedelta(seconds=seconds * i), case


def _number(text: Any) -> Any:
    """A number where ``text`` is one, nothing where it says that there is none."""
    if not isinstance(text, str):
        return text
    try:
        return float(text)
    except ValueError:
        return None if text in {"", "?"} else text


def ma_employment() -> Iterator[Event]:
    """A survey of four years, one person a minute; rows 202,404 to 212,673 were asked in dormitories."""
    codes = ("SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY", "DEAR", "DEYE", "DREM")
    for i, row in enumerate(rows_of("nannyml_ma_employment")):
        when, case = START + timedelta(minutes=i), {"model": "ma_employment", "id": f"m{i}"}
        features = {"AGEP": row["AGEP"]} | {name: None if row[name] is None else str(row[name]) for name in codes}
        answer = {"label": "employed" if row["prediction"] else "not", "score": row["predicted_probability"]}
        group = {"sex": "F" if row["SEX"] == 2 else "M", "race": str(row["RAC1P"])}
        yield when, case | {"features": features, "prediction": answer, "sensitive": group}
        yield when + timedelta(days=1), case | {"outcome": "employed" if row["employed"] else "not"}


def compas() -> Iterator[Event]:
    """Scores of defendants in Broward County, and who was arrested again within two years."""
    people = _table("compas/two_years.csv.gz")
    for i, who in enumerate(sorted(people, key=lambda who: who["compas_screening_date"])):
        day = datetime.fromisoformat(who["compas_screening_date"][:10]).replace(tzinfo=UTC)
        when, case = day + timedelta(seconds=i * 37 % 80_000), {"model": "compas", "id": f"c{who['id']}"}
        decile = int(who["decile_score"])
        answer = {"label": "high" if decile >= 5 else "low", "score": 1 - decile / 10}
        features = {"age": int(who["age"]), "priors_count": int(who["priors_count"])}
        group = {"race": who["race"], "sex": who["sex"]}
        yield when, case | {"features": features, "prediction": answer, "sensitive": group}
        yield when + timedelta(days=730), case | {"outcome": "reoffended" if who["two_year_recid"] == "1" else "none"}


def _berkeley(model: str) -> Iterator[Event]:
    people = _table("berkeley/fairtest_rows.csv.gz")
    order = list(range(len(people)))
    random.Random(7).shuffle(order)
    for i, k in enumerate(order):
        who = people[k]
        answer = {"label": "admit" if who["accepted"] == "Yes" else "reject"}
        case = {"model": model, "id": f"b{k}", "features": {"department": who["department"]}, "prediction": answer}
        yield START + timedelta(minutes=i), case | {"sensitive": {"gender": who["gender"]}}


def berkeley() -> Iterator[Event]:
    """Admissions of 1973: women 560 of 1,835, men 1,192 of 2,590 in these rows."""
    yield from _berkeley("berkeley")


def berkeley_explained() -> Iterator[Event]:
    """The same people, judged within departments, in which nothing is left of the gap."""
    yield from _berkeley("berkeley_explained")


def _tagger(name: str) -> Iterator[Event]:
    images = _table(f"fairtest_image_labels/{name}.csv.gz")
    order = list(range(len(images)))
    random.Random(11).shuffle(order)
    for i, k in enumerate(order):
        tags = [tag.strip(" '\"") for tag in images[k]["Labels"].strip("[]").split(",")]
        case = {"model": f"tagger_{name}", "id": f"t{k}", "sensitive": {"race": images[k]["Race"]}}
        yield START + timedelta(seconds=30 * i), case | {"prediction": {"tags": [tag for tag in tags if tag]}}


def tagger_caffe() -> Iterator[Event]:
    """Photos of people and the tags that a network gave them; FairTest (2017) says which go with race."""
    yield from _tagger("caffe")


def tagger_overfeat() -> Iterator[Event]:
    """The same of another network: tags of primates on 38 of 1,404 photos of Black people, 5 of 1,243 of White ones."""
    yield from _tagger("overfeat")


def _table(path: str) -> list[dict[str, str]]:
    with gzip.open(DATA / path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


CASES = {
    make.__name__: make
    for make in (
        *(elec2, sea, car_loan, car_loan_quality, ma_employment, noaa_weather, bank_marketing, credit_default),
        *(diabetes130, compas, berkeley, berkeley_explained, tagger_caffe, tagger_overfeat),
    )
}
PRIMATES = (
    *("gorilla", "chimpanzee", "orangutan", "gibbon", "siamang", "baboon", "macaque", "guenon", "langur", "colobus"),
    *("proboscis monkey", "marmoset", "capuchin", "howler monkey", "titi", "spider monkey", "squirrel monkey", "patas"),
    *("Madagascar cat", "indri"),
)
_BERKELEY = 'tick = "10m"\ninclude_group_values = true\nsensitive = ["gender"]\nfavourable = ["admit"]\n'
_TAGGER = 'tick = "5m"\ninclude_group_values = true\nsensitive = ["race"]\n'

POLICIES = {
    "elec2": 'tick = "1d"\nreference = "learn"\noutcome_horizon = "2h"\n',
    "sea": 'tick = "10m"\noutcome_horizon = "1m"\n',
    "car_loan": 'tick = "1d"\nfavourable = ["repaid"]\n',
    "car_loan_quality": 'tick = "1d"\n',
    "noaa_weather": 'tick = "1d"\nseason = ["365d"]\n',
    "bank_marketing": 'tick = "1d"\n',
    "credit_default": 'tick = "1h"\n',
    "diabetes130": 'tick = "1h"\n',
    "ma_employment": 'tick = "6h"\nsensitive = ["sex"]\nfavourable = ["employed"]\noutcome_horizon = "2d"\n',
    "compas": (
        'include_group_values = true\nsensitive = ["race", "sex"]\nfavourable = ["low"]\n'
        'favourable_outcomes = ["none"]\noutcome_horizon = "731d"\ntick = "1d"\n'
    ),
    "berkeley": _BERKELEY,
    "berkeley_explained": f'{_BERKELEY}explain_by = ["department"]\n',
    "tagger_caffe": _TAGGER,
    "tagger_overfeat": f'{_TAGGER}[[models.watch_tags]]\nname = "primates"\ntags = {json.dumps(PRIMATES)}\n',
}


def write(case: str, directory: Path, first: int | None = None) -> tuple[Path, Path]:
    """Write the ``first`` events of ``case`` in the order of their times, and its configuration; returns both files."""
    events_of = islice(CASES[case](), first)
    encode = msgspec.json.Encoder().encode
    lines = [(when, n, encode({**event, "time": stamp(when)})) for n, (when, event) in enumerate(events_of)]
    lines.sort(key=lambda line: line[:2])
    events, config = directory / f"{case}.jsonl", directory / f"{case}.toml"
    with events.open("wb") as file:
        file.writelines(line + b"\n" for _, _, line in lines)
    config.write_text(f'[[models]]\nmatch = "{case}"\n{POLICIES[case]}')
    return events, config


def stamp(when: datetime) -> str:
    """As events have it: UTC with microseconds."""
    return f"{when.isoformat(timespec='microseconds')[:26]}Z"
