"""What may be said of groups: codes in place of values, and nothing of groups that are too small."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from monitor.errors import ConfigError

_CODE_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Privacy:
    """``smallest_group`` people are the fewest that anything is said of; ``salt`` keeps codes from being guessed."""

    smallest_group: int = 20
    salt: bytes = b""

    def code(self, attribute: str, value: str) -> str:
        """What a group is called outside: the same on every replica with the same salt."""
        return _code(self.salt, attribute, value)

    def shown(self, sizes: Sequence[float], unknown: Sequence[bool] = ()) -> list[bool]:
        """Which of an attribute's groups may be shown, by the numbers of people in them.

        Those that are ``unknown`` may not, however many they are.

        Totals are known, so a single small group, or several that are few together, could be computed from the
        others: then the next smallest ones are hidden too, until those that are hidden are at least two groups and
        enough people together.
        """
        order = sorted(range(len(sizes)), key=lambda i: (sizes[i], i))
        hidden = [i for i in order if sizes[i] < self.smallest_group or (unknown and unknown[i])]
        rest = [i for i in order if i not in hidden]
        while hidden and rest and (len(hidden) == 1 or sum(sizes[i] for i in hidden) < self.smallest_group):
            hidden.append(rest.pop(0))
        return [i in rest for i in range(len(sizes))]

    def shown_crossed(
        self, pairs: Sequence[tuple[int, int]], sizes: Sequence[float], seen: Mapping[int, bool]
    ) -> list[bool]:
        """Which intersections of two attributes may be shown.

        ``pairs`` are the two groups that each is of, ``sizes`` the people in it, ``seen`` which groups are shown. The
        sums over the intersections of a group are known where the group is shown, and that over all hidden groups
        is: so a hidden one must have others beside it, enough people together, in both its groups, and must not follow
        from the sums of several groups together.
        """
        secret = [i for i, pair in enumerate(pairs) if sizes[i] < self.smallest_group or not all(seen[g] for g in pair)]
        hidden, lines = set(secret), _lines(pairs, seen)
        ends = [tuple((side, group if seen[group] else -1) for side, group in enumerate(pair)) for pair in pairs]

        def smallest(among: Iterable[int]) -> int | None:
            return min(set(among) - hidden, key=lambda i: (sizes[i], i), default=None)

        def exposed() -> int | None:
            """What must be hidden next."""
            for line in lines.values():
                own = hidden.intersection(line)
                few = len(own) == 1 or sum(sizes[i] for i in own) < self.smallest_group
                if own and few and (more := smallest(line)) is not None:
                    return more
            for i in secret:
                if not _connected(ends[i], [ends[j] for j in hidden - {i}]):
                    beside = smallest(j for group in pairs[i] for j in lines.get(group, ()))
                    return smallest(range(len(pairs))) if beside is None else beside
            return None

        while (more := exposed()) is not None:
            hidden.add(more)
        return [i not in hidden for i in range(len(pairs))]


def _lines(pairs: Sequence[tuple[int, int]], seen: Mapping[int, bool]) -> dict[int, list[int]]:
    """By group that is shown, the places of its intersections."""
    lines: dict[int, list[int]] = {}
    for i, pair in enumerate(pairs):
        for group in pair:
            if seen[group]:
                lines.setdefault(group, []).append(i)
    return lines


def _connected(ends: Sequence[object], edges: Sequence[Sequence[object]]) -> bool:
    """Whether a way leads from one of ``ends`` to the other over ``edges``.

    Hidden intersections are the edges between the sums that are known of their groups: one that lies on no cycle
    follows from these sums.
    """
    reached, grown = {ends[0]}, True
    while grown:
        grown = False
        for edge in edges:
            if len(reached.intersection(edge)) == 1:
                reached.update(edge)
                grown = True
    return ends[1] in reached


@lru_cache(maxsize=65_536)
def _code(salt: bytes, attribute: str, value: str) -> str:
    digest = hashlib.sha256(salt + attribute.encode() + b"\0" + value.encode()).hexdigest()
    return f"g-{digest[:_CODE_DIGITS]}"


def read_salt(path: str) -> bytes:
    """What the file ``path`` holds, without white space at its ends; nothing where no file is named.

    Raises
    ------
    ConfigError
        The file cannot be read, or is empty.
    """
    if not path:
        return b""
    try:
        salt = Path(path).read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"privacy.group_salt_file: {path}: {error.strerror}") from None
    if not salt:
        raise ConfigError(f"privacy.group_salt_file: {path} is empty")
    return salt
