"""Reads the command line: our own options among words that belong to somebody else's program.

argparse is not used: it abbreviates, it cannot leave unknown options in their place, and importing it takes longer than
a connection to an open master.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sshrun.errors import UsageError


class Arguments(NamedTuple):
    """The command line, sorted. `verb` is "model", "run", "program" or one of VERBS; `words` is what is left for it.

    `doubtful` are words passed on to the command that look like a mistyped option of ours.
    """

    verb: str = ""
    words: tuple[str, ...] = ()
    host: str | None = None
    port: str | None = None
    identity: str | None = None
    wait: bool = True
    resume: bool = False
    force: bool = False
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


# What each option sets: a value that follows it, or one that it stands for.
WITH_VALUE = {
    "-h": "host", "--host": "host",
    "-p": "port", "--port": "port",
    "-i": "identity", "--identity_file": "identity", "--identity-file": "identity",
    "--env": "env",
}  # fmt: skip
FLAGS: dict[str, tuple[str, bool]] = {
    "--wait": ("wait", True),
    "--no-wait": ("wait", False),
    "--resume": ("resume", True),
    "--force": ("force", True),
    "--clean": ("clean", True),
    "--sandbox": ("sandbox", True),
    "--dry-run": ("dry_run", True),
    "--import-spec": ("import_spec", True),
    "--json": ("json", True),
    "-v": ("verbose", True),
    "--verbose": ("verbose", True),
    "-q": ("quiet", True),
    "--quiet": ("quiet", True),
    "--help": ("help", True),
    "--version": ("version", True),
}
REPEATABLE = ("env",)  # keys
OPTIONS = (*WITH_VALUE, *FLAGS)
# Options of `mltk ssh` that are not ours, and what does the same here.
REFUSED = {"--password": "log in with a key: sshrun ssh-keygen NAME"}
# Options of many commands, MLTK's among them, that look like one of ours and are none.
OF_COMMANDS = ("--test", "--post", "--list")

# Verbs of our own, with the options that are theirs alone: True where a value follows.
VERBS: dict[str, dict[str, bool]] = {
    "status": {},
    "logs": {"-f": False, "-n": True},
    "stop": {},
    "retrieve": {"--all": False},
    "jobs": {},
    "doctor": {},
    "sandbox": {},
    "ssh-keygen": {
        "-t": True, "--type": True, "-b": True, "-l": True, "--length": True, "-o": True, "--output": True,
        "--passphrase": False,
    },
}  # fmt: skip
WORDLESS = ("status", "stop", "retrieve", "jobs", "sandbox", "resume")


def parse(argv: Iterable[str]) -> Arguments:
    """Sorts the words behind `sshrun`. Raises UsageError."""
    words = list(argv)
    found: dict[str, object] = {}
    rest: list[str] = []
    doubtful: list[str] = []
    verb = ""
    while words:
        word = words.pop(0)
        if word == "--":
            if verb:
                rest += words
            else:
                verb, rest = "program", words
            break
        if _ours(word, words, found):
            continue
        if not verb:
            if word.startswith("-") and word != "-":
                raise _unknown_option(word)
            verb = word
            if verb == "run":
                # Our options may stand before SCRIPT; from there on every word is the script's.
                while words and words[0] != "--" and words[0].startswith("-"):
                    option = words.pop(0)
                    if not _ours(option, words, found):
                        raise _unknown_option(option)
                rest = words[1:] if words[:1] == ["--"] else words
                break
            continue
        if verb in VERBS and word.startswith("-") and word != "-":
            _verb_option(verb, word, words, rest)
            continue
        if verb not in VERBS and word.startswith("--") and (near := _near_miss(word)):
            doubtful.append(f"{word} goes to the command; if you mean ours, it is {near}")
        rest.append(word)
    arguments = Arguments(verb=verb, words=tuple(rest), doubtful=tuple(doubtful), **found)  # type: ignore[arg-type]
    return _checked(arguments)


def _unknown_option(word: str) -> UsageError:
    name = word.partition("=")[0]
    if name in REFUSED:
        return UsageError(f"{name} is no option of sshrun", REFUSED[name])  # its value is nobody's business
    return UsageError(f"unknown option {word}{_nearest(word, OPTIONS)}", "see: sshrun --help")


def _ours(word: str, words: list[str], found: dict[str, object]) -> bool:
    """Takes one of our options, and its value from `words`, if `word` is one."""
    name, equals, value = word.partition("=")
    if word in FLAGS:
        key, state = FLAGS[word]
        if key == "wait" and found.get("wait", state) != state:
            raise UsageError("--wait and --no-wait exclude each other", "leave one of them out")
        found[key] = state
        return True
    if name in FLAGS and equals:
        raise UsageError(f"{name} takes no value", "see: sshrun --help")
    if equals and name in WITH_VALUE and name.startswith("--"):
        _take_value(WITH_VALUE[name], value, found)
        return True
    if word in WITH_VALUE:
        if not words:
            raise UsageError(f"{word} needs a value", "see: sshrun --help")
        _take_value(WITH_VALUE[word], words.pop(0), found)
        return True
    return False


def _take_value(key: str, value: str, found: dict[str, object]) -> None:
    if key in REPEATABLE:
        found[key] = (*found.get(key, ()), value)  # type: ignore[misc]
    else:
        found[key] = value


def _verb_option(verb: str, word: str, words: list[str], rest: list[str]) -> None:
    options = VERBS[verb]
    name, equals, value = word.partition("=")
    if name not in options:
        raise UsageError(f"unknown option {word}{_nearest(word, (*OPTIONS, *options))}", "see: sshrun --help")
    rest.append(name)
    if options[name]:
        if not equals and not words:
            raise UsageError(f"{name} needs a value", "see: sshrun --help")
        rest.append(value if equals else words.pop(0))


def _checked(arguments: Arguments) -> Arguments:
    if arguments.help or arguments.version:
        return arguments
    if not arguments.verb and arguments.resume:
        arguments = arguments._replace(verb="resume")
    if not arguments.verb:
        raise UsageError("no command given", "see: sshrun --help")
    surplus = [word for word in arguments.words if word not in VERBS.get(arguments.verb, ())]
    if arguments.verb in WORDLESS and surplus:
        raise UsageError(f"sshrun {arguments.verb} takes no {surplus[0]!r}", "a host is named with --host HOST")
    if arguments.verb in (*VERBS, "resume") and arguments.dry_run:
        raise UsageError(f"--dry-run shows a run, and {arguments.verb} is none", "sshrun --dry-run COMMAND MODEL")
    if arguments.verb not in (*VERBS, "run", "program", "resume"):
        if not arguments.words:
            near = _nearest(arguments.verb, (*VERBS, "run"))
            lack = f"no model is named{near}" if near else "which model?"
            raise UsageError(f"sshrun {arguments.verb}: {lack}", f"sshrun {arguments.verb} MODEL; see: sshrun --help")
        arguments = arguments._replace(verb="model", words=(arguments.verb, *arguments.words))
    if arguments.verb == "run" and not arguments.words:
        raise UsageError("sshrun run: which script?", "sshrun run SCRIPT")
    if arguments.verb == "program" and not arguments.words:
        raise UsageError("sshrun --: which program?", "sshrun -- PROGRAM")
    if arguments.resume and arguments.force:
        raise UsageError("--resume and --force exclude each other", "--resume attaches, --force discards")
    if arguments.import_spec and arguments.dry_run:
        raise UsageError("--import-spec and --dry-run exclude each other", "a dry run runs nothing that has an effect")
    if arguments.import_spec and arguments.verb != "model":
        raise UsageError("--import-spec is about the file of a model", "sshrun --import-spec COMMAND MODEL")
    if arguments.verbose and arguments.quiet:
        raise UsageError("-v and -q exclude each other", "leave one of them out")
    for option, value in (("--host", arguments.host), ("--port", arguments.port), ("-i", arguments.identity)):
        if arguments.sandbox and value is not None:
            raise UsageError(f"--sandbox and {option} exclude each other", "the sandbox is a host of its own")
    return arguments


def _near_miss(word: str) -> str:
    from sshrun.spelling import near_miss

    if word.partition("=")[0] in OF_COMMANDS:
        return ""
    return near_miss(word.partition("=")[0], [option for option in OPTIONS if option.startswith("--")])


def _nearest(word: str, names: Iterable[str]) -> str:
    """`; did you mean …?` where a name is one or two letters away."""
    from sshrun.spelling import nearest

    near = nearest(word.partition("=")[0], tuple(names))
    return f"; did you mean {near}?" if near else ""
