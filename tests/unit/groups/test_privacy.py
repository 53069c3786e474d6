"""Is nothing said of groups that are too small, and nothing that would let them be computed?"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import ConfigError
from monitor.groups.privacy import Privacy, read_salt


def test_code_is_that_of_the_contract() -> None:
    """A code is ``g-`` and eight hexadecimal digits of SHA-256, other with another salt or attribute."""
    privacy = Privacy(20, b"salt")
    digest = hashlib.sha256(b"salt" + b"sex\0F").hexdigest()
    assert privacy.code("sex", "F") == f"g-{digest[:8]}"
    assert len({privacy.code("sex", "F"), privacy.code("race", "F"), Privacy(20).code("sex", "F")}) == 3


@given(st.lists(st.integers(0, 60), max_size=8), st.integers(1, 30))
def test_hidden_groups_cannot_be_computed(sizes: list[int], smallest: int) -> None:
    """No small group is shown; what is hidden is nothing, everything, or two groups and enough people at least."""
    shown = Privacy(smallest).shown(sizes)
    hidden = [size for size, seen in zip(sizes, shown, strict=True) if not seen]
    assert all(size >= smallest for size, seen in zip(sizes, shown, strict=True) if seen)
    assert not hidden or len(hidden) == len(sizes) or (len(hidden) >= 2 and sum(hidden) >= smallest)


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ([100, 200], [True, True]),
        ([5, 200], [False, False]),
        ([5, 100, 200], [False, False, True]),
        ([12, 12, 200], [False, False, True]),
        ([3, 4, 30, 40], [False, False, False, True]),
    ],
)
def test_the_next_smallest_is_hidden_with_it(sizes: list[int], shown: list[bool]) -> None:
    """A small group hides behind the next smallest one, and few people behind more."""
    assert Privacy(20).shown(sizes) == shown


def test_salt_of_a_file(tmp_path: Path) -> None:
    """The salt is what the file holds without its line end; a file that says nothing is an error."""
    file = tmp_path / "salt"
    file.write_bytes(b"pepper\n")
    assert read_salt(str(file)) == b"pepper"
    assert read_salt("") == b""
    file.write_bytes(b"\n")
    for path in (file, tmp_path / "none"):
        with pytest.raises(ConfigError, match="group_salt_file"):
            read_salt(str(path))
