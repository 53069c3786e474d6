"""A reference file gives back what was put in, or says that it is not what was written."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.catalog.installing import Installer
from monitor.catalog.models import Models, Phase
from monitor.catalog.policies import Policy
from monitor.catalog.profile import MAGIC, Profile, SeriesProfile, category_series, load, number_series, save
from monitor.catalog.series import FIELDS as SERIES
from monitor.catalog.series import JUDGED, UNJUDGED, Series
from monitor.errors import ProfileError
from monitor.kernels.hashing import hash64
from monitor.kernels.tally import BINS, EDGES, EVENTS, INVALID, NULLS, OTHER_BIN, PRESENT


def example() -> Profile:
    rng = np.random.default_rng(1)
    series = [
        number_series("income", "feature", rng.lognormal(8.0, 1.0, 990), 1000),
        category_series("region", "feature", {"north": 600, "south": 390}, 10, 1000),
        number_series("score", "prediction", rng.random(1000), 1000),
        number_series("latency_seconds", "metric", rng.exponential(0.1, 400), 400),
    ]
    return Profile("credit-limit", "7", 1000, "train.csv", series)


def test_a_profile_comes_back_as_it_was(tmp_path: Path) -> None:
    """What is loaded equals what was saved, under the same digest, and no scratch file stays behind."""
    path = tmp_path / "m.mwref"
    digest = save(example(), path)
    assert load(path) == (example(), digest)
    assert [each.name for each in tmp_path.iterdir()] == ["m.mwref"]


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    """Equal profiles have equal digests, others have not."""
    same = [save(example(), tmp_path / name) for name in ("a", "b")]
    other = save(msgspec.structs.replace(example(), version="8"), tmp_path / "c")
    assert same[0] == same[1] != other


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    """A file in which any one byte was changed is never read as a reference."""
    path = tmp_path / "m.mwref"
    save(example(), path)
    written = path.read_bytes()
    for at in range(0, len(written), max(1, len(written) // 97)):
        path.write_bytes(written[:at] + bytes([written[at] ^ 0x20]) + written[at + 1 :])
        with pytest.raises(ProfileError) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("kept", [0, 3, 40, 71, 72, 300])
def test_a_file_that_was_cut_off_is_noticed(tmp_path: Path, kept: int) -> None:
    """The beginning of a reference is none."""
    path = tmp_path / "m.mwref"
    save(example(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ProfileError, match=r"is not a reference of this program|was changed or cut off"):
        load(path)


def sealed(path: Path, payload: bytes) -> Path:
    path.write_bytes(MAGIC + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
    return path


@pytest.mark.parametrize(
    "payload",
    [
        b"not compressed",
        zlib.compress(b"not JSON"),
        zlib.compress(b"{}"),
        zlib.compress(b'{"model":"m","version":"","events":1,"source":"","series":[],"more":1}'),
    ],
)
def test_a_sealed_file_of_something_else_is_noticed(tmp_path: Path, payload: bytes) -> None:
    """A digest that fits does not make a profile of what is none."""
    path = sealed(tmp_path / "m.mwref", payload)
    with pytest.raises(ProfileError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "change",
    [
        {"counts": [1] * 39},
        {"counts": [-1, *[0] * 39]},
        {"counts": [1 << 32, *[0] * 39]},
        {"edges": []},
        {"edges": [2.0, 1.0]},
        {"edges": [1.0, 1.0]},
        {"edges": [float(i) for i in range(EDGES + 1)]},
        {"categories": ["x"] * (OTHER_BIN + 1)},
    ],
)
def test_a_series_that_cannot_be_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    """Counts, edges or categories that this program would not write are an error that names the series."""
    profile = example()
    profile.series[0] = msgspec.structs.replace(profile.series[0], **change)
    save(profile, tmp_path / "m.mwref")
    with pytest.raises(ProfileError, match="series 'income' is not what this program writes"):
        load(tmp_path / "m.mwref")


def test_what_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    """A path that is not there ends in an error that names it, both ways."""
    with pytest.raises(ProfileError, match="cannot be read"):
        load(tmp_path / "none.mwref")
    with pytest.raises(ProfileError, match="cannot be written"):
        save(example(), tmp_path / "none" / "m.mwref")


finite = st.floats(allow_nan=False, allow_infinity=False, width=32).map(float)
odd = st.sampled_from([float("nan"), float("inf"), float("-inf")])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(finite, min_size=1, max_size=400),
    odds=st.lists(odd, max_size=5),
    words=st.dictionaries(st.text(max_size=8), st.integers(1, 1000), max_size=60),
    absent=st.integers(0, 50),
)
def test_any_values_make_a_reference(
    tmp_path: Path, numbers: list[float], odds: list[float], words: dict[str, int], absent: int
) -> None:
    """Whatever the values, every one of them is counted once, and the profile survives its file and the catalogue."""
    values = np.array(numbers + odds)
    events = max(len(values), sum(words.values())) + absent
    number = number_series("x", "feature", values, events)
    word = category_series("c", "feature", words, absent, events)
    assert sum(number.counts[:BINS]) == len(numbers)
    assert (number.counts[INVALID], number.counts[PRESENT]) == (len(odds), len(values))
    assert sum(word.counts[:BINS]) == sum(words.values())
    assert (word.counts[NULLS], word.counts[EVENTS]) == (absent, events)
    assert len(word.categories) <= OTHER_BIN
    profile = Profile("m", "", events, "", [number, word])
    save(profile, tmp_path / "m.mwref")
    back, _ = load(tmp_path / "m.mwref")
    assert back == profile
    installed(back)


def installed(profile: Profile) -> tuple[Models, Series, list[int]]:
    models, series = Models(1), Series()
    model = models.add(profile.model, hash64(profile.model.encode()), Policy(), 1.7e9)
    installer = Installer(models, series)
    installer.install(profile, "d" * 64, model)
    rows = installer.begin()
    return models, series, rows.tolist()


def test_installed_it_is_judged_at_once() -> None:
    """Every series of an installed profile is judged from the first event on, and its model learns nothing more."""
    models, series, rows = installed(example())
    assert (series.rows["judging"][rows] == JUDGED).all()
    assert not series.rows["open"][rows].any()
    assert models.rows["phase"][0] == Phase.FROZEN
    assert models.items[0].reference_digest == "d" * 64
    assert [series.names[row] for row in rows] == ["income", "region", "score", "latency_seconds"]
    assert (series.rows["n_cuts"][rows] > 0).all()


def test_installed_together_as_one_by_one() -> None:
    """Models that get their references in one go, of several files, have what each would have got alone."""
    clock = number_series("at", "feature", 1.7e9 + np.arange(300.0) % 7, 300)
    word = msgspec.structs.replace(category_series("c", "feature", {"b": 4, "a": 3}, 0, 300), cuts=[1], bounds=None)
    number = msgspec.structs.replace(number_series("x", "feature", np.arange(300.0) % 50, 300), bounds=(-5.0, 99.0))
    profiles = [example(), Profile("m", "", 300, "", [clock, word]), example(), Profile("n", "", 9, "", [number])]
    alone, at_once = (installed_of(profiles, at_once) for at_once in (False, True))
    assert alone == at_once
    assert "timestamp" in at_once[0]


def installed_of(profiles: list[Profile], at_once: bool) -> tuple[Any, ...]:
    """All that is known of models that got ``profiles``, the reasons why their series are not judged first."""
    models, series = Models(len(profiles)), Series()
    installer = Installer(models, series)
    rows = [models.add(f"m{i}", hash64(b"m%d" % i), Policy(), 1.7e9 * (i != 2)) for i in range(len(profiles))]
    many = [(row, profile, profile.model) for row, profile in zip(rows, profiles, strict=True)]
    for part in [many] if at_once else [[each] for each in many]:
        installer.install_many(part)
    begun = installer.begin()
    return (
        [UNJUDGED[reason] for reason in series.rows["unjudged"][begun].tolist()],
        begun.tolist(),
        [series.rows[name][: len(series.rows)].tobytes() for name in SERIES],
        [series.find_category(row, hash64(value.encode())) for row in begun.tolist() for value in ("a", "b", "north")],
        [(list(item.series), item.reference_digest) for item in models.items],
        [models.rows[name][: len(rows)].tolist() for name in ("n_series", "phase", "from_file", "learned")],
        series.names,
        series.categories,
        series.index.find(series.rows["key"][begun]).tolist(),
    )


def test_clocks_and_counters_are_known_by_their_first_values() -> None:
    """A number that counts, tells the time or names a case is installed, but not judged for drift."""
    columns = {
        "x": np.random.default_rng(1).normal(0.0, 1.0, 300),
        "n": np.arange(300.0),
        "case_id": np.random.default_rng(1).permutation(300).astype(float),
        "at": 1.7e9 + np.random.default_rng(2).uniform(0.0, 1e6, 300),
        "same": np.ones(300),
    }
    profile = Profile("m", "", 300, "", [number_series(n, "feature", v, 300) for n, v in columns.items()])
    _, series, rows = installed(profile)
    told = [UNJUDGED[reason] for reason in series.rows["unjudged"][rows].tolist()]
    assert told == ["", "counter", "identifier", "timestamp", "constant"]


def test_nothing_finite_is_no_number() -> None:
    """A series without a finite number cannot be one of numbers."""
    with pytest.raises(ProfileError, match="x: has no number"):
        number_series("x", "feature", np.array([np.nan, np.inf]), 2)


def test_the_commonest_categories_are_told_apart() -> None:
    """Beyond the most, the rarest are counted together; equals stand in the order of their names."""
    series = category_series("c", "feature", {f"w{i:02d}": 100 - i // 2 for i in range(40)}, 0, 4000)
    assert series.categories == [f"w{i:02d}" for i in range(OTHER_BIN)]
    assert series.counts[OTHER_BIN] == sum(100 - i // 2 for i in range(OTHER_BIN, 40))
    assert isinstance(series, SeriesProfile)
