"""A training set becomes the reference that the same rows in the stream would have made."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.catalog.profile import Profile, SeriesProfile, category_series, load, number_series, save
from monitor.catalog.training import Built, Columns, build
from monitor.catalog.training_cells import ArrowCells, ListCells, Writing
from monitor.catalog.training_counts import DISTINCT_MAX, CategoryCounts, NumberCounts, Reservoir, Survey
from monitor.errors import ProfileError
from monitor.kernels.tally import BINS, DROPPED, EVENTS, INVALID, NULLS, OTHER_BIN, PRESENT, TYPE


def built(path: Path, **columns: Any) -> Built:
    return build(path, "m", "7", Columns(**columns), lambda _done, _all: None)


def csv_file(directory: Path, *lines: str, name: str = "set.csv") -> Path:
    path = directory / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def jsonl_file(directory: Path, *rows: Any, name: str = "set.jsonl") -> Path:
    path = directory / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def parquet_file(directory: Path, columns: Mapping[str, Any], name: str = "set.parquet") -> Path:
    path = directory / name
    pq.write_table(pa.table(columns), path)
    return path


def part(profile: Profile, name: str, space: str = "feature") -> SeriesProfile:
    (found,) = (part for part in profile.series if (part.space, part.name) == (space, name))
    return found


def shares(part: SeriesProfile) -> dict[str, int]:
    return dict(zip(part.categories, part.counts, strict=False))


def names(profile: Profile) -> list[str]:
    return [f"{part.space}.{part.name}" for part in profile.series]


def test_numbers_are_counted_as_the_reference_function_counts_them(tmp_path: Path) -> None:
    """A column of numbers without gaps gives exactly what ``number_series`` gives for its values."""
    values = np.round(np.random.default_rng(1).normal(50.0, 9.0, 3000), 3)
    path = csv_file(tmp_path, "x", *(repr(float(value)) for value in values))
    assert part(built(path).profile, "x") == number_series("x", "feature", values, len(values))


def test_three_kinds_of_file_say_the_same(tmp_path: Path) -> None:
    """The same rows as CSV, Parquet and JSON give the same series."""
    rng = np.random.default_rng(2)
    income = np.round(rng.lognormal(8.0, 1.0, 500), 2).tolist()
    region = rng.choice(["north", "south", "east"], 500).tolist()
    flag = (rng.random(500) < 0.3).tolist()
    income[7] = region[8] = flag[9] = None
    rows = [{"income": i, "region": r, "flag": f} for i, r, f in zip(income, region, flag, strict=True)]

    def cell(value: Any) -> str:
        return "" if value is None else str(value)

    csv = csv_file(tmp_path, "income,region,flag", *(",".join(map(cell, row.values())) for row in rows))
    parquet = parquet_file(tmp_path, {"income": income, "region": region, "flag": flag})
    jsonl = jsonl_file(tmp_path, *rows)
    one, two, three = (built(path).profile.series for path in (csv, parquet, jsonl))
    assert one == two == three
    assert part(built(csv).profile, "flag").categories == ["false", "true"]
    assert [each.counts[NULLS] for each in one] == [1, 1, 1]
    assert all(each.counts[PRESENT] == each.counts[EVENTS] == 500 for each in one)


def test_compressed_files_read_as_plain_ones(tmp_path: Path) -> None:
    """A text file may be compressed by gzip."""
    lines = ["x,c", *(f"{i % 50},{'ab'[i % 2]}" for i in range(300))]
    plain = built(csv_file(tmp_path, *lines)).profile.series
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert built(packed).profile.series == plain
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(b"".join(b'{"x":%d}\n' % (i % 50) for i in range(300))))
    assert built(packed).profile.series == plain[:1]


def test_answers_are_predictions(tmp_path: Path) -> None:
    """The columns that are named as the model's answers become prediction series under the events' own names."""
    path = csv_file(tmp_path, "x,decision,p,price", *(f"{i},{i % 2}.0,0.{i},{i}.5" for i in range(10, 60)))
    profile = built(path, label="decision", score="p", value="price").profile
    assert names(profile) == ["feature.x", "prediction.label", "prediction.score", "prediction.value"]
    assert shares(part(profile, "label", "prediction")) == {"0": 25, "1": 25}


@pytest.mark.parametrize(
    ("column", "classes"),
    [
        ([1, 0, 1], {"1": 2, "0": 1}),
        ([1.0, 2.5, 1.0], {"1": 2, "2.5": 1}),
        ([True, False, True], {"1": 2, "0": 1}),
        (["yes", "1.0", "yes"], {"yes": 2, "1.0": 1}),
        (pa.array(["a", "b", "a"]).dictionary_encode(), {"a": 2, "b": 1}),
    ],
)
def test_a_class_is_the_word_that_events_have(tmp_path: Path, column: Any, classes: Mapping[str, int]) -> None:
    """``1``, ``1.0`` and ``true`` are the class ``1``; a text is the class that it says."""
    profile = built(parquet_file(tmp_path, {"y": column}), label="y").profile
    assert shares(part(profile, "label", "prediction")) == classes


def test_truths_of_a_text_file_are_classes(tmp_path: Path) -> None:
    """A label column of truth words alone is ``1`` and ``0``, among other words they are words."""
    path = csv_file(tmp_path, "y,z", "True,True", "False,maybe", "True,True")
    assert shares(part(built(path, label="y").profile, "label", "prediction")) == {"1": 2, "0": 1}
    assert shares(part(built(path, label="z").profile, "label", "prediction")) == {"True": 2, "maybe": 1}


def test_codes_may_be_taken_as_categories(tmp_path: Path) -> None:
    """A column that is declared a category is one: verbatim from a text file, written out from one with types."""
    csv = csv_file(tmp_path, "code", "01", "02", "01")
    assert shares(part(built(csv, categories=frozenset({"code"})).profile, "code")) == {"01": 2, "02": 1}
    parquet = parquet_file(tmp_path, {"code": [1.0, 2.0, 1.0]})
    assert shares(part(built(parquet, categories=frozenset({"code"})).profile, "code")) == {"1": 2, "2": 1}
    jsonl = jsonl_file(tmp_path, {"code": 1}, {"code": "x"}, {"code": True}, {"code": 1})
    assert shares(part(built(jsonl, categories=frozenset({"code"})).profile, "code")) == {"1": 2, "true": 1, "x": 1}


def test_what_is_left_out_is_not_there(tmp_path: Path) -> None:
    """Columns to leave out are not in the reference, and nobody is warned of them."""
    got = built(csv_file(tmp_path, "id,x", "1,5", "2,6"), left_out=frozenset({"id"}))
    assert names(got.profile) == ["feature.x"]
    assert got.warnings == ()


def test_not_a_number_is_invalid_and_nothing_is_null(tmp_path: Path) -> None:
    """NaN and infinities in a column of numbers count as invalid, an empty cell and Parquet's null as missing."""
    csv = csv_file(tmp_path, "x,k", "1.5,a", "nan,a", ",a", "inf,a", "NA,a", "2.5,a")
    parquet = parquet_file(tmp_path, {"x": pa.array([1.5, math.nan, None, math.inf, None, 2.5])})
    jsonl = tmp_path / "set.jsonl"
    jsonl.write_text("".join(f'{{"x":{x}}}\n' for x in ("1.5", "NaN", "null", "Infinity", "null", "2.5")))
    for path in (csv, parquet, jsonl):
        counts = part(built(path).profile, "x").counts
        assert (sum(counts[:BINS]), counts[INVALID], counts[NULLS], counts[PRESENT]) == (2, 2, 2, 6)


def test_a_null_word_is_a_word_among_words(tmp_path: Path) -> None:
    """``NA`` is a missing value among numbers, and a category (a country, say) among texts."""
    profile = built(csv_file(tmp_path, "n,c", "1,NA", "NA,SE", "2,NA")).profile
    assert part(profile, "n").counts[NULLS] == 1
    assert shares(part(profile, "c")) == {"NA": 2, "SE": 1}


def test_a_few_words_among_numbers_are_of_a_wrong_type(tmp_path: Path) -> None:
    """A column is what most of its values are; the rest counts as values of another type, as in the stream."""
    csv = part(built(csv_file(tmp_path, "x", "1", "?", "2", "3")).profile, "x")
    jsonl = part(built(jsonl_file(tmp_path, *({"x": x} for x in (1, "?", 2, [3], None)))).profile, "x")
    words = part(built(jsonl_file(tmp_path, *({"x": x} for x in ("a", 1, "b")))).profile, "x")
    assert (csv.kind, sum(csv.counts[:BINS]), csv.counts[TYPE], csv.counts[PRESENT]) == ("number", 3, 1, 4)
    assert [jsonl.counts[i] for i in (TYPE, DROPPED, NULLS, PRESENT)] == [1, 1, 1, 5]
    assert (words.kind, words.counts[TYPE], words.counts[PRESENT]) == ("category", 1, 3)


def test_columns_of_nothing_are_told(tmp_path: Path) -> None:
    """A column without a value that could be judged is left out, and the caller hears of it."""
    got = built(
        parquet_file(tmp_path, {"x": [1, 2], "empty": [None, None], "when": pa.array([0, 1], pa.timestamp("ms"))})
    )
    assert names(got.profile) == ["feature.x"]
    assert got.warnings == (
        'column "when" was left out: is of type timestamp[ms]',
        'column "empty" was left out: is empty',
    )
    got = built(csv_file(tmp_path, "x,bad", "1,nan", "2,"))
    assert got.warnings == ('column "bad" was left out: has no finite number',)


def test_native_events_are_read_as_the_stream_reads_them(tmp_path: Path) -> None:
    """Of native events features, predictions and metrics are taken, each with its own number of events."""
    events = [
        {"model": "m", "id": "1", "features": {"x": 1.5, "c": "a"}, "prediction": {"label": "yes", "score": 0.5}},
        {"model": "m", "id": "2", "features": {"x": 2.5, "c": None}, "prediction": {"label": "no", "tags": ["t"]}},
        {"model": "m", "id": "3", "prediction": 0.5},
        {"model": "m", "id": "4", "features": {"x": [1]}, "metrics": {"latency_seconds": 0.1}},
        {"model": "m", "id": "4", "outcome": "repaid"},
        {"model": "other", "id": "5", "features": {"x": 7}},
    ]
    profile = built(jsonl_file(tmp_path, *events)).profile
    assert profile.events == 4
    counted = {f"{p.space}.{p.name}": (p.counts[PRESENT], p.counts[EVENTS]) for p in profile.series}
    assert counted == {
        "feature.x": (3, 3),
        "feature.c": (2, 3),
        "prediction.label": (2, 3),
        "prediction.score": (1, 3),
        "prediction.value": (1, 3),
        "metric.latency_seconds": (1, 1),
    }
    assert part(profile, "x").counts[DROPPED] == 1


def test_a_directory_is_one_training_set(tmp_path: Path) -> None:
    """All files of a directory are read in the order of their names; hidden ones and markers are not."""
    (tmp_path / "day=1").mkdir()
    csv_file(tmp_path, "x,c", "1,a", "2,b", name="b.csv")
    jsonl_file(tmp_path / "day=1", {"x": 3, "c": "a"}, name="a.jsonl")
    parquet_file(tmp_path, {"x": [4]}, name="c.parquet")
    csv_file(tmp_path, "x,c", "9,z", name=".hidden.csv")
    csv_file(tmp_path, "x,c", "9,z", name="_SUCCESS.csv")
    profile = built(tmp_path).profile
    assert profile.events == 4
    assert part(profile, "x").first_values == [1.0, 2.0, 4.0, 3.0]
    assert (part(profile, "c").counts[PRESENT], part(profile, "c").counts[EVENTS]) == (3, 4)


def test_separators_quotes_and_marks_of_other_tools(tmp_path: Path) -> None:
    """A byte order mark, semicolons and quoted line breaks are understood."""
    path = tmp_path / "set.csv"
    path.write_bytes('﻿x;"two\nlines"\r\n1;"a\nb"\r\n2;"a\nb"\r\n'.encode())
    profile = built(path).profile
    assert part(profile, "x").first_values == [1.0, 2.0]
    assert shares(part(profile, "two\nlines")) == {"a\nb": 2}


def faults() -> Iterable[tuple[str, bytes, dict[str, Any], str]]:
    yield "set.csv", b"", {}, "line 1: has no names of columns"
    yield "set.csv", b"x,x\n1,2\n", {}, 'line 1: column "x" is named twice'
    yield "set.csv", b"x,y\n1,2\n3\n", {}, "line 3: has 1 columns, not 2 as the first line has"
    yield "set.csv", b"x,y\n1,a\n2,\xff\n", {}, "line 3, column y: CSV conversion error to string: invalid UTF8 data"
    yield "set.csv", b"x,y\n", {}, "has no rows"
    yield "set.csv", b"x,y\n,\n", {}, 'has no column that a reference can be made of: column "x" was left out'
    yield (
        "set.csv",
        b"income,y\n1,2\n",
        {"left_out": frozenset({"incme"})},
        'has no column "incme", did you mean "income"?',
    )
    yield "set.csv.gz", b"x,y\n1,2\n", {}, "Not a gzipped file"
    yield "set.jsonl", b'{"x":1}\n\n{"x":\n', {}, "line 3: is not JSON"
    yield "set.jsonl", b'{"x":1}\n[2]\n', {}, "line 2: is no JSON object"
    yield "set.jsonl", b'{"model":"a","features":{"x":1}}\n', {}, 'has no event of model "m", only of a'
    yield "set.parquet", b"PAR1", {}, "set.parquet: "
    yield "set.xlsx", b"", {}, "not a kind of training set that can be read: .csv, "


@pytest.mark.parametrize(("name", "content", "columns", "words"), list(faults()))
def test_a_fault_names_its_place(
    tmp_path: Path, name: str, content: bytes, columns: dict[str, Any], words: str
) -> None:
    """What cannot be read ends in a ``ProfileError`` with the file, and the line or column where it is known."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ProfileError) as caught:
        built(path, **columns)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_no_value_of_the_set_stands_in_an_error(tmp_path: Path) -> None:
    """A message about a bad line does not quote it: training sets hold people's data."""
    with pytest.raises(ProfileError) as caught:
        built(csv_file(tmp_path, "x,y", "secret-value"))
    assert "secret-value" not in str(caught.value)


def test_a_bad_line_far_down_is_known_by_its_number(tmp_path: Path) -> None:
    """Lines are counted through the whole file, however it is cut up for reading."""
    lines = ["x,y", *(f"{i},{'z' * 60}" for i in range(100_000)), "1"]
    with pytest.raises(ProfileError, match="line 100002: has 1 columns"):
        built(csv_file(tmp_path, *lines))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """A missing file, an empty directory and a column in two parts are errors."""
    with pytest.raises(ProfileError, match="no such file"):
        built(tmp_path / "none.csv")
    with pytest.raises(ProfileError, match="holds no training set"):
        built(tmp_path)
    with pytest.raises(ProfileError, match='column "x" is given two parts to play'):
        built(csv_file(tmp_path, "x", "1"), label="x", score="x")


def test_progress_runs_to_the_end(tmp_path: Path) -> None:
    """Progress never falls and ends at twice the size of the files, for they are read twice."""
    csv_file(tmp_path, "x", *(str(i) for i in range(1000)), name="a.csv")
    parquet_file(tmp_path, {"x": list(range(40_000))}, name="b.parquet")
    told: list[tuple[int, int]] = []
    build(tmp_path, "m", "", Columns(), lambda done, total: told.append((done, total)))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert {total for _, total in told} == {2 * size}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == 2 * size
    assert len(told) > 4


def test_a_large_column_is_sampled_evenly() -> None:
    """A full reservoir is a uniform sample of all that came: early and late values are as likely to be in it."""
    sample = Reservoir(1000)
    for start in range(0, 50_000, 700):
        sample.add(np.arange(start, min(start + 700, 50_000), dtype=np.float64))
    assert len(sample.values) == 1000
    # The mean of 1,000 draws of a uniform law has a standard deviation of 456; five of them.
    assert abs(sample.values.mean() - 25_000) < 5 * 456
    assert len(np.unique(sample.values)) == 1000


def test_bins_hold_every_row_of_a_sampled_column() -> None:
    """Edges may come from a sample, counts come from all rows."""
    values = np.random.default_rng(3).exponential(10.0, 20_000)
    stretches = [ArrowCells(pa.array(part)) for part in np.split(values, 8)]
    survey = Survey(sample=Reservoir(500))
    for cells in stretches:
        survey.add(cells)
    counting = NumberCounts(survey)
    for cells in stretches:
        counting.add(cells)
    got = counting.series("x", "feature", 20_000)
    counts = np.array(got.counts[:BINS])
    assert counts.sum() == got.counts[PRESENT] == 20_000
    assert (got.low, got.high) == (values.min(), values.max())
    # A bin between two of 31 quantiles of 500 values holds 625 of 20,000 in the mean, give or take 160.
    assert counts.min() > 100
    assert counts.max() < 1600


def test_words_beyond_the_most_are_among_the_others() -> None:
    """A column of endless words is counted in bounded memory: what is too much or too long has no name."""
    counts = CategoryCounts(Writing.AS_IT_STANDS)
    for start in range(0, DISTINCT_MAX + 20_000, 10_000):
        counts.add(ListCells([f"w{i}" for i in range(start, start + 10_000)]))
    counts.add(ListCells(["w0"] * 5 + ["x" * 2000]))
    series = counts.series("c", "feature", DISTINCT_MAX + 20_006)
    assert series.categories[0] == "w0"
    assert series.counts[0] == 6
    assert series.counts[DROPPED] == 1
    assert sum(series.counts[:BINS]) == DISTINCT_MAX + 20_005
    assert series.counts[OTHER_BIN] == DISTINCT_MAX + 20_005 - 6 - (len(series.categories) - 1)
    assert series.counts[PRESENT] == DISTINCT_MAX + 20_006


def test_numbers_beyond_floats_are_no_numbers(tmp_path: Path) -> None:
    """An integer that no float holds counts as invalid, not as an error."""
    got = part(built(jsonl_file(tmp_path, {"x": 10**400}, {"x": 1}, {"x": 2})).profile, "x")
    assert (got.counts[INVALID], got.high) == (1, 2.0)


def test_what_is_built_can_be_kept(tmp_path: Path) -> None:
    """A built reference passes the checks of reading it back."""
    rows: Sequence[Any] = [{"x": i % 90, "c": "ab"[i % 2], "label": i % 2} for i in range(400)]
    profile = built(jsonl_file(tmp_path, *rows), label="label").profile
    save(profile, tmp_path / "m.mwref")
    assert load(tmp_path / "m.mwref")[0] == profile
    assert part(profile, "c") == category_series("c", "feature", {"a": 200, "b": 200}, 0, 400)
