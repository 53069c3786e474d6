"""Who may be spoken of? The groups of an attribute by one output, without those that must stay hidden."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.groups.questions import Kind
from monitor.groups.watch import Groups

PARTS = (Kind.OPPORTUNITY, Kind.FALSE_FAVOURABLE)
"""The parts into which outcomes divide the decisions on a group."""

Array = NDArray[np.float64]


@dataclass(slots=True)
class Attribute:
    """One attribute of a model: its row and its groups' rows, and what they are called outside."""

    row: int
    name: str
    groups: list[int]
    names: list[str]


@dataclass(slots=True)
class Shown:
    """The groups of one attribute as they stand by one output: rows, names, cases, and which may be spoken of."""

    attribute: str
    groups: list[int]
    names: list[str]
    n: Array
    visible: list[bool]


def attributes(groups: Groups, model: int) -> list[Attribute]:
    """The attributes of a model by name, intersections behind the others; groups by value."""
    register = groups.register
    found = [attribute(groups, row) for row in register.of(model).attributes]
    return sorted(found, key=lambda one: (bool(register.attributes["first"][one.row] >= 0), one.name))


def attribute(groups: Groups, row: int) -> Attribute:
    """One of them."""
    register = groups.register
    own = sorted(register.groups_of(row), key=lambda group: register.group_names[group])
    return Attribute(row, register.attribute_names[row], own, [group_name(groups, group) for group in own])


def group_name(groups: Groups, group: int) -> str:
    """What a group is called outside: a code, or its value where the policy lets values out."""
    register = groups.register
    row = int(register.groups["attribute"][group])
    value = register.group_names[group]
    if register.models.items[int(register.attributes["model"][row])].policy.include_group_values:
        return value
    return groups.privacy.code(register.attribute_names[row], value)


def made_of(groups: Groups, group: int) -> list[dict[str, str]] | None:
    """The two groups that an intersection is of, as they are called outside; ``None`` of what is none."""
    register = groups.register
    if register.groups["first"][group] < 0:
        return None
    both = [int(register.groups[name][group]) for name in ("first", "second")]
    names = [register.attribute_names[register.groups["attribute"][each]] for each in both]
    return [{"attribute": name, "group": group_name(groups, each)} for name, each in zip(names, both, strict=True)]


def groups_shown(groups: Groups, model: int, output: int) -> list[Shown]:
    """Who may be spoken of by ``output``, an attribute at a time."""
    found = []
    for of in attributes(groups, model):
        n, _, visible = counts(groups, of, output)
        found.append(Shown(of.name, of.groups, of.names, n, visible))
    return found


def counts(groups: Groups, of: Attribute, output: int) -> tuple[Array, Array, list[bool]]:
    """Cases of each group and those with the output since the first event, and which groups may be shown."""

    def sizes(own: Sequence[int]) -> Array:
        return _sizes(groups, own, output)

    n, s = _totals(groups, of.groups, output).T
    return n, s, visible(groups, of.row, of.groups, sizes)


def visible(groups: Groups, row: int, own: Sequence[int], sizes: Callable[[Sequence[int]], Array]) -> list[bool]:
    """Which of the groups ``own`` of an attribute may be shown, where ``sizes`` says how many people groups have.

    Of an intersection both its groups must be, and no hidden one may be left alone in the sums of a group.
    """
    register = groups.register
    other = register.groups["other"][own]
    if register.attributes["first"][row] < 0:
        shown = groups.privacy.shown(sizes(own).tolist())
    else:
        seen: dict[int, bool] = {}
        for name in ("first", "second"):
            parent = int(register.attributes[name][row])
            of_parent = register.groups_of(parent)
            seen |= zip(of_parent, visible(groups, parent, of_parent, sizes), strict=True)
        pairs = [(int(register.groups["first"][each]), int(register.groups["second"][each])) for each in own]
        shown = groups.privacy.shown_crossed(pairs, sizes(own).tolist(), seen)
    return [may and not hidden for may, hidden in zip(shown, other.tolist(), strict=True)]


def visible_beside(
    groups: Groups, row: int, own: Sequence[int], events: Callable[[Sequence[int]], Array]
) -> list[bool]:
    """Which of the groups ``own`` of an attribute may be shown by what is counted of them beside decisions.

    ``events`` says how many are behind that. Where decisions are taken, who may not be shown by them may not here.
    """
    register = groups.register
    decided = register.find_output(int(register.attributes["model"][row]), Kind.DECISION, "")

    def sizes(of: Sequence[int]) -> Array:
        return groups.people.few(np.array(of, np.int64), events(of))

    seen = visible(groups, row, own, sizes)
    if decided < 0:
        return seen
    by_decision = visible(groups, row, own, lambda of: _sizes(groups, of, decided))
    return [both[0] and both[1] for both in zip(seen, by_decision, strict=True)]


def _sizes(groups: Groups, own: Sequence[int], output: int) -> Array:
    """By how many people each of the groups ``own`` counts as small, where ``output`` is asked."""
    register = groups.register
    sizes = _totals(groups, own, output)[:, 0]
    kind, model = Kind(int(register.outputs["kind"][output])), int(register.outputs["model"][output])
    if kind in PARTS:
        # What all of a group got is known, and what one part did: the other part could be computed from them.
        for part in PARTS:
            found = register.find_output(model, part, "")
            sizes = np.minimum(sizes, _totals(groups, own, found)[:, 0] if found >= 0 else 0.0)
    return groups.people.few(np.array(own, np.int64), sizes)


def _totals(groups: Groups, own: Sequence[int], output: int) -> Array:
    """``n`` and ``s`` of each group, ``(groups, 2)``."""
    return np.array([groups.register.totals(group, output) for group in own]).reshape(-1, 2)
