"""Does the compiled pass read out of a batch what events bring to their cases, as its twin does?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.catalog.models import Models
from monitor.events.columns import EventBatch, Part, Space, Strings, ValueType
from monitor.kernels import bring as kernel
from monitor.kernels.bring import LABEL, SCORE, VALUE
from monitor.kernels.table import mix_one
from monitor.outcomes.asked import FAVOURABLE, SCORED, Asked
from monitor.outcomes.bringing import told_twin

MODELS = 3
NAMES = np.array([LABEL, SCORE, VALUE, 101, 102, 103, 104], np.uint64)
COLUMNS = ("chosen", "predicted", "score", "value", "outcome", "outcome_number", "of", "name", "text", "kind")


def hashed(rng: np.random.Generator, n: int, values: np.ndarray) -> Strings:
    return Strings(rng.choice(values, n), np.zeros(n, np.int32), rng.integers(0, 3, n).astype(np.int32))


def batch(rng: np.random.Generator, n: int) -> EventBatch:
    """Events of any parts, with entries of any space and type in any order."""
    m = int(rng.integers(0, 8 * n + 1)) if n else 0
    texts = np.arange(200, 206, dtype=np.uint64)
    number = rng.normal(size=m)
    number[rng.random(m) < 0.2] = np.nan
    return EventBatch(
        buffer=b"",
        record=np.arange(n, dtype=np.int32),
        **{name: hashed(rng, n, texts) for name in ("model", "version", "id", "entity")},
        time=rng.random(n),
        parts=rng.choice(np.array([0, *Part, Part.PREDICTION | Part.OUTCOME], np.uint16), n),
        value=rng.random(n),
        lifecycle=np.zeros(n, np.uint8),
        event=np.sort(rng.integers(0, max(n, 1), m)).astype(np.int32),
        space=rng.choice(np.array([*Space, Space.PREDICTION, Space.SENSITIVE], np.uint8), m),
        type=rng.choice(np.array(list(ValueType), np.uint8), m),
        name=hashed(rng, m, NAMES),
        text=hashed(rng, m, texts),
        number=number,
        rejected=np.zeros(0, np.int32),
        reasons=np.zeros(0, np.uint8),
        unknown_fields=0,
    )


def asked(rng: np.random.Generator, *, named: bool) -> Asked:
    """Policies of some models: which are joined, which take every sensitive value, what classes and names they know."""
    made = Asked(Models(MODELS))
    made.rows.add(MODELS)
    made.rows["joins"][:MODELS], made.rows["all_sensitive"][:MODELS] = rng.random((2, MODELS)) < 0.7
    for row in range(MODELS):
        for name in NAMES[3:].tolist():
            if rng.random() < 0.7:
                made.table.insert(mix_one(row + 1, name), int(rng.choice([SCORED, FAVOURABLE, SCORED | FAVOURABLE])))
            if named and rng.random() < 0.5:
                made.named.insert(mix_one(row + 1, name), row)
    return made


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 40]), st.booleans())
@pytest.mark.skipif(kernel.compiled() is None, reason="the kernels are not built")
def test_kernel_and_twin_agree(seed: int, n: int, named: bool) -> None:
    """The same events are chosen, with the same answers and attributes in the same order."""
    rng = np.random.default_rng(seed)
    events, policies = batch(rng, n), asked(rng, named=named)
    model = rng.integers(-1, MODELS, n).astype(np.int32)
    by_model = policies.rows["joins"], policies.rows["all_sensitive"]
    ours = kernel.bring(events, model, by_model, policies.table, policies.named)
    twin = told_twin(events, model, policies)
    for name in COLUMNS:
        held, other = getattr(ours, name), getattr(twin, name)
        assert held.dtype == other.dtype
        assert np.array_equal(held, other, equal_nan=held.dtype.kind == "f"), name
    assert twin.items or not ours.items
    joined = np.isin(events.event, ours.chosen)
    assert ours.items or not np.isin(events.space[joined], (Space.TAG, Space.RANKED, Space.OUTCOME_TAG)).any()
