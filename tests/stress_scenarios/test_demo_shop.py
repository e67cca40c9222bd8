"""The demo service's operations, without sockets."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from stress_scenarios.demo_http import BadRequestError, parse_head
from stress_scenarios.demo_shop import (
    ITEM_COUNT,
    ORDERS_KEPT,
    QUANTITY_MAX,
    QUERY_CHARACTERS_MAX,
    SEARCH_RESULTS_MAX,
    Shop,
)


def ask(shop: Shop, line: str, body: object = None, content_type: str = "application/json") -> tuple[HTTPStatus, Any]:
    """Carry one operation out; a refusal gives its status and detail."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = parse_head(f"{line} HTTP/1.1\r\nHost: shop\r\nContent-Type: {content_type}\r\n\r\n".encode())
    try:
        answer = shop.answer(head, raw)
    except BadRequestError as error:
        return error.status, error.detail
    return answer.status, json.loads(answer.body)


def test_the_catalogue_is_a_page_of_items() -> None:
    """The catalogue tells how many items there are and shows the first."""
    status, page = ask(Shop(), "GET /catalogue")
    assert status is HTTPStatus.OK
    assert page["count"] == ITEM_COUNT
    assert [item["id"] for item in page["items"][:2]] == [1, 2]


def test_items_have_numbers_from_one_to_the_last() -> None:
    """The first and the last item are there; before, behind and beside them is nothing."""
    shop = Shop()
    for number in (1, ITEM_COUNT):
        assert ask(shop, f"GET /item/{number}")[1]["id"] == number
    for text in ("0", str(ITEM_COUNT + 1), "-1", "x", "", "1" * 30):
        assert ask(shop, f"GET /item/{text}")[0] is HTTPStatus.NOT_FOUND


def test_an_order_gets_the_next_number() -> None:
    """Orders are created with rising numbers, from the body that was sent."""
    shop = Shop()
    assert ask(shop, "POST /orders", {"item": 7}) == (HTTPStatus.CREATED, {"id": 1, "item": 7, "quantity": 1})
    body = {"item": 8, "quantity": QUANTITY_MAX, "customer": "Ada"}
    assert ask(shop, "POST /orders", body)[1] == {"id": 2, "item": 8, "quantity": QUANTITY_MAX}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"item": 0},
        {"item": True},
        {"item": "1"},
        {"item": 1, "quantity": QUANTITY_MAX + 1},
        {"item": 1, "customer": 2},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(body: dict[str, object]) -> None:
    """A missing or impossible field is 400, and no order is taken."""
    shop = Shop()
    assert ask(shop, "POST /orders", body)[0] is HTTPStatus.BAD_REQUEST
    assert shop.orders_taken == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"[" * 50_000, b"\xff"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    """What is not a JSON object is 400, however deep it is nested."""
    assert ask(Shop(), "POST /orders", body)[0] is HTTPStatus.BAD_REQUEST


def test_a_body_of_another_type_is_refused() -> None:
    """Only application/json is read: a form of a web page elsewhere cannot drive the service."""
    status, _ = ask(Shop(), "POST /orders", {"item": 1}, content_type="text/plain")
    assert status is HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def test_old_orders_are_forgotten() -> None:
    """A night of orders holds no more memory than the bound."""
    shop = Shop()
    for _ in range(ORDERS_KEPT + 5):
        ask(shop, "POST /orders", {"item": 1})
    assert shop.orders_taken == ORDERS_KEPT + 5
    assert len(shop._orders) == ORDERS_KEPT


def test_search_finds_without_regard_to_case() -> None:
    """A search counts all matches and shows a bounded number of them."""
    shop = Shop()
    _, upper = ask(shop, "GET /search?q=LAMP")
    _, lower = ask(shop, "GET /search?q=lamp")
    assert upper == lower
    assert upper["found"] > SEARCH_RESULTS_MAX == len(upper["items"])
    assert ask(shop, "GET /search?q=zeppelin")[1] == {"found": 0, "items": []}


def test_a_query_has_a_length() -> None:
    """Empty and over-long queries are refused; one at the limit is carried out."""
    shop = Shop()
    assert ask(shop, "GET /search")[0] is HTTPStatus.BAD_REQUEST
    assert ask(shop, "GET /search?q=" + "a" * QUERY_CHARACTERS_MAX)[0] is HTTPStatus.OK
    assert ask(shop, "GET /search?q=" + "a" * (QUERY_CHARACTERS_MAX + 1))[0] is HTTPStatus.BAD_REQUEST


def test_paths_and_methods_that_do_not_exist_are_told_apart() -> None:
    """An unknown path is 404, a known one with another method 405; HEAD goes where GET goes."""
    shop = Shop()
    assert ask(shop, "GET /")[0] is HTTPStatus.NOT_FOUND
    assert ask(shop, "DELETE /catalogue")[0] is HTTPStatus.METHOD_NOT_ALLOWED
    assert ask(shop, "GET /orders")[0] is HTTPStatus.METHOD_NOT_ALLOWED
    assert ask(shop, "HEAD /catalogue")[0] is HTTPStatus.OK
