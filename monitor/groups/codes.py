"""What is behind the code of a group? For who may know: each attribute's groups, their codes and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.groups.visible import attributes, visible
from monitor.groups.watch import Groups


def codes(groups: Groups, model: int) -> list[dict[str, Any]]:
    """Each attribute of the model: its groups that may be shown, and how many are hidden; in JSON types.

    ``n`` is the largest number of cases that any one question was asked about. Groups are hidden as their rates are:
    the small ones, and those from which a small one could be computed.
    """
    register = groups.register

    def cases(own: Sequence[int]) -> NDArray[np.float64]:
        outputs = register.of(model).outputs
        return np.array([max((register.totals(row, each)[0] for each in outputs), default=0.0) for row in own])

    def sizes(own: Sequence[int]) -> NDArray[np.float64]:
        return groups.people.few(np.array(own, np.int64), cases(own))

    found = []
    for of in attributes(groups, model):
        # All of them: from what is shown, that of all others could be computed too.
        shown = visible(groups, of.row, of.groups, sizes)
        known = [
            {
                "group": groups.privacy.code(of.name, register.group_names[row]),
                "value": register.group_names[row],
                "n": int(n),
            }
            for row, n, seen in zip(of.groups, cases(of.groups).tolist(), shown, strict=True)
            if seen
        ]
        told = [not other for other in register.groups["other"][of.groups]]
        found.append({"attribute": of.name, "groups": known, "hidden": sum(told) - len(known)})
    return found
