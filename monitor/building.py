"""What do all models of a directory or of a topic look like? A reference of each, made in one run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

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
_LINES = (".jsonl", ".jsonl.gz")
_TEMPLATE = "{model}.mwref"

Progress = Callable[[str, int, int], object]
"""Is told what is being done, and how much of how much."""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one model: its file with rows, series and digest, or why there is none."""

    model: str
    path: Path
    rows: int = 0
    series: int = 0
    digest: str = ""
    fault: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Spool:
    """The events of each model in a file of their own: so each reference is made as if its model were alone."""

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    rejected: int = 0
    _waiting: dict[str, list[bytes]] = field(default_factory=dict)
    _size: int = 0
    _native: NativeDecoder = field(default_factory=lambda: NativeDecoder(DecodeLimits()))

    def add(self, values: Sequence[bytes]) -> None:
        """Native events; those that are none are counted."""
        if not values:
            return
        batch = self._native.decode(values, np.zeros(len(values)))
        self.rejected += len(batch.rejected)
        _, first, inverse = np.unique(batch.model.hash, return_index=True, return_inverse=True)
        names = [batch.string(batch.model, int(at)) for at in first]
        for record, of in zip(batch.record.tolist(), inverse.tolist(), strict=True):
            self._waiting.setdefault(names[of], []).append(values[record])
            self._size += len(values[record])
        if self._size > _SPOOL_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write down what waits."""
        for name, values in self._waiting.items():
            path = self.files.setdefault(name, self.folder / f"{len(self.files)}.jsonl")
            with path.open("ab") as file:
                file.writelines(value.replace(b"\n", b" ") + b"\n" for value in values)
        self._waiting.clear()
        self._size = 0


def of_files(data: Path, out: Path, columns: training.Columns, version: str, progress: Progress) -> list[Made]:
    """Make a reference of each model in the files of ``data``, in ``out``.

    Native events (lines, or tables with a column ``model``) are of the model that they name. Any other table is the
    training set of the model that its file is named after, and ``columns`` says what its columns are.

    Raises
    ------
    ProfileError, IngestError, UsageError
        A file cannot be read, or ``out`` is no directory.
    """
    _directory(out)
    files = training_files(data)
    flat = {_stem(file): file for file in files if _is_flat(file)}
    with tempfile.TemporaryDirectory(prefix="modelwatch-baseline-") as folder:
        spool = _Spool(Path(folder))
        for done, file in enumerate(files):
            progress("reading", done, len(files))
            if not _is_flat(file):
                for values in _events_in(file):
                    spool.add(values)
        spool.flush()
        both = sorted(flat.keys() & spool.files.keys())
        if both:
            raise UsageError(f"baseline build: {both[0]}: has events and a table of its own")
        return _build({**spool.files, **flat}, out, columns, version, progress)


def of_topic(
    config: Config, topic: str, since: float | None, until: float | None, out: Path, clock: Clock, progress: Progress
) -> list[Made]:
    """Make a reference of each model in a range of a topic, whatever its format; raises as :func:`of_files`."""
    _directory(out)
    decoder = make_decoders(config)(topic)
    with tempfile.TemporaryDirectory(prefix="modelwatch-baseline-") as folder:
        spool = _Spool(Path(folder))
        with closing(KafkaRange(config.require_kafka(), topic, since, until, {}, clock)) as source:
            total = sum(source.lag().values())
            while not source.finished():
                spool.add(_natives(source.poll(_RECORDS, 0.5), decoder, spool))
                progress("reading", total - sum(source.lag().values()), total)
        spool.flush()
        if not spool.files:
            raise ProfileError(f"{topic}: holds no event in this range")
        return _build(spool.files, out, training.Columns(), "", progress)


def _build(
    files: dict[str, Path], out: Path, columns: training.Columns, version: str, progress: Progress
) -> list[Made]:
    made = []
    for done, (model, path) in enumerate(sorted(files.items())):
        progress("building", done, len(files))
        target = out / reference_path(_TEMPLATE, model, "").name
        try:
            of_events = path.name.endswith(_LINES)
            built = training.build(
                path, model, version, training.Columns() if of_events else columns, lambda _done, _total: None
            )
            digest = profile.save(built.profile, target)
        except ProfileError as error:
            made.append(Made(model, target, fault=str(error).removeprefix(f"{path}: ")))
            continue
        made.append(Made(model, target, built.profile.events, len(built.profile.series), digest, "", built.warnings))
    progress("building", len(files), len(files))
    return made


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
