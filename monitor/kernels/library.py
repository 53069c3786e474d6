"""Where the compiled kernels are, and whether they were built from what stands beside them."""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

LIBRARY = Path(__file__).with_name("_kernels.so")
SOURCES = LIBRARY.parent

_Kernels = TypeVar("_Kernels")


def sources() -> list[Path]:
    """The C files and headers that the library is made of, in one order."""
    return sorted([*SOURCES.glob("*.c"), *SOURCES.glob("*.h")])


def fingerprint() -> int:
    """63 bits of the sources' hash. A library made of other sources may read other arguments than it is given."""
    digest = hashlib.sha256()
    for source in sources():
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return int.from_bytes(digest.digest()[:8], "big") >> 1


@cache
def library() -> ctypes.CDLL | None:
    """The shared library with every kernel, or ``None``: not built, not loadable here, or built from other sources.

    Calls through it release the interpreter's lock. Callers set ``argtypes`` and ``restype`` of what they call.
    """
    return load(LIBRARY)


def needed(kernels: _Kernels | None) -> _Kernels:
    """``kernels``, or one of them, which nothing here stands in for.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    if kernels is None:
        raise RuntimeError("the kernels are not built: python -m monitor.kernels.build")
    return kernels


def taking(name: str, call: type[ctypes.Structure]) -> ctypes.CDLL | None:
    """The library, its kernel ``name`` ready to take a ``call``; ``None`` if the kernel's has another size."""
    loaded = library()
    if loaded is None:
        return None
    size, kernel = getattr(loaded, f"{name}_call_size"), getattr(loaded, name)
    size.argtypes, size.restype = (), ctypes.c_int64
    kernel.argtypes, kernel.restype = (ctypes.POINTER(call),), None
    return loaded if size() == ctypes.sizeof(call) else None


def address(array: NDArray[Any]) -> int:
    """Where a C-contiguous array lies, for a call that is made at once; 0 where it has no elements.

    A kernel takes some dozens of them: this takes a quarter of what ``array.ctypes.data`` does.

    Raises
    ------
    BufferError, ValueError
        The array is not contiguous.
    """
    if not array.size:
        return 0
    if not array.flags.writeable:
        assert array.flags.c_contiguous
        return int(array.ctypes.data)
    return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  # a buffer, as of 3.12 by type


def load(path: Path) -> ctypes.CDLL | None:
    """The library at ``path``, or ``None`` where there is none that was built from :func:`sources` as they are."""
    if not path.is_file():
        return None
    try:
        loaded = ctypes.CDLL(str(path))
        built_from = loaded.modelwatch_built_from
    except (OSError, AttributeError):
        return None
    built_from.argtypes = ()
    built_from.restype = ctypes.c_int64
    return loaded if built_from() == fingerprint() else None
