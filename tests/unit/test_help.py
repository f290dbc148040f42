"""--help is made from the tables of the command line, and must be as good to read as one written by hand."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sshrun.cli.help import text_of
from sshrun.command_line import OPTIONS, VERBS, options_of

GOLDEN = Path(__file__).with_name("golden") / "help.txt"

TEXTS = {"": text_of(), **{verb.name: text_of(verb.name) for verb in VERBS}}


def test_the_help_is_what_was_last_read_and_found_good() -> None:
    texts = "".join(f"$ {' '.join(filter(None, ['sshrun', name, '--help']))}\n{text}\n" for name, text in TEXTS.items())
    if "WRITE_GOLDEN" in os.environ:
        GOLDEN.write_text(texts)
    assert texts == GOLDEN.read_text(), "read the new text; then: WRITE_GOLDEN=1 pytest tests/unit/test_help.py"


def test_every_option_is_in_the_help() -> None:
    named = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", TEXTS[""]))
    assert {name for option in OPTIONS for name in option.names} <= named


def test_every_verb_is_in_the_help() -> None:
    shown = re.findall(r"^  sshrun (?:\[OPTIONS\] )?([a-z-]+)", TEXTS[""], re.MULTILINE)
    assert set(shown) - {"--"} == {verb.name for verb in VERBS}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_the_help_of_a_verb_has_what_means_something_to_it(verb) -> None:
    text = TEXTS[verb.name]
    assert text.startswith(f"sshrun {'[OPTIONS] ' if verb.name == 'run' else ''}{verb.name} ")
    listed = set(re.findall(r"^ +(--?[a-z][\w-]*)", text, re.MULTILINE))
    assert listed == {option.names[0] for option in options_of(verb)}


@pytest.mark.parametrize("name", TEXTS)
def test_the_help_fits_a_terminal(name: str) -> None:
    lines = TEXTS[name].splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[-1] and TEXTS[name].endswith("\n") and not any(line.endswith(" ") for line in lines)


def test_what_is_no_verb_of_ours_has_the_help_of_all() -> None:
    assert text_of("train") == TEXTS[""]
