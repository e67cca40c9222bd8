"""Small faults for a module's source, each one change at one place, as a hurried person makes them.

Finds every place where an operator applies and writes the source with that one change. What cannot matter to behaviour is
left out: docstrings, texts, annotations, imports, assertions, and the named numbers of a module (tests use their names).
Pure; benchmarks.mutants runs them.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change. line, column: where the changed expression begins (line from 1, column from 0)."""

    path: str
    line: int
    column: int
    operator: str
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        """For lists: place, and the change in short."""
        return f"{self.path}:{self.line}:{self.column} {self.before} -> {self.after}"


def mutants_of(path: str, source: str) -> tuple[Mutant, ...]:
    """Every single change that the operators make in this source, in the order of its lines."""
    tree = ast.parse(source)
    found: dict[tuple[int, int, str], Mutant] = {}
    for node in _places(tree):
        for operator, changed in _changes(node):
            mutant = _written(path, source, node, operator, changed)
            found.setdefault((mutant.line, mutant.column, mutant.after), mutant)
    return tuple(mutant for _, mutant in sorted(found.items()))


def _places(tree: ast.Module) -> Iterator[ast.expr | ast.stmt]:
    """All nodes within functions that may be changed."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    nested = {inner for outer in functions for inner in ast.walk(outer) if inner is not outer and inner in functions}
    for function in functions:
        if function not in nested:
            for statement in function.body:
                yield from _within(statement)


def _within(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    if isinstance(node, ast.Assert | ast.JoinedStr | ast.Raise | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for statement in node.body:
            yield from _within(statement)
        return
    if isinstance(node, ast.expr | ast.stmt):
        yield node
    for field, child in ast.iter_fields(node):
        if field in {"annotation", "returns", "type_comment"}:
            continue
        for item in child if isinstance(child, list) else [child]:
            if isinstance(item, ast.AST):
                yield from _within(item)


def _changes(node: ast.expr | ast.stmt) -> Iterator[tuple[str, ast.expr | ast.stmt]]:
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=right) if type(operator) in _COMPARISONS:
            yield "comparison", ast.Compare(left=left, ops=[_COMPARISONS[type(operator)]()], comparators=right)
        case ast.BoolOp(op=joint, values=values):
            yield "boolean", ast.BoolOp(op=ast.Or() if isinstance(joint, ast.And) else ast.And(), values=values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "negation", operand
        case ast.BinOp(left=one, op=sign, right=other) if type(sign) in _ARITHMETIC:
            yield "arithmetic", ast.BinOp(left=one, op=_ARITHMETIC[type(sign)](), right=other)
        case ast.Constant(value=bool(value)):
            yield "constant", ast.Constant(value=not value)
        case ast.Constant(value=int(number) | float(number)):
            yield "constant", ast.Constant(value=number + 1)
        case ast.If(test=test):
            yield "condition", ast.UnaryOp(op=ast.Not(), operand=test)
        case ast.Expr(value=ast.Call()):
            yield "removed call", ast.Pass()
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield "choice", ast.IfExp(test=test, body=orelse, orelse=body)
        case _:
            return


def _written(path: str, source: str, node: ast.expr | ast.stmt, operator: str, changed: ast.expr | ast.stmt) -> Mutant:
    place = node.test if isinstance(node, ast.If) else node
    lines = source.splitlines(keepends=True)
    start, end = _offset(lines, place.lineno, place.col_offset), _offset(lines, *_end(place))
    before, after = source[start:end], ast.unparse(ast.fix_missing_locations(changed))
    if isinstance(changed, ast.expr):
        after = f"({after})"
    return Mutant(
        path=path,
        line=place.lineno,
        column=place.col_offset,
        operator=operator,
        before=" ".join(before.split()),
        after=" ".join(after.split()),
        source=source[:start] + after + source[end:],
    )


def _end(node: ast.expr | ast.stmt) -> tuple[int, int]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def _offset(lines: list[str], line: int, column: int) -> int:
    """Where a place of the tree lies in the text; columns of the tree count bytes."""
    before = sum(len(text) for text in lines[: line - 1])
    return before + len(lines[line - 1].encode()[:column].decode())
