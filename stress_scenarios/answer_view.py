"""An answer as checks and extractions look at it: what several of them need is worked out once, and only if one asks.

Pure; worker processes use it.
"""

import json
from enum import Enum
from functools import cached_property

from baseline_metrics.codec import Json
from stress_scenarios.engines.engine import Answer
from stress_scenarios.json_path import Found

SEARCHED_BYTES_MAX = 1 << 20
"""Regular expressions look at the first MiB of a body: what pages say about themselves stands there, and searching more
would cost more than the request."""


class NotJson(Enum):
    """The body is no JSON document."""

    NOT_JSON = "not JSON"


class AnswerView:
    """One answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    @cached_property
    def document(self) -> Found | NotJson:
        """The body as JSON."""
        try:
            value: Json = json.loads(self.answer.body)
        except (ValueError, RecursionError):  # ValueError is also a wrong encoding, and a number beyond all bounds
            return NotJson.NOT_JSON
        return Found(value=value)

    @cached_property
    def searched_text(self) -> str:
        """The body as text, at most SEARCHED_BYTES_MAX of it; what is not UTF-8 is replaced."""
        return self.answer.body[:SEARCHED_BYTES_MAX].decode("utf-8", "replace")
