"""Compiled inner loops, each with a twin in Python that says what it does."""

from monitor.kernels.hashing import hash64, mix

__all__ = ["hash64", "mix"]
