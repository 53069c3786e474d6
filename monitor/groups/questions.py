"""What is asked of a group against the rest: each kind of question, its null, and the alternatives that are bet on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from monitor.catalog.policies import Policy, ToleranceFamily

STEPS = 3
"""Alternatives a direction is bet on with."""
DIRECTIONS = 2
"""A group gets less than the rest, or more."""
LESS, MORE = range(DIRECTIONS)


class Kind(IntEnum):
    """What is counted of a case. The number is stored."""

    DECISION = 0
    """The favourable decision, of all decisions."""
    CLASS = 1
    """One class, of all answers that are a class."""
    TAG = 2
    """One tag, of all lists of tags."""
    WATCHED = 3
    """Any tag of one watch list, of all lists of tags."""
    SCORE = 4
    """A score above the reference's median."""
    VALUE = 5
    """A bare number above the reference's median."""


@dataclass(frozen=True, slots=True)
class Question:
    """One kind of comparison between a group and the rest.

    ``detector`` and ``alertname`` are the words in incidents. ``directions`` says of which directions there is harm.
    ``gap`` tells whether rates are compared by their difference, else by their ratio. ``tolerance`` is the family in
    ``[models.tolerance]``, ``excess`` that it says by what part more often than the rest. ``steps`` are the
    alternatives: for a ratio, parts of the tolerated one; for a gap, gaps. ``fixed`` kinds have one output, which is
    known before any event.
    """

    detector: str
    alertname: str
    effect: str
    tolerance: ToleranceFamily
    directions: tuple[int, ...]
    steps: tuple[float, ...]
    gap: bool = False
    excess: bool = False
    fixed: bool = False


_IMPACT = (0.8125, 0.5625, 0.3125)
"""Of the tolerated ratio: 0.65, 0.45 and 0.25 where that is four fifths."""
_OFTENER = (0.625, 0.3125, 0.15625)
"""Two, four and eight times as often where 1.25 times is tolerated."""

_ASSOCIATION = Question(
    "association", "ModelUnwarrantedAssociation", "rate_ratio", "association", (LESS, MORE), _OFTENER, excess=True
)
_EXCEEDANCE = Question(
    "association",
    "ModelUnwarrantedAssociation",
    "rate_ratio",
    "association",
    (LESS, MORE),
    _OFTENER,
    fixed=True,
    excess=True,
)


QUESTIONS: dict[Kind, Question] = {
    Kind.DECISION: Question(
        "impact", "ModelDisparateImpact", "impact_ratio", "impact_ratio", (LESS,), _IMPACT, fixed=True
    ),
    Kind.CLASS: _ASSOCIATION,
    Kind.TAG: _ASSOCIATION,
    Kind.WATCHED: Question(
        "association",
        "ModelUnwarrantedAssociation",
        "rate_ratio",
        "association",
        (MORE,),
        _OFTENER,
        fixed=True,
        excess=True,
    ),
    Kind.SCORE: _EXCEEDANCE,
    Kind.VALUE: _EXCEEDANCE,
}
"""The table. A kind's number is what is stored."""


def edge(kind: Kind, policy: Policy) -> float:
    """What ``policy`` tolerates: the largest gap, or the least ratio of the worse-off side's rate to the other's."""
    question = QUESTIONS[kind]
    tolerance = policy.tolerance_of(question.tolerance)
    return 1.0 / (1.0 + tolerance) if question.excess else tolerance
