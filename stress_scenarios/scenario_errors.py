"""Errors of scenario code: counted by their place, and written to the log once for each.

Worker processes use it.
"""

import inspect
import logging
import traceback
from pathlib import Path

from baseline_metrics.redaction import redact
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.python_scenario import ScenarioFunction
from stress_scenarios.scenario import Failed, bounded_message, failure

TRACEBACKS_MAX = 50
"""Different places whose errors are written to the log; who has more of them reads the first fifty first."""

TRACEBACK_CHARACTERS_MAX = 4000

_log = logging.getLogger("daybreak.scenario")


class ScenarioErrors:
    """The errors of one order's code in one worker."""

    def __init__(self, function: ScenarioFunction) -> None:
        self._file = inspect.unwrap(function).__code__.co_filename
        self._written: set[tuple[str, str, int]] = set()

    def note(self, error: BaseException) -> Failed:
        """What the operation failed with; the traceback goes to the log if its place is a new one."""
        file, line = self._place(error)
        kind = type(error).__name__
        place = (kind, file, line)
        if place not in self._written and len(self._written) < TRACEBACKS_MAX:
            self._written.add(place)
            whole = "".join(traceback.format_exception(error))
            text = redact(whole[-2 * TRACEBACK_CHARACTERS_MAX :])  # a secret that is cut at its start is cut off again
            if len(text) > TRACEBACK_CHARACTERS_MAX:
                text = "..." + text[-TRACEBACK_CHARACTERS_MAX:]
            _log.error("the scenario's code failed (said once for this place):\n%s", text)
        words = _words(error)
        said = failure(ErrorClass.SCENARIO, f"{kind}: {words}" if words else kind).message
        return Failed(error=ErrorClass.SCENARIO, message=bounded_message(f"{Path(file).name}:{line}: {said}"))

    def _place(self, error: BaseException) -> tuple[str, int]:
        """The innermost line of the scenario's own file, else of all."""
        places = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
        own = [place for place in places if place[0] == self._file]
        return (own or places or [(self._file, 0)])[-1]


def _words(error: BaseException) -> str:
    """What it says, not more than can be looked through for secrets at once."""
    try:
        return str(error)[:TRACEBACK_CHARACTERS_MAX]
    except Exception:  # noqa: BLE001 - it is the scenario's own class, and may do anything
        return ""
