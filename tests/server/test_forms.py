"""What `run` takes beside a script in Python: a module, a shell script with arguments, a notebook."""

from __future__ import annotations

import json
import signal
import sys
import venv
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.notebooks import outputs, texts, write_notebook
from support.waiting import eventually


@pytest.fixture(autouse=True)
def settings(tmp_path: Path) -> None:
    """The Python of the tests has what executes a notebook."""
    write_settings(tmp_path, create_venv=False, python=sys.executable)


def write_settings(folder: Path, **settings: object) -> None:
    """Without the project around: tests/server/test_miniatures.py has forms in project mode."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"project": False, **settings}.items()]
    (folder / "pyproject.toml").write_text("\n".join(["[tool.sshrun]", *lines, ""]))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """`pkg.train`, which needs the rest of its package."""
    folder = tmp_path / "pkg"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "deep" / "__init__.py").touch()
    (folder / "deep" / "model.py").write_text("NAME = 'deep'\n")
    (folder / "train.py").write_text(
        "import sys\nfrom .deep.model import NAME\nprint(__name__, NAME, sys.argv[1:])\nsys.exit(7)\n"
    )
    return folder


def test_a_module_takes_its_package_along_and_every_word_behind_it(
    sshrun: Sshrun, sandbox: Sandbox, package: Path
) -> None:
    (package / "data.csv").touch()
    finished = sshrun("run", "-m", "pkg.train", "--host", "a  b", "-m", "--resume")
    assert finished.stdout == b"__main__ deep ['--host', 'a  b', '-m', '--resume']\n", finished.stderr
    assert finished.status == 7
    sent = {str(path.relative_to(sandbox.home)) for path in sandbox.home.rglob("pkg/**/*") if path.suffix != ".pyc"}
    assert "pkg/deep/__init__.py" in sent and "pkg/data.csv" not in sent
    assert b"run -m pkg.train --host" in sshrun("jobs").stdout


def test_a_module_in_one_file_and_one_of_the_hosts_own(sshrun: Sshrun, tmp_path: Path) -> None:
    (tmp_path / "flat.py").write_text("print('flat')\n")
    assert sshrun("run", "-m", "flat").stdout == b"flat\n"
    assert b"usage: " in sshrun("run", "-m", "json.tool", "--help").stdout
    finished = sshrun("run", "-m", "nosuchmodule")
    assert finished.status == 1 and b"No module named nosuchmodule" in finished.stdout


def test_a_module_has_the_settings_of_the_project(sshrun: Sshrun, package: Path, tmp_path: Path) -> None:
    write_settings(
        tmp_path,
        create_venv=False,
        python=sys.executable,
        environment=["WORD=said"],
        startup_cmds=["export WORD=$WORD-twice"],
        upload_files=["in.txt"],
        download_files=["out.txt"],
    )
    (tmp_path / "in.txt").write_text("given")
    (package / "train.py").write_text(
        "import os\nopen('out.txt', 'w').write(open('in.txt').read() + os.environ['WORD'])\n"
    )
    assert sshrun("run", "-m", "pkg.train").status == 0
    assert (tmp_path / "out.txt").read_text() == "givensaid-twice"


def test_the_job_of_a_module_is_resumed_by_its_name_and_in_its_directory(
    sshrun: Sshrun, package: Path, tmp_path: Path
) -> None:
    write_settings(tmp_path, create_venv=False, python=sys.executable, download_files=["out.txt"])
    (package / "train.py").write_text("open('out.txt', 'w').write('new')\n")
    (tmp_path / "out.txt").write_text("of an earlier run")
    assert sshrun("--no-wait", "run", "-m", "pkg.train").status == 0
    other = sshrun("--resume", "run", "-m", "pkg.other")
    assert (other.status, "that is not run -m pkg.other" in other.stderr) == (75, True), other.stderr
    assert sshrun("--resume").status == 0
    assert (tmp_path / "out.txt").read_text() == "new"
    assert sshrun("--no-wait", "run", "-m", "pkg.train").status == 0
    assert sshrun("--resume", "run", "-m", "pkg.train").status == 0


def test_a_program_has_the_environment_that_the_user_file_asks_for(
    sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path
) -> None:
    """The lists of the settings are for scripts and models: a program may be anything."""
    programs = sandbox.home / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "torchrun"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $* $WORD"\n')
        (programs / name).chmod(0o755)
    write_settings(tmp_path, environment=["WORD=said"], startup_cmds=["export WORD=twice"])
    assert sshrun("--", "torchrun", "train.py").status == 127
    settings = home / ".sshrun" / "user_settings.yaml"
    settings.write_text(f"{settings.read_text()}  create_venv: true\n")
    assert sshrun("--", "torchrun", "train.py").stdout == b"torchrun train.py said\n"


def test_arguments_reach_a_shell_script_as_they_are(sshrun: Sshrun, tmp_path: Path) -> None:
    (tmp_path / "x.sh").write_text('printf "[%s]" "$@"; echo "$BASH"\n')
    finished = sshrun("run", "x.sh", "--config=conf.yaml", "-v", "a  b", "")
    assert finished.stdout.startswith(b"[--config=conf.yaml][-v][a  b][]/"), finished
    assert finished.stdout.endswith(b"bash\n")


def test_a_notebook_comes_back_executed_beside_what_it_was(sshrun: Sshrun, tmp_path: Path) -> None:
    notebook = tmp_path / "fit.ipynb"
    was = write_notebook(notebook, "x = 20\nprint('one')", "x + 1", "import os, sys\nprint('err', file=sys.stderr)")
    finished = sshrun("run", "fit.ipynb")
    assert (finished.status, finished.stdout) == (0, b"one\n21\nerr\n"), finished
    assert texts(notebook) == ["one\n", "21", "err\n"]
    assert (tmp_path / "fit.ipynb.orig").read_bytes() == was
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fit.ipynb", "fit.ipynb.orig", "pyproject.toml"]
    # Once more: now that one is what it was.
    executed = notebook.read_bytes()
    assert sshrun("run", "fit.ipynb").status == 0
    assert (tmp_path / "fit.ipynb.orig").read_bytes() == executed


def test_a_notebook_that_fails_comes_back_as_far_as_it_got(sshrun: Sshrun, tmp_path: Path) -> None:
    notebook = tmp_path / "a b[1].ipynb"
    was = write_notebook(notebook, "print('one')", "print('two')\n1 / 0", "print('never')")
    finished = sshrun("run", notebook.name)
    assert finished.status == 1
    assert b"\nZeroDivisionError: division by zero\nsshrun: cell 2 of 3 failed\n" in finished.stdout
    assert texts(notebook) == ["one\n", "two\nZeroDivisionError", ""]
    assert (tmp_path / "a b[1].ipynb.orig").read_bytes() == was


def test_a_notebook_that_misses_a_module_gets_the_same_hint_as_a_script(sshrun: Sshrun, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("nosuchmodule\n")
    write_notebook(tmp_path / "fit.ipynb", "import nosuchmodule")
    finished = sshrun("run", "fit.ipynb")
    assert finished.status == 1 and "no module 'nosuchmodule': " in finished.stderr


def test_a_notebook_that_is_stopped_comes_back_as_far_as_it_got(sshrun: Sshrun, tmp_path: Path) -> None:
    notebook = tmp_path / "fit.ipynb"
    write_notebook(
        notebook,
        "print('one')",
        "import time\ntry:\n    print('waits', flush=True)\n    time.sleep(60)\nfinally:\n    print('saved')",
    )
    running = sshrun.start("run", "fit.ipynb")
    running.wait_until(lambda running: b"waits" in running.stdout)
    running.press(signal.SIGINT)
    finished = running.wait()
    assert finished.status == 130 and b"nbclient" not in finished.stdout
    assert texts(notebook) == ["one\n", "waits\nsaved\nKeyboardInterrupt"]


@pytest.mark.parametrize(
    "resume", [[], ["--resume"], ["--resume", "run", "fit.ipynb"]], ids=["follow", "bare", "named"]
)
def test_what_a_notebook_became_meanwhile_is_not_lost(sshrun: Sshrun, tmp_path: Path, resume: list[str]) -> None:
    notebook = tmp_path / "fit.ipynb"
    wait = f"import os, time\nwhile not os.path.exists('{tmp_path}/go'): time.sleep(0.05)"
    was = write_notebook(notebook, "print('sent')", wait)
    running = sshrun.start(*(["--no-wait"] if resume else []), "run", "fit.ipynb")
    if resume:
        assert running.wait().status == 0
    else:
        running.wait_until(lambda running: b"sent" in running.stdout)
    edited = write_notebook(notebook, "print('edited')")
    (tmp_path / "go").touch()
    finished = sshrun(*resume) if resume else running.wait()
    assert finished.status == 0
    assert notebook.read_bytes() == edited
    assert texts(tmp_path / "fit.ipynb.from-sandbox") == ["sent\n", ""]
    assert (tmp_path / "fit.ipynb.orig").read_bytes() == was
    assert "fit.ipynb.from-sandbox" in finished.stderr


def test_a_notebook_is_retrieved_while_it_runs_and_by_resume(sshrun: Sshrun, tmp_path: Path) -> None:
    notebook = tmp_path / "fit.ipynb"
    was = write_notebook(
        notebook,
        "print('one')",
        f"import os, time\nwhile not os.path.exists('{tmp_path}/go'): time.sleep(0.05)",
        "print('three')",
    )
    assert sshrun("--no-wait", "run", "fit.ipynb").status == 0
    eventually(lambda: b"one" in sshrun("logs").stdout)
    assert sshrun("retrieve").status == 0
    assert texts(notebook) == ["one\n", "", ""]
    (tmp_path / "go").touch()
    assert sshrun("--resume").status == 0
    assert texts(notebook) == ["one\n", "", "three\n"]
    assert (tmp_path / "fit.ipynb.orig").read_bytes() == was
    assert not list(tmp_path.glob("*.from-*"))


def test_a_notebook_is_retrieved_elsewhere_without_replacing_anything(
    sshrun: Sshrun, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    was = write_notebook(tmp_path / "fit.ipynb", "print('one')")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    other = write_notebook(elsewhere / "fit.ipynb", "print('other')")
    assert sshrun("--no-wait", "run", "fit.ipynb").status == 0
    assert sshrun("--resume", cwd=elsewhere).status == 0
    assert (elsewhere / "fit.ipynb").read_bytes() == other
    assert texts(elsewhere / "fit.ipynb.from-sandbox") == ["one\n"]
    assert (elsewhere / "fit.ipynb.orig").read_bytes() == (tmp_path / "fit.ipynb").read_bytes() == was


def test_a_notebook_is_executed_where_it_lies_whatever_its_startup_commands_do(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    write_settings(
        tmp_path,
        create_venv=False,
        python=sys.executable,
        startup_cmds=["export PYTHONPATH=/nowhere", "export WORD=said"],
    )
    write_notebook(tmp_path / "fit.ipynb", "import os\nprint(os.getcwd(), os.environ['WORD'])")
    finished = sshrun("run", "fit.ipynb")
    assert finished.stdout == f"{sandbox.home} said\n".encode(), finished


def test_the_kernel_is_the_python_that_was_asked_for(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    """And not what a kernel of that name starts that somebody else has put there."""
    write_settings(tmp_path, create_venv=False, python=sys.executable, environment=[f"JUPYTER_PATH={sandbox.home}"])
    kernel = sandbox.home / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps({"argv": ["/bin/false"], "display_name": "x", "language": "python"}))
    write_notebook(tmp_path / "fit.ipynb", "import sys\nprint(sys.executable)")
    assert sshrun("run", "fit.ipynb").stdout == f"{sys.executable}\n".encode()


def test_a_kernel_that_dies_is_told(sshrun: Sshrun, tmp_path: Path) -> None:
    kill = "import os, time\nprint('two', flush=True)\ntime.sleep(0.5)\nos.kill(os.getpid(), 9)"
    write_notebook(tmp_path / "fit.ipynb", "print('one')", kill, "print('never')")
    finished = sshrun("run", "fit.ipynb")
    assert (finished.status, finished.stdout) == (1, b"one\ntwo\nsshrun: the kernel died in cell 2 of 3\n")
    assert texts(tmp_path / "fit.ipynb") == ["one\n", "two\n", ""]


def test_what_executes_a_notebook_is_missed_in_one_line(sshrun: Sshrun, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare")
    write_settings(tmp_path, create_venv=False, python=f"{tmp_path}/bare/bin/python")
    was = write_notebook(tmp_path / "fit.ipynb", "1")
    finished = sshrun("run", "fit.ipynb")
    assert finished.status == 1
    assert finished.stdout.decode() == (
        f"sshrun: nbclient is not installed for {tmp_path}/bare/bin/python: pip install nbclient ipykernel, "
        "or create_venv: true\n"
    )
    assert (tmp_path / "fit.ipynb").read_bytes() == was
    assert not (tmp_path / "fit.ipynb.orig").exists()


@pytest.mark.long
def test_what_executes_a_notebook_is_installed(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").unlink()
    write_notebook(
        tmp_path / "fit.ipynb",
        "# /// script\n# dependencies = ['colorama']\n# ///\nimport colorama, sys\nprint(sys.executable)",
    )
    finished = sshrun("run", "fit.ipynb", seconds=300)
    assert finished.stdout.splitlines()[-1] == f"{sandbox.home}/.venv/bin/python".encode(), finished
    assert finished.status == 0


@pytest.mark.parametrize(
    ("content", "reason"), [("{}", "is no notebook: it has no cells"), ("no JSON", "is no notebook: "), ("", "is no ")]
)
def test_what_is_no_notebook_is_refused_before_anything_is_sent(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, content: str, reason: str
) -> None:
    (tmp_path / "fit.ipynb").write_text(content)
    finished = sshrun("run", "fit.ipynb")
    assert finished.status == 2 and f"fit.ipynb: {reason}" in finished.stderr
    assert sandbox.logins() == 0


def test_a_notebook_takes_no_arguments(sshrun: Sshrun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_notebook(tmp_path / "fit.ipynb", "import os\nprint(os.environ['LR'])")
    finished = sshrun("run", "fit.ipynb", "--lr", "0.1")
    (line,) = finished.stderr.splitlines()
    assert finished.status == 2
    assert line == (
        "sshrun: fit.ipynb is a notebook, which takes no arguments "
        "(LR=0.1 sshrun --env LR run fit.ipynb passes a variable on, which a cell reads from os.environ)"
    )
    monkeypatch.setenv("LR", "0.1")
    assert sshrun("--env", "LR", "run", "fit.ipynb").stdout == b"0.1\n"
    write_settings(tmp_path, create_venv=False, command="echo {model} {args}")
    assert sshrun("run", "fit.ipynb", "--lr", "0.1").stdout == b"fit.ipynb --lr 0.1\n"
    assert outputs(tmp_path / "fit.ipynb")[0][0]["text"] == ["0.1\n"]
