"""What a job or its client misses is told: packages that nobody installed, a working directory that is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.specs import HostSide, write_spec
from support.waiting import eventually


@pytest.mark.parametrize("verb", ["--resume", "retrieve"])
def test_results_in_a_directory_that_is_gone_are_not_called_safe(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, verb: str
) -> None:
    host = HostSide(sandbox)
    write_spec(
        tmp_path, "echo said; echo result >my_model.zip; exit 4", remote_dir="work", shutdown_cmds=["touch ~/bye"]
    )
    assert sshrun("--no-wait", "train", "my_model").status == 0
    eventually(lambda: list(host.latest().glob("rc.[0-9]*")))
    shutil.rmtree(sandbox.home / "work")
    finished = sshrun(verb)
    assert finished.status == 255
    assert "is gone" in finished.stderr and "safe" not in finished.stderr
    job = host.ids()[-1]
    assert "sshrun logs shows its log, which is kept; --force" in finished.stderr
    assert verb == "retrieve" or "ended with exit 4" in finished.stderr
    assert sshrun("logs", job).stdout == b"said\n"
    assert not (sandbox.home / "bye").exists()
    assert sshrun("--force", "--", "true").status == 0, "as was said"


def test_a_missing_module_that_a_file_here_names_gets_a_line(sshrun: Sshrun, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.sshrun]\ncreate_venv = false\n")
    (tmp_path / "fit.py").write_text("import no_such_module\n")
    finished = sshrun("run", "fit.py")
    assert finished.status == 1 and "requirements" not in finished.stderr
    (tmp_path / "requirements.txt").write_text("no_such_module\n")
    finished = sshrun("run", "fit.py")
    assert finished.status == 1 and "requirements: [-r requirements.txt], and create_venv: true" in finished.stderr


@pytest.mark.parametrize("place", ["block", "setting"])
def test_packages_that_are_named_and_not_installed_are_a_warning(sshrun: Sshrun, tmp_path: Path, place: str) -> None:
    block = '# /// script\n# dependencies = ["numpy"]\n# ///\n' if place == "block" else ""
    setting = 'requirements = ["numpy"]\n' if place == "setting" else ""
    (tmp_path / "pyproject.toml").write_text(f"[tool.sshrun]\ncreate_venv = false\n{setting}")
    (tmp_path / "fit.py").write_text(f"{block}print(1)\n")
    finished = sshrun("run", "fit.py")
    assert finished.stdout == b"1\n"
    assert "these packages are not installed, since create_venv is false (pyproject.toml:2" in finished.stderr


@pytest.mark.parametrize("place", ["block", "pyproject.toml"])
@pytest.mark.parametrize("size", [0, 1 << 20])
def test_a_python_that_the_script_does_not_allow_is_an_error_before_anything_is_uploaded(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, place: str, size: int
) -> None:
    block = '# /// script\n# requires-python = "{}"\n# [tool.sshrun]\n# upload_files = ["data"]\n# ///\n'
    project = '[project]\nrequires-python = "{}"\n[tool.sshrun]\nupload_files = ["data"]\n'
    (tmp_path / "data").write_bytes(bytes(size))
    for wanted, status in ((">=3.8,<3.9", 255), (">=3.8", 0)):
        (tmp_path / "fit.py").write_text((block.format(wanted) if place == "block" else "") + "print(1)\n")
        (tmp_path / "pyproject.toml").write_text(project.format(wanted) if place != "block" else "")
        finished = sshrun("run", "fit.py")
        assert finished.status == status, finished.stderr
        if status:
            assert "requires-python: >=3.8,<3.9 is required, and sandbox would use Python 3." in finished.stderr
            assert "set python: 3.8, which" in finished.stderr or "sandbox has no other that fits" in finished.stderr
            assert not (sandbox.home / "data").exists() and not (sandbox.home / ".venv").exists()
