"""The texts of --help, made from the tables of the command line."""

from __future__ import annotations

from sshrun.command_line import OPTIONS, VERBS, Option, Verb, options_of, verb_named

TYPE_CHECKING = False  # as in main.py: --help loads nothing that it does not need
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_COLUMN = 46  # where the explanation of an option or a verb begins
_WIDTH = 120

_HEAD = """\
Train a model, or run any long job, on another machine over plain SSH; the results arrive as if it had run locally.

  sshrun [OPTIONS] COMMAND MODEL [ARG ...]    a model's command:   sshrun train my_model --epochs 3
  sshrun [OPTIONS] run SCRIPT [ARG ...]       a plain script:      sshrun run fit.py --lr 0.1    (.py, .sh, .ipynb)
  sshrun [OPTIONS] run -m MODULE [ARG ...]    a module:            sshrun run -m pkg.train
  sshrun [OPTIONS] -- PROGRAM [ARG ...]       anything:            sshrun -h gpu1 -- ./long.sh
"""

_TAIL = """\
Options stand before COMMAND, or after MODEL, where what is not ours goes to the command (after `--` all of it does).
After `run SCRIPT`, `run -m MODULE` and `--` every word goes to the program. Ctrl+C stops the job; Ctrl+\\ leaves it.
Settings are read from ~/.sshrun/user_settings.yaml, [tool.sshrun] of pyproject.toml, and the model's own file.
The exit status is the job's own; or 2 usage, settings, no such job; 70 a bug in sshrun; 75 another job is on the host,
or it still runs; 76 the job was lost; 130 Ctrl+C; 255 connection, transfer or retrieving failed.
"""


def text_of(verb_name: str = "") -> str:
    """The help of a verb; all of it where no verb of our own is named."""
    verb = verb_named(verb_name)
    return _of_verb(verb) if verb else _of_all()


def _of_all() -> str:
    verbs = [line for verb in VERBS if verb.name != "run" for line in _row(f"  {_usage(verb)}", verb.text)]
    return "\n".join([_HEAD, *verbs, "", *_rows(OPTIONS), "", _TAIL])


def _of_verb(verb: Verb) -> str:
    options = "[OPTIONS] " if verb.name == "run" else ""  # elsewhere they may stand anywhere
    lines = [f"sshrun {options}{' '.join([verb.name, *_own(verb), '[OPTIONS]', *filter(None, [verb.words])])}"]
    lines += ["", f"{verb.text[0].upper()}{verb.text[1:]}.", *_details(verb)]
    own, others = _rows(verb.options), _rows(options_of(verb)[len(verb.options) :])
    return "\n".join([*lines, *([""] if own else []), *own, "", *others, ""])


def _details(verb: Verb) -> Iterator[str]:
    for paragraph in verb.details.splitlines():
        yield from [paragraph] if len(paragraph) <= _WIDTH else _wrapped(paragraph, _WIDTH)


def _usage(verb: Verb) -> str:
    return " ".join(["sshrun", verb.name, *_own(verb), *filter(None, [verb.words])])


def _own(verb: Verb) -> Iterator[str]:
    for option in verb.options:
        if option.last:  # which `words` name
            continue
        yield f"[{' '.join(filter(None, [option.names[0], option.value]))}]"


def _rows(options: Iterable[Option]) -> list[str]:
    return [line for option in options for line in _row(_label(option), option.text)]


def _label(option: Option) -> str:
    indent = "      " if option.names[0].startswith("--") else "  "  # long names stand below each other
    return indent + ", ".join(option.names) + (f" {option.value}" if option.value else "")


def _row(label: str, text: str) -> Iterator[str]:
    """A label and what it means, the latter wrapped; below the label where that is too long."""
    if len(label) > _COLUMN - 2:
        yield label
        label = ""
    for line in _wrapped(text, _WIDTH - _COLUMN):
        yield f"{label:<{_COLUMN}}{line}"
        label = ""


def _wrapped(text: str, width: int) -> Iterator[str]:
    """As textwrap does it, which takes longer to import than everything else that this needs."""
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield line
