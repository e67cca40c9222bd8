"""What is periodic and not critical: summaries, progress lines, the safety review, partial reports.

APScheduler runs it in UTC with an explicit grace. Its jobs do nothing but post a word into a queue, and the
supervisor's loop acts on it: no pacing, no deadline and no safety hangs on this clock.
"""

import queue
from datetime import UTC
from enum import Enum

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED
from apscheduler.schedulers.background import BackgroundScheduler

MISFIRE_GRACE_S = 30
QUEUE_MAX = 64
"""Chores that wait; there are five kinds, and the loop takes them many times a second."""


class Chore(Enum):
    """A word posted into the queue."""

    RESOURCE_SUMMARY = "resource_summary"
    PROGRESS = "progress"
    SAFETY_REVIEW = "safety_review"
    CHECKPOINT = "checkpoint"
    PARTIAL_REPORT = "partial_report"


PERIODS_S = {
    Chore.RESOURCE_SUMMARY: 10.0,
    Chore.PROGRESS: 30.0,
    Chore.SAFETY_REVIEW: 900.0,
    Chore.CHECKPOINT: 300.0,
    Chore.PARTIAL_REPORT: 900.0,
}

PERIOD_S_MIN = 1.0
"""Compressed nights turn faster, but not faster than this."""


class Housekeeping:
    """The scheduler and its queue."""

    def __init__(self, *, time_scale: float) -> None:
        self._queue: queue.Queue[Chore] = queue.Queue(maxsize=QUEUE_MAX)
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._scheduler.add_listener(self._note_missed, EVENT_JOB_MISSED | EVENT_JOB_ERROR)
        self.missed = 0
        for chore, period_s in PERIODS_S.items():
            self._scheduler.add_job(
                self._post,
                "interval",
                args=(chore,),
                seconds=max(PERIOD_S_MIN, period_s * time_scale),
                misfire_grace_time=MISFIRE_GRACE_S,
                coalesce=True,
                max_instances=1,
                id=chore.value,
            )

    def start(self) -> None:
        """Begin to post."""
        self._scheduler.start()

    def stop(self) -> None:
        """Post nothing more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def due(self) -> tuple[Chore, ...]:
        """The chores posted since the last look, each once."""
        found: list[Chore] = []
        while True:
            try:
                chore = self._queue.get_nowait()
            except queue.Empty:
                return tuple(dict.fromkeys(found))
            found.append(chore)

    def _post(self, chore: Chore) -> None:
        try:
            self._queue.put_nowait(chore)
        except queue.Full:
            self.missed += 1

    def _note_missed(self, _event: object) -> None:
        self.missed += 1
