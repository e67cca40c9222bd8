"""How every command speaks: results on standard output, everything else on standard error.

The global options (``--json``, ``-q``, ``-v``, ``--no-color``) work before and after the command's name, because nobody
remembers which. The process of each command uses this.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Never, TypeVar

import click

from baseline_metrics.codec import Json
from campaign.interfaces.exit_codes import Exit

SCHEMA_VERSION = 1
"""Of every document that a command prints with --json."""

_META = "daybreak.interfaces.output."

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to speak, from the global options and NO_COLOR."""

    json: bool
    quiet: bool
    verbose: bool
    colour: bool


class CommandError(click.ClickException):
    """A command cannot go on. The message says what happened and what to do next; code is the process's exit code."""

    def __init__(self, message: str, *, exit_code: Exit) -> None:
        super().__init__(message)
        self.code = exit_code

    def show(self, file: Any = None) -> None:
        """Print the message as it stands: it names its own place."""
        write_lines(self.format_message(), stream=sys.stderr if file is None else file)


def shared_options(command: Command) -> Command:
    """Give a command the global options; they are noted in the context instead of being passed to it."""
    for names, text in (
        (("--json", "json"), "Print one JSON document on standard output."),
        (("-q", "--quiet", "quiet"), "Print results only."),
        (("-v", "--verbose", "verbose"), "Say more, and show tracebacks of our own faults."),
        (("--no-color", "no_color"), "No colours (also: NO_COLOR in the environment)."),
    )[::-1]:
        command = click.option(*names, is_flag=True, expose_value=False, callback=_note, help=text)(command)
    return command


def _note(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value:
        context.meta[_META + str(parameter.name)] = True


def manner() -> Manner:
    """The manner of the running command."""
    meta = click.get_current_context().meta
    return Manner(
        json=_META + "json" in meta,
        quiet=_META + "quiet" in meta,
        verbose=_META + "verbose" in meta,
        colour=_META + "no_color" not in meta and not os.environ.get("NO_COLOR"),
    )


def say(text: str) -> None:
    """Print a result."""
    write_lines(text, stream=sys.stdout)


def tell(text: str) -> None:
    """Print what a person may like to know on standard error; nothing with -q."""
    if not manner().quiet:
        write_lines(text, stream=sys.stderr)


def warn(text: str) -> None:
    """Print on standard error, in any manner."""
    write_lines(text, stream=sys.stderr)


def emit(document: Mapping[str, Json]) -> None:
    """Print the one document of this command."""
    body: dict[str, Json] = {"schema_version": SCHEMA_VERSION, **document}
    write_lines(json.dumps(body, indent=2, ensure_ascii=True), stream=sys.stdout)


def write_lines(text: str, *, stream: Any) -> None:
    """Write text with a newline at its end. A reader who has left (``| head``) is not an error."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    shown = text.encode(encoding, "replace").decode(encoding)
    try:
        stream.write(shown if shown.endswith("\n") else shown + "\n")
        stream.flush()
    except BrokenPipeError:
        _silence(stream)


def _silence(stream: Any) -> None:
    # Python flushes standard streams once more at exit; a closed pipe would then make noise and change the exit code.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def refuse(message: str, *, exit_code: Exit = Exit.USAGE) -> Never:
    """End the command with a message that says what to do next."""
    raise CommandError(message, exit_code=exit_code)
