"""From a plan to what the load processes get; secrets by reference until the last moment."""

from collections.abc import Iterator

import pytest

from baseline_metrics.redaction import HIDDEN, SECRETS_MAX, forget_secrets, redact, register_secret
from baseline_metrics.target_policy import PinnedTarget
from campaign.plan_file import unset_references
from campaign.plan_specs import (
    SecretError,
    operation_specs,
    operations_with_secrets,
    secret_names,
    target_spec,
    with_secrets,
)
from stress_scenarios.load_plan import HeaderField, NoBody, TextBody
from tests.support.plans import plan

TEXT = """\
target:
  name: shop
  url: http://127.0.0.1:8080
  headers: {Authorization: "Bearer ${env:TOKEN}"}
  ca_file: /etc/shop.pem
scenario:
  - {name: get, path: /a, weight: 2, timeout: 500ms, contains: [ok]}
  - {name: post, path: /b, method: POST, json: {x: 1}, headers: {X: "${env:ONE}-${env:TWO}"}, expect_status: [201]}
"""
PINNED = PinnedTarget(url="http://127.0.0.1:8080", scheme="http", host="127.0.0.1", address="127.0.0.1", port=8080)


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    """Each test begins and ends without registered secrets."""
    forget_secrets()
    yield
    forget_secrets()


def test_a_plan_becomes_specs_with_references() -> None:
    """They can be stored: no secret is in them."""
    target = target_spec(plan(TEXT), PINNED)
    get, post = operation_specs(plan(TEXT))

    assert (target.name, target.url, target.address, target.port) == (
        "shop",
        "http://127.0.0.1:8080",
        "127.0.0.1",
        8080,
    )
    assert target.headers == (HeaderField(name="Authorization", value="Bearer ${env:TOKEN}"),)
    assert target.ca_file == "/etc/shop.pem"
    assert (get.weight, get.timeout_s, get.body_contains, get.body) == (2.0, 0.5, ("ok",), NoBody())
    assert get.expected_status == tuple(range(200, 400))
    assert (post.method, post.expected_status) == ("POST", (201,))
    assert post.body == TextBody(content='{"x":1}', content_type="application/json")
    assert secret_names(target, (get, post)) == ("TOKEN", "ONE", "TWO")


def test_secrets_are_resolved_from_the_environment() -> None:
    """Several in one value, too."""
    environ = {"TOKEN": "t", "ONE": "1", "TWO": "2"}
    target = with_secrets(target_spec(plan(TEXT), PINNED), environ)
    operations = operations_with_secrets(operation_specs(plan(TEXT)), environ)

    assert target.headers == (HeaderField(name="Authorization", value="Bearer t", secrets=("t",)),)
    assert operations[1].headers == (HeaderField(name="X", value="1-2", secrets=("1", "2")),)


def test_secrets_that_are_missing_or_cannot_be_headers_are_errors() -> None:
    """The message names the variable and never its value."""
    spec = target_spec(plan(TEXT), PINNED)

    assert unset_references(plan(TEXT), {"TOKEN": "t"}) == ("ONE", "TWO")
    with pytest.raises(SecretError, match="environment variable TOKEN, which is not set"):
        with_secrets(spec, {})
    with pytest.raises(SecretError) as caught:
        with_secrets(spec, {"TOKEN": "two\r\nlines"})
    assert "two" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["", " ", "SecretTokenAbcdef ", " SecretTokenAbcdef", "SecretTokenAbcdef\n", "\tSecret"]
)
def test_a_secret_that_is_empty_or_has_blanks_around_it_is_refused(value: str) -> None:
    """No client sends such a header; the message says what to do and does not quote it."""
    with pytest.raises(SecretError, match="export") as caught:
        with_secrets(target_spec(plan(TEXT), PINNED), {"TOKEN": value})
    assert "Secret" not in str(caught.value)


def test_what_was_resolved_is_hidden_from_text() -> None:
    """From the moment on at which this process knows it, in target and operations; a single letter cannot be hidden."""
    environ = {"TOKEN": "SecretTokenAbcdef", "ONE": "first-one", "TWO": "2"}
    with_secrets(target_spec(plan(TEXT), PINNED), environ)
    operations_with_secrets(operation_specs(plan(TEXT)), environ)

    assert redact("SecretTokenAbcdef, first-one, 2") == f"{HIDDEN}, {HIDDEN}, 2"


def test_a_secret_too_many_to_hide_is_refused() -> None:
    """Rather than sent and perhaps shown."""
    for number in range(SECRETS_MAX):
        register_secret(f"secret-{number}")
    with pytest.raises(SecretError, match="header Authorization: more than"):
        with_secrets(target_spec(plan(TEXT), PINNED), {"TOKEN": "SecretTokenAbcdef"})
