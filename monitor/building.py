"""What do all models of a directory or of a topic look like? A reference of each, made in one run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from monitor.catalog import profile, training
from monitor.catalog.training_rows import KINDS, training_files
from monitor.clock import Clock
from monitor.compose import make_decoders
from monitor.config import Config
from monitor.decode.careful import CarefulDecoder
from monitor.decode.decoder import Decoder
from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.decode.translated import Record, TranslatedDecoder
from monitor.decode.twin import Rejected
from monitor.errors import ProfileError, UsageError
from monitor.events.raw import RawBatch
from monitor.ingest.file_lines import LineFile
from monitor.ingest.kafka_range import KafkaRange
from monitor.ingest.tables import TableColumns, table_columns, table_events
from monitor.lives import reference_path

_SPOOL_BYTES = 32 << 20
"""What waits in memory before it is written to the files of its models."""
_BLOCK_BYTES = 1 << 20
_RECORDS = 4_096
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""Sets the hash of a version apart from that of a model of the same name."""
_LINES = (".jsonl", ".jsonl.gz")
_MODEL, _VERSION = "{model}", "{version}"
_TEMPLATE = f"{_MODEL}.mwref"

Progress = Callable[[str, int, int], object]
"""Is told what is being done, and how much of how much."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where references go: a directory, or the path of each with ``{model}`` and perhaps ``{version}`` in it.

    ``version`` is said of all; where it is not, events say it themselves. What is there already is left as it is unless
    ``replaced`` is set.
    """

    out: Path
    version: str = ""
    replaced: bool = False

    @property
    def template(self) -> str:
        """The path of each reference."""
        return str(self.out) if _MODEL in str(self.out) else str(self.out / _TEMPLATE)

    @property
    def by_version(self) -> bool:
        """Whether the events of each version of a model make a reference of their own."""
        return _VERSION in self.template and not self.version

    def prepare(self) -> None:
        """Make the directory, where it is one for all: before anything is read."""
        if _MODEL not in str(self.out):
            _directory(self.out)

    def place(self, model: str, version: str) -> Path:
        """The file of one reference."""
        return reference_path(self.template, model, self.version or version)


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one model: its file with rows, series and digest, or why there is none.

    ``refused`` says that another reference stands there.
    """

    model: str
    path: Path
    rows: int = 0
    series: int = 0
    digest: str = ""
    fault: str = ""
    warnings: tuple[str, ...] = ()
    refused: bool = False


@dataclass(slots=True)
class _Part:
    """What one reference is made of: a file of events or a table, where they came from, and of which versions."""

    path: Path
    sources: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)

    def came(self, source: str, version: str) -> None:
        """Note whence an event came, in the order of reading, and of which version it is."""
        if source not in self.sources[-1:]:
            self.sources.append(source)
        if version:
            self.versions.add(version)

    @property
    def source(self) -> str:
        """What the reference says that it was made of; nothing that stands beside it plays a part."""
        if len(self.sources) <= 1:
            return "".join(self.sources)
        return f"{self.sources[0]} to {self.sources[-1]} ({len(self.sources)} files)"

    @property
    def version(self) -> str:
        """The version of all events that name one; none where they name several."""
        return next(iter(self.versions)) if len(self.versions) == 1 else ""


@dataclass(slots=True)
class _Spool:
    """The events of each model in a file of their own: so each reference is made as if its model were alone."""

    folder: Path
    by_version: bool
    parts: dict[tuple[str, str], _Part] = field(default_factory=dict)
    """By model, and by version where each has a reference of its own."""
    rejected: int = 0
    _waiting: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)
    _size: int = 0
    _native: NativeDecoder = field(default_factory=lambda: NativeDecoder(DecodeLimits()))

    def add(self, values: Sequence[bytes], source: str) -> None:
        """Native events from ``source``; those that are none are counted."""
        if not values:
            return
        batch = self._native.decode(values, np.zeros(len(values)))
        self.rejected += len(batch.rejected)
        pairs = batch.model.hash ^ (batch.version.hash * _ODD)
        _, first, inverse = np.unique(pairs, return_index=True, return_inverse=True)
        names = [(batch.string(batch.model, at), batch.string(batch.version, at)) for at in first.tolist()]
        for model, version in names:
            self._part(model, version).came(source, version)
        for record, of in zip(batch.record.tolist(), inverse.tolist(), strict=True):
            self._waiting.setdefault(self._key(*names[of]), []).append(values[record])
            self._size += len(values[record])
        if self._size > _SPOOL_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write down what waits."""
        for key, values in self._waiting.items():
            with self.parts[key].path.open("ab") as file:
                file.writelines(value.replace(b"\n", b" ") + b"\n" for value in values)
        self._waiting.clear()
        self._size = 0

    def whole(self) -> dict[tuple[str, str], _Part]:
        """All parts; of a model with versions those alone: an outcome says none, and makes no reference."""
        self.flush()
        with_versions = {model for model, version in self.parts if version}
        return {key: part for key, part in self.parts.items() if key[1] or key[0] not in with_versions}

    def _key(self, model: str, version: str) -> tuple[str, str]:
        return (model, version if self.by_version else "")

    def _part(self, model: str, version: str) -> _Part:
        return self.parts.setdefault(self._key(model, version), _Part(self.folder / f"{len(self.parts)}.jsonl"))


def of_files(data: Path, wanted: Wanted, columns: training.Columns, progress: Progress) -> list[Made]:
    """Make a reference of each model in the files of ``data``.

    Native events (lines, or tables with a column ``model``) are of the model that they name. Any other table is the
    training set of the model that its file is named after, and ``columns`` says what its columns are.

    Raises
    ------
    ProfileError, IngestError, UsageError
        A file cannot be read, or a directory cannot be made.
    """
    wanted.prepare()
    files = training_files(data)
    flat = {_stem(file): file for file in files if _is_flat(file)}
    with tempfile.TemporaryDirectory(prefix="modelwatch-baseline-") as folder:
        spool = _Spool(Path(folder), wanted.by_version)
        for done, file in enumerate(files):
            progress("reading", done, len(files))
            if not _is_flat(file):
                for values in _events_in(file):
                    spool.add(values, file.name)
        parts = spool.whole()
        both = sorted(flat.keys() & {model for model, _ in parts})
        if both:
            raise UsageError(f"baseline build: {both[0]}: has events and a table of its own")
        tables = {(model, ""): _Part(file, [file.name]) for model, file in flat.items()}
        return _build({**parts, **tables}, wanted, columns, progress)


def of_topic(
    config: Config,
    topic: str,
    span: tuple[float | None, float | None],
    wanted: Wanted,
    clock: Clock,
    progress: Progress,
) -> list[Made]:
    """Make a reference of each model in a range of a topic, whatever its format; raises as :func:`of_files`."""
    wanted.prepare()
    decoder = make_decoders(config)(topic)
    with tempfile.TemporaryDirectory(prefix="modelwatch-baseline-") as folder:
        spool = _Spool(Path(folder), wanted.by_version)
        with closing(KafkaRange(config.require_kafka(), topic, *span, {}, clock)) as source:
            total = sum(source.lag().values())
            while not source.finished():
                spool.add(_natives(source.poll(_RECORDS, 0.5), decoder, spool), f"topic {topic}")
                progress("reading", total - sum(source.lag().values()), total)
        parts = spool.whole()
        if not parts:
            raise ProfileError(f"{topic}: holds no event in this range")
        return _build(parts, wanted, training.Columns(), progress)


def _build(
    parts: dict[tuple[str, str], _Part], wanted: Wanted, columns: training.Columns, progress: Progress
) -> list[Made]:
    made = []
    for done, ((model, version), part) in enumerate(sorted(parts.items())):
        progress("building", done, len(parts))
        target = wanted.place(model, version)
        try:
            made.append(_made(part, model, target, wanted, columns))
        except ProfileError as error:
            made.append(Made(model, target, fault=str(error).removeprefix(f"{part.path}: ")))
        except UsageError as error:
            made.append(Made(model, target, fault=str(error), refused=True))
    progress("building", len(parts), len(parts))
    return made


def _made(part: _Part, model: str, target: Path, wanted: Wanted, columns: training.Columns) -> Made:
    if _VERSION in wanted.template and not (wanted.version or part.version):
        raise ProfileError("names no version, which the path of its reference needs: --version says one for all")
    of_events = part.path.name.endswith(_LINES)
    told = training.Columns() if of_events else columns
    built = training.build(part.path, model, wanted.version or part.version, told, lambda _done, _total: None)
    reference = msgspec.structs.replace(built.profile, source=part.source)
    _directory(target.parent)
    digest = profile.save_new(reference, target, replaced=wanted.replaced)
    several = not reference.version and len(part.versions) > 1
    mixed = (f"events of {len(part.versions)} versions: the reference names none",) if several else ()
    return Made(model, target, reference.events, len(reference.series), digest, "", (*built.warnings, *mixed))


def _natives(raw: RawBatch, decoder: Decoder, spool: _Spool) -> list[bytes]:
    """The native events of a batch of records."""
    if isinstance(decoder, CarefulDecoder):
        decoder = decoder.decoder
    if not isinstance(decoder, TranslatedDecoder):
        return [value for value in raw.values if value is not None]
    found: list[bytes] = []
    for i, value in enumerate(raw.values):
        before = len(found)
        with suppress(Rejected):
            found += decoder.native(
                Record(value, raw.keys[i] if raw.keys else None, raw.headers[i] if raw.headers else None)
            )
        spool.rejected += len(found) == before
    return found


def _events_in(file: Path) -> Iterator[Sequence[bytes]]:
    if file.name.endswith(_LINES):
        for block in LineFile(str(file), 0, _BLOCK_BYTES).blocks():
            yield block.values
    else:
        yield from table_events(file, TableColumns({}))


def _is_flat(file: Path) -> bool:
    return not file.name.endswith(_LINES) and "model" not in table_columns(file)


def _stem(file: Path) -> str:
    ending = next(kind for kind in sorted(KINDS, key=len, reverse=True) if file.name.endswith(kind))
    return file.name.removesuffix(ending)


def _directory(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"baseline build: {out}: is no directory that can be made: {error.strerror}") from error
