"""The parts of a plan that name what lies beside it: variables, feeders' files, Python code; and which tags run. Pure; see plan."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from baseline_metrics.refused_value import shown
from campaign.plan_part import PlanPart, at_fault
from campaign.plan_steps import FreeName, one_of
from campaign.plan_types import Duration, Name, Names, is_credential
from stress_scenarios.load_plan import TEMPLATE_START, FeederFormat, FeederOrder

VARIABLES_MAX = 64
FEEDERS_MAX = 16

_FORMATS = {".csv": FeederFormat.CSV, ".jsonl": FeederFormat.JSON_LINES}


def _read_variable(value: object) -> object:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value


def _check_variable(value: str) -> str:
    if TEMPLATE_START in value:
        raise ValueError(
            "holds a reference, and variables are plain texts: write ${env:NAME} in a header, the text itself here"
        )
    return value


VariableValue = Annotated[str, BeforeValidator(_read_variable), Field(max_length=8000), AfterValidator(_check_variable)]


def _check_variables(variables: dict[str, str]) -> dict[str, str]:
    for name in variables:
        if is_credential(name):
            raise at_fault(
                name,
                "is named like a credential, and a plan is stored: take it from the environment in a header, or from a feeder",
            )
    return variables


Variables = Annotated[dict[FreeName, VariableValue], AfterValidator(_check_variables)]


class FeederPart(PlanPart):
    """Rows from a file, one for each session: a column's value is `${name.column}`."""

    file: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4096,
            examples=["users.csv"],
            description="CSV with a header line, or JSON lines (.jsonl), UTF-8; relative to the plan's directory.",
        ),
    ]
    order: Annotated[
        Literal["sequential", "random", "unique"],
        Field(
            examples=["sequential"],
            description="Which row a session gets: the next one, from the start again after the last; a drawn one; "
            "or each row at most once in a load.",
        ),
    ] = "sequential"

    @field_validator("file")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if not value.endswith(tuple(_FORMATS)):
            raise ValueError(f"{shown(value)} ends neither in .csv nor in .jsonl: name it by its format")
        return value

    @property
    def format(self) -> FeederFormat:
        """By the file's name."""
        return next(form for suffix, form in _FORMATS.items() if self.file.endswith(suffix))

    @property
    def feeder_order(self) -> FeederOrder:
        """Which row a session gets."""
        return FeederOrder(self.order)


class CodePart(PlanPart):
    """Sessions in Python, instead of scenario: an `async def` with a session object, once per session."""

    file: str | None = Field(
        default=None,
        max_length=4096,
        pattern=r"^.+\.py:[A-Za-z_][A-Za-z0-9_]*$",
        examples=["flow.py:browse"],
        description="File and function, relative to the plan's directory. One of file, entry_point.",
    )
    entry_point: str | None = Field(
        default=None,
        max_length=200,
        min_length=1,
        examples=["shop_browse"],
        description="Name of an installed entry point of the group `daybreak.scenarios`.",
    )
    operations: Annotated[
        tuple[Name, ...],
        Field(
            min_length=1,
            max_length=64,
            examples=[["catalogue", "order"]],
            description="Names of the operations that the code performs; reports count by them.",
        ),
    ]
    timeout_s: Annotated[
        Duration,
        Field(
            alias="timeout",
            ge=0.01,
            le=600,
            examples=["10s"],
            description="For one operation, connecting included, unless the code says otherwise.",
        ),
    ] = 10.0

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        one_of(self, ("file", "entry_point"))
        if len(set(self.operations)) < len(self.operations):
            raise at_fault("operations", "name one twice: write each once")
        return self


class TagsPart(PlanPart):
    """Which operations run. Those of setup and teardown stay unless they are excluded."""

    include: Annotated[
        Names,
        Field(examples=["smoke, checkout"], description="Only operations with one of these tags. All unless given."),
    ] = ()
    exclude: Annotated[Names, Field(examples=["slow"], description="No operation with one of these tags.")] = ()
