"""The load test from a terminal: its options, its figures, its exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stress_scenarios.concurrent_load_test import (
    CONNECTIONS_MAX,
    EXIT_FAILED,
    EXIT_PASSED,
    EXIT_STOPPED,
    EXIT_USAGE,
    UsageError,
    main,
    parse_options,
)
from stress_scenarios.load_plan import Paced
from tests.support.servers import HttpServer, NginxServer

SCRIPT = Path(__file__).resolve().parents[2] / "stress_scenarios" / "concurrent_load_test.py"
URL = "http://127.0.0.1:9/a?b=c"
HANG_S = 30.0


def test_the_defaults_are_five_users_for_ten_seconds() -> None:
    """Two operations a second, sessions of twenty, no ramp."""
    order = parse_options([URL]).order
    assert (order.connections, order.connections_total, order.operations_per_session) == (5, 5, 20)
    assert (order.ramp_s, order.hold_s, order.pace) == (0.0, 10.0, Paced(operations_per_s=2.0))
    assert (order.operations[0].path, order.target.url) == ("/a?b=c", "http://127.0.0.1:9")


def test_durations_have_units() -> None:
    """A ramp of 0s is allowed, a duration of 0s is not."""
    order = parse_options([URL, "--duration", "1min30s", "--ramp", "500ms"]).order
    assert (order.hold_s, order.ramp_s) == (90.0, 0.5)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--connections", "0"],
        ["--connections", str(CONNECTIONS_MAX + 1)],
        ["--operations-per-session", "0"],
        ["--rate-per-connection", "0"],
        ["--rate-per-connection", "-1"],
        ["--rate-per-connection", "nan"],
        ["--duration", "0s"],
        ["--duration", "10"],
        ["--duration=-5s"],
        ["--ramp", "soon"],
    ],
)
def test_figures_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    """Each option has its range, and a message that names it."""
    with pytest.raises(UsageError, match=arguments[0].partition("=")[0]):
        parse_options([URL, *arguments])


@pytest.mark.parametrize("connections", [1, CONNECTIONS_MAX])
def test_the_ends_of_the_range_are_in_it(connections: int) -> None:
    """One connection and the most are both possible."""
    assert parse_options([URL, "--connections", str(connections)]).order.connections == connections


@pytest.mark.parametrize("address", ["203.0.113.9", "169.254.169.254", "::ffff:203.0.113.9", "fe80::1"])
def test_an_address_that_is_not_private_is_refused_unless_named(address: str) -> None:
    """TEST-NET stands for the public internet, link-local for a cloud's credentials; nothing is sent by parsing."""
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(UsageError, match=f"--allow-target {address}$"):
        parse_options([f"http://{host}/"])
    with pytest.raises(UsageError, match="outside loopback and private ranges"):
        parse_options([f"http://{host}/", "--allow-target", "203.0.113.10"])
    target = parse_options([f"http://{host}/", "--allow-target", address]).order.target
    assert (target.url, target.address) == (f"http://{host}", address.removeprefix("::ffff:"))


def test_the_target_is_the_origin_and_its_pinned_address() -> None:
    """An IPv4 address in IPv6 clothes is loaded as what it is; the URL keeps what was written."""
    target = parse_options(["https://[::ffff:127.0.0.1]/cart?x=1"]).order.target
    assert (target.url, target.address, target.port) == ("https://[::ffff:127.0.0.1]", "127.0.0.1", 443)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:80", "http://0.0.0.0", "http://no-such-host.invalid", "http://u:pw@127.0.0.1"]
)
def test_what_may_not_be_loaded_at_all_is_refused(url: str) -> None:
    """No address of a server, no single host, no host, and a password, which is not repeated."""
    with pytest.raises(UsageError) as refused:
        parse_options([url])
    assert "pw" not in str(refused.value)


def test_a_usage_error_exits_with_2_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """The message goes to standard error, nothing to standard output."""
    assert main(["nonsense"]) == EXIT_USAGE
    seen = capsys.readouterr()
    assert "is not the address of an HTTP server" in seen.err
    assert seen.out == ""


def run_script(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the file from another directory, as a person would."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], cwd="/", capture_output=True, text=True, timeout=HANG_S, check=False
    )


@pytest.mark.process
@pytest.mark.parametrize("engine", ["httpx", "wire"])
def test_a_good_target_exits_with_0_and_the_figures_are_the_servers(nginx: NginxServer, engine: str) -> None:
    """One JSON document on standard output; as many operations as nginx saw requests."""
    options = ("--connections", "3", "--duration", "1s", "--rate-per-connection", "20", "--operations-per-session", "8")
    ended = run_script(nginx.url + "/", *options, "--engine", engine, "--json")
    assert ended.returncode == EXIT_PASSED, ended.stderr
    document = json.loads(ended.stdout)
    lines = nginx.requests(at_least=60)
    assert document["operations_started"] == document["operations_succeeded"] == len(lines)
    assert document["operations_requested"] == 60
    assert document["connections_opened"] == len({line.remote_port for line in lines})
    assert 0 < document["latency_s"]["service"]["p50"] < 1.0


@pytest.mark.process
def test_a_failing_target_exits_with_1_and_says_how_it_failed(httpbin: HttpServer) -> None:
    """The text names the class and the status."""
    ended = run_script(httpbin.url + "/status/503", "--connections", "1", "--duration", "1s")
    assert ended.returncode == EXIT_FAILED
    assert "status 503, expected 200-399" in ended.stdout
    assert "0 of 2 (0.00 %)" in ended.stdout


@pytest.mark.process
def test_ctrl_c_takes_the_load_away_and_exits_with_4(nginx: NginxServer) -> None:
    """What was measured until then is printed, and no worker is left."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), nginx.url + "/", "--duration", "60s", "--rate-per-connection", "20"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    began_s = time.monotonic()
    while len(nginx.requests()) < 150:
        assert time.monotonic() - began_s < HANG_S
        time.sleep(0.02)
    (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=HANG_S)
    assert process.returncode == EXIT_STOPPED, errors
    assert "Interrupted   stopped by Ctrl-C" in output
    assert "100.00 %" in output
    assert not Path(f"/proc/{worker}").exists()
