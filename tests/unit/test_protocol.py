"""remote/PROTOCOL.md says what the code does: the requests of the host's program, and what it answers."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import NamedTuple

import sshrun

PACKAGE = Path(sshrun.__file__).parent
REMOTE = PACKAGE / "remote"

DETACHED = {"job", "supervise", "shutdown", "explain", "end_leftovers"}  # they run on their own, and reply to nobody
FUNCTION = r"^([a-z_]+)\(\) [({]( [^#\n]*[)}](?: +#.*)?|.*\n(?:(?![)}]).*\n)*[)}].*)$"  # on one line, or on several
WORD = r"(?<![\w$./{-])([a-z_]+)(?![\w=./-])"


class Function(NamedTuple):
    """One function of the program."""

    comment: str
    body: str

    @property
    def replies(self) -> set[str]:
        return set(re.findall(r'\breply "?([a-z_]+)', self.body)) - {"refused"}

    @property
    def refusals(self) -> set[str]:
        return set(re.findall(r"\brefuse ([a-z_]+)", self.body))

    @property
    def asides(self) -> set[str]:
        return set(re.findall(r"%s ([a-z_]+) %\S+\\n' \"\$nonce\"", self.body))


@cache
def functions() -> dict[str, Function]:
    found = {}
    for path in REMOTE.glob("*.sh"):
        for match in re.finditer(FUNCTION, path.read_text(), re.M):
            name, text = match.groups()
            first = text.partition("\n")[0]
            comment = first.partition("# ")[2]
            lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
            body = re.sub(r"\s# .*|'[^'$\n]*'", lambda found: found[0] if "%s" in found[0] else "", "\n".join(lines))
            found[name] = Function(comment, body)
    return found


def called(name: str) -> set[str]:
    """The functions that a function calls, or passes to one that does; not those whose replies nobody hears."""
    body = functions()[name].body
    if "exec >/dev/null" in body:
        return set()
    names = set()
    for line in body.splitlines():
        heard = re.sub(r"\bstop_job \S+ >/dev/null", "", line)
        heard = re.sub(r'"\$\{launcher\}(_[a-z]+)"', r"direct\1", heard)
        heard = re.sub(r"\b(reply|refuse|flag|fact|phase|echo|step) \w+", r"\1", heard)
        names.update(re.findall(WORD, heard))
    return (names & functions().keys()) - DETACHED


def reached(name: str) -> list[Function]:
    seen, ahead = {name}, [name]
    while ahead:
        new = called(ahead.pop()) - seen
        seen |= new
        ahead += new
    return [functions()[one] for one in seen]


def table(heading: str) -> list[list[str]]:
    """The rows of the table beneath a heading, or beneath a line that begins with it."""
    lines = iter((REMOTE / "PROTOCOL.md").read_text().splitlines())
    behind = dropwhile(
        lambda line: not line.startswith("|"), dropwhile(lambda line: not line.startswith(heading), lines)
    )
    rows = list(takewhile(lambda line: line.startswith("|"), behind))
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([a-z_]+)", cell))


def served() -> dict[str, list[str]]:
    return {row[0].strip("`"): row[1:] for row in table("## Requests")}


def test_every_request_stands_in_the_table_once_and_no_other() -> None:
    rows = [row[0].strip("`") for row in table("## Requests")]
    assert len(rows) == len(set(rows)) > 30
    assert {name.removeprefix("serve_") for name in functions() if name.startswith("serve_")} == set(rows)


def test_values_are_those_that_the_code_names() -> None:
    wrong = {}
    for name, (values, *_) in served().items():
        named = re.match(r"(?:[A-Z]{2,}(?:\.\.\.)? ?)*", functions()[f"serve_{name}"].comment)
        assert named
        if named[0].strip() != values:
            wrong[name] = named[0].strip()
    assert not wrong


def test_replies_and_refusals_are_those_of_the_code() -> None:
    described = table("## Refusals")
    wrong = {}
    for name, (_, replies, refusals, again) in served().items():
        code = reached(f"serve_{name}")
        in_code = (set().union(*(one.replies for one in code)), set().union(*(one.refusals for one in code)))
        before = names(refusals.partition("(")[2].partition(")")[0])
        in_table = (names(replies) | before, names(re.sub(r"\(.*?\)", "", refusals)))
        if in_code != in_table:
            wrong[name] = in_code
        assert again, name
    assert not wrong
    everywhere = set().union(*(one.refusals for one in functions().values()))
    assert {row[0].strip("`") for row in described} == everywhere


def test_asides_are_those_of_the_code() -> None:
    in_code = set().union(*(one.asides for one in functions().values()))
    assert in_code == {row[0].strip("`") for row in table("**Asides**")}


def test_the_client_sends_all_of_them_and_nothing_else() -> None:
    sent = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                verb = node.args[0]
                if node.func.attr in ("request", "send_without_reply") and isinstance(verb, ast.Constant):
                    sent.add(verb.value)
    assert sent | {"interrupt"} == served().keys() | {"interrupt"}
    assert "interrupt" in served()


def test_no_two_functions_set_one_variable_by_chance() -> None:
    """Without `local` that would be found out by whoever calls one from the other; a result is declared."""
    setters: dict[str, set[str]] = {}
    for name, function in functions().items():
        for piece in re.split(r"[;({|&\n]|\b(?:do|then|else) ", function.body):
            rest = piece.strip()
            while found := re.match(r"([a-z_]+)=(?:\"[^\"]*\"|\S)*\s*", rest):
                setters.setdefault(found[1], set()).add(name)
                rest = rest[found.end() :]
            for words in re.findall(r"\bread -r ([a-z_ ]+)|^for ([a-z_]+)", piece.strip()):
                for variable in " ".join(words).split():
                    setters.setdefault(variable, set()).add(name)
    session = set(re.findall(r"\$([a-z]+)", next(line for line in _text().split("\n\n") if "whole session" in line)))
    shared = {
        variable: names
        for variable, names in setters.items()
        if len(names) > 1
        and variable not in session | {"_"}
        and not any(f"${variable}" in functions()[name].comment for name in names)
    }
    assert setters["birth"] == {"birth"} and "job_line" in setters
    assert not shared


def _text() -> str:
    return (REMOTE / "PROTOCOL.md").read_text()
