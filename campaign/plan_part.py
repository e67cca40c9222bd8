"""What all parts of a plan share: strict reading, and errors that stand at one field. Pure; see plan."""

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

FIELD_AT_FAULT = "field_at_fault"
"""Error type of a check between two fields; its context names the one that the message is about."""


def at_fault(field: str, text: str) -> PydanticCustomError:
    """An error that stands at one field of the record although it was found by comparing several."""
    return PydanticCustomError(FIELD_AT_FAULT, "{text}", {"field": field, "text": text})


class PlanPart(BaseModel):
    """What all parts of a plan share: unknown keys are refused, nothing is converted silently, nothing changes later."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
