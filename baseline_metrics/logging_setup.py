"""Component logs: one JSON line per event, in files that rotate within a fixed number of bytes.

A log is for people who look for a cause afterwards; it must never be the cause. So a handler that cannot write counts
what it dropped and goes on, the bytes of a night are bounded, and secrets are taken out at this last door (redaction).
Each log has a logger of its own: configuring one does not touch another. Supervisor, monitor and worker use it; the
guardian writes its own files with the standard library.
"""

import itertools
import logging
import os
import re
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from baseline_metrics.redaction import redact_fields, register_secret

__all__ = ["CappedFileHandler", "ComponentLog", "LogSetupError", "configure_component_log", "register_secret"]

LOG_BYTES_MAX = 8 << 20
"""One file. A line takes about 250 bytes, so an event per second all night fits; a log storm stays readable."""
LOG_FILES_MAX = 4
"""The live file and three older ones: 32 MiB a component at most, a small part of the 1 GB that preflight asks for."""
SAME_NAME_MAX = 100
"""Logs of one component that start within one second in one directory; 64 workers may."""

_LOG_BYTES_MIN = 1024
_TEXT_CHARACTERS_MAX = 8_192
"""One field of an event: a long traceback fits, a megabyte of a target's answer does not."""
_TEXT_CHARACTERS_SEARCHED = 65_536
"""How much of a field is searched for secrets; the rest is cut off anyway, and the search stays short."""

_NOISY_LIBRARIES = ("httpx", "httpcore", "apscheduler")
"""They log each request or job run at INFO, httpx with the full URL."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_COMPONENT = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_serial = itertools.count(1)


class LogSetupError(Exception):
    """The log could not be opened. The message names the file and the reason."""


class CappedFileHandler(logging.Handler):
    """Appends lines to a file, rotates it, never raises, never keeps more than files_max * bytes_max bytes.

    It writes with os.write, unbuffered: after a full disk nothing half-written waits to be flushed later, and a line
    that fitted only in part is taken back. Not for two processes on one file.
    """

    def __init__(self, *, path: str, descriptor: int, bytes_max: int, files_max: int) -> None:
        super().__init__()
        self._path = path
        self._descriptor = descriptor
        self._bytes_max = bytes_max
        self._files_max = files_max
        self._size = os.fstat(descriptor).st_size
        self._closed = False
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, or count it as dropped."""
        try:
            self._write(self.format(record).encode("utf-8", errors="backslashreplace") + b"\n")
        except Exception:  # noqa: BLE001 - a log that cannot be written must not stop what it describes
            self.dropped += 1

    def close(self) -> None:
        """Close the file; later events are dropped and counted."""
        self.acquire()
        try:
            if not self._closed:
                self._closed = True
                os.close(self._descriptor)
        finally:
            self.release()
        super().close()

    def _write(self, line: bytes) -> None:
        if self._closed or len(line) > self._bytes_max:
            self.dropped += 1
            return
        if self._size + len(line) > self._bytes_max:
            self._rotate()
        written = os.write(self._descriptor, line)
        if written < len(line):
            self.dropped += 1
            self._size += written
            os.ftruncate(self._descriptor, self._size - written)
            self._size -= written
            return
        self._size += written

    def _rotate(self) -> None:
        """Open the next file before anything is moved: when that fails, all older files are still in place."""
        fresh_path = f"{self._path}.new"
        fresh = os.open(fresh_path, _CREATE | os.O_TRUNC, 0o600)
        try:
            for number in range(self._files_max - 1, 0, -1):
                newer = Path(self._path if number == 1 else f"{self._path}.{number - 1}")
                if newer.exists():
                    newer.replace(f"{self._path}.{number}")
            Path(fresh_path).replace(self._path)
        except OSError:
            os.close(fresh)
            raise
        os.close(self._descriptor)
        self._descriptor, self._size = fresh, 0


class ComponentLog:
    """An open log. ``logger`` takes an event and its fields: ``log.logger.info("phase started", phase=3)``."""

    def __init__(
        self,
        *,
        path: str,
        logger: structlog.stdlib.BoundLogger,
        standard_logger: logging.Logger,
        handler: CappedFileHandler,
    ) -> None:
        self.path = path
        self.logger = logger
        self._handler = handler
        self._standard_logger = standard_logger
        self._adopted: list[logging.Logger] = []

    @property
    def dropped(self) -> int:
        """Events that could not be written so far."""
        return self._handler.dropped

    def adopt(self, *names: str) -> None:
        """Write warnings and errors of these libraries' loggers into this log too, and keep them off the terminal."""
        for name in names:
            library = logging.getLogger(name)
            library.setLevel(logging.WARNING)
            library.propagate = False
            library.addHandler(self._handler)
            self._adopted.append(library)

    def close(self) -> None:
        """Close the file and let go of all loggers."""
        self._standard_logger.removeHandler(self._handler)
        for library in self._adopted:
            library.removeHandler(self._handler)
            library.propagate = True  # whoever logs after us finds it as it was
        self._handler.close()


def configure_component_log(
    *,
    directory: str,
    component: str,
    utc_s: float,
    bytes_max: int = LOG_BYTES_MAX,
    files_max: int = LOG_FILES_MAX,
) -> ComponentLog:
    """Open ``<component>_<UTC yyyymmdd_hhmmss>.log`` in an existing directory and give its logger.

    A name that is taken (two workers started within one second) gets ``_2``, ``_3`` and so on. bytes_max: of one file;
    files_max: the live file included. Raises LogSetupError.
    """
    assert bytes_max >= _LOG_BYTES_MIN, f"{bytes_max} bytes do not hold a line"
    assert files_max >= 1, "the live file counts"
    if _COMPONENT.fullmatch(component) is None:
        raise LogSetupError(f'"{component}" is not a component: write lower-case letters, digits and underscores')
    path, descriptor = _create(directory, f"{component}_{datetime.fromtimestamp(utc_s, UTC):%Y%m%d_%H%M%S}")
    handler = CappedFileHandler(path=path, descriptor=descriptor, bytes_max=bytes_max, files_max=files_max)
    handler.setFormatter(_json_lines())
    for name in _NOISY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    standard_logger = logging.getLogger(f"daybreak.{component}.{next(_serial)}")
    standard_logger.setLevel(logging.DEBUG)
    standard_logger.propagate = False
    standard_logger.addHandler(handler)
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        standard_logger,
        processors=[structlog.stdlib.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=False,
    )
    return ComponentLog(path=path, logger=logger, standard_logger=standard_logger, handler=handler)


def _create(directory: str, stem: str) -> tuple[str, int]:
    for number in range(1, SAME_NAME_MAX + 1):
        path = str(Path(directory) / (f"{stem}.log" if number == 1 else f"{stem}_{number}.log"))
        try:
            return path, os.open(path, _CREATE | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise LogSetupError(f"cannot open the log {path}: {error.strerror}; check the run directory") from error
    raise LogSetupError(f"{directory} already holds {SAME_NAME_MAX} logs named {stem}; use a fresh run directory")


def _json_lines() -> structlog.stdlib.ProcessorFormatter:
    """All work on an event happens here, inside the handler, so that a field that cannot be rendered costs one line."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level],
        processors=[
            _add_time,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.format_exc_info,
            _cut(_TEXT_CHARACTERS_SEARCHED),
            _hide,
            _cut(_TEXT_CHARACTERS_MAX),
            structlog.processors.JSONRenderer(default=repr, ensure_ascii=True),
        ],
    )


def _add_time(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    created_utc_s: float = event["_record"].created
    at = datetime.fromtimestamp(created_utc_s, UTC).isoformat(timespec="milliseconds")
    return {"at_utc": at, **event}


def _hide(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return redact_fields(event)


def _cut(characters_max: int) -> structlog.typing.Processor:
    def cut(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {
            name: f"{value[:characters_max]}... ({len(value)} characters)"
            if isinstance(value, str) and len(value) > characters_max
            else value
            for name, value in event.items()
        }

    return cut
