"""A child for tests of the supervisor's channels: speaks one word per line, and misbehaves on request.

Run as ``python -m tests.support.echo_child MODE``. It ends by itself after a minute, whatever becomes of the test.
"""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.codec import MESSAGE_BYTES_MAX, Codec

LIFE_S_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Anything."""

    text: str


WORDS = Codec(Word, version=1)


def say(text: str) -> None:
    """One message."""
    sys.stdout.buffer.write(WORDS.encode(Word(text=text)))
    sys.stdout.buffer.flush()


def main() -> None:
    """Do what the mode says."""
    signal.alarm(LIFE_S_MAX)
    match sys.argv[1]:
        case "echo":
            for line in sys.stdin.buffer:
                say(WORDS.decode(line).text)
        case "marks":
            for name in ("DAYBREAK_RUN_ID", "DAYBREAK_RUNS_DIR", "DAYBREAK_STATE_DIR", "DAYBREAK_ROLE"):
                say(os.environ[name])
            say(str(Path.cwd()))
            say("leader" if os.getsid(0) == os.getpid() else "member")
        case "garbage":
            say("well")
            sys.stdout.write("this is no message\n")
            sys.stdout.flush()
            sys.stdin.read()
        case "oversized":
            sys.stdout.write("x" * (MESSAGE_BYTES_MAX + 1))
            sys.stdout.flush()
            sys.stdin.read()
        case "deaf":
            say("deaf")
            time.sleep(LIFE_S_MAX)
        case "mute":
            os.close(1)
            sys.stdin.read()
        case "grumble":
            sys.stderr.write("a traceback\n")
        case mode:
            raise AssertionError(mode)


if __name__ == "__main__":
    main()
