"""The text of --help is written by hand: it must say what the command line understands, and nothing else."""

from __future__ import annotations

import re

from sshrun.arguments import OPTIONS, VERBS
from sshrun.help import TEXT


def test_every_option_is_in_the_help() -> None:
    named = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", TEXT))
    assert set(OPTIONS) <= named
    assert named <= {*OPTIONS, *(option for options in VERBS.values() for option in options), "--epochs", "--lr"}


def test_every_verb_is_in_the_help_with_its_options() -> None:
    shown = {match[1]: match[0] for match in re.finditer(r"^  sshrun ([a-z-]+).*(?:\n {40,}.*)?$", TEXT, re.MULTILINE)}
    assert set(shown) == set(VERBS)
    assert "-f" in shown["logs"] and "-n" in shown["logs"]


def test_the_help_fits_a_terminal() -> None:
    assert max(len(line) for line in TEXT.splitlines()) <= 120
    assert TEXT.endswith("\n")
