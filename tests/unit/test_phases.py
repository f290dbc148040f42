"""What the host says that a job is at, in words; and what of a command or of pip is better not shown."""

from __future__ import annotations

import pytest

from sshrun.events import Phase
from sshrun.jobs.phases import LONGEST, command_text, phase


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("running", Phase("running")),
        ("leftovers stop", Phase("leftovers", "ending what the command left running")),
        ("leftovers wait", Phase("leftovers", "waiting for what the command left running")),
        ("", Phase("starting", "waiting for the start files of the login shell")),
        ("environment", Phase("environment", "looking at the virtual environment")),
        ("environment making", Phase("environment", "making the virtual environment")),
        ("environment installing 14", Phase("environment", "installing 14 packages")),
        ("environment installing 1", Phase("environment", "installing 1 package")),
        ("environment installing 0", Phase("environment", "installing packages")),
        ("environment installing uv.lock", Phase("environment", "installing what uv.lock says")),
        ("environment installing a file", Phase("environment", "installing packages")),
        ("startup 2 3 pip install x", Phase("startup", "startup command 2 of 3: pip install x", 2, 3)),
        ("startup 1 1", Phase("startup", "startup command 1 of 1", 1, 1)),
        ("of a later version \x1b[2J", Phase("preparing", "preparing: of a later version \\x1b[2J")),
    ],
)
def test_what_a_job_is_at(said: str, words: Phase) -> None:
    assert phase(said) == words


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("Collecting torch==2.3 (from -r .venv/sshrun/requirements (line 1))", "collecting torch"),
        ("  Downloading torch-2.3.0-cp311-none-linux_x86_64.whl.metadata (26 kB)", "collecting torch-2.3.0"),
        ("  Downloading torch-2.3.0-cp311-none-linux_x86_64.whl (779.1 MB)", "downloading torch-2.3.0 (779.1 MB)"),
        ("  Downloading flash-attn-2.5.tar.gz (2.5 MB)", "downloading flash-attn-2.5 (2.5 MB)"),
        ("  Downloading https://joe:secret@index.example/simple/x-1.tar.gz (1 kB)", "downloading x-1 (1 kB)"),
        ("Installing collected packages: numpy, torch", "unpacking numpy"),
        ("  Building wheel for flash_attn (setup.py): started", "building flash_attn"),
        ("Looking in indexes: https://joe:secret@index.example/simple", ""),
        ("Collecting \x1b[2J", ""),
    ],
)  # fmt: skip
def test_what_pip_is_at_without_addresses(line: str, detail: str) -> None:
    assert phase(f"environment installing 2 {line}").detail == detail


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("pip install mylib", "pip install mylib"),
        ("  . ./setup.sh  &&\tx ", ". ./setup.sh && x"),
        ("first\nsecond", "first…"),
        ("x" * 200 + " y", "x" * (LONGEST - 1) + "…"),
        ("export HF_TOKEN=hf_abc X=1", "export HF_TOKEN=… X=1"),
        ("wandb login --api-key 'abc def'", "wandb login --api-key …"),
        ('DB_PASSWORD="a b" ./go --token-file f', "DB_PASSWORD=… ./go --token-file …"),
        ("pip install git+https://joe:ghp_x@example.org/r.git", "pip install git+https://…@example.org/r.git"),
        ("pip install git+https://joe:" + "s" * 500, "pip install…"),
        ("echo \x1b]0;t\x07", "echo \\x1b]0;t\\x07"),
        ("", ""),
    ],
)
def test_a_command_is_shortened_and_keeps_its_secrets(command: str, text: str) -> None:
    assert command_text(command) == text
