from __future__ import annotations

import json
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
