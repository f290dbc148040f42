"""How a setting is declared in the table, and how its value is typed.

A setting is a descriptor: `Settings.stop_grace` is what the table has, `settings.stop_grace` the value of one run, of
the type that the table gives it. So no setting needs a field, a key and a type in three places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar, overload

from sshrun.connection.login import ConnectionSetting, Login
from sshrun.origin import LayerName, Origin, Sourced

DEFAULT = Origin("default")
# The places in the order of their rank; the command line ranks above all of them.
FILES: tuple[LayerName, ...] = ("spec", "script block", "project file", "user file")

# What is accepted: the reader has one method for each.
Kind = Literal[
    "boolean",
    "seconds",
    "size",
    "choice",
    "line",
    "command",
    "archive",
    "remote directory",
    "environment",
    "strings",
    "variables",
    "requirements",
    "directories",
    "ssh config",
    "key file",
    "host name",
    "port",
    "user name",
    "connection",
]

Strings = tuple[Sourced[str], ...]

T = TypeVar("T")


class Variable(NamedTuple):
    """One variable of the job's environment. Its value never shows in a repr. `bare` is one named without a value."""

    name: str
    value: str
    origin: Origin
    bare: bool = False

    def __repr__(self) -> str:
        return f"{self.name}=***"


class InFile:
    """What one file sets, by key; what it does not set is missing. `problems` and `warnings` are lines for the user."""

    def __init__(
        self, values: Mapping[str, Any] | None = None, problems: tuple[str, ...] = (), warnings: tuple[str, ...] = ()
    ) -> None:
        self.values = values or {}
        self.problems = problems
        self.warnings = warnings

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InFile) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.values}, {self.problems}, {self.warnings})"

    def with_lines(self, problems: tuple[str, ...] = (), warnings: tuple[str, ...] = ()) -> Self:
        """The same with lines before its own."""
        return type(self)(self.values, problems + self.problems, warnings + self.warnings)


class InRun:
    """What holds for a run, by key; what nothing sets has its default."""

    def __init__(self, login: Login, values: Mapping[str, Any] | None = None, warnings: tuple[str, ...] = ()) -> None:
        self.login = login
        self.values = values or {}
        self.warnings = warnings

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.login}, {self.values}, {self.warnings})"

    def with_login(self, login: Login) -> Self:
        return type(self)(login, self.values, self.warnings)

    def with_values(self, **values: Any) -> Self:
        """The same with other values for some keys."""
        return type(self)(self.login, {**self.values, **values}, self.warnings)


class Setting:
    """One setting, as the table declares it.

    `text` is one sentence, `more` what else a reader of docs/settings.md should know, `unset` what happens where
    nothing sets it and there is no default, `option` the option that overrides every file, `rank` who wins where that
    is not the usual order. `program` holds the files that count for `sshrun -- PROGRAM`, `mltk` is whether MLTK has it.
    """

    key = ""

    def __init__(
        self,
        kind: Kind,
        text: str,
        *,
        more: str = "",
        unset: str = "",
        example: object = None,
        choices: tuple[str, ...] = (),
        option: str = "",
        rank: str = "",
        program: tuple[LayerName, ...] = (),
        mltk: bool = False,
    ) -> None:
        self.kind, self.text, self.more, self.unset, self.example = kind, text, more, unset, example
        self.choices, self.option, self.rank, self.program, self.mltk = choices, option, rank, program, mltk

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = name


class Single(Setting, Generic[T]):
    """One value, and the highest place that has one wins."""

    @overload
    def __get__(self, values: None, owner: type) -> Single[T]: ...
    @overload
    def __get__(self, values: InFile | InRun, owner: type) -> Sourced[T] | None: ...
    def __get__(self, values: InFile | InRun | None, owner: type) -> Single[T] | Sourced[T] | None:
        return self if values is None else values.values.get(self.key)


class WithDefault(Setting, Generic[T]):
    """The same, with a value where no place has one."""

    def __init__(self, kind: Kind, text: str, default: T, **more: Any) -> None:
        super().__init__(kind, text, **more)
        self.default: Sourced[T] = Sourced(default, DEFAULT)

    @overload
    def __get__(self, values: None, owner: type) -> WithDefault[T]: ...
    @overload
    def __get__(self, values: InFile, owner: type) -> Sourced[T] | None: ...
    @overload
    def __get__(self, values: InRun, owner: type) -> Sourced[T]: ...
    def __get__(self, values: InFile | InRun | None, owner: type) -> WithDefault[T] | Sourced[T] | None:
        if values is None:
            return self
        value: Sourced[T] | None = values.values.get(self.key, self.default if isinstance(values, InRun) else None)
        return value


class Items(Setting):
    """A list; those of all places are put together (schema.in_order)."""

    @overload
    def __get__(self, values: None, owner: type) -> Items: ...
    @overload
    def __get__(self, values: InFile | InRun, owner: type) -> Strings: ...
    def __get__(self, values: InFile | InRun | None, owner: type) -> Items | Strings:
        return self if values is None else values.values.get(self.key, ())


class Variables(Setting):
    """Variables of the job; those of all places are put together, and by name the highest place wins."""

    @overload
    def __get__(self, values: None, owner: type) -> Variables: ...
    @overload
    def __get__(self, values: InFile | InRun, owner: type) -> tuple[Variable, ...]: ...
    def __get__(self, values: InFile | InRun | None, owner: type) -> Variables | tuple[Variable, ...]:
        return self if values is None else values.values.get(self.key, ())


class Group(Setting):
    """Settings of a mapping, declared in a class of their own."""

    def __init__(self, kind: Kind, text: str, members: tuple[Setting, ...], **more: Any) -> None:
        super().__init__(kind, text, **more)
        self.members = members

    @overload
    def __get__(self, values: None, owner: type) -> Group: ...
    @overload
    def __get__(self, values: InFile | InRun, owner: type) -> ConnectionSetting: ...
    def __get__(self, values: InFile | InRun | None, owner: type) -> Group | ConnectionSetting:
        return self if values is None else values.values.get(self.key, ConnectionSetting())


def declared(table: type) -> tuple[Setting, ...]:
    """The settings of a class, in the order of its table."""
    return tuple(setting for setting in vars(table).values() if isinstance(setting, Setting))
