"""How much of a gap between a group and the rest is who they are, and how much is how they are judged? Exactly.

By the strata of ``explain_by``: that a group is more often in strata where all get less is composition, that it gets
less than the rest in the same stratum is behaviour (``stats/decompose.py``). Where nothing explains all is behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.groups.effects import gap_split
from monitor.groups.questions import Kind
from monitor.groups.visible import Attribute, counts
from monitor.groups.watch import Groups
from monitor.stats.decompose import Split

OTHERS = "others"
"""What strata are called that may not be told apart."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Price:
    """What one person treated otherwise costs, ``None`` where that is not known, in ``currency``."""

    each: float | None = None
    currency: str = ""


def bill_document(
    groups: Groups, of: Attribute, group: int, output: int, strata: Sequence[int], sides: Array, price: Price
) -> dict[str, Any] | None:
    """The bill of a group that may be shown, in JSON types; ``strata`` (rows) are those of ``sides`` (strata, 4).

    Its parts are told in points, in people of the group and, where that is known, in money; a group that gets less has
    negative ones. Strata in which a group has too few people, or from which that could be computed, are one.
    """
    register = groups.register
    kind, model = Kind(int(register.outputs["kind"][output])), int(register.outputs["model"][output])
    split = gap_split(kind, sides)
    if split is None:
        return None
    people = float(sides[:, 2].sum())
    parts = {"composition": split.explained, "behaviour": split.change - split.explained}
    return {
        "by": list(register.models.items[model].policy.explain_by),
        "rest": split.before,
        "group": split.after,
        "gap": split.change,
        **parts,
        "people": round(people),
        **{f"people_of_{name}": round(part * people, 1) for name, part in parts.items()},
        **{f"cost_of_{name}": _money(abs(part) * people, price) for name, part in parts.items()},
        "currency": price.currency or None,
        "strata": _strata(groups, _told_apart(groups, of, group, output, strata, sides), strata, sides, split),
    }


def _money(people: float, price: Price) -> float | None:
    return None if price.each is None else round(people * price.each, 2)


def _strata(
    groups: Groups, shown: Sequence[bool], strata: Sequence[int], sides: Array, split: Split
) -> list[dict[str, Any]]:
    """The terms of the bill, those that may be told apart and all others as one; they sum to its parts."""
    if len(strata) < 2:
        return []
    lines = [(_name(groups, strata[i]), [i]) for i in np.flatnonzero(shown).tolist()]
    rest = [i for i, seen in enumerate(shown) if not seen]
    lines += [(OTHERS, rest)] if rest else []
    whole = sides.sum(axis=0)
    told = []
    for name, places in lines:
        na, sa, nb, sb = sides[places].sum(axis=0)
        told.append(
            {
                "stratum": name,
                "share_of_rest": float(na / whole[0]),
                "share_of_group": float(nb / whole[2]),
                "rate_of_rest": float(sa / na) if na else None,
                "rate_of_group": float(sb / nb) if nb else None,
                "composition": float(split.population[places].sum()),
                "behaviour": float(split.behaviour[places].sum()),
            }
        )
    return sorted(told, key=lambda line: (line["stratum"] == OTHERS, line["composition"] + line["behaviour"]))


def _told_apart(
    groups: Groups, of: Attribute, group: int, output: int, strata: Sequence[int], sides: Array
) -> list[bool]:
    """Which ``strata`` may be told of a group: where it has enough people, the rest too, and no hidden ones follow."""
    register = groups.register
    pairs, sizes = [], []
    totals = dict.fromkeys(strata, 0.0)
    for each in of.groups:
        rows = register.tallies_of(each, output)
        places = register.members["stratum"][register.tallies["member"][rows]].tolist()
        for stratum, n in zip(
            places, register.tallies["total"][register.tallies["base"][rows], 0].tolist(), strict=True
        ):
            if stratum in totals and n > 0.0:
                pairs.append((each, -1 - stratum))
                sizes.append(n)
                totals[stratum] += n
    seen = dict(zip(of.groups, counts(groups, of, output)[2], strict=True))
    wide = groups.privacy.shown(list(totals.values()))
    seen |= {-1 - stratum: shown for stratum, shown in zip(totals, wide, strict=True)}
    few = groups.people.few(np.array([pair[0] for pair in pairs], np.int64), np.array(sizes)).tolist()
    shown = dict(zip(pairs, groups.privacy.shown_crossed(pairs, few, seen), strict=True))
    enough = sides[:, 0] >= groups.privacy.smallest_group
    return [bool(shown.get((group, -1 - stratum)) and ok) for stratum, ok in zip(strata, enough.tolist(), strict=True)]


def _name(groups: Groups, stratum: int) -> str:
    """A stratum in words; protected values stay inside unless the policy lets them out."""
    register = groups.register
    model = int(register.strata["model"][stratum])
    protected = {register.attribute_names[row] for row in register.margins(model)}
    if register.models.items[model].policy.include_group_values:
        protected = set()
    said = register.stratum_names[stratum]
    return (
        ", ".join(f"{name} {groups.privacy.code(name, value) if name in protected else value}" for name, value in said)
        or "not named"
    )
