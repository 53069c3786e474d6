"""Prices by income: seen where nothing explains them, silent within what does, and seen where that does not suffice.

The prices are those that the Wall Street Journal found at an office supplier in 2012: the lower one for whoever lives
within 20 miles of a rival's store, and the poor live further away. FairTest (Tramer et al. 2017) tests for the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import START, decoded, event, new_fleet

SECONDS = 0.5


def shoppers(n: int, seed: int, *, by_income: bool, regression: bool, banded: bool) -> list[bytes]:
    """``n`` shoppers with their income, distance and price."""
    rng = np.random.default_rng(seed)
    income = rng.lognormal(10.8, 0.45, n)
    poor = income < 45_000
    miles = rng.gamma(2.0, np.where(poor, 9.0, 5.0))
    near = miles <= 20.0
    low = (rng.random(n) < np.where(poor, 0.45, 0.8)) if by_income else near
    price = np.where(low, 12.0, 15.0) + rng.normal(0.0, 0.3, n)
    said = []
    for i in range(n):
        features = {"miles": round(float(miles[i]), 2)} | ({} if banded else {"income": round(float(income[i]))})
        answer: Any = float(price[i]) if regression else {"label": "low" if low[i] else "high"}
        group = {"sensitive": {"income": "poor" if poor[i] else "not"}} if banded else {}
        said.append(event(START + SECONDS * i, features, id=f"s{i}", prediction=answer, **group))
    return said


def told(said: list[bytes], **policy: Any) -> set[tuple[str, str | None, str | None]]:
    """Alertname, output and group of every cell that fired."""
    fleet, found = new_fleet({"sensitive": ("income",), "include_group_values": True, **policy}), set()
    for start in range(0, len(said), 120):
        batch = decoded(said[start : start + 120])
        fleet.absorb(batch, np.zeros(len(batch), bool))
        for incident in fleet.close(START + SECONDS * (start + 120)).incidents:
            if incident.attribute:
                found |= {(incident.alertname, cell.output, cell.group) for cell in incident.cells}
    return found


IMPACT, ASSOCIATION = "ModelDisparateImpact", "ModelUnwarrantedAssociation"


@pytest.mark.parametrize("banded", [True, False])
def test_offers_by_income(banded: bool) -> None:
    """Offers that depend on income are found, whether events name a band or give the income itself."""
    said = shoppers(6_000, 1, by_income=True, regression=False, banded=banded)
    found = told(said, favourable=("low",), explain_by=("miles",))
    assert (IMPACT, None, "poor" if banded else "lowest quarter") in found


def test_prices_that_distance_explains() -> None:
    """The price goes with income, and within distances with nothing: a number that explains is cut finely enough."""
    said = shoppers(10_000, 2, by_income=False, regression=False, banded=True)
    assert (ASSOCIATION, "high", "poor") in told(said)
    assert told(said, explain_by=("miles",)) == set()
    assert told(said, explain_by=("miles",), favourable=("low",)) == set()


def test_prices_as_numbers() -> None:
    """A price that is a number is compared by its quarters, since its median may lie among the cheap ones."""
    said = shoppers(6_000, 3, by_income=False, regression=True, banded=True)
    assert (ASSOCIATION, "value in the highest quarter", "poor") in told(said)
    assert told(said, explain_by=("miles",)) == set()
