"""Secrets do not get through, and ordinary text does."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.redaction import (
    HIDDEN,
    SECRET_CHARACTERS_MIN,
    SECRETS_MAX,
    RedactionError,
    forget_secrets,
    redact,
    redact_fields,
    register_secret,
)

CANARY = "c4n4ry-Pa55"


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests() -> Iterator[None]:
    """Known literals belong to the process; each test starts and ends without any."""
    forget_secrets()
    yield
    forget_secrets()


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"authorization: Basic {CANARY}\r\nAccept: */*",
        f"Proxy-Authorization: Digest username=x, response={CANARY}",
        f'Cookie: a="b"; session={CANARY}',
        f"Set-Cookie: session={CANARY}; Path=/",
        f"{{'Authorization': 'Bearer {CANARY}', 'Accept': '*/*'}}",
        f'{{"cookie": "a=\\"b\\"; session={CANARY}"}}',
        f"[(b'Authorization', b'Token {CANARY}')]",
        f"x-api-key: {CANARY}",
        f"GET http://127.0.0.1/?token={CANARY}&page=2",
        f"GET /a?access_token={CANARY}",
        f"/a?x=1&api_key={CANARY}#end",
        f"/a?X-Amz-Signature={CANARY}",
        f"/a?sig={CANARY}",
        f"user=x&password={CANARY}",
        f"http://user:{CANARY}@127.0.0.1:8000/",
        f"connecting to postgresql://user:p@{CANARY}@db.local/x failed",
        f"got bearer {CANARY}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{CANARY.replace('-', '_')}",
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str) -> None:
    """Headers, cookies, query parameters, userinfo and web tokens lose their value, wherever they stand."""
    hidden = redact(text)

    assert CANARY not in hidden
    assert CANARY.replace("-", "_") not in hidden
    assert HIDDEN in hidden


@pytest.mark.parametrize(
    "text",
    [
        "",
        "phase 3 moderate_load_1: 90 operations/s, p99 0.25 s",
        "GET http://127.0.0.1:8000/items?page=2&size=10 answered 200",
        "basic requirements are met",
        "the keyboard and the monkey",
        "mail to someone@example.org",
        "eyJ is how web tokens begin",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    """What is no credential is not touched."""
    assert redact(text) == text


def test_the_rest_of_a_line_stays_readable() -> None:
    """Only the value is replaced: the place of the secret remains visible."""
    assert redact("GET http://u:pppp@h/?token=tttt&page=2") == f"GET http://{HIDDEN}@h/?token={HIDDEN}&page=2"
    assert redact("{'cookie': 'a=b', 'accept': 'x'}") == f"{{'cookie': {HIDDEN}, 'accept': 'x'}}"


def test_registered_literals_are_hidden_in_any_form() -> None:
    """A known secret is hidden as it is and percent-encoded; the longer of two nested ones first."""
    register_secret("hunter2/ü")
    register_secret("hunter2/ü-long")

    assert redact("a hunter2/ü b") == f"a {HIDDEN} b"
    assert redact("a hunter2%2F%C3%BC b hunter2/%C3%BC c") == f"a {HIDDEN} b {HIDDEN} c"
    assert redact("hunter2/ü-long!") == f"{HIDDEN}!"


def test_registered_literals_are_hidden_when_they_were_escaped() -> None:
    """A secret with quotes or line ends is recognised inside a printed object or a JSON text."""
    secret = "one\n'two'\"ü"
    register_secret(secret)

    for text in (repr({"a": secret}), json.dumps({"a": secret}), json.dumps({"a": secret}, ensure_ascii=False)):
        assert "two" not in redact(text)


def test_a_literal_that_is_too_short_is_refused_without_naming_it() -> None:
    """Three characters cannot be hidden sensibly, four can; the message does not repeat the secret."""
    with pytest.raises(RedactionError) as caught:
        register_secret("q" * (SECRET_CHARACTERS_MIN - 1))
    assert "qqq" not in str(caught.value)

    register_secret("q" * SECRET_CHARACTERS_MIN)
    assert redact("qqqq") == HIDDEN


def test_the_number_of_literals_is_bounded() -> None:
    """One secret more than there can sensibly be is refused."""
    for number in range(SECRETS_MAX):
        register_secret(f"secret-{number}")
    register_secret("secret-0")

    with pytest.raises(RedactionError, match=f"more than {SECRETS_MAX} secrets"):
        register_secret("one-more")


def test_fields_are_searched_at_any_depth() -> None:
    """Nested mappings, lists, bytes and objects are redacted; fields with a secret's name lose their value."""

    class Thing:
        def __repr__(self) -> str:
            return f"Thing(token={CANARY})"

    deep: object = f"token={CANARY}"
    for _ in range(20):
        deep = [deep]
    found = redact_fields(
        {
            "event": f"token={CANARY}",
            "password": CANARY,
            "db_password": [CANARY],
            "headers": {"Authorization": CANARY, "Accept": "*/*"},
            "pairs": [("a", f"sig={CANARY}"), {"Set-Cookie": CANARY}],
            "body": f"key={CANARY}".encode(),
            "thing": Thing(),
            "deep": deep,
            "phase": 3,
            "ok": True,
            "none": None,
        }
    )

    assert CANARY not in repr(found)
    assert found["phase"] == 3
    assert found["ok"] is True
    assert found["none"] is None
    assert found["headers"] == {"Authorization": HIDDEN, "Accept": "*/*"}


@given(st.text(min_size=SECRET_CHARACTERS_MIN, max_size=20), st.text(max_size=40), st.text(max_size=40))
def test_a_registered_literal_never_survives(secret: str, before: str, after: str) -> None:
    """Whatever stands around it, the literal is gone, unless it is a piece of the replacement itself."""
    forget_secrets()
    register_secret(secret)
    hidden = redact(before + secret + after)

    assert secret not in hidden.replace(HIDDEN, "\0")


@pytest.mark.parametrize("text", ["a" * 65_536, "a." * 32_768, "token" * 13_000, "://@" * 16_000, "eyJa" * 16_000])
def test_long_text_is_searched_in_reasonable_time(text: str) -> None:
    """No pattern runs away on 64 KiB; a hang would meet the test's time limit."""
    assert isinstance(redact(text), str)
