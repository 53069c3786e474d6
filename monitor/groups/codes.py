"""What is behind the code of a group? For who may know: each attribute's groups, their codes and values."""

from __future__ import annotations

from typing import Any

import numpy as np

from monitor.groups.watch import Groups


def codes(groups: Groups, model: int) -> list[dict[str, Any]]:
    """Each attribute of the model: its groups that may be shown, and how many are hidden; in JSON types.

    ``n`` is the largest number of cases that any one question was asked about. Groups are hidden as their rates are:
    the small ones, and those from which a small one could be computed.
    """
    register = groups.register
    found = []
    for attribute in sorted(register.of(model).attributes, key=lambda row: register.attribute_names[row]):
        name = register.attribute_names[attribute]
        own = [row for row in register.groups_of(attribute) if not register.groups["other"][row]]
        own.sort(key=lambda row: register.group_names[row])
        outputs = register.of(model).outputs
        cases = [max((register.totals(row, output)[0] for output in outputs), default=0.0) for row in own]
        sizes = groups.people.few(np.array(own, np.int64), np.array(cases))
        shown = groups.privacy.shown(sizes.tolist())
        known = [
            {
                "group": groups.privacy.code(name, register.group_names[row]),
                "value": register.group_names[row],
                "n": int(n),
            }
            for row, n, seen in zip(own, cases, shown, strict=True)
            if seen
        ]
        found.append({"attribute": name, "groups": known, "hidden": shown.count(False)})
    return found
