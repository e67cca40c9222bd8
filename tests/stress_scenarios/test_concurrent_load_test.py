"""The load test from a terminal: its options, its figures, its exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
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
from stress_scenarios.load_plan import Arrivals, ConstantRate, EngineName, Paced, Spacing, Unpaced
from tests.stress_scenarios.websocket_servers import make_authority
from tests.support.servers import HttpServer, NginxServer, free_port, nginx_server

SCRIPT = Path(__file__).resolve().parents[2] / "stress_scenarios" / "concurrent_load_test.py"
SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "load-test.json"
URL = "http://127.0.0.1:9/a?b=c"
HANG_S = 30.0


def test_the_defaults_are_five_users_for_ten_seconds() -> None:
    """Two operations a second, sessions of twenty, no ramp."""
    order = parse_options([URL]).order
    assert (order.connections, order.connections_total, order.operations_per_session) == (5, 5, 20)
    assert (order.ramp_s, order.hold_s, order.pace) == (0.0, 10.0, Paced(operations_per_s=2.0))
    assert (order.operations[0].path, order.target.url) == ("/a?b=c", "http://127.0.0.1:9")


def test_the_model_is_closed_or_open() -> None:
    """A rate of all together is the open model; unpaced connections stay connected, as those of a rate do."""
    assert parse_options([URL, "--unpaced"]).order.pace == Unpaced()
    order = parse_options([URL, "--rate", "250", "--spacing", "poisson", "--connections", "7"]).order
    assert order.pace == Arrivals(
        shape=ConstantRate(per_s=250.0), spacing=Spacing.POISSON, start_within_s=1.0, part=0, parts=1
    )
    assert order.operations_per_session == 1_000_000
    assert parse_options([URL, "--unpaced", "--operations-per-session", "3"]).order.operations_per_session == 3
    assert parse_options([URL]).engine is EngineName.WIRE


@pytest.mark.parametrize("both", [("--rate", "5", "--unpaced"), ("--rate", "5", "--rate-per-connection", "5")])
def test_two_models_at_once_are_refused(both: tuple[str, ...]) -> None:
    """One load has one model."""
    with pytest.raises(SystemExit) as refused:
        parse_options([URL, *both])
    assert refused.value.code == EXIT_USAGE


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
        ["--rate", "0"],
        ["--rate", "inf"],
        ["--workers", "0"],
        ["--timeout", "never"],
        ["--ca-file", "/no/such/file.pem"],
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


def document_of(ended: "subprocess.CompletedProcess[str]") -> Any:
    """Its one JSON document, which keeps to the schema."""
    document = json.loads(ended.stdout)
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return document


@pytest.mark.process
@pytest.mark.parametrize("engine", ["httpx", "wire"])
def test_a_good_target_exits_with_0_and_the_figures_are_the_servers(nginx: NginxServer, engine: str) -> None:
    """One JSON document on standard output; as many operations as nginx saw requests."""
    options = ("--connections", "3", "--duration", "1s", "--rate-per-connection", "20", "--operations-per-session", "8")
    ended = run_script(nginx.url + "/", *options, "--engine", engine, "--json")
    assert ended.returncode == EXIT_PASSED, ended.stderr
    document = document_of(ended)
    lines = nginx.requests(at_least=60)
    assert document["operations_started"] == document["operations_succeeded"] == len(lines)
    assert document["operations_requested"] == 60
    assert document["connections_opened"] == len({line.remote_port for line in lines})
    assert 0 < document["latency_s"]["service"]["p50"] < 1.0


@pytest.mark.process
def test_a_rate_is_kept_and_nginx_counts_the_same(nginx: NginxServer) -> None:
    """The open model: all arrivals are sent and none is dropped; response and service time both stand there, in order."""
    ended = run_script(nginx.url + "/", "--rate", "200", "--connections", "16", "--duration", "1s", "--json")
    assert ended.returncode == EXIT_PASSED, ended.stdout + ended.stderr
    document = document_of(ended)
    assert document["model"] == {"kind": "arrivals", "operations_per_s": 200.0, "spacing": "even"}
    assert document["operations_requested"] == 200
    assert document["operations_started"] == document["operations_succeeded"] == len(nginx.requests(at_least=200))
    assert (document["operations_dropped"], document["operations_abandoned"], document["errors"]) == (0, 0, [])
    assert document["connections_peak"] <= 16
    latencies = document["latency_s"]
    for kind in ("service", "response"):
        figures = [latencies[kind][name] for name in ("p50", "p90", "p95", "p99", "p99.9", "max")]
        assert figures == sorted(figures)
        assert figures[0] > 0


@pytest.mark.process
def test_unpaced_makes_as_many_as_are_answered_and_nginx_counts_the_same(nginx: NginxServer) -> None:
    """Two processes share the connections, which stay open."""
    ended = run_script(
        nginx.url + "/", "--unpaced", "--workers", "2", "--connections", "3", "--duration", "500ms", "--json"
    )
    assert ended.returncode == EXIT_PASSED, ended.stdout + ended.stderr
    document = document_of(ended)
    # Every thousandth request on a connection, nginx closes it, and another takes its place.
    lines = nginx.requests(at_least=document["operations_started"])
    assert document["operations_started"] == document["operations_succeeded"] == len(lines) > 100
    assert document["connections_peak"] == 3
    assert document["connections_opened"] == len({line.remote_port for line in lines})
    assert document["generator"]["cpu_s_per_operation"] < 0.01


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate authority of our own, with a certificate for 127.0.0.1, and another that signed nothing."""
    directory = tmp_path_factory.mktemp("authority")
    for name in ("ours", "foreign"):
        (directory / name).mkdir()
        make_authority(directory / name, names="IP:127.0.0.1")
    return directory


@pytest.fixture(scope="module")
def tls_nginx(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, NginxServer]]:
    """Run an nginx that also listens with TLS; its URL there."""
    port = free_port()
    certificate = f"ssl_certificate {authority}/ours/shop.pem; ssl_certificate_key {authority}/ours/shop.key;"
    with nginx_server(
        tmp_path_factory.mktemp("tls_nginx"), extra=f"listen 127.0.0.1:{port} ssl; {certificate}"
    ) as nginx:
        yield f"https://127.0.0.1:{port}/", nginx


@pytest.mark.process
def test_tls_with_our_own_authority_passes(tls_nginx: tuple[str, NginxServer], authority: Path) -> None:
    """The certificates to trust are a file."""
    url, nginx = tls_nginx
    before = len(nginx.requests())
    options = ("--connections", "2", "--rate-per-connection", "20", "--duration", "500ms", "--json")
    ended = run_script(url, "--ca-file", str(authority / "ours" / "ca.pem"), *options)
    assert ended.returncode == EXIT_PASSED, ended.stdout + ended.stderr
    document = document_of(ended)
    assert document["operations_succeeded"] == 20 == len(nginx.requests(at_least=before + 20)) - before


@pytest.mark.process
@pytest.mark.parametrize("engine", ["httpx", "wire"])
def test_a_certificate_that_nobody_trusts_fails_every_operation(
    tls_nginx: tuple[str, NginxServer], authority: Path, engine: str
) -> None:
    """By its class and with exit code 1; the server sees no request."""
    url, nginx = tls_nginx
    before = len(nginx.requests())
    options = ("--connections", "1", "--rate-per-connection", "10", "--duration", "500ms", "--json", "--engine", engine)
    ended = run_script(url, "--ca-file", str(authority / "foreign" / "ca.pem"), *options)
    assert ended.returncode == EXIT_FAILED, ended.stdout + ended.stderr
    document = document_of(ended)
    assert {error["class"] for error in document["errors"]} == {"tls"}
    assert (document["operations_succeeded"], document["operations_failed"]) == (0, document["operations_requested"])
    assert document["latency_s"]["service"] == {}
    assert len(nginx.requests()) == before


@pytest.mark.process
def test_a_port_where_nobody_listens_fails_every_operation() -> None:
    """A dead server is a result, not an error of the command."""
    ended = run_script(f"http://127.0.0.1:{free_port()}/", "--rate", "20", "--duration", "500ms", "--json")
    assert ended.returncode == EXIT_FAILED, ended.stdout + ended.stderr
    document = document_of(ended)
    assert {error["class"] for error in document["errors"]} == {"refused"}
    assert document["operations_failed"] == document["operations_requested"] == 10


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
