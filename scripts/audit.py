"""Is what is installed what the lock says, all of it with hashes, and under licences that may be used?

``make check`` runs it, offline. Whether a pinned version has a known weakness only a service on the network can say:
``make audit`` asks one with pip-audit.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("runtime", "dev")
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<rest>.*)$")
_PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Python-2\.0|0BSD|Unlicense|MPL|Mozilla|Zlib|CNRI|CC0)",
    re.IGNORECASE,
)


def pins(text: str) -> dict[str, tuple[str, bool]]:
    """The pinned version of each package of a lock, and whether it has a hash."""
    found: dict[str, tuple[str, bool]] = {}
    name = ""
    for line in text.splitlines():
        if pin := _PIN.match(line):
            name = re.sub(r"[-_.]+", "-", pin["name"]).lower()
            found[name] = (pin["version"], False)
        elif "--hash=sha256:" in line and name:
            found[name] = (found[name][0], True)
        elif line and not line.lstrip().startswith("#"):
            found[f"what is meant by {line.strip()!r}"] = ("", False)
    return found


def licence(known: Distribution) -> str:
    """What a distribution says of its licence, all of it."""
    metadata = known.metadata
    said = [metadata.get("License-Expression") or "", (metadata.get("License") or "")[:200]]
    return " ".join([*said, *(each for each in metadata.get_all("Classifier") or [] if each.startswith("License"))])


def faults() -> list[str]:
    """What is wrong, a line each."""
    wrong: list[str] = []
    for lock in LOCKS:
        for name, (version, hashed) in pins((ROOT / "requirements" / f"{lock}.txt").read_text()).items():
            if not hashed:
                wrong.append(f"requirements/{lock}.txt: {name} has no hash")
            try:
                known = distribution(name)
            except PackageNotFoundError:
                continue  # of another platform
            if known.version != version:
                wrong.append(f"{name} {known.version} is installed, the lock says {version}: make setup")
            if not _PERMISSIVE.search(licence(known)):
                wrong.append(f"{name}: its licence is not one that is known to be free to use: {licence(known)!r}")
    return wrong


if __name__ == "__main__":
    found = faults()
    print("\n".join(found) or "what is installed is what the lock says, with hashes and under free licences")
    sys.exit(bool(found))
