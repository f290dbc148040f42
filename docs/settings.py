"""Writes what follows from the table of settings: docs/settings.md, and the attributes of sshrun/mixin.py.

`make docs` writes both; `--check`, as in `make lint`, changes nothing and fails where one of them is stale.
"""

from __future__ import annotations

import difflib
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from sshrun.settings.declaration import FILES, Items, Kind, Setting, Variables, WithDefault
from sshrun.settings.files import USER_FILE_VARIABLES
from sshrun.settings.table import (
    JOB,
    UNUSED_CONNECTION_KEYS,
    UNUSED_KEYS,
    USER_FILE,
    ConnectionSettings,
    OutsideSettings,
)
from sshrun.units import Size

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 120
BEGIN = "    # -- written by `make docs`, after sshrun/settings/table.py\n"
END = "    # -- to here\n"

# Of each kind: the type of the attribute in SshMixin, and what a reader should write.
KINDS: dict[Kind, tuple[str, str]] = {
    "boolean": ("bool | None", "`true` or `false`"),
    "seconds": ("int | None", "a whole number of seconds"),
    "size": ("str | None", "a number and its unit: `500 MB`, `10 GB`, `1.5 TB`"),
    "choice": ("str | None", ""),
    "line": ("str | None", "a string"),
    "command": ("str | None", "a string"),
    "archive": ("str | None", "a path"),
    "remote directory": ("str | None", "a path on the host"),
    "environment": ("list[str] | dict[str, Any]", "a list of strings, or a mapping"),
    "strings": ("list[str]", "a list of strings"),
    "variables": ("list[str]", "a list of names"),
    "requirements": ("list[str]", "a list of strings"),
    "directories": ("", "a list of paths"),
    "ssh config": ("", "a path; `~` and `$VAR` are expanded, it is relative to the settings file, and must exist"),
    "key file": ("", "a path; `~` and `$VAR` are expanded, it is relative to the settings file, and must exist"),
    "host name": ("", "a string"),
    "port": ("", "a number from 1 to 65535"),
    "user name": ("", "a string"),
    "connection": ("", "a mapping"),
}

INTRODUCTION = """\
<!-- Written by `make docs` from sshrun/settings/table.py: change that file. -->
# Settings

Every setting is optional. It can be set in four kinds of files; `sshrun --dry-run ...` shows each one that is set, with
the file and line that it comes from.

| place | where | form |
|---|---|---|
| **user file** | the first that exists of {variables}, `~/.sshrun/user_settings.yaml`, `~/.mltk/user_settings.yaml` | YAML, below the key `ssh`; other keys at the top belong to other tools |
| **project file** | the nearest `pyproject.toml` with a table `[tool.sshrun]`, from the spec's directory upward | TOML |
| **script block** | the `# /// script` block (PEP 723) of the spec, its table `[tool.sshrun]` | TOML in comments |
| **spec** | attributes of an object in the model's script, `my_model.ssh_KEY`; `sshrun.SshMixin` gives them types | Python literals |

Where several places set the same thing:

- **One value**: the strongest place wins. In order: the option, where there is one; {files}; the default.
- **Lists** of all places are put together: the user file's first, then the project file's, the script block's, the
  spec's. A later command finds what an earlier one did; a later file replaces an earlier one.
- **`environment`** of all places is put together too, and for each name the strongest place wins.

`''`, null, `[]` and `{{}}` mean: not set. An unknown key, a duplicate key or a value of another type is an error that names
file, line and key; all errors are shown at once. What paths may look like: [files.md](files.md).
"""  # noqa: E501

CONNECTION = """\
## Login

In the user file only: a directory that was cloned must not choose whom you log in to.
"""


def reference() -> str:
    """docs/settings.md."""
    variables = ", ".join(f"`${variable}`" for variable in USER_FILE_VARIABLES)
    lines = [INTRODUCTION.format(variables=variables, files=", ".join(FILES))]
    lines += ["## Overview", "", "| setting | what it is |", "|---|---|"]
    lines += [f"| [`{name}`](#{_anchor(name)}) | {_cell(setting.text)} |" for name, setting in _all()]
    lines += ["", "## Job", ""]
    for setting in JOB:
        lines += _section(setting.key, setting)
    lines += [CONNECTION]
    for name, setting in _all():
        if setting not in JOB:
            lines += _section(name, setting)
    lines += ["## Keys of MLTK that sshrun does not use", "", "One warning each, which names what to do instead.", ""]
    lines += ["| key | instead |", "|---|---|"]
    lines += [f"| `{key}` | {_cell(advice)} |" for key, advice in UNUSED_KEYS.items()]
    lines += [f"| `connection.{key}` | {_cell(advice)} |" for key, advice in UNUSED_CONNECTION_KEYS.items()]
    return "\n".join(lines) + "\n"


def _all() -> Iterator[tuple[str, Setting]]:
    """Every setting with its full name, in the order of the page."""
    yield from ((setting.key, setting) for setting in (*JOB, *USER_FILE))
    for name, setting in vars(ConnectionSettings).items():
        if isinstance(setting, Setting):
            yield f"connection.{name}", setting
    yield OutsideSettings.model_paths.key, OutsideSettings.model_paths


def _section(name: str, setting: Setting) -> list[str]:
    form = KINDS[setting.kind][1] or " or ".join(f"`{choice}`" for choice in setting.choices)
    facts = [f"Value: {form}"]
    if setting.example is not None:
        facts.append(f"Example: `{name.rpartition('.')[2]}: {_written(setting.example)}`")
    default = f"`{_written(setting.default.value)}`" if isinstance(setting, WithDefault) else setting.unset
    if default:
        facts.append(f"Default: {default}")
    if setting is OutsideSettings.model_paths:
        facts.append("Where: in the user file, at the top, beside `ssh`")
    elif setting not in JOB:
        facts.append("Where: in the user file")
    if setting.rank:
        facts.append(f"First wins: {setting.rank}")
    elif setting.option:
        facts.append(f"First wins: `{setting.option}`, {', '.join(FILES)}")
    elif isinstance(setting, Variables):
        facts.append("Several places: put together; for each name the strongest wins")
    elif isinstance(setting, Items) and setting in JOB:
        facts.append("Several places: put together, the user file's first")
    if "project file" in setting.program:
        facts.append("Also for `sshrun -- PROGRAM`")
    text = " ".join(filter(None, (setting.text, setting.more)))
    return [
        f"### `{name}`",
        "",
        *textwrap.wrap(text, WIDTH, break_on_hyphens=False),
        "",
        *(f"- {fact}" for fact in facts),
        "",
    ]


def _written(value: object) -> str:
    """A value as YAML, which a shell's reader takes for JSON."""
    return str(value) if isinstance(value, str | Size) else json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _anchor(name: str) -> str:
    return name.replace(".", "")


def mixin(source: str) -> str:
    """sshrun/mixin.py with the attributes of today's table."""
    before, begin, rest = source.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit("sshrun/mixin.py: the two lines between which the attributes stand are missing")
    return before + begin + "\n".join(_attribute(setting) for setting in JOB) + end + after


def _attribute(setting: Setting) -> str:
    annotation = KINDS[setting.kind][0]
    is_list = isinstance(setting, Items | Variables)
    default = (
        f'"{setting.default.value}"'
        if isinstance(setting, WithDefault) and isinstance(setting.default.value, str)
        else ""
    )
    if isinstance(setting, WithDefault) and not default:
        default = str(setting.default.value)
    sentences = [setting.text]
    if setting.choices:
        sentences.append("One of " + ", ".join(f'"{choice}"' for choice in setting.choices) + ".")
    if setting.example is not None:
        sentences.append(f"Example: `{json.dumps(setting.example, ensure_ascii=False)}`.")
    if default or setting.unset:
        sentences.append(f"Default: {default or setting.unset}.")
    text = textwrap.wrap(" ".join(sentences), WIDTH - 10, break_on_hyphens=False)
    lines = [f"    ssh_{setting.key}: {annotation} = {'_default(list)' if is_list else 'None'}"]
    lines += textwrap.indent('"""' + "\n".join(text) + '"""', "    ").splitlines()
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    mixin_path = ROOT / "sshrun" / "mixin.py"
    page = ROOT / "docs" / "settings.md"
    stale = 0
    for path, text in ((page, reference()), (mixin_path, mixin(mixin_path.read_text()))):
        now = path.read_text() if path.exists() else ""
        if now == text:
            continue
        if arguments == ["--check"]:
            stale = 1
            name = str(path.relative_to(ROOT))
            sys.stderr.writelines(
                difflib.unified_diff(now.splitlines(True), text.splitlines(True), name, "the table", n=0)
            )
            print(f"{name} is stale: make docs", file=sys.stderr)
        else:
            path.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
