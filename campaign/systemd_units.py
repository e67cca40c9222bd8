"""A nightly campaign as units of systemd: a timer, the service that it starts, and the one that goes on after a crash.

systemd keeps watch where a person would have to: it starts the night at its time, and resumes it when supervisor or machine
went down. What ends a night on purpose (exit codes 0 to 6) is never answered with another start. Pure: text from facts;
`daybreak schedule` prints or writes it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

ENDS_ON_PURPOSE = "1 2 3 4 5 6"
"""docs/exit-codes.md: verdicts, usage, stops and refusals. 0 is a success anyway; 70, and any signal, is a crash."""

STOP_S = 260
"""An orderly end takes at most 10 s for the load and 180 s for the report; afterwards systemd kills."""

RESUMES_MAX = 3
RESUME_WITHIN_S = 3600
RESUME_AFTER_S = 15
"""The guardian writes the dead campaign's report first, and a cause that is still there would only crash it again."""

UNIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", re.ASCII)

_PLAIN = re.compile(r"[A-Za-z0-9_./:=@+,-]+", re.ASCII)


class UnitError(ValueError):
    """Something that no unit file can hold. The message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What the units are made of.

    name: of the units, without suffix. at: HH:MM in this zone (a name of the time zone database). user: whom it runs as.
    program: the launcher's command line. run: what follows `run`; runs_dir, state_dir: absolute; writable: directories
    that exist, and that the campaign writes into or makes these in; directory: where relative paths start.
    """

    name: str
    at: str
    zone: str
    user: str
    program: tuple[str, ...]
    run: tuple[str, ...]
    directory: str
    runs_dir: str
    state_dir: str
    writable: tuple[str, ...]


def units_of(schedule: Schedule) -> dict[str, str]:
    """File names and contents. Raises UnitError."""
    if UNIT_NAME.fullmatch(schedule.name) is None:
        raise UnitError(f"{schedule.name!r} is no name of a unit: letters, digits, '-' and '_', at most 61")
    return {
        f"{schedule.name}.timer": _timer(schedule),
        f"{schedule.name}.service": _night(schedule),
        f"{schedule.name}-resume.service": _resume(schedule),
    }


def quoted(word: str) -> str:
    """One word of a command line or a path, as systemd.syntax(7) reads it back. Raises UnitError."""
    if any(not character.isprintable() for character in word):
        raise UnitError(f"{word!r} holds a character that a unit file cannot hold: rename it")
    safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return safe if _PLAIN.fullmatch(word) else f'"{safe}"'


def _path(path: str) -> str:
    # A setting that is a path takes no quotes and no $$; only % is its own.
    if any(not character.isprintable() for character in path):
        raise UnitError(f"{path!r} holds a character that a unit file cannot hold: rename it")
    return path.replace("%", "%%")


def _words(words: Iterable[str]) -> str:
    return " ".join(quoted(word) for word in words)


def _listed(paths: Iterable[str]) -> str:
    # Lists of paths are split like command lines, but $ stands for itself.
    return " ".join(quoted(path).replace("$$", "$") for path in paths)


def _timer(schedule: Schedule) -> str:
    return f"""\
[Unit]
Description=Daybreak at {schedule.at}

[Timer]
OnCalendar=*-*-* {schedule.at}:00 {schedule.zone}
AccuracySec=1s
# A night that was missed is not caught up: load in the middle of the day is nobody's wish.
Persistent=false
Unit={schedule.name}.service

[Install]
WantedBy=timers.target
"""


def _night(schedule: Schedule) -> str:
    command = _words((*schedule.program, "run", *schedule.run))
    return f"""\
[Unit]
Description=Daybreak, one night
Wants=network-online.target
After=network-online.target
# A crash (a supervisor or a launcher that was killed, code 70) goes on; what ended on purpose does not.
OnFailure={schedule.name}-resume.service

[Service]
Type=exec
ExecStart={command}
SuccessExitStatus={ENDS_ON_PURPOSE}
{_service(schedule)}"""


def _resume(schedule: Schedule) -> str:
    command = _words((*schedule.program, "resume", "--runs-dir", schedule.runs_dir, "--progress", "none"))
    return f"""\
[Unit]
Description=Daybreak, going on with a night that died
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec={RESUME_WITHIN_S}
StartLimitBurst={RESUMES_MAX}

[Service]
Type=exec
ExecStart={command}
Restart=on-failure
RestartSec={RESUME_AFTER_S}
RestartPreventExitStatus={ENDS_ON_PURPOSE}
# 6: there is nothing that could go on, as after most starts of the machine.
SuccessExitStatus={ENDS_ON_PURPOSE}
{_service(schedule)}
[Install]
WantedBy=multi-user.target
"""


def _service(schedule: Schedule) -> str:
    return f"""\
User={schedule.user}
WorkingDirectory={_path(schedule.directory)}
Environment={quoted(f"DAYBREAK_STATE_DIR={schedule.state_dir}").replace("$$", "$")}
# Secrets that the plan takes from the environment, one NAME=value a line, readable by root alone.
EnvironmentFile=-/etc/daybreak/{schedule.name}.env
UMask=0077
# SIGTERM reaches the launcher alone, which ends the campaign in order; a guardian or a load process must not get it.
KillMode=mixed
TimeoutStopSec={STOP_S}
# A load process that the kernel kills for want of memory is a finding, and not the end of the night.
OOMPolicy=continue
LimitNOFILE=65536
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={_listed(schedule.writable)}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
"""
