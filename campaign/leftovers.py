"""What a campaign could leave behind on its host besides processes: sockets, shared memory, locks, files.

Each look names what it finds and says when it could not look. Nothing is taken away here: this is evidence for the
certificate. Runs in the supervisor, after the load is gone and before the report is written.
"""

import contextlib
import ipaddress
from collections.abc import Callable, Iterable
from pathlib import Path

from monitoring_logs.records import QuietCheck, QuietState

NAMED_MAX = 5
"""Named in a detail; how many there are is always said."""

_ESTABLISHED_OR_OPENING = frozenset({"01", "02", "03"})
"""States of proc_net_tcp(5) that still carry something: ESTABLISHED, SYN_SENT, SYN_RECV. The others are the kernel's own
closing of what we closed already."""


def check_sockets(pids: Iterable[int], *, address: str, port: int, root: str = "/") -> QuietCheck:
    """Connections that these processes, ours, still have to the target."""
    name = "sockets to the target"

    def look() -> list[str]:
        owned = {inode for pid in pids for inode in _socket_inodes(pid, root)}
        return [
            f"{address}:{port} from local port {local}"
            for inode, local in _connections_to(address, port, root)
            if inode in owned
        ]

    return _check(name, look)


def check_shared_memory(run_id: str, *, directory: Path = Path("/dev/shm")) -> QuietCheck:  # noqa: S108 - it is looked at, not written
    """Names in the system's shared memory that carry the run's name."""
    return _check("shared memory", lambda: [path.name for path in _entries(directory) if run_id in path.name])


def check_serial_locks(
    pids: Iterable[int], *, directories: Iterable[Path] = (Path("/var/lock"), Path("/run/lock"))
) -> QuietCheck:
    """Lock files of serial lines (LCK..*, UUCP style: a pid in text) that name a process of ours."""
    ours = set(pids)

    def look() -> list[str]:
        real = {directory.resolve() for directory in directories if directory.is_dir()}
        locks = (path for directory in sorted(real) for path in directory.glob("LCK..*"))
        return [path.name for path in locks if _pid_in(path) in ours]

    return _check("serial locks", look)


def check_files(state_dir: Path, run_dir: Path) -> QuietCheck:
    """Load pages, drill files and half-written files, in the campaign's own directories."""

    def look() -> list[str]:
        found = [path for place in ("pages", "drill") for path in _entries(state_dir / place)]
        for directory in (state_dir, run_dir, run_dir / "monitoring_logs"):
            found += [path for path in _entries(directory) if path.suffix in (".new", ".tmp")]
        return [path.name for path in found]

    return _check("load pages and temporary files", look)


def _check(name: str, look: Callable[[], list[str]]) -> QuietCheck:
    try:
        found = look()
    except OSError as error:
        return QuietCheck(name=name, state=QuietState.UNKNOWN, detail=f"could not be looked at: {error}")
    if not found:
        return QuietCheck(name=name, state=QuietState.CLEAN, detail="none left")
    more = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
    return QuietCheck(
        name=name, state=QuietState.LEFT, detail=f"{len(found)} left: {', '.join(found[:NAMED_MAX])}{more}"
    )


def _entries(directory: Path) -> list[Path]:
    """What a directory holds; nothing where there is none. Raises OSError when it cannot be read."""
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def _pid_in(path: Path) -> int:
    text = path.read_text(encoding="ascii", errors="replace").strip()
    return int(text) if text.isdigit() else -1


def _socket_inodes(pid: int, root: str) -> list[str]:
    """Inodes of a process's sockets; none of a process that has ended."""
    links = []
    for path in _entries(Path(f"{root}/proc/{pid}/fd")):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile: the one of this very look among them
            links.append(str(path.readlink()))
    return [link[len("socket:[") : -1] for link in links if link.startswith("socket:[")]


def _connections_to(address: str, port: int, root: str) -> list[tuple[str, int]]:
    """Inode and local port of each live TCP connection of this network namespace to there."""
    wanted = ipaddress.ip_address(address)
    found = []
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"{root}/proc/net/{table}").read_text(encoding="ascii", errors="replace").splitlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without this family
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] in _ESTABLISHED_OR_OPENING:
                remote, _, remote_port = fields[2].partition(":")
                if int(remote_port, 16) == port and _address(remote) == wanted:
                    found.append((fields[9], int(fields[1].partition(":")[2], 16)))
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address as /proc/net shows it: words of four bytes in host order (little endian here)."""
    raw = bytes.fromhex(text)
    words = b"".join(raw[index : index + 4][::-1] for index in range(0, len(raw), 4))
    found = ipaddress.ip_address(words)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if mapped is None else mapped
