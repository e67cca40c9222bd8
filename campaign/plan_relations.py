"""What is wrong between the parts of a plan that are each right: names that nothing gives a value, tags that nobody carries.

It looks at a plan that the models have accepted. Pure; the launcher's process uses it.
"""

import json
from collections.abc import Iterator

from campaign.plan import Plan
from campaign.plan_layers import nearest_key
from campaign.plan_problems import PathProblem
from campaign.plan_requests import OperationPart
from campaign.plan_types import ENVIRONMENT_REFERENCE, is_credential
from campaign.yaml_source import Path
from stress_scenarios.load_plan import Stage, TextBody
from stress_scenarios.template import TemplateError, compile_template


def relation_problems(plan: Plan) -> tuple[PathProblem, ...]:
    """Everything of this kind, in the order of the plan."""
    return (
        *_engine_problems(plan),
        *_tag_problems(plan),
        *_template_problems(plan),
        *_unused_problems(plan),
        *_shape_problems(plan),
        *_credential_problems(plan),
    )


def _engine_problems(plan: Plan) -> Iterator[PathProblem]:
    if plan.engine == "wire":
        return
    for key, value in (
        ("connect_timeout", plan.target.connect_s_max),
        ("first_byte_timeout", plan.target.first_byte_s_max),
    ):
        if value is not None:
            text = f"is not kept by the engine {plan.engine}: write engine: wire, or an operation's timeout instead"
            yield PathProblem(path=("target", key), text=text)


# Tags -----------------------------------------------------------------------------------------------------------------


def _tag_problems(plan: Plan) -> Iterator[PathProblem]:
    known = tuple(dict.fromkeys(tag for operation in plan.scenario for tag in operation.tags))
    for key, tags in (("include", plan.tags.include), ("exclude", plan.tags.exclude)):
        for tag in tags:
            if tag not in known:
                yield PathProblem(
                    path=("tags", key), text=f'no operation has the tag "{tag}"; {_known_tags(tag, known)}'
                )
                return
    if plan.code is None and not any(operation.when is Stage.MIX for operation in plan.operations):
        key = "include" if plan.tags.include else "exclude"
        if not (plan.tags.include or plan.tags.exclude):
            text = "has no operation of the mix: leave `stage` out at one at least"
            yield PathProblem(path=("scenario",), text=text)
            return
        carried = ", ".join(f"{operation.name} ({' '.join(operation.tags) or 'no tag'})" for operation in plan.scenario)
        yield PathProblem(path=("tags", key), text=f"leaves no operation of the mix; there are {carried}")


def _known_tags(tag: str, known: tuple[str, ...]) -> str:
    return nearest_key(tag, known) if known else "none has any: write `tags: [...]` under operations first"


# Templates ------------------------------------------------------------------------------------------------------------


def _template_problems(plan: Plan) -> Iterator[PathProblem]:
    extracted = {part.variable for operation in plan.operations for part in operation.extract}
    everywhere = {part.variable for operation in plan.scenario for part in operation.extract}
    chosen = set(plan.operation_names)
    so_far: set[str] = set()
    for index, operation in enumerate(plan.scenario):
        # Setup runs in its order, so it knows only what came before; the others may come in any order.
        given = so_far if operation.when is Stage.SETUP else extracted if operation.name in chosen else everywhere
        known = {*plan.variables, *given}
        if operation.when is Stage.SETUP:
            so_far.update(part.variable for part in operation.extract)
        for key, text in operation_texts(operation):
            path: Path = ("scenario", index, *key)
            names = _names_in(text)
            if isinstance(names, str):
                yield PathProblem(path=path, text=names)
                continue
            for name in sorted(names):
                if "." in name:
                    yield from _feeder_problem(plan, name, path)
                elif name not in known:
                    yield PathProblem(path=path, text=_unknown_words(name, tuple(sorted(known)), extracted, everywhere))


def operation_texts(operation: OperationPart) -> tuple[tuple[Path, str], ...]:
    """The templates of an operation, each with its key; secrets by reference are taken out."""
    texts: list[tuple[Path, str]] = [(("path",), operation.path)]
    texts.extend((("headers", name), ENVIRONMENT_REFERENCE.sub("", value)) for name, value in operation.headers.items())
    body = operation.payload
    if isinstance(body, TextBody):
        texts.append((("json",) if "json_body" in operation.model_fields_set else ("body",), body.content))
    if operation.websocket is not None:
        texts.append((("websocket", "message"), operation.websocket.message))
    for position, part in enumerate(operation.checks):
        if "equals" in part.model_fields_set:
            texts.append((("checks", position, "equals"), json.dumps(part.equals, ensure_ascii=False)))
    return tuple(texts)


def used_columns(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Which columns of which feeder the operations' templates name."""
    used: dict[str, list[str]] = {name: [] for name in plan.feeders}
    for name in sorted(_named(plan)):
        feeder, dot, column = name.partition(".")
        if dot and feeder in used:
            used[feeder].append(column)
    return {name: tuple(columns) for name, columns in used.items()}


def _named(plan: Plan) -> frozenset[str]:
    """Everything that a template of the plan names."""
    found: set[str] = set()
    for operation in plan.scenario:
        for _, text in operation_texts(operation):
            names = _names_in(text)
            found.update(names if isinstance(names, frozenset) else ())
    return frozenset(found)


def _names_in(text: str) -> frozenset[str] | str:
    """The variables that a template needs, or what is wrong with it."""
    try:
        return compile_template(text).names
    except TemplateError as error:
        return str(error)


def _feeder_problem(plan: Plan, name: str, path: Path) -> Iterator[PathProblem]:
    feeder = name.partition(".")[0]
    if feeder not in plan.feeders:
        hint = nearest_key(feeder, tuple(plan.feeders)) if plan.feeders else "the plan has none."
        yield PathProblem(path=path, text=f'holds ${{{name}}}, but no feeder is named "{feeder}"; {hint}')


def _unknown_words(name: str, known: tuple[str, ...], extracted: set[str], everywhere: set[str]) -> str:
    if name in extracted:
        return f"holds ${{{name}}}, which is extracted only later: write the operation that extracts it first, in setup"
    if name in everywhere:
        return f"holds ${{{name}}}, which is extracted by an operation that the tags leave out: choose both, or none"
    hint = f"{nearest_key(name, known)} " if known else ""
    return (
        f"holds ${{{name}}}, and nothing gives that a value; {hint}It may be a variable, a feeder's "
        'column, or extracted from an answer; write "$${" for the text itself'
    )


def _unused_problems(plan: Plan) -> Iterator[PathProblem]:
    """A key that takes no effect is a slip. Python code may use anything, and nobody can see it do so."""
    if plan.code is not None:
        return
    named = _named(plan)
    for variable in plan.variables:
        if variable not in named:
            text = f'is used by no operation: write "${{{variable}}}" in a path, header or body, or leave it out'
            yield PathProblem(path=("variables", variable), text=text)
    for feeder in plan.feeders:
        if not any(name.startswith(f"{feeder}.") for name in named):
            text = f'is used by no operation: write "${{{feeder}.COLUMN}}" in a path, header or body, or leave it out'
            yield PathProblem(path=("feeders", feeder), text=text)


def _shape_problems(plan: Plan) -> Iterator[PathProblem]:
    """A shape is scaled with its phase, so what lies behind its end never comes."""
    for index, phase in enumerate(plan.phases):
        shapes = phase.arrivals
        if shapes is None:
            continue
        path = ("phases", index, "arrivals")
        if shapes.spike is not None and shapes.spike.at_s >= phase.duration_s:
            text = "is not before the phase's end: write less than its duration"
            yield PathProblem(path=(*path, "spike", "at"), text=text)
        if shapes.step is not None and shapes.step.every_s >= phase.duration_s:
            text = "is as long as the phase, which has one step only: write less than its duration"
            yield PathProblem(path=(*path, "step", "every"), text=text)
        if shapes.ramp is not None and shapes.ramp.over_s is not None and shapes.ramp.over_s > phase.duration_s:
            text = "is longer than the phase: write at most its duration"
            yield PathProblem(path=(*path, "ramp", "over"), text=text)


def _credential_problems(plan: Plan) -> Iterator[PathProblem]:
    """A variable is stored with the plan, so a header that is a credential cannot take its secret from one."""
    for index, operation in enumerate(plan.scenario):
        for name, value in operation.headers.items():
            names = _names_in(value)
            stored = sorted(names & plan.variables.keys()) if isinstance(names, frozenset) else []
            if is_credential(name) and stored:
                text = (
                    f"is a credential and holds ${{{stored[0]}}}, a variable, which is stored with the plan: write "
                    '"${env:TOKEN}" and export TOKEN before the start, or extract it from an answer'
                )
                yield PathProblem(path=("scenario", index, "headers", name), text=text)
