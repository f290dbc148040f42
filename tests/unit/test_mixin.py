from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import sshrun
from sshrun.mixin import SshMixin, module_source
from sshrun.settings.table import KEYS, LISTS

SPEC = """
import sys, sshrun
from sshrun import SshMixin
class Model(SshMixin): pass
one, other = Model(), Model()
one.ssh_upload_files += ["a"]
one.ssh_environment.append("A=1")
print(sshrun.__file__, one.ssh_upload_files, other.ssh_upload_files, one.ssh_remote_dir, hasattr(sshrun, "__version__"))
"""


def run_spec(folder: Path, *options: str) -> list[str]:
    (folder / "job").mkdir()
    (folder / "job/spec.py").write_text(SPEC)
    (folder / "on_host").mkdir()
    (folder / "on_host/sshrun.py").write_bytes(module_source())
    return subprocess.run(
        [sys.executable, *options, "spec.py"],
        capture_output=True,
        check=True,
        text=True,
        cwd=folder / "job",
        env={**os.environ, "PYTHONPATH": str(folder / "on_host")},
    ).stdout.split()


def test_the_mixin_has_every_setting_with_a_type_and_a_text() -> None:
    assert set(SshMixin.__annotations__) == {f"ssh_{key}" for key in KEYS}
    source = Path(sys.modules[SshMixin.__module__].__file__ or "").read_text()
    for key in KEYS:
        attribute = source.partition(f"    ssh_{key}: ")[2].splitlines()
        assert attribute[1].startswith('    """')


def test_lists_of_two_objects_are_two_lists() -> None:
    one, other = SshMixin(), SshMixin()
    for key in LISTS:
        getattr(one, f"ssh_{key}").append("x")
        assert (getattr(one, f"ssh_{key}"), getattr(other, f"ssh_{key}")) == (["x"], [])


def test_a_spec_runs_on_a_host_without_sshrun(tmp_path: Path) -> None:
    file, *rest = run_spec(tmp_path, "-S")  # -S: nothing that is installed
    assert file == str(tmp_path / "on_host/sshrun.py")
    assert rest == ["['a']", "[]", "None", "False"]


def test_an_installed_sshrun_is_not_shadowed(tmp_path: Path) -> None:
    file, *rest = run_spec(tmp_path)
    assert file == sshrun.__file__
    assert rest == ["['a']", "[]", "None", "True"]


def test_importing_sshrun_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import sshrun; print(*(set(sys.modules) - before))"
    program = [sys.executable, "-c", code]
    assert subprocess.run(program, capture_output=True, check=True, text=True).stdout.split() == ["sshrun"]


def test_the_module_needs_the_standard_library_alone() -> None:
    assert b"import sshrun" not in module_source()
    assert b"from sshrun" not in module_source()
