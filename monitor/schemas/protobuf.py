"""How a record in Protocol Buffers is read: by Google's own library, with messages made from the schema's text.

Registries keep the text, and protoc (of ``grpcio-tools``) is what understands it. What it makes of a schema is a plan
of closures, one for each kind of message: the values of numbers, texts and maps of them are taken by the library's
compiled code, and no line of ours runs for each.
"""

from __future__ import annotations

import operator
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from monitor.schemas.faults import BodyError, UnreadableSchemaError

COMPILE_SECONDS: Final = 60.0
_MAIN: Final = "modelwatch_record.proto"
_SHOWN: Final = 300
_ALWAYS_SAID: Final = frozenset({"prediction", "outcome"})
"""Fields of an event that may well be zero; any other one that is, and has no presence, is absent."""

_TEXTS: Final = frozenset({9, 12})
"""The types string and bytes, as descriptors number them."""

Convert = Callable[[Any], Any]


def reader(text: str, imports: Mapping[str, str], skip: int) -> Callable[[bytes, bool], Any]:
    """Reads the value of a record, whose message indexes begin behind its first ``skip`` bytes.

    The second argument of what it returns says whether the fields are those of an event: see :data:`_ALWAYS_SAID`. It
    raises :class:`BodyError`.

    Raises
    ------
    UnreadableSchemaError
        protoc does not take ``text`` with the files that it ``imports``.
    """
    from google.protobuf import message_factory  # noqa: PLC0415  # an optional extra

    file = _compiled(text, imports)
    plans = _Plans()
    found: dict[tuple[int, ...], tuple[Any, Convert, Convert]] = {}

    def message(indexes: tuple[int, ...]) -> tuple[Any, Convert, Convert]:
        if indexes not in found:
            descriptor = _message(file, indexes)
            found[indexes] = (
                message_factory.GetMessageClass(descriptor),
                plans.of(descriptor),
                plans.of_event(descriptor),
            )
        return found[indexes]

    def read(value: bytes, is_event: bool) -> Any:
        indexes, at = _indexes(value, skip)
        make, of_any, of_event = message(indexes)
        try:
            parsed = make.FromString(value[at:])
        except Exception as error:  # noqa: BLE001 -- whatever the library raises at other bytes than the schema's
            raise BodyError(type(error).__name__) from None
        return of_event(parsed) if is_event else of_any(parsed)

    return read


def _compiled(text: str, imports: Mapping[str, str]) -> Any:
    """The descriptor of the file ``text``."""
    from google.protobuf import descriptor_pb2, descriptor_pool  # noqa: PLC0415  # an optional extra

    with tempfile.TemporaryDirectory(prefix="modelwatch-protoc-") as name:
        folder = Path(name)
        for path, content in {**imports, _MAIN: text}.items():
            pure = PurePosixPath(path)
            if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path:
                raise UnreadableSchemaError(f"imports {path!r}, which is not a name of a file")
            target = folder / "in" / pure
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        out = folder / "out"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder / 'in'}", "--include_imports"]
        command += [f"--descriptor_set_out={out}", _MAIN]
        try:
            done = subprocess.run(  # noqa: S603  # our own interpreter, on files of our own
                command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise UnreadableSchemaError("protoc took too long") from None
        if done.returncode:
            why = done.stderr.replace(f"{folder / 'in'}/", "").replace(_MAIN, "the schema")
            raise UnreadableSchemaError(f"protoc: {' '.join(why.split())[:_SHOWN]}")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool.FindFileByName(_MAIN)


def _indexes(value: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """Which message of its file a record is, and where it begins: a list of zigzag varints, ``0`` alone for ``[0]``."""
    n, at = _varint(value, at)
    if n == 0:
        return (0,), at
    if not 0 < n <= 100:
        raise BodyError("message indexes")
    indexes = []
    for _ in range(n):
        index, at = _varint(value, at)
        indexes.append(index)
    return tuple(indexes), at


def _varint(value: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while shift < 35 and at < len(value):
        byte = value[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
    raise BodyError("message indexes")


def _message(file: Any, indexes: tuple[int, ...]) -> Any:
    messages = list(file.message_types_by_name.values())
    found = None
    for index in indexes:
        if not 0 <= index < len(messages):
            raise BodyError("no such message")
        found = messages[index]
        messages = list(found.nested_types)
    return found


class _Plans:
    """How messages become what JSON would say of them, one plan for each kind."""

    def __init__(self) -> None:
        self._made: dict[str, Convert] = dict(_WELL_KNOWN)

    def of_event(self, descriptor: Any) -> Convert:
        """As any message, but a field without presence that is empty says nothing: see :data:`_ALWAYS_SAID`."""
        convert = self.of(descriptor)
        if descriptor.full_name in _WELL_KNOWN:
            return convert
        bare = [f for f in descriptor.fields if not f.has_presence]
        empty = [f.name for f in bare if f.name not in _ALWAYS_SAID or f.is_repeated or f.type in _TEXTS]
        unspecified = {f.name: f.enum_type.values[0].name for f in bare if f.enum_type is not None}
        unspecified = {name: word for name, word in unspecified.items() if word.endswith("UNSPECIFIED")}

        def event(message: Any) -> Any:
            said = convert(message)
            for name in empty:
                if not said[name]:
                    del said[name]
            for name, word in unspecified.items():
                if said.get(name) == word:
                    del said[name]
            return said

        return event

    def of(self, descriptor: Any) -> Convert:
        """The plan of one kind of message; made when it is asked for first, since kinds may hold one another."""
        name = descriptor.full_name
        if name not in self._made:
            self._made[name] = partial(self._later, name)
            self._made[name] = self._plan(descriptor)
        return self._made[name]

    def _later(self, name: str, message: Any) -> Any:
        return self._made[name](message)

    def _plan(self, descriptor: Any) -> Convert:
        plain = [f for f in descriptor.fields if not f.has_presence and not f.is_repeated and f.type != f.TYPE_ENUM]
        names = [f.name for f in plain]
        own = frozenset(names)
        # Two names at least, so that what is got is always a tuple.
        get = operator.attrgetter(*names, *names[:1]) if names else lambda _message: ()
        others = [
            (f.name, f.has_presence, _optional(f), self._of_field(f)) for f in descriptor.fields if f.name not in own
        ]

        def convert(message: Any) -> dict[str, Any]:
            said = dict(zip(names, get(message), strict=False))
            for name, may_be_absent, null, value in others:
                if not may_be_absent or message.HasField(name):
                    said[name] = value(getattr(message, name))
                elif null:
                    said[name] = None
            return said

        return convert

    def _of_field(self, field: Any) -> Convert:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            if value.message_type is None and value.type != value.TYPE_ENUM:
                return dict
            one = self._of_one(value)
            return lambda entries: {key: one(entries[key]) for key in entries}
        one = self._of_one(field)
        return (lambda values: [one(each) for each in values]) if field.is_repeated else one

    def _of_one(self, field: Any) -> Convert:
        if field.message_type is not None:
            return self.of(field.message_type)
        if field.type == field.TYPE_ENUM:
            words = {number: each.name for number, each in field.enum_type.values_by_number.items()}
            return lambda number: words.get(number, str(number))
        return lambda value: value


def _optional(field: Any) -> bool:
    """Whether a field that is not set is a value that is missing; one of a real ``oneof`` is another one's place."""
    oneof = field.containing_oneof
    return oneof is None or len(oneof.fields) == 1


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        return _struct(message.struct_value)
    if kind == "list_value":
        return _list(message.list_value)
    return None if kind in {None, "null_value"} else getattr(message, kind)


def _struct(message: Any) -> dict[str, Any]:
    return {name: _value(each) for name, each in message.fields.items()}


def _list(message: Any) -> list[Any]:
    return [_value(each) for each in message.values]


def _seconds(message: Any) -> float:
    return float((message.seconds * 10**9 + message.nanos) / 10**9)


_WRAPPED: Final = ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
_WELL_KNOWN: Final[Mapping[str, Convert]] = {
    "google.protobuf.Timestamp": _seconds,
    "google.protobuf.Duration": _seconds,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _value,
    "google.protobuf.ListValue": _list,
    **{f"google.protobuf.{kind}Value": operator.attrgetter("value") for kind in _WRAPPED},
}
