"""Which outputs may a model give? The list that its policy names, as hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.policies import Policies, PolicyEntry
from monitor.errors import ConfigError
from monitor.kernels.hashing import hash64

BYTES_MAX = 64 << 20
OUTPUTS_MAX = 250_000


@dataclass(frozen=True, slots=True)
class AllowedOutputs:
    """A list of outputs, known by its ``digest``; ``hashes`` (n,) are sorted, and 8 bytes each are all that is kept."""

    digest: str
    hashes: NDArray[np.uint64] = field(compare=False, repr=False)

    def has(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of ``hashes`` (k,) are in the list."""
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        found: NDArray[np.bool_] = self.hashes[at] == hashes
        return found


def listed(outputs: Iterable[str]) -> AllowedOutputs:
    """The list of ``outputs``, of which there is at least one; order and doubles make no difference."""
    names = sorted(set(outputs))
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return AllowedOutputs(digest, np.sort(np.array([hash64(name.encode()) for name in names], np.uint64)))


def read(path: Path) -> AllowedOutputs:
    """The list in the file at ``path``: UTF-8, an output a line; empty lines are none, spaces around them no part.

    Raises
    ------
    ValueError
        It cannot be read, is empty, or too large; the message goes on after the file's name.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(raw) > BYTES_MAX:
        raise ValueError(f"has more than {BYTES_MAX >> 20} MB")
    try:
        lines = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (at byte {error.start})") from None
    outputs = [line.strip() for line in lines]
    outputs = [output for output in outputs if output]
    if not outputs:
        raise ValueError("names no output")
    if len(outputs) > OUTPUTS_MAX:
        raise ValueError(f"names {len(outputs)} outputs, more than {OUTPUTS_MAX}")
    return listed(outputs)


def with_outputs(policies: Policies) -> Policies:
    """``policies`` with the lists of ``allowed_outputs`` as they are now.

    Raises
    ------
    ConfigError
        One line for each list that cannot be used: where it is named, its file, and what is wrong with it.
    """
    lists: dict[str | tuple[str, ...], AllowedOutputs] = {}
    faults = []
    for clause in policies.clauses:
        policy = PolicyEntry.model_validate({"match": clause.match, **clause.keys})
        said = policy.allowed_outputs
        if not said or said in lists:
            continue
        try:
            lists[said] = listed(said) if isinstance(said, tuple) else read(Path(said.removeprefix("file:")))
        except ValueError as error:
            faults.append(f"{clause.origin}.allowed_outputs: {str(said).removeprefix('file:')} {error}")
    if faults:
        raise ConfigError("\n".join(faults))
    return Policies(policies.clauses, policies.tick, lists)
