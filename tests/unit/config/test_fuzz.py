"""Whether anything at all makes the loader do something else than load or say what is wrong."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.catalog.tables import keys_of, table_in
from monitor.catalog.toml import toml_lines
from monitor.config import Config, Tables, describe, load
from monitor.errors import ConfigError

SCALARS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(
        ["30s", "1d", "auto", "learn", "file:x", "http://a:1", "^a", "*", "", "earliest", "2026-01-01T00:00:00Z"]
    ),
    st.integers(-(2**64), 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)


def known_keys(model: Any, depth: int = 0) -> set[str]:
    names = set(keys_of(model))
    for field in keys_of(model).values():
        inner, _ = table_in(field)
        names |= known_keys(inner, depth + 1) if inner is not None else set()
    return names


KEYS = st.sampled_from(sorted(known_keys(Tables) - {"include"})) | st.text(st.characters(codec="utf-8"), max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)


def shaped(model: Any) -> st.SearchStrategy[Any]:
    """Tables with the right keys, and often with the right kind of value, so that the checks behind are reached."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for key, field in keys_of(model).items():
        inner, many = table_in(field)
        if inner is None:
            fields[key] = SCALARS | VALUES
        else:
            fields[key] = st.lists(shaped(inner), max_size=2) if many else shaped(inner)
    return st.fixed_dictionaries({}, optional=fields)


def outcome(content: bytes, environ: dict[str, str]) -> Config | ConfigError:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "config.toml"
        path.write_bytes(content)
        try:
            config = load(path, environ)
        except ConfigError as error:
            return error
    for name in ("credit-1", "", "\n", "*"):
        config.policies.resolve(name)
    assert describe(config)
    return config


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(KEYS, VALUES, max_size=5) | shaped(Tables).map(lambda table: {**table, "include": []}))
def test_any_table_is_a_configuration_or_an_error(table: dict[str, Any]) -> None:
    """Whatever keys, kinds and values a file holds, it gives a configuration that works or a ConfigError."""
    assert str(outcome("\n".join(toml_lines(table)).encode(), {}))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=64) | st.text("[]{}=\"'.\n#abc019-T:", max_size=40).map(str.encode))
def test_any_bytes_are_a_configuration_or_an_error(content: bytes) -> None:
    """A file may hold anything."""
    outcome(content, {})


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "CLOCK__TICK",
                "KAFKA",
                "KAFKA__LIBRDKAFKA",
                "KAFKA__LIBRDKAFKA__A",
                "LOG__LEVEL",
                "",
                "__",
                "X",
                "BUDGET__SHARES",
            ]
        ),
        SCALARS.map(str) | st.sampled_from(["{}", "[1]", "{ a.b = 1 }", "1\n[x]", "\udcff", "[" * 2000]),
        max_size=3,
    )
)
def test_any_variable_is_a_configuration_or_an_error(said: dict[str, str]) -> None:
    """The environment may hold anything too."""
    outcome(b"", {f"MODELWATCH_{name}": value for name, value in said.items()})


def test_the_fuzz_reaches_configurations_that_load() -> None:
    """The files of the fuzz are real ones: a full table written by the same hand loads."""
    table = {
        "clock": {"tick": "30s"},
        "models": [{"match": "*", "season": ["1d"]}],
        "kafka": {"topics": [{"name": "a"}]},
    }
    assert isinstance(outcome("\n".join(toml_lines(table)).encode(), {}), Config)
    moment = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    assert isinstance(outcome(f"kafka.start_from = {moment}".encode(), {}), Config)
