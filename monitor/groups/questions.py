"""What is asked of a group against the rest: each kind of question, its null, and the alternatives that are bet on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from monitor.catalog.policies import Policy, ToleranceFamily
from monitor.kernels.compare import LESS, MORE, STEPS, Asked


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
    OPPORTUNITY = 6
    """The favourable decision, of matured cases whose outcome merits it."""
    FALSE_FAVOURABLE = 7
    """The favourable decision, of matured cases whose outcome does not merit it."""
    LOSS = 8
    """A wrong answer, a large error, or the squared error of a score, of matured cases."""
    CALIBRATION = 9
    """What came of it less what the score said, of favourable decisions where only those have outcomes."""
    FAVOURED = 10
    """An outcome that merits it, of favourable decisions where only those have outcomes; shown, not judged."""
    COVERAGE = 11
    """An outcome within the horizon, of matured cases."""
    DELAY = 12
    """An outcome that came later than is usual with the model, of matured cases with one."""
    SCORE_HIGH = 13
    """A score in the highest quarter of the reference."""
    SCORE_LOW = 14
    """A score in the lowest quarter."""
    VALUE_HIGH = 15
    """A bare number in the highest quarter of the reference."""
    VALUE_LOW = 16
    """A bare number in the lowest quarter."""
    ROLLED = 17
    """Any tag of one roll-up, of all lists of tags."""


@dataclass(frozen=True, slots=True)
class Question:
    """One kind of comparison between a group and the rest.

    ``detector`` and ``alertname`` are the words in incidents. ``directions`` says of which directions there is harm.
    ``gap`` tells whether rates are compared by their difference, else by their ratio. ``tolerance`` is the family in
    ``[models.tolerance]``, ``excess`` that it says by what part more often than the rest. ``steps`` are the
    alternatives: for a ratio, parts of the tolerated one; for a gap, gaps. ``fixed`` kinds have one output, which is
    known before any event. ``words`` say what is counted. ``unit`` and ``origin``: a mean of ``r`` stands for
    ``origin + unit * r``, of which gaps and their tolerance are told. Without ``directions`` rates are shown alone.
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
    words: str = ""
    unit: float = 1.0
    origin: float = 0.0

    def told(self, gap: float, direction: int) -> float:
        """A gap (group below the rest) as an alarm tells it: positive where it is harm, in the unit of the effect."""
        return (gap if direction == LESS else -gap) * self.unit + 0.0


NEXT = 1
"""Of the alternatives the one that a plan speaks of: the nearest gains too slowly to promise anything by it."""
_IMPACT = (0.9375, 0.8125, 0.5625, 0.3125)
"""Of the tolerated ratio: 0.75, 0.65, 0.45 and 0.25 where that is four fifths."""
_OFTENER = (5.0 / 6.0, 0.625, 0.3125, 0.15625)
"""One and a half, two, four and eight times as often where 1.25 times is tolerated."""

_GAPS = (0.075, 0.1, 0.2, 0.35)
BEYOND = (0.025, 0.05, 0.05, 0.05)
"""By so much at least each gap that is bet on lies beyond the tolerated one."""

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


def _gap(detector: str, tolerance: ToleranceFamily, direction: int, words: str) -> Question:
    """A question of matured cases: the difference of two rates."""
    alertname = "ModelLabelGap" if tolerance == "label_gap" else "ModelUnequalErrors"
    effect = f"{detector}_gap"
    return Question(detector, alertname, effect, tolerance, (direction,), _GAPS, gap=True, fixed=True, words=words)


LISTS = (Kind.WATCHED, Kind.ROLLED)
"""What is asked of lists of tags that a policy names: each list is an output with a budget of its own."""
BANDS_OF_NUMBERS = {
    Kind.SCORE: "score above the median",
    Kind.SCORE_HIGH: "score in the highest quarter",
    Kind.SCORE_LOW: "score in the lowest quarter",
    Kind.VALUE: "value above the median",
    Kind.VALUE_HIGH: "value in the highest quarter",
    Kind.VALUE_LOW: "value in the lowest quarter",
}
"""What the parts of scores and of bare numbers are called that are compared as outputs."""

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
    Kind.ROLLED: _EXCEEDANCE,
    **dict.fromkeys((Kind.SCORE, Kind.SCORE_HIGH, Kind.SCORE_LOW), _EXCEEDANCE),
    **dict.fromkeys((Kind.VALUE, Kind.VALUE_HIGH, Kind.VALUE_LOW), _EXCEEDANCE),
    Kind.OPPORTUNITY: _gap("opportunity", "error_gap", LESS, "favourable decision among those who merit it"),
    Kind.FALSE_FAVOURABLE: _gap(
        "false_favourable", "error_gap", LESS, "favourable decision among those who do not merit it"
    ),
    Kind.LOSS: _gap("loss", "error_gap", MORE, "errors"),
    Kind.CALIBRATION: replace(
        _gap("group_calibration", "error_gap", MORE, "outcomes better than their scores say"), unit=2.0, origin=-1.0
    ),
    Kind.FAVOURED: replace(
        _gap("outcome_rate", "error_gap", MORE, "outcomes that merit the favourable decision"), directions=()
    ),
    Kind.COVERAGE: _gap("label_coverage", "label_gap", LESS, "outcomes within the horizon"),
    Kind.DELAY: _gap("label_delay", "label_gap", MORE, "outcomes later than is usual"),
}
"""The table. A kind's number is what is stored."""

ASKED = Asked(
    np.array([QUESTIONS[kind].gap for kind in Kind], np.uint8),
    np.array([sum(1 << direction for direction in QUESTIONS[kind].directions) for kind in Kind], np.uint8),
    np.array([QUESTIONS[kind].steps for kind in Kind]).reshape(len(Kind), STEPS),
    np.array(BEYOND),
)
"""The same as bets are made by it."""


def edge(kind: Kind, policy: Policy) -> float:
    """What ``policy`` tolerates: the largest gap, or the least ratio of the worse-off side's rate to the other's."""
    question = QUESTIONS[kind]
    tolerance = policy.tolerance_of(question.tolerance)
    return 1.0 / (1.0 + tolerance) if question.excess else tolerance / question.unit
