"""What may be said of groups: codes in place of values, and nothing of groups that are too small."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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

    def shown(self, sizes: Sequence[float]) -> list[bool]:
        """Which of an attribute's groups may be shown, by the numbers of people in them.

        Totals are known, so a single small group, or several that are few together, could be computed from the
        others: then the next smallest ones are hidden too, until those that are hidden are at least two groups and
        enough people together.
        """
        order = sorted(range(len(sizes)), key=lambda i: (sizes[i], i))
        hidden = [i for i in order if sizes[i] < self.smallest_group]
        rest = order[len(hidden) :]
        while hidden and rest and (len(hidden) == 1 or sum(sizes[i] for i in hidden) < self.smallest_group):
            hidden.append(rest.pop(0))
        return [i in rest for i in range(len(sizes))]


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
