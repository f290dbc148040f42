"""What cannot start on the host is told by name, with what to do: never by our script and a line of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Finished, Sshrun
from support.specs import write_spec

pytestmark = pytest.mark.usefixtures("no_project")

CONDA_BLOCK = """case $- in *i*) ;; *) return ;; esac
# >>> conda initialize >>>
__conda_setup="$('{conda}' 'shell.bash' 'hook' 2> /dev/null)"
eval "$__conda_setup"
# <<< conda initialize <<<
"""


def told(finished: Finished) -> str:
    """All that was said, which names no script of ours."""
    text = finished.stdout.decode() + finished.stderr
    assert "sshrun.sh" not in text and ": line " not in text, text
    return text


def executable(path: Path, text: str, mode: int = 0o755) -> None:
    path.write_text(text)
    path.chmod(mode)


@pytest.mark.parametrize(
    ("program", "status", "text"),
    [
        ("./long.sh", 127, "./long.sh: there is no such file in {home} (upload_files: [long.sh] sends it)"),
        ("/no/such/program", 127, "/no/such/program: there is no such file on "),
        ("./closed.sh", 126, "./closed.sh may not be executed (chmod +x closed.sh"),
        ("./old.py", 127, "./old.py asks for /no/such/python, which is not on "),
        ("./windows.sh", 127, "./windows.sh has the line ends of Windows"),
        ("./directory", 126, "./directory is a directory"),
        ("nosuchprogram", 127, "nosuchprogram: command not found on "),
        ("source", 127, "source is a word of the shell and no program"),
        ("conda", 127, "conda: command not found on "),
    ],
)
def test_a_program_that_cannot_start(sshrun: Sshrun, sandbox: Sandbox, program: str, status: int, text: str) -> None:
    executable(sandbox.home / "closed.sh", "#!/bin/sh\n", 0o644)
    executable(sandbox.home / "old.py", "#!/no/such/python -u\n")
    executable(sandbox.home / "windows.sh", "#!/bin/sh\r\necho\r\n")
    (sandbox.home / "directory").mkdir()
    finished = sshrun("--", program, "an argument")
    assert finished.status == status
    assert f"sshrun: {text.format(home=sandbox.home)}" in told(finished)


def test_what_can_start_does(sshrun: Sshrun, sandbox: Sandbox) -> None:
    executable(sandbox.home / "plain", '#! /bin/sh\necho "$@"\n')
    executable(sandbox.home / "bare", 'echo "$@"\n')
    executable(sandbox.home / "by env.sh", '#!/usr/bin/env -S sh -e\necho "$@"\n')
    for program in ("./plain", "./bare", "./by env.sh", "echo"):
        finished = sshrun("--", program, "a  b", "c")
        assert (finished.status, finished.stdout) == (0, b"a  b c\n"), finished


def test_a_startup_command_that_fails_is_shown_by_its_text(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    write_spec(tmp_path, "echo never", startup_cmds=["true", "nosuchprogram --now"])
    finished = sshrun("train", "my_model")
    assert finished.status == 127
    assert "sshrun: nosuchprogram: command not found on " in told(finished)
    assert "startup command 2 (`nosuchprogram --now`) failed with exit code 127" in finished.stderr
    write_spec(tmp_path, "echo never", startup_cmds=["(exit 3)"])
    assert sshrun("--no-wait", "train", "my_model").status == 0
    assert "startup command 1 (`(exit 3)`) failed with exit code 3" in sshrun("--resume").stderr


def test_a_shutdown_command_that_is_not_there_names_no_script(sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, "true", shutdown_cmds=["nosuchprogram"])
    assert "nosuchprogram: command not found on " in told(sshrun("train", "my_model"))


@pytest.mark.parametrize("place", ["command", "startup_cmds"])
def test_conda_below_the_guard_of_bashrc_is_named_with_the_line_to_write(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, place: str
) -> None:
    conda = sandbox.home / "miniconda3" / "bin" / "conda"
    conda.parent.mkdir(parents=True)
    executable(conda, "#!/bin/sh\necho 'conda() { echo \"activated $2\"; }'\n")
    (sandbox.home / ".bashrc").write_text(CONDA_BLOCK.format(conda=conda))
    (sandbox.home / ".bash_profile").write_text(". ~/.bashrc\n")
    line = f'eval "$({conda} shell.bash hook)"'
    if place == "command":
        finished = sshrun("--", "conda", "run", "-n", "tf", "python", "x.py")
    else:
        write_spec(tmp_path, "true", startup_cmds=["conda activate tf"])
        finished = sshrun("train", "my_model")
    assert finished.status == 127
    assert f"conda's block in ~/.bashrc (first of startup_cmds: {line})" in told(finished)
    write_spec(tmp_path, "true", startup_cmds=[line, "conda activate tf"])
    assert sshrun("--force", "train", "my_model").stdout == b"activated tf\n"
    doctor = sshrun("doctor").stdout.decode()
    assert "conda's block in ~/.bashrc" in doctor and line in doctor
    (sandbox.home / ".bash_profile").write_text(f"PATH={conda.parent}:$PATH\n")
    assert "conda's block" not in sshrun("doctor").stdout.decode()


def test_a_shell_script_is_run_by_bash(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.sshrun]\ncreate_venv = false\n")
    (tmp_path / "long.sh").write_text('a=(one "$@"); echo "${a[@]}"; exit 4\n')
    finished = sshrun("run", "long.sh", "two  2", "--three")
    assert (finished.status, finished.stdout) == (4, b"one two  2 --three\n"), finished
    assert b"run long.sh two  2 --three" in sshrun("jobs").stdout


def test_the_block_of_a_shell_script_holds_its_settings(sshrun: Sshrun, tmp_path: Path) -> None:
    block = '# /// script\n# [tool.sshrun]\n# create_venv = false\n# environment = ["A=1"]\n# ///\n'
    (tmp_path / "long.sh").write_text(f"#!/bin/bash\n{block}echo $A\n")
    assert sshrun("run", "long.sh").stdout == b"1\n"
