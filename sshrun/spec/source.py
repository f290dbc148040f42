"""Reads the settings of a spec from its syntax tree, without running it.

Assignments at the top of the module are followed as Python would, as long as they are made of literals: lists and
dictionaries keep their identity, so `FILES += [...]` is seen through every name that FILES has. Whatever else touches a
setting is noted in `unread`: then only running the spec shows it.
"""

from __future__ import annotations

import _ast as syntax  # the classes alone: ast itself costs an import of several milliseconds
from typing import NamedTuple

from sshrun.settings.reader import Node
from sshrun.settings.table import KEYS, LISTS, MLTK_KEYS, USER_KEYS
from sshrun.spec.literals import Evaluator, Literal, NoLiteralError, extended
from sshrun.spec.syntax_tree import (
    MUTATORS,
    Scope,
    asks_whether_script,
    children,
    deciding_lines,
    last_name,
    outer_names_changed,
    walk,
)
from sshrun.spelling import near_miss

_PREFIX = "ssh_"
_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST
# Calls that leave the lists and dictionaries given to them as they are.
_READERS = frozenset(
    ("print", "len", "sorted", "list", "tuple", "dict", "set", "str", "repr", "any", "all", "enumerate", "zip", "range")
)


class SpecSource(NamedTuple):
    """What the syntax tree shows.

    `settings` is a mapping with the names of attributes less `ssh_`. `objects` names what holds settings, `lines` the
    line that sets each. `problems` and `unread` are lines (number, attribute, text); with `unread`, only running the
    spec shows what the settings are. `places` are (setting, first line, last line): the statements that assign what is
    unread, and the conditions that they depend on. `expected` are the settings that have no effect unless running the
    spec sets them: neither a function that may not be called nor a condition comes before them, other than that the
    spec be run as a script.
    """

    settings: Node
    objects: tuple[str, ...]
    lines: dict[str, int]
    modules: frozenset[str]
    log_dir: str | None
    problems: tuple[tuple[int, str, str], ...]
    warnings: tuple[tuple[int, str, str], ...]
    unread: tuple[tuple[int, str, str], ...]
    places: tuple[tuple[str, int, int], ...] = ()
    expected: frozenset[str] = frozenset()


def read_source(source: bytes, name: str) -> SpecSource:
    """Reads a spec. Raises SyntaxError, and ValueError where it is no text or too deeply nested for Python."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Python warns of in "\d" is for those who run the script
        try:
            tree = compile(source, name, "exec", _ONLY_AST, dont_inherit=True)
        except (RecursionError, MemoryError) as error:
            raise ValueError("is too deeply nested to be read") from error
    reader = _SourceReader(source)
    try:
        reader.read(tree)
    except RecursionError as error:
        raise ValueError("is too deeply nested to be read") from error
    return reader.result()


class _SourceReader:
    def __init__(self, source: bytes) -> None:
        # Most scripts that are run have none of these, and are not read any further.
        self.has_settings = any(word in source for word in (_PREFIX.encode(), b"SshMixin", b"log_dir"))
        self.names: dict[str, Literal] = {}
        self.settings: dict[str, Literal] = {}
        self.evaluator = Evaluator(source, self.names, self._current)
        self.assigned: dict[str, int] = {}
        self.objects: dict[str, None] = {}
        self.mixin_classes = {"SshMixin"}
        self.mixin_objects: set[str] = set()
        self.mltk_classes = {"MltkModel"}
        self.mltk_objects: set[str] = set()
        self.modules: set[str] = set()
        self.imported: set[str] = set()
        self.log_dir: str | None = None
        self.changed_in_functions: set[str] = set()
        self.problems: list[tuple[int, str, str]] = []
        self.warnings: list[tuple[int, str, str]] = []
        self.unread: list[tuple[int, str, str]] = []
        self.enclosing: list[tuple[int, int]] = []  # the statement that is read, and the conditions above it
        self.places: dict[tuple[str, int, int], None] = {}
        self.expected: set[str] = set()
        self.as_script = 0  # how many `if __name__ == ...` enclose what is read

    def read(self, tree: syntax.Module) -> None:
        if self.has_settings:
            for node in walk(tree):
                if isinstance(node, Scope):
                    self.changed_in_functions |= outer_names_changed(node)
        for statement in tree.body:
            self._statement(statement)

    def result(self) -> SpecSource:
        for key, literal in self.settings.items():
            tainted = next((part.tainted for part in literal.inner() if part.tainted), 0)
            if tainted:
                self._unread(tainted, key, "is changed in a way that only running the script shows")
        entries = tuple(
            (key, literal.node()._replace(line=self.assigned[key])) for key, literal in self.settings.items()
        )
        return SpecSource(
            settings=Node("mapping", entries=entries),
            objects=tuple(self.objects),
            lines=dict(self.assigned),
            modules=frozenset(self.modules),
            log_dir=self.log_dir,
            problems=tuple(sorted(self.problems)),
            warnings=tuple(sorted(self.warnings)),
            unread=tuple(sorted(set(self.unread))),
            places=tuple(self.places),
            expected=frozenset(self.expected),
        )

    def _unread(self, line: int, key: str, text: str) -> None:
        self.assigned.setdefault(key, line)
        self.unread.append((line, _PREFIX + key, text))
        self.places.update({(key, first, last): None for first, last in [(line, line), *self.enclosing]})

    # -- statements of the module itself

    def _statement(self, statement: syntax.stmt) -> None:
        deciding = deciding_lines(statement)
        self.enclosing += deciding
        self._read_statement(statement)
        del self.enclosing[len(self.enclosing) - len(deciding) :]

    def _read_statement(self, statement: syntax.stmt) -> None:
        if isinstance(statement, syntax.Import | syntax.ImportFrom):
            self._import(statement)
        elif not self.has_settings:
            self._imports_within(statement)
        elif isinstance(statement, syntax.Assign):
            self._assign(statement.targets, statement.value)
        elif isinstance(statement, syntax.AnnAssign):
            if statement.value is not None:
                self._assign([statement.target], statement.value)
        elif isinstance(statement, syntax.AugAssign) and isinstance(statement.op, syntax.Add):
            self._extend(statement)
        elif isinstance(statement, syntax.ClassDef):
            self._class(statement)
        else:
            self._imports_within(statement)
            self._scan(statement)

    def _import(self, statement: syntax.Import | syntax.ImportFrom) -> None:
        if isinstance(statement, syntax.ImportFrom):
            if statement.level == 0 and statement.module:
                self.modules.add(statement.module.partition(".")[0])
        else:
            self.modules.update(alias.name.partition(".")[0] for alias in statement.names)
        for alias in statement.names:
            if alias.name == "*":
                self.names.clear()
            name = (alias.asname or alias.name).partition(".")[0]
            self.names.pop(name, None)
            self.imported.add(name)

    def _imports_within(self, statement: syntax.stmt) -> None:
        """Imports under `if` and `try` count as well; those in functions do not."""
        for node in walk(statement, into_functions=False):
            if isinstance(node, syntax.Import | syntax.ImportFrom):
                self._import(node)

    def _class(self, statement: syntax.ClassDef) -> None:
        if any(last_name(base) in self.mixin_classes for base in statement.bases):
            self.mixin_classes.add(statement.name)
        if any(last_name(base) in self.mltk_classes for base in statement.bases):
            self.mltk_classes.add(statement.name)
        self.names.pop(statement.name, None)
        for member in statement.body:
            targets: list[syntax.expr] = []
            if isinstance(member, syntax.Assign):
                targets = member.targets
            elif isinstance(member, syntax.AnnAssign) and member.value is not None:
                targets = [member.target]
            for target in targets:
                name = target.id if isinstance(target, syntax.Name) else ""
                if name.startswith(_PREFIX) and name.removeprefix(_PREFIX) in KEYS:
                    self._unread(target.lineno, name.removeprefix(_PREFIX), "is set in a class")
        self._scan(statement)

    def _assign(self, targets: list[syntax.expr], value: syntax.expr) -> None:
        literal: Literal | None = None
        try:
            literal = self.evaluator.value(value)
        except NoLiteralError:
            self._scan(value)
            self._taint(value, value.lineno)  # from now on it has a second name
        for target in targets:
            if isinstance(target, syntax.Name):
                self._bind(target.id, literal, value)
            elif isinstance(target, syntax.Attribute) and isinstance(target.value, syntax.Name):
                self._attribute(target.value.id, target.attr, literal, target.lineno)
            else:
                self._scan(target)

    def _bind(self, name: str, literal: Literal | None, value: syntax.expr) -> None:
        self.names.pop(name, None)
        self.imported.discard(name)
        if literal is not None:
            if name in self.changed_in_functions:
                literal.taint(literal.line)
            else:
                self.names[name] = literal
        for classes, objects in ((self.mixin_classes, self.mixin_objects), (self.mltk_classes, self.mltk_objects)):
            is_one = isinstance(value, syntax.Call) and last_name(value.func) in classes
            if is_one or (isinstance(value, syntax.Name) and value.id in objects):
                objects.add(name)
            else:
                objects.discard(name)

    def _attribute(self, owner: str, attribute: str, literal: Literal | None, line: int) -> None:
        if attribute == "log_dir":
            self.log_dir = literal.value if literal and isinstance(literal.value, str) else None
        if attribute in KEYS and owner in self.mixin_objects:
            self.warnings.append((line, attribute, f"unknown setting; do you mean {_PREFIX}{attribute}?"))
        if self._is_setting(owner, attribute, line):
            self._warn_of_mltk(owner, attribute, line)
            self._set(owner, attribute.removeprefix(_PREFIX), literal, line)

    def _warn_of_mltk(self, owner: str, attribute: str, line: int) -> None:
        # Any attribute that MLTK's SshMixin lacks (core/model/model.py, __setattr__).
        if owner in self.mltk_objects and attribute.removeprefix(_PREFIX) not in MLTK_KEYS:
            advice = "write it in the class, or in [tool.sshrun] of pyproject.toml"
            self.warnings.append((line, attribute, f"MLTK's models refuse this attribute, and the job fails; {advice}"))

    def _is_setting(self, owner: str, attribute: str, line: int) -> bool:
        """Whether an attribute is a setting. One that was meant to be one is a problem."""
        if not attribute.startswith(_PREFIX):
            return False
        key = attribute.removeprefix(_PREFIX)
        if key in KEYS:
            return True
        known = [_PREFIX + name for name in KEYS]
        guess = near_miss(attribute, known)
        if owner in self.mixin_objects and key in USER_KEYS:
            self.problems.append((line, attribute, "counts in the user file only: move it there"))
        elif guess:
            self.problems.append((line, attribute, f"unknown setting; do you mean {guess}?"))
        elif owner in self.mixin_objects:
            self.problems.append((line, attribute, f"unknown setting; known are {', '.join(known)}"))
        return False

    def _extend(self, statement: syntax.AugAssign) -> None:
        target = statement.target
        if isinstance(target, syntax.Name):
            before = self.names.get(target.id)
            after = self._sum(before, statement)
            if after:
                self.names[target.id] = after
            elif before:
                before.taint(target.lineno)
                del self.names[target.id]
        elif isinstance(target, syntax.Attribute) and isinstance(target.value, syntax.Name):
            if not self._is_setting(target.value.id, target.attr, target.lineno):
                return
            key = target.attr.removeprefix(_PREFIX)
            before = self.settings.get(key)
            # An object of another module may have some already.
            if before is None and key in LISTS and target.value.id not in self.imported:
                before = Literal([], target.lineno)
            self._set(target.value.id, key, self._sum(before, statement), target.lineno)
        else:
            self._scan(statement)

    def _sum(self, before: Literal | None, statement: syntax.AugAssign) -> Literal | None:
        try:
            addition = self.evaluator.value(statement.value)
            return extended(before, addition, statement.lineno) if before else None
        except NoLiteralError:
            self._scan(statement.value)
            return None

    def _set(self, owner: str, key: str, literal: Literal | None, line: int) -> None:
        self.objects[owner] = None
        if literal is None:
            self._unread(line, key, "is not a literal")
            self.expected.add(key)
        else:
            self.assigned[key] = line
            self.settings[key] = literal

    def _current(self, owner: str, attribute: str) -> Literal | None:
        is_ours = owner in self.objects and attribute.startswith(_PREFIX)
        return self.settings.get(attribute.removeprefix(_PREFIX)) if is_ours else None

    # -- everything else: what might it change?

    def _scan(self, root: syntax.AST, *, in_function: bool = False) -> None:
        if isinstance(root, Scope):
            in_function = True
        if isinstance(root, syntax.Attribute):
            self._scan_attribute(root, in_function=in_function)
        elif isinstance(root, syntax.Name) and not isinstance(root.ctx, syntax.Load) and not in_function:
            self.names.pop(root.id, None)
        elif isinstance(root, syntax.FunctionDef | syntax.AsyncFunctionDef | syntax.ClassDef):
            self.names.pop(root.name, None)
        elif isinstance(root, syntax.Call):
            self._scan_call(root, in_function=in_function)
        elif isinstance(root, syntax.Subscript) and not isinstance(root.ctx, syntax.Load):
            self._taint(root.value, root.lineno)
        elif isinstance(root, syntax.AugAssign):
            self._taint(root.target, root.lineno)
        elif isinstance(root, syntax.Assign | syntax.AnnAssign | syntax.NamedExpr) and root.value is not None:
            self._taint(root.value, root.lineno)  # from now on it has a second name
        deciding = deciding_lines(root)
        self.enclosing += deciding
        self.as_script += asks_whether_script(root)
        for child in children(root):
            self._scan(child, in_function=in_function)
        self.as_script -= asks_whether_script(root)
        del self.enclosing[len(self.enclosing) - len(deciding) :]

    def _scan_attribute(self, attribute: syntax.Attribute, *, in_function: bool) -> None:
        if isinstance(attribute.ctx, syntax.Load):
            return
        key = attribute.attr.removeprefix(_PREFIX)
        owner = attribute.value.id if isinstance(attribute.value, syntax.Name) else ""
        if attribute.attr.startswith(_PREFIX) and key in KEYS:
            if owner and not in_function:
                self.objects[owner] = None
            where = "in a function" if in_function else "where only running the script shows whether it is"
            self._unread(attribute.lineno, key, f"is set {where}")
            if self.as_script:
                self.expected.add(key)
        elif not in_function:
            self._is_setting(owner, attribute.attr, attribute.lineno)

    def _scan_call(self, call: syntax.Call, *, in_function: bool) -> None:
        if isinstance(call.func, syntax.Attribute) and call.func.attr in MUTATORS:
            self._taint(call.func.value, call.lineno)
        called = last_name(call.func)
        if called == "setattr" and len(call.args) > 1:
            for part in walk(call.args[1]):
                name = part.value if isinstance(part, syntax.Constant) and isinstance(part.value, str) else ""
                if name.startswith(_PREFIX):
                    key = name.removeprefix(_PREFIX)
                    for possible in (key,) if key in KEYS else KEYS if key == "" else ():
                        self._unread(call.lineno, possible, "is set by setattr")
        elif called not in _READERS and not in_function:
            for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
                self._taint(argument, call.lineno)

    def _taint(self, expression: syntax.expr, line: int) -> None:
        """Notes that a list or dictionary may change from now on."""
        if isinstance(expression, syntax.Name) and expression.id in self.names:
            self.names[expression.id].taint(line)
        elif isinstance(expression, syntax.Attribute) and expression.attr.startswith(_PREFIX):
            key = expression.attr.removeprefix(_PREFIX)
            if key in (*LISTS, "environment"):
                self._unread(line, key, "is changed in a way that only running the script shows")
