"""Are rankings and tags compared with what came of them, in whatever order and records they come, and judged?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, MINUTE, START, decoded, event, new_fleet
from fleets.cohorts import fleet_of, judged, matured
from hypothesis import given
from hypothesis import strategies as st

from monitor.outcomes.case import (
    HAS_OUTCOME,
    HAS_PREDICTION,
    ITEMS_MAX,
    RANKING,
    TAGS,
    WIDE,
    blank,
)
from monitor.outcomes.document import performance_document
from monitor.outcomes.lists import Graded, graded
from monitor.outcomes.measures import RANKING_LOSS
from monitor.outcomes.packing import packed, unpacked

LISTS = st.lists(st.integers(1, 2**32 - 1), max_size=20, unique=True)


def case(kind: int, served: list[int], shown: list[int]) -> Any:
    """One case with its lists, as joining makes it."""
    made = blank(1, WIDE)
    made["has"], made["list"] = HAS_PREDICTION | HAS_OUTCOME, kind if served or kind == RANKING else 0
    for name, items in (("served", served), ("shown", shown)):
        made[f"n_{name}"] = len(items)
        made[name][0, : min(len(items), ITEMS_MAX)] = items[:ITEMS_MAX]
    return made


def test_ndcg_by_hand() -> None:
    """Served b, a, x and shown a, b: worth 1 and a half; (0.5 / 1 + 1 / log2 3) of (1 + 0.5 / log2 3)."""
    seen = graded(case(RANKING, [2, 1, 9], [1, 2]))
    assert seen.ndcg[0] == pytest.approx((0.5 + 1 / np.log2(3)) / (1 + 0.5 / np.log2(3)))
    assert seen.wrong[0] == 1.0
    right = graded(case(RANKING, [1, 2, 9], [1, 2]))
    assert (right.ndcg[0], right.wrong[0]) == (1.0, 0.0)
    assert graded(case(RANKING, [8, 9], [1, 2])).ndcg[0] == 0.0


@given(LISTS, st.randoms())
def test_no_order_beats_the_one_shown(items: list[int], random: Any) -> None:
    """NDCG is 1 for what was shown, at most that for any other order, and never negative."""
    if not items:
        return
    other = items[:]
    random.shuffle(other)
    assert graded(case(RANKING, items, items)).ndcg[0] == pytest.approx(1.0)
    assert -1e-12 <= graded(case(RANKING, other, items)).ndcg[0] <= 1.0 + 1e-12


@given(LISTS, LISTS)
def test_tags_are_compared_as_sets(served: list[int], shown: list[int]) -> None:
    """Overlap, precision and recall are those of the sets; without tags on both sides nothing is wrong."""
    seen, a, b = graded(case(TAGS, served, shown)), set(served), set(shown)
    if max(len(a), len(b)) > ITEMS_MAX or not a | b:
        return
    assert seen.overlap[0] == pytest.approx(len(a & b) / len(a | b))
    assert seen.wrong[0] == (a != b)
    for value, whole in ((seen.precision[0], a), (seen.recall[0], b)):
        assert np.isnan(value) if not whole else value == pytest.approx(len(a & b) / len(whole))


def test_long_lists_of_tags_are_not_judged() -> None:
    """Beyond what a case keeps nothing is claimed of tags; a ranking is judged by its first places."""
    many = list(range(1, ITEMS_MAX + 3))
    assert np.isnan(graded(case(TAGS, many, many)).overlap[0])
    assert graded(case(RANKING, many, many)).ndcg[0] == pytest.approx(1.0)


def test_stored_and_read_back() -> None:
    """Cases with lists and without take what they need, and come back as they were."""
    cases = np.concatenate([case(TAGS, [1, 2], [3]), blank(1, WIDE)])
    cases["key"] = [5, 6]
    blob, lengths = packed(cases, np.arange(2))
    assert lengths[1] < lengths[0] < WIDE.itemsize
    value, back = lengths.astype("<u2").tobytes() + blob, blank(2, WIDE)
    place = np.arange(2)
    assert unpacked(
        value, (0 * place, 0 * place + len(value), 0 * place + 2, place), back, place, (cases["key"], cases["due"])
    )
    assert np.array_equal(back["served"], cases["served"])
    assert back["n_shown"].tolist() == [1, 0]


@pytest.mark.parametrize("first", ["prediction", "outcome"])
def test_lists_join_like_everything_else(first: str) -> None:
    """A ranking and tags meet their outcomes in either order; a changed outcome counts as the newest says."""
    fleet = new_fleet({"tick": "1h", "outcome_horizon": "1d"})
    told = {
        "prediction": [
            event(START, id="r", prediction={"ranking": ["a", "b", "c"]}),
            event(START, id="t", prediction={"tags": ["cat", "dog"]}),
            event(START, id="none", prediction={"tags": []}),
        ],
        "outcome": [
            event(START + MINUTE, id="r", outcome=["c", "b", "a"]),
            event(START + MINUTE, id="t", outcome=["dog"]),
            event(START + MINUTE, id="none", outcome=["dog"]),
        ],
    }
    order = [*told[first], *told["outcome" if first == "prediction" else "prediction"]]
    for each in [*order, event(START + HOUR, id="r", outcome=["b", "a", "c"])]:
        batch = decoded([each])
        ends, passed = fleet.tick_ends(batch), np.full(1, -np.inf)
        fleet.absorb(batch, ends <= passed)
        fleet.join(batch, fleet.case_dues(batch, ends), passed)
    fleet.close(START + 3 * DAY)
    shown = performance_document(fleet.outcomes, fleet.models, 0)
    assert shown is not None
    assert shown["fates"]["changed"] == 1
    figures = shown["figures"]
    assert figures["error_rate"]["value"] == 1.0
    assert figures["error_rate"]["n"] == 3
    assert figures["ndcg"]["n"] == 1
    discounts = 1 / np.log2(np.arange(2, 5))
    ndcg = np.array([2, 3, 1]) / 3 @ discounts / (np.array([3, 2, 1]) / 3 @ discounts)
    assert figures["ndcg"]["value"] == pytest.approx(ndcg)
    assert figures["tag_overlap"]["value"] == pytest.approx((0.5 + 0.0) / 2)
    assert (figures["tag_precision"]["value"], figures["tag_precision"]["n"]) == (0.5, 1)
    assert (figures["tag_recall"]["value"], figures["tag_recall"]["n"]) == (0.5, 2)


def test_rankings_that_get_worse_are_told() -> None:
    """A fall of nDCG from 0.95 to 0.6 fires under its own measure, and a contract is the edge itself."""
    fleet = fleet_of(1)

    def run(ticks: range, ndcg: float) -> list[Any]:
        n = 40
        lists = Graded(*(np.full(n, x) for x in (np.nan, ndcg, np.nan, np.nan, np.nan)))
        return [a for t in ticks for a in judged(fleet, matured(np.zeros(n), t, lists=lists)).alarms]

    assert run(range(50), 0.95) == []
    [alarm] = run(range(50, 80), 0.6)
    assert alarm.cell == "performance.ranking_loss"
    assert alarm.effect.value == pytest.approx(0.35, abs=0.03)
    assert "0.4 in" in alarm.words
    contract = fleet_of(1, limits={"loss": 0.1})
    contract.outcomes._extend()
    assert contract.outcomes.performance.limit(RANKING_LOSS, 0) == pytest.approx(0.1)
