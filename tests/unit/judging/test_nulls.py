"""Is a null the same whether it was worked out for a series alone or for all that are alike?"""

from __future__ import annotations

import numpy as np

from monitor.budget import Budget
from monitor.catalog.installing import Installer
from monitor.catalog.models import Models
from monitor.catalog.policies import Policy
from monitor.catalog.profile import Profile, category_series, number_series
from monitor.catalog.series import LEARNING, STRANGER, Series
from monitor.judging import Judge

N_MODELS = 12


def begun(*, alone: bool) -> Judge:
    """Cells of models that share two references, under two policies; of one series its reference knows nothing."""
    rng = np.random.default_rng(3)
    profiles = [
        Profile(
            name,
            "",
            2000,
            "",
            [
                number_series("x", "feature", rng.normal(0.0, 1.0, n), 2000),
                category_series("c", "feature", {"a": 1200, "b": 700, "rare": 3}, 97, 2000),
                number_series("score", "prediction", rng.random(2000), 2000),
            ],
        )
        for name, n in (("one", 1900), ("other", 700))
    ]
    policies = [Policy(), Policy.model_validate({"tolerance": {"drift": 0.2, "quality": 0.01}, "tick": "600s"})]
    models, series = Models(N_MODELS), Series()
    installer = Installer(models, series)
    for i in range(N_MODELS):
        row = models.add(f"m{i}", i + 1, policies[i % 3 == 0], 1.7e9)
        installer.install(profiles[i % 2], profiles[i % 2].model, row)
    rows = installer.begin()
    series.rows["judging"][7], series.rows["appeared"][7] = LEARNING, STRANGER
    judge = Judge(models, series, Budget(1.0, 1.0, {"drift": 0.4, "quality": 0.2, "performance": 0.2, "fairness": 0.2}))
    for part in rows[:, None] if alone else [rows]:
        judge.begin(part)
    return judge


def test_nulls_of_series_that_are_alike() -> None:
    """All that is remembered of cells, and how many count, is what each series would have come to alone."""
    alone, together = begun(alone=True), begun(alone=False)
    assert together.n_cells == alone.n_cells
    for name, table in together.tables.items():
        other = alone.tables[name]
        assert len(table) == len(other) == 3 * N_MODELS
        for column in table._fields:
            np.testing.assert_array_equal(table[column][: len(table)], other[column][: len(table)], err_msg=column)
    drift = together.states["drift"]
    assert len(np.unique(drift["null_high"][: 3 * N_MODELS : 3], axis=0)) == 4
