"""The emergency stop: find every campaign of this user, take its load away now, and prove that nothing of it runs.

It asks through files (STOP, then PERMIT), because the guardian looks at those every 20 ms whatever else hangs; whoever
does not obey is ended through verified handles. It starts nothing, and latches, so that nothing starts until a person
resets it. A process of its own, from any terminal and any directory, on bare Python: ``--emergency-stop`` of the
launcher, or ``python3 safety_monitoring/emergency_stop.py [--force] [--runs-dir DIR] [--json]``.
"""

import os
import sys
from collections.abc import Sequence

if __name__ == "__main__" and not __package__:
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - run as a file

EXIT_QUIET, EXIT_SURVIVORS, EXIT_USAGE = 0, 1, 2

USAGE = """\
usage: --emergency-stop [--force] [--runs-dir DIR] [--json]

Stops every running campaign of this user, now: the load is taken away at once, the report is still written.
Afterwards nothing starts until a person runs `reset`.

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
    from safety_monitoring import emergency_sequence  # noqa: PLC0415 - --help has 150 ms, and needs none of it

    scope = emergency_sequence.Scope.of(os.environ, runs_dir)
    outcome = emergency_sequence.stop_all(scope, force=force)
    print(outcome.json_text() if as_json else outcome.text())
    return EXIT_QUIET if outcome.is_quiet else EXIT_SURVIVORS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
