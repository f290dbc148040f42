"""What is shell syntax in a `command` template, which no shell reads."""

from __future__ import annotations

import re
import shlex

# As sh(1) would read it outside of quotes: redirections with their numbers, operators, substitutions, variables.
_SYNTAX = re.compile(r"\d*(?:>>|>&|<<|<&|>\||<>|[<>])[&\d]*|\|\||&&|;;|[|&;`]|\$\(|\$\{|\$[A-Za-z_][A-Za-z_0-9]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z_0-9]*=")
# What a shell takes literally: a backslash and its character, what is in single quotes, in double quotes.
_QUOTED = re.compile(r"""\\.|'[^']*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)


def shell_syntax(template: str) -> str:
    """The first piece that only a shell would understand; "" where there is none, or where quotes hold it."""
    assignment = _ASSIGNMENT.match(template.lstrip())
    if assignment:
        return template.split()[0]
    bare = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), template)
    found = _SYNTAX.search(bare)
    return found[0] if found else ""


def for_a_shell(template: str) -> str:
    """The template as one for sh, which passes the arguments on."""
    script = shlex.quote(template.strip().replace("{args}", '"$@"'))
    return f"sh -c {script} sh {{args}}" if "{args}" in template else f"sh -c {script}"
