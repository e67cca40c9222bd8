"""The journal: what was decided, synced to the disk before anybody acts on it.

One JSON line per order, event, command and fact. It wins over the database in every question of what was decided, and
it needs nothing but a file, so it is readable when the database is not. When its disk fails it goes on in a second
file and never returns to the first: after a failed sync nobody knows what that one holds. The supervisor writes it
from one thread; reporter and status read it.
"""

import contextlib
import errno
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from baseline_metrics.clock import Clock
from baseline_metrics.codec import CodecError, Json, from_json_value, to_json_value
from monitoring_logs.checked_lines import AppendFile, BadLine, LineError, encode_line, scan_lines
from monitoring_logs.records import (
    AnchorRecord,
    BaselineRecord,
    CampaignEnd,
    DrillFact,
    HostFacts,
    NightOrder,
    PhaseRecord,
    SegmentRecord,
)
from monitoring_logs.run_files import JOURNAL_FALLBACK, bring_home, link_beside
from monitoring_logs.search_records import SearchRecord, SearchStep

OVERSIZED_BEGINNING_CHARACTERS = 4096
"""What is kept of a body that exceeds a line: enough to see what it was. No body of ours comes near the bound, only
a hostile text inside one could."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The errors that room can mend."""

Fact = (
    PhaseRecord
    | AnchorRecord
    | BaselineRecord
    | SearchStep
    | SearchRecord
    | SegmentRecord
    | DrillFact
    | HostFacts
    | CampaignEnd
)


class JournalKind(Enum):
    """What a line of the journal tells."""

    ORDER = "order"
    EVENT = "event"
    COMMAND = "command"
    FACT = "fact"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One line. ``sequence`` rises by one per line; monotonic times compare only within one ``boot_id``."""

    sequence: int
    at_mono_s: float
    at_utc_s: float
    boot_id: str
    kind: JournalKind
    name: str
    body: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalContent:
    """What could be read. bad_lines: untrustworthy lines, the torn one not counted."""

    entries: tuple[JournalEntry, ...]
    bad_lines: int
    torn_tail: bool


class JournalError(Exception):
    """Neither the journal nor its fallback can be written: nothing may be started any more."""


def nothing_to_free() -> None:
    """For a journal whose owner holds no room back."""


class Journal:
    """The writer. Every method returns only when the line is on the disk."""

    def __init__(
        self,
        path: str,
        *,
        clock: Clock,
        boot_id: str,
        fallback_path: str,
        make_room: Callable[[], None] = nothing_to_free,
    ) -> None:
        """Open, and go on behind the last entry of either file. Raises JournalError when neither can be opened.

        fallback_path: a file on another disk if there is one; a link beside ``path`` tells readers where it is.
        make_room: called once, when an entry first finds the disk full; the entry is then tried again, because the
        fallback may lie on the same disk.
        """
        self._path = path
        self._clock = clock
        self._boot_id = boot_id
        self._fallback_path = fallback_path
        self._fault = ""
        self._on_fallback = False
        self._make_room = make_room
        self._made_room = False
        come_home = str(Path(path).with_name(JOURNAL_FALLBACK))
        known = [entry for each in (path, come_home, fallback_path) for entry in _entries_if_readable(each)]
        self._sequence = max((entry.sequence for entry in known), default=0)
        link_beside(path, name=JOURNAL_FALLBACK, target=fallback_path)
        try:
            self._file = AppendFile(path)
        except OSError as error:
            self._remember(path, error)
            self._file = self._open_fallback()

    @property
    def fault(self) -> str:
        """Why the journal left its first file, or that its disk is full; "" while all is well."""
        return self._fault

    @property
    def sequence(self) -> int:
        """The last entry's number; 0 before the first."""
        return self._sequence

    def append(self, kind: JournalKind, name: str, body: dict[str, Json]) -> None:
        """Write one entry and sync it. Raises JournalError when no file takes it; CodecError never: see _line."""
        self._sequence += 1
        line = self._line(kind, name, body)
        try:
            self._write(line)
        except OSError as error:
            self._remember(self._file.path, error)
            if self._on_fallback:
                raise JournalError(f"{self._fault}; stop the campaign and make room") from error
            self._free_room(error)  # for the fallback: after a failed sync the first file is not written any more
            try:
                fallback = self._open_fallback()
            finally:
                self._file.close()
            self._file = fallback
            try:
                self._write(line)
            except OSError as second:
                raise JournalError(f"{self._fault}; then {second} in {self._fallback_path}") from second

    def append_order(self, order: NightOrder) -> None:
        """Write what was decided before the night, as the first entry."""
        self.append(JournalKind.ORDER, type(order).__name__, _body(order))

    def append_fact(self, fact: Fact) -> None:
        """Write one fact under its type's name. Raises CodecError for a number that is not finite."""
        self.append(JournalKind.FACT, type(fact).__name__, _body(fact))

    def close(self) -> None:
        """Close; everything appended is already on the disk. The fallback's entries come home if there is room now."""
        self._file.close()
        bring_home(self._path, name=JOURNAL_FALLBACK, target=self._fallback_path)

    def _write(self, line: bytes) -> None:
        try:
            self._file.append(line)
        except OSError as error:
            if not self._free_room(error):
                raise
            self._file.append(line)
        self._file.sync()

    def _free_room(self, error: OSError) -> bool:
        """Whether room was made just now; the campaign has to end in order on what it is."""
        if self._made_room or error.errno not in NO_ROOM:
            return False
        self._made_room = True
        self._remember(self._file.path, error)
        self._make_room()
        return True

    def _line(self, kind: JournalKind, name: str, body: dict[str, Json]) -> bytes:
        """The entry as bytes. A body that does not fit is cut: a decision must be written, whatever text it carries."""
        head: dict[str, Json] = {
            "sequence": self._sequence,
            "at_mono_s": self._clock.mono_s(),
            "at_utc_s": self._clock.utc_s(),
            "boot_id": self._boot_id,
            "kind": kind.value,
            "name": name,
        }
        try:
            return encode_line({**head, "body": body})
        except LineError as error:
            text = json.dumps(body, default=repr)
            cut: dict[str, Json] = {"cut_because": str(error), "beginning": text[:OVERSIZED_BEGINNING_CHARACTERS]}
            return encode_line({**head, "body": cut})

    def _remember(self, path: str, error: OSError) -> None:
        if not self._fault:
            self._fault = f"the journal {path} cannot be written: {error}"

    def _open_fallback(self) -> AppendFile:
        self._on_fallback = True
        try:
            return AppendFile(self._fallback_path)
        except OSError as error:
            raise JournalError(f"{self._fault}; then {error} in {self._fallback_path}") from error


def read_journal(path: str) -> JournalContent:
    """All entries of one file, in its order. Raises OSError when it cannot be read; bad lines are counted, not raised."""
    entries: list[JournalEntry] = []
    bad_lines = 0
    torn_tail = False
    for line in scan_lines(path):
        if isinstance(line, BadLine):
            bad_lines += not line.torn
            torn_tail = torn_tail or line.torn
            continue
        try:
            entries.append(_entry(line.body))
        except (CodecError, KeyError):
            bad_lines += 1
    return JournalContent(entries=tuple(entries), bad_lines=bad_lines, torn_tail=torn_tail)


def _body(record: NightOrder | Fact) -> dict[str, Json]:
    body = to_json_value(record)
    assert isinstance(body, dict), "records become objects"
    return body


def _entry(line: dict[str, Json]) -> JournalEntry:
    """The entry of one line. Its body is kept as it is: whoever wants a record decodes it strictly."""
    body = line.pop("body")
    if not isinstance(body, dict):
        raise CodecError("the body is not an object")
    head = from_json_value(_EntryHead, {"type": _EntryHead.__name__, **line})
    return JournalEntry(
        sequence=head.sequence,
        at_mono_s=head.at_mono_s,
        at_utc_s=head.at_utc_s,
        boot_id=head.boot_id,
        kind=head.kind,
        name=head.name,
        body=body,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _EntryHead:
    """A line without its body, which the codec checks."""

    sequence: int
    at_mono_s: float
    at_utc_s: float
    boot_id: str
    kind: JournalKind
    name: str


def _entries_if_readable(path: str) -> tuple[JournalEntry, ...]:
    with contextlib.suppress(OSError):
        return read_journal(path).entries
    return ()
