"""What a job or its client misses is told: packages that nobody installed, a working directory that is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from installed import Sshrun
from specs import HostSide, eventually, write_spec
from sshrun.sandbox import Sandbox


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
