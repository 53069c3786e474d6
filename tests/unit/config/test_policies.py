"""Which policy a model has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from monitor.catalog.policies import CALIBRATION_LOGITS, DRIFT_FLOOR, RESOLVED_MAX, Clause, Policies, Policy
from monitor.config import Config

Load = Callable[..., Config]


def policies(*clauses: tuple[str, dict[str, object]], tick: float = 60.0) -> Policies:
    return Policies([Clause(match, keys, "test") for match, keys in clauses], tick)


def test_a_model_that_nothing_names_has_the_defaults() -> None:
    """Nobody registers thousands of models by hand."""
    policy = policies().resolve("any")
    assert policy == Policy()
    assert (policy.outcome_horizon, policy.hold, policy.keep_firing) == (86400, 0, 3600)
    assert (policy.learn.events_min, policy.learn.events, policy.learn.for_) == (200, 10_000, 604_800)
    assert (policy.task, policy.mode, policy.reference, policy.missing_outcome) == ("auto", "live", "learn", "unknown")
    assert policy.sensitive is None


def test_all_that_match_apply_and_later_keys_win() -> None:
    """Entries are laid over each other in file order, key by key, also within tables; lists are replaced whole."""
    resolved = policies(
        (
            "*",
            {"team": "all", "hold": "1m", "season": ("1d", "7d"), "tolerance": {"performance": 0.1, "error_gap": 0.2}},
        ),
        ("a-*", {"team": "a", "season": ("1d",), "tolerance": {"error_gap": 0.3}}),
        ("b-*", {"team": "b"}),
    ).resolve("a-1")
    assert (resolved.team, resolved.hold, resolved.season) == ("a", 60, (86400,))
    assert (resolved.tolerance.performance, resolved.tolerance.error_gap) == (0.1, 0.3)


def test_order_counts_not_narrowness() -> None:
    """A wide pattern that stands later wins over a narrow one before it."""
    assert policies(("a", {"team": "narrow"}), ("*", {"team": "wide"})).resolve("a").team == "wide"


@pytest.mark.parametrize(
    ("match", "model", "fits"),
    [
        ("credit-*", "credit-limit", True),
        ("credit-*", "Credit-limit", False),
        ("credit-?", "credit-12", False),
        ("m[0-9]", "m7", True),
        ("m[!0-9]", "m7", False),
        ("a/*", "a/b/c", True),
        ("a.b", "aXb", False),
        ("*", "line\nbreak", True),
        ("[", "[", True),
    ],
)
def test_a_pattern_is_a_glob_over_the_whole_name(match: str, model: str, fits: bool) -> None:
    """Case counts, dots are dots, and a slash is a character like others."""
    assert (policies((match, {"team": "yes"})).resolve(model).team == "yes") is fits


def test_a_policy_says_its_own_tick_or_has_the_clock_s(config_of: Load) -> None:
    """``tick`` of a policy comes before ``clock.tick``."""
    config = config_of('[clock]\ntick = "5m"\n[[models]]\nmatch = "daily"\ntick = "1d"\n')
    assert (config.policies.resolve("daily").tick, config.policies.resolve("other").tick) == (86400, 300)


def test_the_later_way_to_say_favour_replaces_the_earlier() -> None:
    """A threshold and favourable classes exclude each other, whichever entry said them."""
    classes, threshold = {"favourable": ("yes",)}, {"decision_threshold": 0.5}
    one = policies(("*", classes), ("*", threshold)).resolve("m")
    two = policies(("*", threshold), ("*", classes)).resolve("m")
    assert (one.favourable, one.decision_threshold) == ((), 0.5)
    assert (two.favourable, two.decision_threshold) == (("yes",), None)


def test_favourable_outcomes_are_the_favourable_classes_unless_said() -> None:
    """One list serves for both where predictions and outcomes have the same names."""
    assert policies(("*", {"favourable": (1, "yes")})).resolve("m").favourable_outcomes == ("1", "yes")
    said = policies(("*", {"favourable": ("yes",), "favourable_outcomes": ("repaid",)})).resolve("m")
    assert said.favourable_outcomes == ("repaid",)


def test_entries_that_are_valid_alone_are_valid_together() -> None:
    """A reference never ends before judging begins, whatever several entries say of it."""
    learn = (
        policies(("*", {"learn": {"events": 100, "events_min": 50}}), ("m", {"learn": {"events_min": 500}}))
        .resolve("m")
        .learn
    )
    assert (learn.events_min, learn.events) == (500, 500)


def test_models_with_the_same_entries_share_one_policy() -> None:
    """Thousands of models cost as many policies as there are combinations of entries, and names can't fill memory."""
    fleet = policies(("a-*", {"team": "a"}))
    assert fleet.resolve("a-1") is fleet.resolve("a-2")
    for i in range(RESOLVED_MAX + 100):
        fleet.resolve(f"flood-{i}")
    assert fleet.resolve("a-1").team == "a"


def test_a_policy_is_frozen() -> None:
    """What many models share can't be changed through one of them, nor the tables within."""
    policy = policies(("*", {"owners": {"drift": "x"}})).resolve("m")
    with pytest.raises(ValidationError):
        policy.team = "other"  # type: ignore[misc]  # the very mistake
    with pytest.raises(TypeError):
        policy.owners["drift"] = "y"  # type: ignore[index]  # the very mistake
    assert hash(policy) == hash(policies(("*", {"owners": {"drift": "x"}})).resolve("m"))


def test_tolerances_fall_back_to_performance() -> None:
    """A family without a tolerance of its own has that of performance, and automatic drift begins at its floor."""
    policy = policies(("*", {"tolerance": {"performance": 0.04, "volume": 0.2}})).resolve("m")
    assert policy.tolerance_of("drift") == DRIFT_FLOOR
    assert policy.tolerance_of("association") == 0.25
    assert [policy.tolerance_of(family) for family in ("quality", "label_gap")] == [0.04] * 2
    assert policy.tolerance_of("calibration") == CALIBRATION_LOGITS
    own = policies(("*", {"tolerance": {"calibration": 0.3}})).resolve("m")
    assert own.tolerance_of("calibration") == 0.3
    assert (policy.tolerance_of("volume"), policy.tolerance_of("impact_ratio"), policy.tolerance_of("error_gap")) == (
        0.2,
        0.8,
        0.05,
    )
    assert policies(("*", {"tolerance": {"drift": 0}})).resolve("m").tolerance_of("drift") == 0


def test_incidents_go_to_the_owner_of_their_kind_or_to_the_team() -> None:
    """``owners`` names a team by kind of incident, ``team`` has the rest."""
    policy = policies(("*", {"team": "risk", "owners": {"quality": "data-eng"}})).resolve("m")
    assert (policy.team_of("quality"), policy.team_of("drift")) == ("data-eng", "risk")
