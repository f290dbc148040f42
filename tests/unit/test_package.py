from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import sshrun

PACKAGE = Path(sshrun.__file__).parent
SOURCE = Path(__file__).parents[2] / "sshrun"


def test_what_is_tested_is_what_is_installed() -> None:
    installed = distribution("sshrun")
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    editable = origin.get("dir_info", {}).get("editable", False)
    expected = SOURCE if editable else Path(str(installed.locate_file("sshrun")))
    assert expected == PACKAGE


def test_every_file_of_the_package_is_installed() -> None:
    wanted = {path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    missing = {path for path in wanted if not (PACKAGE / path).is_file()}
    assert wanted
    assert not missing


def test_version_of_the_package_is_that_of_the_metadata() -> None:
    assert distribution("sshrun").version == sshrun.__version__


def test_the_life_of_a_job_loads_no_settings_and_no_reader_of_specs() -> None:
    """What runs jobs is told what to do: it can serve a command line, a notebook or a program alike."""
    modules = [f"sshrun.jobs.{path.stem}" for path in (PACKAGE / "jobs").glob("*.py") if path.stem != "__init__"]
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert len(modules) > 5 and set(modules) <= set(loaded)
    assert not [name for name in loaded if name.startswith(("sshrun.settings", "sshrun.spec", "sshrun.cli", "ast"))]


def test_paths_of_our_own_are_named_in_one_module() -> None:
    ours = re.compile(r"""["'](~/)?\.sshrun["'/]""")
    assert {path.name for path in SOURCE.rglob("*.py") if ours.search(path.read_text())} == {"dirs.py"}
