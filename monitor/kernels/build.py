"""Compiles every kernel into one shared library: ``python -m monitor.kernels.build``."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.kernels.library import LIBRARY, fingerprint, sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FLAGS = (
    "-O3",
    "-shared",
    "-fPIC",
    "-std=c11",
    "-fvisibility=default",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-Wall",
    "-Wextra",
    "-Werror",
)
"""Nothing that ties the library to this machine's processor: the wheel goes to others."""


def compilers() -> Iterator[list[str]]:
    """Every C compiler there is, in the order in which they are tried; the compiler in a wheel comes last."""
    named = shlex.split(os.environ.get("CC", ""))
    for command in (named, ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            yield command
    if find_spec("ziglang"):
        yield [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline"]  # left alone, it compiles for this very machine


def build(target: Path = LIBRARY, flags: Sequence[str] = ()) -> str | None:
    """Compile into ``target`` with the first compiler that can; its command, or ``None`` if none could.

    ``flags`` come after the usual ones. The library takes its name when it is whole, so that a program that is
    starting meets the old one or the new one.
    """
    units = [str(source) for source in sources() if source.suffix == ".c"]
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    for compiler in compilers():
        command = [*compiler, *FLAGS, *flags, f"-DBUILT_FROM={fingerprint()}", *units, "-o", str(partial), "-lm"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 -- its own sources
        if done.returncode == 0:
            partial.replace(target)
            return shlex.join(command)
        partial.unlink(missing_ok=True)
        sys.stderr.write(f"{shlex.join(compiler)} could not compile the kernels:\n{done.stderr}")
    return None


def main() -> int:
    """Build in place and say with what; 1 where no compiler could."""
    command = build()
    if command is None:
        sys.stderr.write("no C compiler could build the kernels; install one, or set CC\n")
        return 1
    sys.stdout.write(f"{command}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
