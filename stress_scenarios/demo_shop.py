"""The operations of the demo service: a small shop with a catalogue, orders and a search that costs real work.

Enough variety for a scenario mix: a page of some kilobytes, a lookup, a write, and a scan. It knows neither sockets
nor faults. The demo service's process uses it.
"""

import json
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus

from baseline_metrics.codec import Json
from stress_scenarios.demo_http import Answer, BadRequestError, RequestHead, text_field

ITEM_COUNT = 12_000
"""A case-insensitive scan of these takes about 2 ms on a 2020s server core: real work, and hundreds of searches a second."""

CATALOGUE_PAGE_ITEMS = 50
"""About 3 KiB of JSON: a usual page."""

SEARCH_RESULTS_MAX = 20

QUERY_CHARACTERS_MAX = 100
"""A longer text is not what somebody types into a search box, and would make the scan dearer."""

ORDERS_KEPT = 1000
"""The last orders stay readable; older ones are forgotten, so that a night of orders is no leak of its own."""

QUANTITY_MAX = 1000

_COLOURS = ("red", "green", "blue", "amber", "ivory", "slate", "coral", "olive")
_MATERIALS = ("oak", "steel", "linen", "glass", "cork", "wool", "stone")
_THINGS = ("lamp", "chair", "kettle", "shelf", "bowl", "clock", "blanket", "basket", "mirror", "vase", "table")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something on sale."""

    number: int
    name: str
    description: str
    price_cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a customer wants."""

    number: int
    item: int
    quantity: int
    customer: str


class Shop:
    """Catalogue and orders, in memory."""

    def __init__(self) -> None:
        self._items = tuple(_make_item(number) for number in range(1, ITEM_COUNT + 1))
        self._orders: deque[Order] = deque(maxlen=ORDERS_KEPT)
        self._next_order = 1
        page: list[Json] = [_item_document(item) for item in self._items[:CATALOGUE_PAGE_ITEMS]]
        self._catalogue = json_answer(HTTPStatus.OK, {"count": ITEM_COUNT, "items": page})

    @property
    def orders_taken(self) -> int:
        """How many orders were accepted since the start."""
        return self._next_order - 1

    def answer(self, head: RequestHead, body: bytes) -> Answer:
        """Carry an operation out. Raises BadRequestError for what cannot be done."""
        if head.path == "/catalogue":
            require_method(head, "GET")
            return self._catalogue
        if head.path.startswith("/item/"):
            require_method(head, "GET")
            return self._item(head.path.removeprefix("/item/"))
        if head.path == "/orders":
            require_method(head, "POST")
            return self._take_order(json_document(head, body))
        if head.path == "/search":
            require_method(head, "GET")
            return self._search(head.query.get("q", ""))
        raise BadRequestError(
            HTTPStatus.NOT_FOUND,
            "known are GET /catalogue, GET /item/N, POST /orders, GET /search?q=, GET /health, POST /admin",
        )

    def _item(self, text: str) -> Answer:
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= ITEM_COUNT):
            raise BadRequestError(HTTPStatus.NOT_FOUND, f"items have numbers from 1 to {ITEM_COUNT}")
        return json_answer(HTTPStatus.OK, _item_document(self._items[int(text) - 1]))

    def _take_order(self, document: dict[str, Json]) -> Answer:
        order = Order(
            number=self._next_order,
            item=_whole_number(document, "item", ITEM_COUNT),
            quantity=_whole_number(document, "quantity", QUANTITY_MAX) if "quantity" in document else 1,
            customer=text_field(document, "customer") if "customer" in document else "",
        )
        self._next_order += 1
        self._orders.append(order)
        return json_answer(HTTPStatus.CREATED, {"id": order.number, "item": order.item, "quantity": order.quantity})

    def _search(self, text: str) -> Answer:
        if not text:
            raise BadRequestError(HTTPStatus.BAD_REQUEST, "say what to look for: /search?q=lamp")
        if len(text) > QUERY_CHARACTERS_MAX:
            raise BadRequestError(HTTPStatus.BAD_REQUEST, f"a query has at most {QUERY_CHARACTERS_MAX} characters")
        wanted = text.lower()
        # Lower-casing on each search is what makes it cost something, as in a table without an index.
        found = [item for item in self._items if wanted in item.name.lower() or wanted in item.description.lower()]
        shown: list[Json] = [_item_document(item) for item in found[:SEARCH_RESULTS_MAX]]
        return json_answer(HTTPStatus.OK, {"found": len(found), "items": shown})


def json_answer(status: HTTPStatus, document: dict[str, Json]) -> Answer:
    """Encode a document as an answer."""
    return Answer(status=status, body=json.dumps(document, separators=(",", ":")).encode())


def json_document(head: RequestHead, body: bytes) -> dict[str, Json]:
    """Read a JSON object from a body. Raises BadRequestError (400, 415).

    The content type is insisted on: a web page of another origin cannot send it without asking, so no page that
    somebody has open can drive a service on that person's loopback.
    """
    content_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise BadRequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "the body is not JSON") from error
    if not isinstance(document, dict):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "the body has to be a JSON object")
    return document


def require_method(head: RequestHead, method: str) -> None:
    """Refuse other methods (405); HEAD goes where GET goes."""
    if head.method != method and not (head.method == "HEAD" and method == "GET"):
        raise BadRequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"{head.path} is for {method}")


def _whole_number(document: dict[str, Json], name: str, most: int) -> int:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, f"{name} has to be a whole number from 1 to {most}")
    return value


def _make_item(number: int) -> Item:
    colour = _COLOURS[number % len(_COLOURS)]
    material = _MATERIALS[number % len(_MATERIALS)]
    thing = _THINGS[number % len(_THINGS)]
    return Item(
        number=number,
        name=f"{colour.title()} {material} {thing}",
        description=f"A {colour} {thing} made of {material}, number {number} of our collection, sent within two days",
        price_cents=500 + (number * 37) % 20_000,
    )


def _item_document(item: Item) -> dict[str, Json]:
    return {"id": item.number, "name": item.name, "price_cents": item.price_cents}
