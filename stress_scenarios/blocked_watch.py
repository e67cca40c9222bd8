"""Interrupts scenario code that does not let the loop turn: a sleep, an endless loop, a regular expression without an end.

A timer of the kernel ticks while scenarios run. The handler of its signal runs in the middle of whatever the main thread
does, also where a thread of ours would wait for the interpreter's lock in vain, and raises ScenarioBlockedError inside
the code that has kept the loop from turning. Code that waits in C without looking at signals cannot be interrupted; then
the worker's heart stops, and the supervisor ends it. Runs in the main thread of worker processes.
"""

import asyncio
import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

BLOCKED_S_MAX = 1.0
"""How long scenario code may keep the loop from turning; a fifth of the time after which a worker counts as hung."""

_TICK_S = 0.2
_TICKS_MAX = round(BLOCKED_S_MAX / _TICK_S)
"""Ticks are counted instead of time: a process that was itself stopped for a while sees one tick, and nobody is blamed."""

_TURN_S = 0.05
"""How often the loop shows that it turns; several times a tick."""

_SIGNAL = signal.SIGRTMIN + 3
"""A real-time signal that neither Python nor the C library uses."""

_CLOCK_MONOTONIC = 1
_SIGEV_THREAD_ID = 4
_NS_PER_S = 1_000_000_000


class ScenarioBlockedError(BaseException):
    """Raised inside scenario code that blocks. Not an Exception: code that goes on after errors must not go on after this."""


class _SignalEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_byte * 44),
    )


class _TimerSetting(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class NobodysCode:
    """What runs is our own code."""


NOBODYS_CODE = NobodysCode()

_running_code: ContextVar[object] = ContextVar("running_code", default=NOBODYS_CODE)
"""Whose code this context runs: tasks and callbacks that scenario code makes inherit it."""


class running_code_of:  # noqa: N801 - it reads like the function that it would be, were that not three times as slow
    """Mark what runs within, tasks and callbacks made there included, as one session's scenario code."""

    __slots__ = ("_session", "_token")

    def __init__(self, session: object) -> None:
        self._session = session

    def __enter__(self) -> None:
        self._token = _running_code.set(self._session)

    def __exit__(self, *_: object) -> None:
        _running_code.reset(self._token)


mark_running_code = _running_code.set
"""running_code_of for a path so often gone that the two calls of a with statement count; unmark_running_code ends it."""

unmark_running_code = _running_code.reset


def code_runs_for() -> object:
    """Whose scenario code is running: what running_code_of was given, or NOBODYS_CODE."""
    return _running_code.get()


class BlockedWatch:
    """One process's watch; it ticks while anybody is within watching()."""

    def __init__(self) -> None:
        self._watching = 0
        self._ticks = 0
        self._blamed: object = NOBODYS_CODE
        self._turning: asyncio.TimerHandle | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the running loop, which is the main thread's. Raises OSError where the kernel gives no timer."""
        if self._watching == 0:
            self._begin()
        self._watching += 1
        try:
            yield
        finally:
            self._watching -= 1
            if self._watching == 0:
                self._end()

    def _begin(self) -> None:
        assert threading.current_thread() is threading.main_thread(), "handlers of signals run in the main thread"
        signal.signal(_SIGNAL, self._tick)
        _timer().set(_TICK_S)
        self._ticks = 0
        self._turn()

    def _end(self) -> None:
        """The handler stays: a tick that is on its way must not end the process."""
        _timer().set(0.0)
        assert self._turning is not None
        self._turning.cancel()

    def _turn(self) -> None:
        self._ticks = 0
        self._turning = asyncio.get_running_loop().call_later(_TURN_S, self._turn)

    def _tick(self, _number: int, _frame: FrameType | None) -> None:
        session = _running_code.get()
        if session is NOBODYS_CODE or session is not self._blamed:
            self._blamed = session  # a loop with many sessions may take long to turn, and none of them is to blame
            self._ticks = 0
        self._ticks += 1
        if self._ticks > _TICKS_MAX and session is not NOBODYS_CODE:
            self._ticks = 0
            raise ScenarioBlockedError(f"the scenario's code kept the loop from turning for {BLOCKED_S_MAX:g} s")


WATCH = BlockedWatch()
"""Handlers of signals belong to the process, so there is one."""


class _KernelTimer:
    """A timer of this thread that sends _SIGNAL."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _SignalEvent(number=_SIGNAL, notify=_SIGEV_THREAD_ID, thread=threading.get_native_id())
        if self._library.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)) != 0:
            raise _system_error("timer_create")

    def set(self, period_s: float) -> None:
        """Tick with this period from now on; 0: no more."""
        seconds, nanoseconds = divmod(round(period_s * _NS_PER_S), _NS_PER_S)
        setting = _TimerSetting(seconds, nanoseconds, seconds, nanoseconds)
        if self._library.timer_settime(self._timer, 0, ctypes.byref(setting), None) != 0:
            raise _system_error("timer_settime")


_timers: dict[int, _KernelTimer] = {}
"""By process: a timer does not go over to a child."""


def _timer() -> _KernelTimer:
    if os.getpid() not in _timers:
        _timers.clear()
        _timers[os.getpid()] = _KernelTimer()
    return _timers[os.getpid()]


def _system_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}; scenario code cannot be watched here")
