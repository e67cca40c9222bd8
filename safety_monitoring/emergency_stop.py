"""The emergency stop: find every campaign of this user, take its load away now, and prove that nothing of it runs.

It asks through files (STOP, then PERMIT), because the guardian looks at those, woken or by itself, whatever else hangs; whoever
does not obey is ended through verified handles. It starts nothing, and latches, so that nothing starts until a person
resets it. A process of its own, from any terminal and any directory, on bare Python: ``--emergency-stop`` of the
launcher, or ``python3 safety_monitoring/emergency_stop.py [--force] [--runs-dir DIR] [--json]``.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence

if __name__ == "__main__" and not __package__:
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - run as a file

from safety_monitoring.state_place import state_directory
from safety_monitoring.stop_file import create_stop

NICE = -20
"""The most that a process may ask for; refused to everybody but root, and then it goes on without."""

ENTRY_BYTES_MAX = 1 << 16

EXIT_QUIET, EXIT_SURVIVORS, EXIT_USAGE = 0, 1, 2

USAGE = """\
usage: --emergency-stop [--force] [--runs-dir DIR] [--json]

Stops every running campaign of this user, now: the load is taken away at once, the report is still written.
It latches the runs directories of the campaigns that it stopped: nothing starts there until a person runs `reset`.

It finds them from any environment; only with DAYBREAK_STATE_DIR set, those of other state directories are named and
left alone. Root stops the campaigns of every user.

  --force         kill everything at once, and write no report (`report RUN` makes it later)
  --runs-dir DIR  only campaigns of this runs directory
  --json          one JSON document instead of lines
  --help          this text

exit code: 0 all is quiet (or nothing was running), 1 something survived, 2 usage
"""

_MEANINGLESS = frozenset({"--emergency-stop", "--yes", "-q", "--quiet", "-v", "--verbose", "--no-color"})
"""Options of the other commands that change nothing here: an emergency is no time to refuse a habit."""


class UsageError(Exception):
    """An option that this command does not have."""


def parse(argv: Sequence[str]) -> tuple[bool, bool, str]:
    """--force, --json, and the runs directory ("" for all). By hand: argparse takes as long as a stop may take."""
    force = as_json = False
    runs_dir = ""
    rest = list(argv)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if option == "--runs-dir":
            if not equals and rest:
                value = rest.pop(0)
            if not value:
                raise UsageError("--runs-dir needs a directory")
            runs_dir = value
        elif option == "--force" and not equals:
            force = True
        elif option == "--json" and not equals:
            as_json = True
        elif option not in _MEANINGLESS:
            raise UsageError(f"unknown option {option}; nothing was stopped")
    return force, as_json, runs_dir


def touch_stop_files(state: str, runs_dir: str) -> tuple[tuple[str, str, str], ...]:
    """Create STOP in the run directory of every campaign that is found at first sight: run id, run and runs directory.

    This is the quick first grip, with as little code as possible: whatever it misses, the sequence after it finds.
    """
    touched = []
    with contextlib.suppress(OSError):
        for name in os.listdir(f"{state}/campaigns"):  # noqa: PTH208 - no pathlib before the first grip
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                with open(f"{state}/campaigns/{name}/entry.json", encoding="utf-8") as file:  # noqa: PTH123 - as above
                    entry = json.loads(file.read(ENTRY_BYTES_MAX))
                if runs_dir and os.path.realpath(entry["runs_dir"]) != runs_dir:
                    continue
                create_stop(entry["run_dir"])
                touched.append((name, str(entry["run_dir"]), str(entry["runs_dir"])))
    return tuple(touched)


def _hurry() -> None:
    # On a host whose cores are all busy everything below takes three times as long without this.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody has to listen
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in argv or "-h" in argv:
        print(USAGE, end="")
        return EXIT_QUIET
    try:
        force, as_json, runs_dir = parse(argv)
    except UsageError as error:
        sys.stderr.write(f"{error}\n{USAGE}")
        return EXIT_USAGE
    began_mono_s = time.monotonic()
    _hurry()
    real_runs_dir = os.path.realpath(runs_dir) if runs_dir else ""
    touched = () if force else touch_stop_files(state_directory(os.environ), real_runs_dir)
    from safety_monitoring import emergency_search, emergency_sequence  # noqa: PLC0415 - --help has 150 ms, and the first STOP, come before it

    scope = emergency_search.Scope.of(os.environ, runs_dir)
    outcome = emergency_sequence.stop_all(scope, touched, force=force, began_mono_s=began_mono_s, tell=_tell)
    print(outcome.json_text() if as_json else outcome.text())
    return EXIT_QUIET if outcome.is_quiet else EXIT_SURVIVORS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
