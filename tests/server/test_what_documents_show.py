"""Transcripts and recipes of the documents, tried on a host."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.documents import DOCUMENTS, PROJECT, Block, blocks, commands, each, only
from support.installed import SSHRUN, Finished, Sshrun
from support.notebooks import write_notebook

# What is another one each time.
CHANGING = (
    (re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}"), "ID"),
    (re.compile(r"\d+ (s|min|h)\b"), "AGE"),
)


@pytest.fixture
def gpu1(sandbox: Sandbox, home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Sshrun:
    """A laptop that knows a host of that name, with the script of the README in the current directory."""
    config = sandbox.config.read_text().replace("Host sandbox", "Host gpu1 sandbox", 1)
    (home / "ssh_config").write_text(config)
    (home / ".sshrun").mkdir(mode=0o700)
    (home / ".sshrun" / "user_settings.yaml").write_text("ssh:\n  config_path: ../ssh_config\n")
    (tmp_path / "fit.py").write_text(only("README.md", "python", holding="# /// script").text)
    return Sshrun(tmp_path, tmp_path_factory.mktemp("output"))


def by_shell(command: str, folder: Path) -> Finished:
    """As it is typed, in a shell whose PATH begins with our sshrun."""
    env = {**os.environ, "PATH": f"{SSHRUN.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=env, capture_output=True, timeout=120, check=False)
    return Finished(done.returncode, done.stdout, done.stderr.decode())


def same(line: str) -> str:
    for pattern, name in CHANGING:
        line = pattern.sub(name, line)
    return line.rstrip()


@each(blocks("console"))
def test_a_transcript_is_what_is_printed(block: Block, gpu1: Sshrun) -> None:
    """Every line of it, in this order, on the stream that it belongs to; a slow machine may say more meanwhile."""
    for entry in block.text.split("$ ")[1:]:
        command, *wanted = entry.splitlines()
        done = by_shell(command, gpu1.folder)
        assert done.status == 0, done.stderr
        printed = [same(line) for line in done.stdout.decode().splitlines()]
        said = [same(line) for line in done.stderr.splitlines()]
        assert [same(line) for line in wanted if not line.startswith("sshrun: ")] == printed
        ours = [same(line) for line in wanted if line.startswith("sshrun: ")]
        assert [line for line in said if line in ours] == ours, done.stderr


def test_commands_are_understood(home: Path, tmp_path: Path, plain_sshrun: Sshrun) -> None:
    """Those that connect fail at that, and not before; a run is a dry one."""
    (home / ".sshrun").mkdir(mode=0o700)
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_gpu").touch()
    (home / "nowhere").write_text("Host *\n  ProxyCommand false\n")
    (home / ".sshrun" / "user_settings.yaml").write_text(
        "ssh: {config_path: ../nowhere, connection: {hostname: gpu1}, create_venv: false}\n"
    )
    for name in ("my_model", "digits", "waves", "spirals", "fit", "train", "keyword_spotting_on_off_v2"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "data" / "shakespeare_char").mkdir(parents=True)
    (tmp_path / "data" / "shakespeare_char" / "prepare.py").touch()
    write_notebook(tmp_path / "fit.ipynb")
    refused = []
    typed = commands()
    assert len(typed) > 30
    for words, place in typed.items():
        given = [word.replace("~", str(home)) for word in words if word not in ("--sandbox", "--dry-run")]
        if not given or given[-1] == "sandbox":
            continue  # an option alone; what would run until Ctrl+C
        if {"run", "train", "evaluate", "--"} & set(given) and "--help" not in given:
            given = ["--dry-run", *(word for word in given if word != "--resume")]
        done = plain_sshrun(*given)
        if done.status not in (0, 255):
            refused.append(f"{place}: sshrun {shlex.join(words)}: exit {done.status}: {done.stderr}")
    assert not refused, "\n".join(refused)


@pytest.mark.parametrize(("code", "ended"), [(0, True), (3, False)])
def test_a_rented_machine_is_ended_after_success_alone(gpu1: Sshrun, sandbox: Sandbox, code: int, ended: bool) -> None:
    settings = only("docs/recipes.md", "yaml", holding="shutdown_cmds").text
    programs = sandbox.home / "bin"
    programs.mkdir()
    for name, script in {"sudo": f"echo $* >{sandbox.home}/ended", "nvidia-smi": "echo a GPU"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    (sandbox.home / ".bash_profile").write_text('PATH="$HOME/bin:$PATH"\n')
    home = Path(os.environ["HOME"])
    (home / ".sshrun" / "user_settings.yaml").write_text(
        settings.replace("ssh:\n", "ssh:\n  config_path: ../ssh_config\n  create_venv: false\n")
    )
    script = "import os\nos.mkdir('checkpoints')\nopen('checkpoints/1.pt', 'w').close()\n"
    (gpu1.folder / "train.py").write_text(f"{script}raise SystemExit({code})\n")
    done = gpu1("-h", "gpu1", "run", "train.py")
    assert (done.status, done.stdout) == (code, b"a GPU\n"), done.stderr
    assert (gpu1.folder / "checkpoints" / "1.pt").exists()
    assert (sandbox.home / "ended").exists() == ended
    if ended:
        assert (sandbox.home / "ended").read_text() == "shutdown -h now\n"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")
def test_the_makefile(gpu1: Sshrun) -> None:
    (gpu1.folder / "Makefile").write_text(only("docs/recipes.md", "make", holding="sshrun").text)
    [command] = [
        line
        for block in blocks("sh")
        if block.document == PROJECT / "docs" / "recipes.md"
        for line in block.text.splitlines()
        if line.startswith("make ")
    ]
    done = by_shell(command, gpu1.folder)
    assert done.status == 0, done.stderr
    assert json.loads((gpu1.folder / "metrics.json").read_text())["epochs"] == 3
    again = by_shell("make resume", gpu1.folder)
    assert again.status == 0, again.stderr


def test_what_an_agent_types(gpu1: Sshrun) -> None:
    """Started and left; asked after while it runs; retrieved once it is over."""
    script = gpu1.folder / "fit.py"
    script.write_text(script.read_text() + "import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\n")
    start, *looks, back = only("docs/recipes.md", "sh", holding="--json --no-wait").text.splitlines()
    assert by_shell(start, gpu1.folder).status == 0
    for look in looks:
        done = by_shell(look, gpu1.folder)
        assert done.status == 0, done.stderr
    assert by_shell(back, gpu1.folder).status == 75
    host = Path(re.search(r"UserKnownHostsFile \"(.*)/known_hosts", (Path.home() / "ssh_config").read_text())[1])
    (host / "home" / "go").touch()
    deadline = 100
    while (done := by_shell(back, gpu1.folder)).status == 75 and deadline:
        deadline -= 1
    assert done.status == 0, done.stdout
    assert (gpu1.folder / "metrics.json").exists()
    assert all(json.loads(line) for line in done.stdout.splitlines())


# Words of the documents that stand for what differs from one time to the next.
STANDS_FOR = re.compile(r"\b(?:COMMAND|DIRECTORY|FILE|HOST|JOB|N|NAME|PATH|PATTERN|PYTHON|SSH|TEXT)\b(?: \([a-z]+\))?")
# What ssh and the system say themselves.
NOT_OURS = ("Permission denied", "No space left on device")


def templates() -> list[str]:
    """All texts of the program, with NUL for what is put into them."""
    found = []
    for path in (PROJECT / "sshrun").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    for path in (PROJECT / "sshrun").rglob("*.sh"):
        found += [line.replace('\\"', '"') for line in path.read_text(encoding="utf-8").splitlines()]
    return found


def messages() -> list[str]:
    rows = (PROJECT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
    cells = [row.split("|")[1] for row in rows if row.startswith("| `")]
    return [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]


def test_every_message_of_the_troubleshooting_page_is_one_of_the_program() -> None:
    known = templates()
    named = messages()
    assert len(named) > 50
    missing = []
    for message in named:
        fixed = [re.escape(text) for text in STANDS_FOR.split(message) if text.strip(" :()")]
        pattern = re.compile(".*".join(fixed), re.DOTALL)
        if not any(pattern.search(text) for text in known) and not any(text in message for text in NOT_OURS):
            missing.append(message)
    assert not missing


def test_links_lead_somewhere() -> None:
    broken = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            linked = (document.parent / path) if path else document
            if not linked.exists() or (anchor and anchor not in anchors(linked)):
                broken.append(f"{document.relative_to(PROJECT)}: {target}")
    assert not broken


def anchors(document: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
