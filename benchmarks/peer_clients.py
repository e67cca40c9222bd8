"""The clients that are compared, ours among them: how each is started for one URL, so many connections, so long.

Used by the measuring programs of this folder, in their own process.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.evidence import ROOT
from benchmarks.measured_client import Client

PEERS = ROOT / "benchmarks" / "peers"
PEER_ENVIRONMENT = ROOT / ".venv-peers"

INSTALL_S_MAX = 600.0

PYTHON_CONNECTIONS_MAX = 1000
"""Above it Locust and httpx take minutes to start, and say nothing that a thousand do not say."""

OURS = "daybreak"
UNLIKE = ", every answer unlike the last"
"""Most servers repeat an answer's bytes within a second, which our engine knows again; here none does."""

COMPARED_AT = 16
OURS_COROUTINES = "daybreak, Python scenario"


class PeerError(RuntimeError):
    """A peer cannot be had here. The message says what to install."""


def make_peer_environment() -> Path:
    """The Python of an environment with Locust, aiohttp and httpx, made on first use. Raises PeerError."""
    python = PEER_ENVIRONMENT / "bin" / "python"
    requirements = PEERS / "requirements.txt"
    done = PEER_ENVIRONMENT / ".installed"
    if done.exists() and done.read_text(encoding="utf-8") == requirements.read_text(encoding="utf-8"):
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", str(PEER_ENVIRONMENT)], check=True, timeout=INSTALL_S_MAX)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(requirements)], check=True, timeout=INSTALL_S_MAX)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerError(f"the peers from {requirements} cannot be installed: {error}") from error
    done.write_text(requirements.read_text(encoding="utf-8"), encoding="utf-8")
    return python


def clients(peer_python: Path) -> tuple[Client, ...]:
    """All clients of the comparison. Raises PeerError when one of Debian's is missing."""
    for program, package in (("wrk", "wrk"), ("ab", "apache2-utils"), ("hey", "hey")):
        if shutil.which(program) is None:
            raise PeerError(f"{program} is missing: apt-get install {package}")
    only = f"measured at {COMPARED_AT} connections only"
    slow = f"not run above {PYTHON_CONNECTIONS_MAX}: it takes minutes to start"
    return (
        Client(
            name=OURS,
            command=(
                *(sys.executable, str(ROOT / "stress_scenarios" / "concurrent_load_test.py"), "{url}"),
                *("--connections", "{connections}", "--duration", "{seconds}s", "--unpaced", "--json"),
            ),
        ),
        Client(
            name=OURS_COROUTINES,
            command=(
                *(sys.executable, str(ROOT / "benchmarks" / "scenario_load.py")),
                *("{url}", "{connections}", "{seconds}"),
            ),
        ),
        Client(name="wrk", command=("wrk", "-t1", "-c{connections}", "-d{seconds}s", "{url}")),
        Client(
            name=OURS + UNLIKE,
            command=(
                *(sys.executable, str(ROOT / "stress_scenarios" / "concurrent_load_test.py"), "{url}unlike"),
                *("--connections", "{connections}", "--duration", "{seconds}s", "--unpaced", "--json"),
            ),
            connections_min=COMPARED_AT,
            connections_max=COMPARED_AT,
            why_not_more=only,
        ),
        Client(
            name="wrk" + UNLIKE,
            command=("wrk", "-t1", "-c{connections}", "-d{seconds}s", "{url}unlike"),
            connections_min=COMPARED_AT,
            connections_max=COMPARED_AT,
            why_not_more=only,
        ),
        Client(
            name="ab",
            command=("ab", "-q", "-k", "-r", "-c", "{connections}", "-t", "{seconds}", "-n", "10000000", "{url}"),
        ),
        Client(name="hey", command=("hey", "-cpus", "1", "-c", "{connections}", "-z", "{seconds}s", "{url}")),
        Client(
            name="Locust FastHttpUser",
            command=(
                *(str(peer_python.with_name("locust")), "-f", str(PEERS / "locust_fast_user.py"), "--headless"),
                *("--users", "{connections}", "--spawn-rate", "{connections}", "--run-time", "{seconds}s"),
                *("--host", "{url}", "--only-summary", "--loglevel", "ERROR"),
            ),
            connections_max=PYTHON_CONNECTIONS_MAX,
            why_not_more=slow,
        ),
        Client(
            name="aiohttp on uvloop",
            command=(str(peer_python), str(PEERS / "aiohttp_loop.py"), "{url}", "{connections}", "{seconds}"),
        ),
        Client(
            name="httpx",
            command=(str(peer_python), str(PEERS / "httpx_loop.py"), "{url}", "{connections}", "{seconds}"),
            connections_max=PYTHON_CONNECTIONS_MAX,
            why_not_more=slow,
        ),
    )
