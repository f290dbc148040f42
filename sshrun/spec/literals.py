"""Evaluates expressions made of literals, without running anything."""

from __future__ import annotations

import _ast as syntax  # the classes alone: ast itself costs an import of several milliseconds
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from sshrun.settings.reader import Node

_MOST = 100_000  # values within one, and characters of a text that is put together
_CONVERSIONS: dict[int, Callable[[object], str]] = {ord("s"): str, ord("r"): repr, ord("a"): ascii}


class NoLiteralError(Exception):
    """An expression whose value only running it can show."""


class Literal:
    """A value and its place. Lists and dictionaries hold further ones, and keep their identity as in Python.

    `text` is a scalar as it is written. `tainted` is the line where something happened that cannot be followed, or 0.
    """

    __slots__ = ("line", "tainted", "text", "value")

    def __init__(self, value: Any, line: int, text: str = "") -> None:
        self.value = value
        self.line = line
        self.text = text
        self.tainted = 0

    def taint(self, line: int) -> None:
        """Notes that a list or dictionary, and those within, may change from now on."""
        for part in self.inner():
            if isinstance(part.value, list | dict):
                part.tainted = part.tainted or line

    def inner(self) -> Iterator[Literal]:
        """The value itself and all within it."""
        yield self
        if isinstance(self.value, dict):
            for part in self.value.values():
                yield from part.inner()
        elif isinstance(self.value, list | tuple):
            for part in self.value:
                yield from part.inner()

    def node(self) -> Node:
        """The value as settings are read from."""
        if isinstance(self.value, dict):
            return Node("mapping", self.line, entries=tuple((key, part.node()) for key, part in self.value.items()))
        if isinstance(self.value, list | tuple):
            return Node("list", self.line, items=tuple(part.node() for part in self.value))
        if self.value is None:
            return Node("null", self.line)
        if isinstance(self.value, bool):
            return Node("boolean", self.line, self.text)
        return Node("string" if isinstance(self.value, str) else "number", self.line, self.text)

    def located(self, line: int) -> Literal:
        """A scalar counts from its key's line; a list is the same list wherever it is used."""
        return self if isinstance(self.value, list | dict) else Literal(self.value, line, self.text)


def extended(before: Literal, addition: Literal, line: int) -> Literal:
    """What `before += addition` makes of it: the same list, longer, or something new. Raises NoLiteralError."""
    if not (isinstance(before.value, list) and isinstance(addition.value, list | tuple)):
        return _joined(before, addition, line)
    if before.tainted or addition.tainted or any(part is before for item in addition.value for part in item.inner()):
        raise NoLiteralError
    _new([*before.value, *addition.value], line)
    before.value += addition.value
    return before


class Evaluator:
    """Evaluates expressions; `names` are those that are bound to literals, `attribute` looks up `NAME.ATTRIBUTE`."""

    def __init__(
        self, source: bytes, names: dict[str, Literal], attribute: Callable[[str, str], Literal | None]
    ) -> None:
        self.lines = source.split(b"\n")
        self.names = names
        self.attribute = attribute

    def value(self, node: syntax.expr) -> Literal:
        """The value of an expression. Raises NoLiteralError."""
        known: Literal | None = None
        if isinstance(node, syntax.Constant):
            known = self._constant(node)
        elif isinstance(node, syntax.List | syntax.Tuple):
            items = list(self._items(node.elts))
            known = _new(items if isinstance(node, syntax.List) else tuple(items), node.lineno)
        elif isinstance(node, syntax.Dict):
            known = self._dictionary(node)
        elif isinstance(node, syntax.JoinedStr):
            known = _new("".join(self._piece(part) for part in node.values), node.lineno)
        elif isinstance(node, syntax.Name):
            known = self.names.get(node.id)
        elif isinstance(node, syntax.Attribute) and isinstance(node.value, syntax.Name):
            known = self.attribute(node.value.id, node.attr)
        elif isinstance(node, syntax.BinOp) and isinstance(node.op, syntax.Add):
            known = _joined(self.value(node.left), self.value(node.right), node.lineno)
        elif isinstance(node, syntax.BinOp) and isinstance(node.op, syntax.BitOr):
            left, right = self.value(node.left), self.value(node.right)
            if isinstance(left.value, dict) and isinstance(right.value, dict):
                known = _new(left.value | right.value, node.lineno, left, right)
        elif isinstance(node, syntax.UnaryOp) and isinstance(node.op, syntax.USub):
            operand = self.value(node.operand)
            if isinstance(operand.value, int | float) and not isinstance(operand.value, bool):
                known = Literal(-operand.value, node.lineno, f"-{operand.text}")
        elif isinstance(node, syntax.Call) and isinstance(node.func, syntax.Name):
            known = self._call(node, node.func.id)
        if known is None:
            raise NoLiteralError
        return known

    def _constant(self, node: syntax.Constant) -> Literal | None:
        if isinstance(node.value, str):
            return Literal(node.value, node.lineno, node.value)
        if node.value is None or isinstance(node.value, bool | int | float):
            return Literal(node.value, node.lineno, self._written(node))
        return None

    def _written(self, node: syntax.Constant) -> str:
        """A number, True or False as written in the source."""
        line = self.lines[node.lineno - 1] if node.lineno <= len(self.lines) else b""
        text = line[node.col_offset : node.end_col_offset].decode("ascii", "replace")
        # Columns are those of UTF-8, and a source may be written in something else.
        plain = text.replace("_", "").lower()
        is_number = plain[:1].isdigit() or plain[:1] == "."
        return text if is_number and all(sign.isalnum() or sign in ".+-" for sign in plain) else repr(node.value)

    def _items(self, elements: list[syntax.expr]) -> Iterator[Literal]:
        for element in elements:
            if not isinstance(element, syntax.Starred):
                yield self.value(element)
                continue
            spread = self.value(element.value)
            if spread.tainted or not isinstance(spread.value, list | tuple):
                raise NoLiteralError
            yield from spread.value

    def _dictionary(self, node: syntax.Dict) -> Literal:
        entries: dict[str, Literal] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            literal = self.value(value)
            if key is None:
                entries |= self._entries(literal)
                continue
            name = self.value(key).value
            if not isinstance(name, str):
                raise NoLiteralError
            entries[name] = literal.located(key.lineno)
        return _new(entries, node.lineno)

    def _entries(self, literal: Literal) -> dict[str, Literal]:
        if literal.tainted or not isinstance(literal.value, dict):
            raise NoLiteralError
        return literal.value

    def _piece(self, part: syntax.expr) -> str:
        """A part of an f-string."""
        if isinstance(part, syntax.Constant) and isinstance(part.value, str):
            return part.value
        if not isinstance(part, syntax.FormattedValue):
            raise NoLiteralError
        value = self.value(part.value).value
        if value is not None and not isinstance(value, str | int | float):
            raise NoLiteralError
        style = ""
        if isinstance(part.format_spec, syntax.JoinedStr):
            style = "".join(self._piece(piece) for piece in part.format_spec.values)
        if sum(map(str.isdigit, style)) > 3:  # a width or precision that only fills memory
            raise NoLiteralError
        try:
            return format(_CONVERSIONS[part.conversion](value) if part.conversion in _CONVERSIONS else value, style)
        except (ValueError, TypeError, OverflowError) as error:
            raise NoLiteralError from error

    def _call(self, call: syntax.Call, name: str) -> Literal | None:
        """dict(...), list(...) and tuple(...) of literals."""
        if name in self.names or name not in ("dict", "list", "tuple") or len(call.args) > 1:
            return None
        given = self.value(call.args[0]) if call.args else None
        if name == "dict":
            entries = dict(self._entries(given)) if given else {}
            for keyword in call.keywords:
                value = self.value(keyword.value)
                if keyword.arg is None:
                    entries |= self._entries(value)
                else:
                    entries[keyword.arg] = value.located(keyword.lineno)
            return _new(entries, call.lineno)
        if call.keywords or (given and not isinstance(given.value, list | tuple)):
            return None
        items = given.value if given else ()
        return _new(list(items) if name == "list" else tuple(items), call.lineno, *([given] if given else []))


def _new(value: object, line: int, *made_of: Literal) -> Literal:
    literal = Literal(value, line, value if isinstance(value, str) else "")
    too_much = isinstance(value, str) and len(value) > _MOST
    if too_much or any(part.tainted for part in made_of) or next(islice(literal.inner(), _MOST, None), None):
        raise NoLiteralError
    return literal


def _joined(left: Literal, right: Literal, line: int) -> Literal:
    if type(left.value) is type(right.value) and type(left.value) in (str, list, tuple):
        return _new(left.value + right.value, line, left, right)
    raise NoLiteralError
