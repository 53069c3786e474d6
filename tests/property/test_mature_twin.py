"""Does the compiled pass tell what matured cases are to their models as its twin does?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.catalog.models import Models
from monitor.kernels import mature as kernel
from monitor.kernels.mature import COLUMNS, OF_ASKED
from monitor.kernels.table import mix_one
from monitor.outcomes.asked import FALSE, FAVOURABLE, MERITS, POSITIVE, SCORED, Asked
from monitor.outcomes.case import CASE, SLOTS, WIDE, Cases, blank
from monitor.outcomes.matured import told_twin

MODELS = 12
CLASSES = np.array([0, 101, 102, 103, 104], np.uint64)
NUMBERS = np.array([np.nan, np.inf, -3.0, 0.0, 0.2, 0.5, 0.7, 1.0, 1.5, 620.0])


def asked(rng: np.random.Generator) -> Asked:
    """Policies of any kind, which know some of the classes as anything."""
    made = Asked(Models(MODELS))
    made.rows.add(MODELS)
    for name in OF_ASKED:
        column = made.rows[name]
        if column.dtype == np.bool_:
            column[:MODELS] = rng.random(MODELS) < 0.5
    made.rows["threshold"][:MODELS] = rng.choice([np.nan, 0.5, 620.0], MODELS)
    made.rows["missing"][:MODELS] = rng.choice([0, 101, 104], MODELS)
    for name in ("false_positive", "false_negative"):
        made.rows[name][:MODELS] = rng.choice([0.0, 3.5, 120.0], MODELS)
    for row in range(MODELS):
        for name in CLASSES[1:].tolist():
            if rng.random() < 0.7:
                bits = rng.choice([FAVOURABLE, MERITS, POSITIVE, SCORED, FALSE], 2)
                made.table.insert(mix_one(row + 1, name), int(bits[0] | bits[1]))
    return made


def cases(rng: np.random.Generator, n: int, *, wide: bool) -> Cases:
    """Cases with any parts, of classes and numbers that mean something and of others."""
    made = blank(n, WIDE if wide else CASE)
    made["key"], made["entity"] = rng.integers(1, 2**63, (2, n)).astype(np.uint64)
    made["time"] = 1e9 + rng.random(n) * 1e5
    made["outcome_time"] = made["time"] + rng.random(n) * 1e3
    made["model"], made["has"] = rng.integers(0, MODELS, n), rng.integers(0, 256, n)
    for name in ("predicted", "outcome"):
        made[name] = rng.choice(CLASSES, n)
    for name in ("score", "value", "outcome_number", "money"):
        made[name] = rng.choice(NUMBERS, n)
    made["places"] = rng.integers(0, 2**63, (n, 2))
    made["names"] = rng.choice(CLASSES, (n, SLOTS))
    made["n_shown"] = rng.choice([0, 0, 3], n)
    return made


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 200]), st.booleans())
@pytest.mark.skipif(kernel.compiled() is None, reason="the kernels are not built")
def test_kernel_and_twin_agree(seed: int, n: int, wide: bool) -> None:
    """Every column has the same type and the same values, to the bit, whatever is known of a case and asked of it."""
    rng = np.random.default_rng(seed)
    policies, some, tick = asked(rng), cases(rng, n, wide=wide), rng.choice([60.0, 3600.0], MODELS)
    by_model = {"tick": tick, **{name: policies.rows[name] for name in OF_ASKED}}
    ours, twin = kernel.told(some, by_model, policies.table), told_twin(some, tick, policies)
    assert ours.keys() == twin.keys() == COLUMNS.keys()
    for name, dtype in COLUMNS.items():
        assert ours[name].dtype == twin[name].dtype == dtype
        assert np.array_equal(ours[name], twin[name], equal_nan=ours[name].dtype.kind == "f"), name
