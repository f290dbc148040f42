"""Reads the command line: our own options among words that belong to somebody else's program.

argparse is not used: it abbreviates, it cannot leave unknown options in their place, and importing it takes longer than
a connection to an open master.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sshrun.command_line import MODEL, OF_COMMANDS, OPTIONS, REFUSED, RUN, VERBS, Option, Verb, verb_named
from sshrun.errors import UsageError


class Arguments(NamedTuple):
    """The command line, sorted. `verb` is "model", "program", "resume" or one of VERBS; `words` is what is left for it.

    `doubtful` are words passed on to the command that look like a mistyped option of ours. The last fields are options
    of single verbs.
    """

    verb: str = ""
    words: tuple[str, ...] = ()
    host: str | None = None
    port: str | None = None
    identity: str | None = None
    wait: bool = True
    resume: bool = False
    force: bool = False
    project: bool | None = None
    clean: bool = False
    sandbox: bool = False
    dry_run: bool = False
    import_spec: bool = False
    json: bool = False
    verbose: bool = False
    quiet: bool = False
    help: bool = False
    version: bool = False
    env: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    module: str | None = None
    follow: bool = False
    lines: str | None = None
    everything: bool = False
    key_type: str | None = None
    key_bits: str | None = None
    key_directory: str | None = None
    passphrase: bool = False


_BY_NAME = {name: option for option in OPTIONS for name in option.names}
_SEE = "see: sshrun --help"


def parse(argv: Iterable[str]) -> Arguments:
    """Sorts the words after `sshrun`. Raises UsageError."""
    sorter = Sorter()
    for word in argv:
        sorter.take(word)
    if sorter.awaiting and sorter.awaiting.last:
        raise _no_module()
    if sorter.awaiting:
        raise UsageError(f"{sorter.awaited_by} needs a value", _SEE)
    verb, words, doubtful = sorter.verb, tuple(sorter.words), tuple(sorter.doubtful)
    return _checked(Arguments(verb=verb, words=words, doubtful=doubtful, **sorter.found))  # type: ignore[arg-type]


class Sorter:
    """Takes the words of a command line one by one; what it knows in between is what completion in a shell needs.

    `awaiting` is the option whose value the next word is, as `awaited_by`. `foreign` is whether what comes now belongs
    to somebody else's program.
    """

    def __init__(self) -> None:
        self.verb = ""
        self.words: list[str] = []
        self.found: dict[str, object] = {}
        self.doubtful: list[str] = []
        self.awaiting: Option | None = None
        self.awaited_by = ""
        self.foreign = False

    @property
    def own_verb(self) -> Verb | None:
        """One of VERBS; None where COMMAND is a model's, or nothing yet."""
        return verb_named(self.verb)

    def take(self, word: str) -> None:
        """Raises UsageError for what is not allowed in this place, and has then not taken it."""
        if self.foreign:
            self.words.append(word)
        elif self.awaiting:
            self._set(self.awaiting, word)
            self.awaiting = None
        elif word == "--":
            self.verb = self.verb or "program"
            self.foreign = True
        elif word.startswith("-") and word != "-":
            self._take_option(word)
        elif not self.verb:
            self.verb = word
        else:
            self.words.append(word)
            self.foreign = self.verb == "run"  # from SCRIPT on every word is the script's

    def _take_option(self, word: str) -> None:
        name, equals, value = word.partition("=")
        verb = self.own_verb
        option = _option(name, verb.options if verb else ())
        # -p=3 behind MODEL may well mean something to the command.
        if option is None or (equals and name in _BY_NAME and not name.startswith("--")):
            if verb or not self.verb:
                raise _unknown_option(word, verb.options if verb else ())
            if near := _near_miss(name):
                self.doubtful.append(f"{word} goes to the command; if you mean ours, it is {near}")
            self.words.append(word)
        elif option.value and not equals:
            self.awaiting, self.awaited_by = option, name
        elif option.value:
            self._set(option, value)
        elif equals:
            raise UsageError(f"{name} takes no value", _SEE)
        elif self.found.get(option.key, option.state) != option.state:
            raise UsageError(f"{_names_of(option.key)} exclude each other", "leave one of them out")
        else:
            self.found[option.key] = option.state

    def _set(self, option: Option, value: str) -> None:
        self.foreign = option.last
        if option.repeatable:
            self.found[option.key] = (*self.found.get(option.key, ()), value)  # type: ignore[misc]
        else:
            self.found[option.key] = value


def _option(name: str, of_verb: Iterable[Option]) -> Option | None:
    return _BY_NAME.get(name) or next((option for option in of_verb if name in option.names), None)


def _names_of(key: str) -> str:
    return " and ".join(option.names[0] for option in OPTIONS if option.key == key)


def _unknown_option(word: str, of_verb: Iterable[Option]) -> UsageError:
    name = word.partition("=")[0]
    if name in REFUSED:
        return UsageError(f"{name} is no option of sshrun", REFUSED[name])  # its value is nobody's business
    if _option(name[:2], of_verb) in [option for option in of_verb if option.last]:  # python itself takes -mMODULE
        return UsageError(f"{name[:2]} and its value are two words", f"sshrun run {name[:2]} {word[2:]}")
    known = (*_BY_NAME, *(name for option in of_verb for name in option.names))
    return UsageError(f"unknown option {word}{_nearest(word, known)}", _SEE)


def _checked(arguments: Arguments) -> Arguments:
    if arguments.help or arguments.version:
        return arguments
    if not arguments.verb and arguments.resume:
        arguments = arguments._replace(verb="resume")
    if not arguments.verb:
        raise UsageError("no command given", _SEE)
    own = verb_named(arguments.verb)
    if arguments.words and (arguments.verb == "resume" or (own and not own.words)):
        raise UsageError(f"sshrun {arguments.verb} takes no {arguments.words[0]!r}", "a host is named with --host HOST")
    if arguments.dry_run and (arguments.verb == "resume" or (own and RUN not in own.scopes)):
        raise UsageError(f"--dry-run shows a run, and {arguments.verb} is none", "sshrun --dry-run COMMAND MODEL")
    if own is None and arguments.verb not in ("program", "resume"):
        if not arguments.words:
            near = _nearest(arguments.verb, [verb.name for verb in VERBS])
            lack = f"no model is named{near}" if near else "which model?"
            raise UsageError(f"sshrun {arguments.verb}: {lack}", f"sshrun {arguments.verb} MODEL; see: sshrun --help")
        arguments = arguments._replace(verb="model", words=(arguments.verb, *arguments.words))
    if arguments.module is not None:
        _check_module(arguments.module, arguments.words)
    elif arguments.verb == "run" and not arguments.words:
        raise UsageError("sshrun run: which script?", "sshrun run SCRIPT")
    if arguments.verb == "program" and not arguments.words:
        raise UsageError("sshrun --: which program?", "sshrun -- PROGRAM")
    if arguments.resume and arguments.force:
        raise UsageError("--resume and --force exclude each other", "--resume attaches, --force discards")
    if arguments.import_spec and arguments.dry_run:
        raise UsageError("--import-spec and --dry-run exclude each other", "a dry run runs nothing that has an effect")
    if arguments.import_spec and arguments.verb != MODEL:
        raise UsageError("--import-spec is about the file of a model", "sshrun --import-spec COMMAND MODEL")
    if arguments.verbose and arguments.quiet:
        raise UsageError("-v and -q exclude each other", "leave one of them out")
    for option, value in (("--host", arguments.host), ("--port", arguments.port), ("-i", arguments.identity)):
        if arguments.sandbox and value is not None:
            raise UsageError(f"--sandbox and {option} exclude each other", "the sandbox is a host of its own")
    return arguments


def _check_module(module: str, args: Iterable[str]) -> None:
    """Python's own words about a path come from the host, and after an upload."""
    import os
    import shlex

    if module in ("", "--") or module.startswith("-"):
        raise _no_module()
    if os.sep in module or module.endswith((".py", ".sh", ".ipynb")) or module in (".", ".."):
        is_file = module.endswith((".py", ".sh", ".ipynb")) or os.path.isfile(module)
        dotted = os.path.normpath(module).replace(os.sep, ".").strip(".")
        words = [module] if is_file else ["-m", dotted or "MODULE"]
        raise UsageError(
            f"-m takes the name of a module, and {module} is a path", f"sshrun run {shlex.join([*words, *args])}"
        )


def _no_module() -> UsageError:
    return UsageError("sshrun run -m: which module?", "sshrun run -m MODULE")


def _near_miss(name: str) -> str:
    from sshrun.spelling import near_miss

    if name in OF_COMMANDS or not name.startswith("--"):
        return ""
    return near_miss(name, [option for option in _BY_NAME if option.startswith("--")])


def _nearest(word: str, names: Iterable[str]) -> str:
    """`; did you mean …?` where a name is one or two letters away."""
    from sshrun.spelling import nearest

    near = nearest(word.partition("=")[0], tuple(names))
    return f"; did you mean {near}?" if near else ""
