"""Questions to the syntax tree of a module that concern no value."""

from __future__ import annotations

import _ast as syntax  # the classes alone: ast itself costs an import of several milliseconds
from collections.abc import Iterator

Scope = syntax.FunctionDef | syntax.AsyncFunctionDef | syntax.Lambda

# Methods that change a list or a dictionary.
MUTATORS = frozenset(
    ("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "update", "setdefault", "popitem")
)


def deciding_lines(node: syntax.AST) -> list[tuple[int, int]]:
    """The lines that decide what becomes of the parts of a statement or expression, at most one range."""
    part: syntax.expr | syntax.stmt
    if isinstance(node, syntax.If | syntax.While | syntax.IfExp):
        part = node.test
    elif isinstance(node, syntax.For):
        part = node.iter
    elif isinstance(node, syntax.Match):
        part = node.subject
    elif isinstance(node, syntax.Assign | syntax.AnnAssign | syntax.AugAssign | syntax.Expr):
        part = node
    else:
        return []
    return [(part.lineno, part.end_lineno or part.lineno)]


def asks_whether_script(node: syntax.AST) -> bool:
    """Whether it is an `if __name__ == "__main__"`."""
    return isinstance(node, syntax.If) and any(
        isinstance(part, syntax.Name) and part.id == "__name__" for part in walk(node.test)
    )


def last_name(node: syntax.expr) -> str:
    """`SshMixin` of `SshMixin` and of `sshrun.SshMixin`."""
    if isinstance(node, syntax.Attribute):
        return node.attr
    return node.id if isinstance(node, syntax.Name) else ""


def children(node: syntax.AST) -> Iterator[syntax.AST]:
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, syntax.AST):
            yield value
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, syntax.AST))


def walk(root: syntax.AST, *, into_functions: bool = True) -> Iterator[syntax.AST]:
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        if into_functions or not isinstance(node, Scope):
            pending.extend(children(node))


def outer_names_changed(function: Scope) -> set[str]:
    """The names outside of a function that it binds, or whose lists and dictionaries it changes."""
    own = {node.arg for node in walk(function) if isinstance(node, syntax.arg)}
    outer: set[str] = set()
    changed: set[str] = set()
    for node in walk(function):
        if isinstance(node, syntax.Global):
            outer.update(node.names)
        elif isinstance(node, syntax.Name) and not isinstance(node.ctx, syntax.Load):
            own.add(node.id)
        elif isinstance(node, syntax.Subscript) and not isinstance(node.ctx, syntax.Load):
            changed.add(last_name(node.value))
        elif isinstance(node, syntax.Call) and isinstance(node.func, syntax.Attribute) and node.func.attr in MUTATORS:
            changed.add(last_name(node.func.value))
    return outer | (changed - own)
