"""What a spec meets when it is run only to learn its settings: stubs for its modules, and nothing that has an effect.

Used by importer.py, in a process of its own. A module that is neither of the standard library nor a file beside the
spec is a stub that accepts anything: every attribute, call, item and operator of it is another one. MLTK's own base
classes answer what MLTK would (mltk/core/model/model.py, mltk/utils/path.py of 0.20.0). An audit hook refuses network,
programs and every change of a file.
"""

from __future__ import annotations

import builtins
import os
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, FrameType, ModuleType
from typing import Any, NoReturn

# Around the name of the stub whose text is not known: it survives formatting, joining and splitting of paths.
_MARK, _END = "\ue000unknown:", "\ue001"
_LONGEST = 60  # characters of a stub's name
# Modules that ask what they are given whether it is this or that, only to put it into an annotation.
_ANNOTATING = ("abc", "dataclasses", "enum", "functools", "inspect", "typing")


class Unknown(BaseException):
    """A setting depends on something that only the real modules know. (No Exception, which a spec may well catch.)"""

    def __init__(self, key: str, line: int, cause: str) -> None:
        super().__init__(cause)
        self.key = key
        self.line = line
        self.cause = cause


class RefusedError(PermissionError):
    """Something with an effect, while only settings are to be learned."""


class Watch:
    """What is noted while the spec runs.

    `places` are (key, first line, last line): lines that decide what a setting is. `notes` are lines of the spec and
    what happened in them that may have made a value wrong. `lines` has where each setting was last assigned.
    """

    def __init__(self, path: str, places: list[tuple[str, int, int]]) -> None:
        self.path = path
        self.places = places
        self.notes: dict[tuple[int, str], None] = {}
        self.lines: dict[str, int] = {}

    def frames(self) -> Iterator[FrameType]:
        """The spec's own part of the call stack, innermost first."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self.path:
                yield frame
            frame = frame.f_back

    def line(self) -> int:
        return next((frame.f_lineno for frame in self.frames()), 0)

    def note(self, text: str) -> None:
        self.notes[self.line(), text] = None

    def guess(self, stub: object, taken_for: str) -> None:
        """Python must have an answer now. Raises Unknown where a setting depends on it."""
        if sys._getframe(2).f_globals.get("__name__") in _ANNOTATING:
            return
        name = name_of(stub)
        for frame in self.frames():
            for key, first, last in self.places:
                if first <= frame.f_lineno <= last:
                    raise Unknown(key, frame.f_lineno, name)
        self.note(f"{name} is not known without its module, and is taken for {taken_for}")


watch = Watch("", [])


def name_of(stub: object) -> str:
    name: str = vars(stub).get("_sshrun_name") or type(stub).__name__
    return name


def unknown_in(text: str) -> str:
    """The name of the stub that is part of a text, or ""."""
    _, mark, rest = text.partition(_MARK)
    return rest.partition(_END)[0] if mark else ""


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


class Operators:
    """All that an object can be asked for, apart from attributes."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and callable(args[0]) and not isinstance(args[0], Operators):
            return args[0]  # a decorator
        return Stub(f"{name_of(self)}()")

    def __getitem__(self, key: Any) -> Any:
        try:
            return vars(self)["_sshrun_items"][key]
        except (KeyError, TypeError):
            return Stub(f"{name_of(self)}[...]")

    def __setitem__(self, key: Any, value: Any) -> None:
        if getattr(key, "__hash__", None):
            vars(self).setdefault("_sshrun_items", {})[key] = value

    def __delitem__(self, key: Any) -> None:
        vars(self).get("_sshrun_items", {}).pop(key, None)

    def __iter__(self) -> Iterator[Any]:
        count = _unpacked(sys._getframe(1))
        if not count:
            watch.guess(self, "empty")
        return iter([Stub(f"{name_of(self)}[{index}]") for index in range(count)])

    def __len__(self) -> int:
        watch.guess(self, "empty")
        return 0

    def __contains__(self, item: Any) -> bool:
        watch.guess(self, "empty")
        return False

    def __bool__(self) -> bool:
        watch.guess(self, "true")
        return True

    def __index__(self) -> int:
        watch.guess(self, "1")
        return 1

    __int__ = __index__

    def __float__(self) -> float:
        watch.guess(self, "1.0")
        return 1.0

    def __str__(self) -> str:
        return f"{_MARK}{name_of(self)}{_END}"

    __repr__ = __fspath__ = __str__

    def __format__(self, style: str) -> str:
        return str(self)

    def __bytes__(self) -> bytes:
        return str(self).encode()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    __hash__ = object.__hash__


def _operator(self: Operators, *_: object) -> Stub:
    return Stub(name_of(self))


_BINARY = ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow", "lshift", "rshift", "and")
_OTHERS = ("neg", "pos", "abs", "invert", "round", "trunc", "floor", "ceil", "lt", "le", "gt", "ge", "eq", "ne")
for _name in (*_BINARY, "or", "xor", *_OTHERS):
    setattr(Operators, f"__{_name}__", _operator)
for _name in (*_BINARY, "or", "xor"):
    setattr(Operators, f"__r{_name}__", _operator)


class Stub(Operators):
    """Something of a module that is not installed. What is assigned to it stays."""

    def __init__(self, name: str) -> None:
        vars(self)["_sshrun_name"] = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."

    def __getattr__(self, name: str) -> Any:
        if _is_special(name) or "_sshrun_name" not in vars(self):
            raise AttributeError(name)
        value = _of_mltk(name_of(self), name) or Stub(f"{name_of(self)}.{name}")
        vars(self)[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        watch.lines[name] = watch.line()
        object.__setattr__(self, name, value)

    def __instancecheck__(self, instance: object) -> bool:
        watch.guess(self, "another type")
        return False

    __subclasscheck__ = __instancecheck__

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        """The class that replaces it where it is a base; one each, and always the same."""
        if "_sshrun_class" not in vars(self):
            vars(self)["_sshrun_class"] = _AnythingMeta(name_of(self).rpartition(".")[2], (Anything,), {})
        return (vars(self)["_sshrun_class"],)


class _AnythingMeta(ABCMeta):
    def __getattr__(cls, name: str) -> Any:
        if _is_special(name) or name.startswith(("ssh_", "_abc_")):
            raise AttributeError(name)
        return Stub(f"{cls.__name__}.{name}")


class Anything(Operators, metaclass=_AnythingMeta):
    """An object of a class that is derived from a stub: it has what its class defines, and anything else too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __init_subclass__(cls, **kwargs: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if _is_special(name) or name.startswith("ssh_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        stub = Stub(f"{type(self).__name__}.{name}")
        vars(self)[name] = stub
        return stub

    def __setattr__(self, name: str, value: Any) -> None:
        watch.lines[name] = watch.line()
        object.__setattr__(self, name, value)

    def __bool__(self) -> bool:
        return True

    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__


def _unpacked(frame: FrameType) -> int:
    """How many values are wanted where Python is about to unpack something (`a, b = STUB`), otherwise 0."""
    from opcode import opmap

    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at + 1] if code[at] in (opmap["UNPACK_SEQUENCE"], opmap["UNPACK_EX"]) else 0


# -- what is known of MLTK


class MltkModel(Anything):
    """What a spec can ask of its model while it is loaded. `test_mode_enabled` is false then even for NAME-test."""

    def __init__(self, model_script_path: str | None = None) -> None:
        vars(self)["_sshrun_path"] = model_script_path or sys._getframe(1).f_code.co_filename

    @property
    def model_specification_path(self) -> str:
        path: str = vars(self).get("_sshrun_path", watch.path)
        return path

    @property
    def name(self) -> str:
        file_name = os.path.basename(self.model_specification_path)
        return file_name.rpartition(".")[0] or file_name

    @property
    def test_mode_enabled(self) -> bool:
        return False

    @property
    def log_dir(self) -> str:
        chosen = vars(self).get("_sshrun_log_dir")
        if not chosen:
            return user_dir(f"models/{self.name}")
        return os.fspath(chosen) if os.path.exists(chosen) else user_dir(base_dir=os.fspath(chosen))

    @log_dir.setter
    def log_dir(self, value: Any) -> None:
        vars(self)["_sshrun_log_dir"] = value

    def create_log_dir(self, suffix: str = "", **_: object) -> str:
        return user_dir(suffix, self.log_dir)

    def _in_logs(self, ending: str) -> str:
        return f"{self.log_dir}/{self.name}{ending}"

    @property
    def h5_log_dir_path(self) -> str:
        return self._in_logs(".h5")

    @property
    def tflite_log_dir_path(self) -> str:
        return self._in_logs(".tflite")

    @property
    def unquantized_tflite_log_dir_path(self) -> str:
        return self._in_logs(".float32.tflite")

    @property
    def archive_path(self) -> str:
        return f"{os.path.dirname(self.model_specification_path)}/{self.name}.mltk.zip"


class SshMixin(Anything):
    """As MLTK's: what is not set is None."""

    ssh_remote_dir = ssh_create_venv = ssh_environment = ssh_startup_cmds = None
    ssh_upload_files = ssh_download_files = ssh_shutdown_cmds = None


def chosen_log_dir(owners: list[Any]) -> str | None:
    """The log directory that the spec has chosen for its model, if it has."""
    values = [vars(owner).get("_sshrun_log_dir") for owner in owners if isinstance(owner, MltkModel)]
    return next((value for value in values if isinstance(value, str) and not unknown_in(value)), None)


def fullpath(path: Any, cwd: Any = None) -> str:
    expanded = os.path.expanduser(os.path.expandvars(path))
    return os.path.abspath(os.path.join(cwd or "", expanded))


def user_dir(suffix: str = "", base_dir: str | None = None) -> str:
    """MLTK's create_user_dir, which makes the directory if it can, and takes another one if it cannot."""
    below = f"/{suffix}" if suffix and not suffix.startswith("/") else suffix
    directory = fullpath((base_dir or os.environ.get("MLTK_CACHE_DIR") or "~/.mltk") + below)
    existing = directory
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    if os.environ.get("MLTK_READONLY") or (os.path.isdir(existing) and os.access(existing, os.W_OK)):
        return directory
    account = os.path.basename(os.path.expanduser("~"))
    return fullpath(os.environ.get("MLTK_TEMP_DIR", f"{_temporary()}/{account}/mltk") + below)


def _temporary() -> str:
    return next(filter(None, map(os.environ.get, ("TMPDIR", "TEMP", "TMP"))), "/tmp")


_OF_MLTK: dict[str, Any] = {
    "MltkModel": MltkModel,
    "SshMixin": SshMixin,
    "fullpath": fullpath,
    "create_user_dir": user_dir,
}
_mltk_values: dict[str, str] = {}


def _of_mltk(parent: str, name: str) -> Any:
    if parent == "mltk" and name in _mltk_values:
        return _mltk_values[name]
    return _OF_MLTK.get(name) if parent.partition(".")[0] == "mltk" else None


# -- modules


class _StubModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return _wanted_by(sys._getframe(1))
        if _is_special(name) and name not in ("__file__", "__version__"):
            raise AttributeError(name)
        value = _of_mltk(self.__name__, name) or Stub(f"{self.__name__}.{name}")
        vars(self)[name] = value
        return value


def _wanted_by(frame: FrameType) -> list[str]:
    """What `from STUB import *` is to define: all names that the importing module uses and has from nowhere else."""
    names: set[str] = set()
    codes = [frame.f_code]
    for code in codes:
        names.update(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    known = {*frame.f_globals, *vars(builtins)}
    return [name for name in names if name not in known and not _is_special(name)]


class _StubFinder:
    """Whatever is found nowhere else. A part that a real package lacks stays missing."""

    def __init__(self, package: str = "") -> None:
        self.package = package

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        root, dot, _below = name.partition(".")
        if self.package and root != self.package:
            return None
        parent = sys.modules.get(name.rpartition(".")[0])
        if dot and not isinstance(parent, _StubModule):
            return None
        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StubModule(spec.name)

    def exec_module(self, module: ModuleType) -> None: ...


class _MixinFinder:
    """`import sshrun` defines what it defines on a host: the mixin alone."""

    def __init__(self, path: str) -> None:
        self.path = path

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        return ModuleSpec(name, self, origin=self.path) if name == "sshrun" else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return ModuleType(f"{spec.name}.mixin")  # as "sshrun" it would import one that is installed

    def exec_module(self, module: ModuleType) -> None:
        with open(self.path, "rb") as file:
            exec(compile(file.read(), self.path, "exec", dont_inherit=True), vars(module))


class _LocalFinder:
    """The standard library and what lies beside the spec. A directory without any Python is no package: of data."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(name, path, target)
        if found is not None and name == "tempfile" and found.origin:
            found.loader = _TempfileLoader(name, found.origin)
        if found is None or found.has_location or found.loader is not None:
            return found
        return found if any(map(_holds_python, found.submodule_search_locations or ())) else None


class _TempfileLoader(SourceFileLoader):
    """The directory for temporary files is named; Python would find one by writing into it."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        vars(module)["tempdir"] = _temporary()


def _holds_python(directory: str) -> bool:
    return any(name.endswith(".py") for _, _, names in os.walk(directory) for name in names)


def replace_modules(mixin: str, mltk: dict[str, str]) -> None:
    """From now on imports find stubs; `mltk` holds what is known of an installed MLTK."""
    _mltk_values.update(mltk)
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # of the site module, which is not loaded
    builtin_and_frozen = [finder for finder in sys.meta_path if finder is not PathFinder]
    own: Iterable[Any] = (_MixinFinder(mixin), _StubFinder("mltk"), *builtin_and_frozen, _LocalFinder(), _StubFinder())
    sys.meta_path[:] = own


# -- effects

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PROGRAM, _NETWORK, _CHANGE = "starts no program", "opens no connection", "changes no file"
_FAMILIES = {"socket": _NETWORK, "subprocess": _PROGRAM, "ctypes": _PROGRAM, "pty": _PROGRAM, "sqlite3": _CHANGE}
# Python's audit events, https://docs.python.org/3/library/audit_events.html
_EVENTS = {
    **dict.fromkeys(("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"), _PROGRAM),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), "ends no process"),
    **dict.fromkeys(("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink"), _CHANGE),
    **dict.fromkeys(("os.truncate", "os.chmod", "os.chown", "os.chflags", "os.utime"), _CHANGE),
    **dict.fromkeys(("os.setxattr", "os.removexattr", "shutil.chown", "shutil.rmtree", "syslog.syslog"), _CHANGE),
}


def refuse_effects() -> None:
    """From now on, and for good, whatever has an effect outside of this process raises RefusedError."""
    import _posixsubprocess
    import posix

    sys.addaudithook(_audit)
    # What raises no audit event.
    _posixsubprocess.fork_exec = _refusing("fork_exec", _PROGRAM)
    for module in (os, posix):
        for name in ("mkfifo", "mknod"):
            setattr(module, name, _refusing(f"os.{name}", _CHANGE))


def _audit(event: str, args: tuple[Any, ...]) -> None:
    family = event.partition(".")[0]
    if event == "open":
        path, _, flags = args
        is_write = isinstance(flags, int) and flags & _WRITING and not isinstance(path, int)
        if is_write and path not in (os.devnull, os.devnull.encode()):
            _refuse("open", _CHANGE)
    elif event in _EVENTS:
        _refuse(event, _EVENTS[event])
    elif family in _FAMILIES and event != "socket.gethostname" and (event, args) != ("ctypes.dlopen", (None,)):
        _refuse(event, _FAMILIES[family])


def _refusing(event: str, rule: str) -> Callable[..., NoReturn]:
    def refused(*_: object, **__: object) -> NoReturn:
        _refuse(event, rule)

    return refused


def _refuse(event: str, rule: str) -> NoReturn:
    watch.note(f"{event} was refused: reading settings {rule}")
    raise RefusedError(f"{event} is refused: reading settings {rule}")
