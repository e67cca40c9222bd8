"""The spill file: where records go that the database does not take.

A full queue, a full disk or a failed sync must not lose a record silently, so it goes into an append-only file, on
another disk if there is one, and readers merge it back by natural key. The recorder's thread writes it, and a producer's
thread when the queue is full; readers read it.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from baseline_metrics.codec import CodecError, Json, from_json_value, to_json_value
from monitoring_logs.checked_lines import AppendFile, BadLine, LineError, encode_line, scan_lines
from monitoring_logs.numbering import NO_LIFE, Producer, RecordNumber
from monitoring_logs.rows import RECORD_TYPES, Record

SPILL_BYTES_MAX = 1 << 30
"""A whole night of 1 s samples with 100 sensors takes about 400 MiB as JSON; a file past 1 GiB would endanger its disk."""


class Spilled(Enum):
    """What became of a record that was given to the spill file."""

    WRITTEN = "written"
    REFUSED = "refused"  # it cannot be encoded: our own bug
    LOST = "lost"  # this disk takes nothing either


@dataclass(frozen=True, slots=True, kw_only=True)
class SpilledRecord:
    """One record of a spill file, with its number."""

    number: RecordNumber
    record: Record


class Spill:
    """The writer; it opens the file with the first record and may be used from several threads. It never raises."""

    def __init__(self, path: str, *, bytes_max: int = SPILL_BYTES_MAX) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._files: list[AppendFile] = []  # none or one
        self._unsynced = False
        self._fault = ""

    @property
    def fault(self) -> str:
        """Why the file takes nothing, in words; "" while it does."""
        return self._fault

    def append(self, number: RecordNumber, record: Record) -> Spilled:
        """Write one record, not yet synced."""
        head: dict[str, Json] = {"life": number.life, "producer": number.producer.value, "sequence": number.sequence}
        try:
            line = encode_line({**head, "record": to_json_value(record)})
        except (CodecError, LineError):
            return Spilled.REFUSED
        with self._lock:
            try:
                if not self._files:
                    self._files.append(AppendFile(self._path))
                file = self._files[0]
                if file.size_bytes + len(line) > self._bytes_max:
                    self._fault = f"the spill file {self._path} has reached its limit of {self._bytes_max} bytes"
                    return Spilled.LOST
                self._unsynced = True
                file.append(line)
            except OSError as error:
                self._fault = f"the spill file {self._path} cannot be written: {error}"
                return Spilled.LOST
        return Spilled.WRITTEN

    def sync(self) -> bool:
        """Whether everything that was written is on the disk now."""
        with self._lock:
            if not self._unsynced:
                return True
            try:
                for file in self._files:
                    file.sync()
            except OSError as error:
                self._fault = f"the spill file {self._path} cannot be synced: {error}"
                return False
            self._unsynced = False
            return True

    def close(self) -> None:
        """Sync and close. A record that comes later opens the file again."""
        self.sync()
        with self._lock:
            for file in self._files:
                file.close()
            self._files.clear()


def read_spill(path: str) -> Iterator[SpilledRecord | BadLine]:
    """Every record of a spill file, and every line that is none. Raises OSError when the file cannot be read."""
    for number, line in enumerate(scan_lines(path), start=1):
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            yield _spilled(line.body)
        except CodecError as error:
            yield BadLine(number=number, torn=False, why=str(error))


def _spilled(body: dict[str, Json]) -> SpilledRecord:
    if not {"sequence", "record"} <= set(body) <= {"life", "producer", "sequence", "record"}:
        raise CodecError("not a spilled record")
    # Version 1 wrote neither life nor producer.
    life, producer = body.get("life", NO_LIFE), body.get("producer", Producer.SUPERVISOR.value)
    sequence, value = body["sequence"], body["record"]
    if not isinstance(sequence, int) or not isinstance(life, int) or not isinstance(value, dict):
        raise CodecError("not a spilled record")
    if producer not in {known.value for known in Producer}:
        raise CodecError(f"{producer!r} is not a producer of this version")
    name = value.get("type")
    if not isinstance(name, str) or name not in RECORD_TYPES:
        raise CodecError(f"{name!r} is not a record of this version")
    record: Record = from_json_value(RECORD_TYPES[name], value)
    number = RecordNumber(life=life, producer=Producer(producer), sequence=sequence)
    return SpilledRecord(number=number, record=record)
