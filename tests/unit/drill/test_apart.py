"""Does a drill say when it would be known that a feature moved in one group, as the real cells then have it?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fleets.apart import Days, met
from fleets.build import series_named
from numpy.typing import NDArray

from monitor.drill.apart import APART_FAULTS, ApartDrill, ApartFindings, apart_drill, in_strata
from monitor.drill.faults import Subject
from monitor.drill.series import series_drill
from monitor.kernels.lean import STRATA
from monitor.kernels.tally import BINS, KIND_CATEGORY

SIZES = {"F": 300, "M": 600}
SHIFT, FURTHER = (next(f for f in APART_FAULTS if f.name == name) for name in ("group_shift_0.5", "group_shift_1"))


def even(_group: str, _feature: str) -> NDArray[np.float64]:
    return np.array([*[0.12] * 8, 0.04])


@pytest.fixture(scope="module")
def lived() -> Days:
    """A model with ten days behind it, in which both groups lie alike."""
    days = Days(met(1), seed=21)
    days.live(10, SIZES, even)
    return days


def drilled(days: Days) -> tuple[ApartDrill, dict[int, Subject]]:
    drill = apart_drill(days.fleet, 0)
    subjects = series_drill(days.fleet, 0).subjects(())
    return drill, {row: replace(subject, deviation=1.0) for row, subject in subjects.items()}


def seen(found: ApartFindings, fault: str) -> NDArray[np.float64]:
    return found.days[[APART_FAULTS[place].name == fault for place in found.fault.tolist()]]


def test_what_is_foretold_comes_true(lived: Days) -> None:
    """Told in so many days that a feature of one group moves by a standard deviation: real cells need about as many."""
    drill, subjects = drilled(lived)
    before = lived.apart.cells(0).blob
    found = drill.run(subjects)
    assert lived.apart.cells(0).blob == before
    foretold = seen(found, FURTHER.name)
    assert len(foretold) == 2 * 4  # both groups, four features
    assert np.isfinite(foretold).all()
    row = series_named(lived.fleet, "x1", "m0")
    moved = even("F", "x1") @ in_strata(FURTHER, subjects[row], number=True)

    def struck(group: str, feature: str) -> NDArray[np.float64]:
        return moved if (group, feature) == ("F", "x1") else even(group, feature)

    day = next(day for day in range(1, 31) if lived.live(1, SIZES, struck))
    assert np.median(foretold) / 3.0 <= day <= 3.0 * np.median(foretold)


def test_a_smaller_movement_is_seen_no_sooner(lived: Days) -> None:
    """Half a standard deviation takes longer than a whole one, or is never seen; so does a whole one of few people."""
    drill, subjects = drilled(lived)
    found = drill.run(subjects)
    less, more = (np.nan_to_num(seen(found, fault.name), nan=31.0) for fault in (SHIFT, FURTHER))
    assert (less >= more).all()
    few = drill.cells.copy()
    few["last"] //= 10
    of_few = seen(ApartDrill(few, drill.allowance, drill.until).run(subjects), FURTHER.name)
    assert (np.nan_to_num(of_few, nan=31.0) >= more).all()
    assert (np.nan_to_num(of_few, nan=31.0) > more).any()


def test_cells_that_may_not_be_told_are_not_drilled(lived: Days) -> None:
    """Of a group that must stay hidden nothing is foretold; of no cells there is nothing to find."""
    people, group = lived.fleet.groups.people, lived.fleet.groups.register.group_names.index("F")
    row = people._of_group[group] = people.rows.add()
    people.rows["group"][row], people.rows["n"][row] = group, 3
    drill, subjects = drilled(lived)
    people._of_group.pop(group)
    assert not len(drill.cells)
    assert not len(drill.run(subjects).days)


@pytest.mark.parametrize("place", range(len(APART_FAULTS)))
def test_people_go_somewhere(place: int) -> None:
    """A fault leads all of a stratum to strata, and leaves those who are missing."""
    fault, edges = APART_FAULTS[place], np.linspace(-2.0, 2.0, BINS - 1)
    subject = Subject(np.ones(BINS), edges, -3.0, 3.0, 1.0)
    matrix = in_strata(fault, subject, number=fault.kind != KIND_CATEGORY)
    assert matrix.sum(axis=1) == pytest.approx(np.ones(STRATA))
    assert (matrix >= 0.0).all()
    assert matrix[-1, -1] == 1.0
    assert not np.allclose(matrix, np.eye(STRATA))
