"""What a job finds around it of the client, of the connection, and of the person's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import SSHRUN, Sshrun
from support.specs import HostSide, write_spec
from support.terminals import Terminal
from support.waiting import eventually

COUNTING = "import time\nfor number in range(1000):\n    print(number)\n    time.sleep(0.05)\n"
WIDTH = "import shutil; print('width', *shutil.get_terminal_size())"


def python_project(folder: Path, script: str) -> Path:
    (folder / "count.py").write_text(script)
    (folder / "pyproject.toml").write_text("[tool.sshrun]\ncreate_venv = false\n")
    return folder


def test_what_python_prints_is_there_at_once_and_is_not_lost(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    python_project(tmp_path, COUNTING)
    running = sshrun.start("run", "count.py")
    running.wait_until(lambda run: run.stdout.startswith(b"0\n1\n"))
    host = HostSide(sandbox)
    host.kill_everything(host.ids()[-1])
    finished = running.wait()
    assert finished.status == 76
    assert finished.stdout.startswith(b"0\n1\n")


def test_a_module_that_a_shell_script_starts_does_not_keep_what_it_prints(sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, "python3 -m count; true", upload_files=["count.py"])
    (tmp_path / "count.py").write_text(COUNTING)
    running = sshrun.start("train", "my_model")
    running.wait_until(lambda run: run.stdout.startswith(b"0\n1\n"))
    assert sshrun("stop").status == 0


@pytest.mark.parametrize("setting", [[], [""], ["0"]], ids=["default", "empty", "0"])
def test_the_persons_own_word_on_buffering_counts(sshrun: Sshrun, tmp_path: Path, setting: list[str]) -> None:
    write_spec(
        tmp_path,
        'echo "=${PYTHONUNBUFFERED-unset}="',
        environment=[f"PYTHONUNBUFFERED={value}" for value in setting],
    )
    assert sshrun("train", "my_model").stdout.decode() == f"={(setting or ['1'])[0]}=\n"


def test_a_job_draws_as_wide_as_the_terminal_is(sshrun: Sshrun, tmp_path: Path) -> None:
    terminal = Terminal(
        tmp_path, *sshrun.options, "--", sys.executable, "-c", f"{WIDTH}; import rich; rich.print('-' * 200)",
        columns=132, lines=40,
    )  # fmt: skip
    assert terminal.status() == 0
    terminal.wait_for(b"width 132 40\r\n" + b"-" * 132 + b"\r\n" + b"-" * 68 + b"\r\n")


def test_the_width_counts_where_the_log_reaches_the_terminal_through_tee(sshrun: Sshrun, tmp_path: Path) -> None:
    line = f'{SSHRUN} {" ".join(sshrun.options)} -- {sys.executable} -c "{WIDTH}" | tee copy'
    terminal = Terminal(tmp_path, "-c", line, program="/bin/sh", columns=132, lines=40)
    assert terminal.status() == 0
    assert (tmp_path / "copy").read_text() == "width 132 40\n"


def test_a_width_of_the_persons_own_counts(sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, 'echo "width $COLUMNS"', environment=["COLUMNS=90"])
    terminal = Terminal(tmp_path, *sshrun.options, "train", "my_model", columns=132, lines=40)
    terminal.wait_for(b"width 90\r\n")
    assert terminal.status() == 0


def test_without_a_terminal_a_job_is_told_no_width(sshrun: Sshrun) -> None:
    assert sshrun("--", "sh", "-c", 'echo "${COLUMNS-none} ${LINES-none}"').stdout == b"none none\n"


def test_a_forwarded_agent_that_ends_with_the_connection_does_not_reach_the_job(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    with subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.DEVNULL) as agent:
        try:
            eventually((tmp_path / "agent").exists)
            config = sandbox.config.read_text()
            forwarding = f'IdentityAgent "{tmp_path}/agent"\n    ForwardAgent yes\n'
            sandbox.config.write_text(config.replace("IdentityAgent none\n", forwarding))
            words = ["ssh", "-F", sandbox.config, sandbox.host, "echo $SSH_AUTH_SOCK"]
            assert subprocess.run(words, capture_output=True, check=True).stdout.strip(), "it is forwarded"
            finished = sshrun("--", "sh", "-c", 'echo "${SSH_AUTH_SOCK-none} ${SSH_CONNECTION-none}"')
            assert finished.stdout == b"none none\n"
        finally:
            agent.kill()
