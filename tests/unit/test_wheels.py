from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from sshrun.environment.wheels import HostPython, collect, items
from sshrun.errors import HostUnfit, UsageError


def _wheel(folder: Path, name: str, tag: str, *, needs: str = "") -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w") as wheel:
        needed = f"Requires-Dist: {needs}\n" if needs else ""
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needed}")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


OLD = HostPython("cpython", "3.9", "linux-aarch64", (2, 17))


def test_words_of_a_host_are_read() -> None:
    assert HostPython.read("cpython 3.9 linux-aarch64 glibc 2.17", "gpu1") == OLD
    assert HostPython.read("cpython 3.12 linux-x86_64", "gpu1").glibc is None
    with pytest.raises(HostUnfit, match="gpu1 has no Python"):
        HostPython.read("none", "gpu1")


@pytest.mark.parametrize(
    ("python", "first", "held", "not_held"),
    [
        (OLD, "manylinux_2_17_aarch64", "manylinux2014_aarch64", "manylinux_2_18_aarch64"),
        (
            HostPython("cpython", "3.11", "linux-x86_64", (2, 36)),
            "manylinux_2_36_x86_64",
            "manylinux1_x86_64",
            "macosx",
        ),
        (HostPython("cpython", "3.11", "linux-x86_64"), "musllinux_1_2_x86_64", "linux_x86_64", "manylinux2014_x86_64"),
        (
            HostPython("cpython", "3.12", "macosx-14.0-arm64"),
            "macosx_14_0_arm64",
            "macosx_11_0_universal2",
            "macosx_15_0_arm64",
        ),
    ],
)
def test_platforms_are_those_that_run_there(python: HostPython, first: str, held: str, not_held: str) -> None:
    platforms = list(python.platforms())
    assert platforms[0] == first
    assert held in platforms
    assert not_held not in platforms


def test_wheels_fit_the_host_and_bring_what_they_need(index: Path, tmp_path: Path) -> None:
    _wheel(index, "first", "cp39-cp39-manylinux2014_aarch64", needs="second")
    _wheel(index, "first", "cp311-cp311-manylinux2014_x86_64", needs="second")
    _wheel(index, "second", "py3-none-any")
    wheels = collect(["first"], OLD, str(tmp_path / "cache"))
    assert [Path(wheel).name for wheel in wheels] == [
        "first-1.0-cp39-cp39-manylinux2014_aarch64.whl",
        "second-1.0-py3-none-any.whl",
    ]
    sent = items(wheels, "/home/joe/.sshrun/wheels")
    assert [(entry.root, entry.name) for entry in sent] == [
        ("/home/joe/.sshrun/wheels", Path(wheel).name) for wheel in wheels
    ]


def test_wheels_that_were_collected_once_need_no_index(index: Path, tmp_path: Path) -> None:
    _wheel(index, "first", "py3-none-any")
    wheels = collect(["first"], OLD, str(tmp_path / "cache"))
    before = [Path(wheel).stat() for wheel in wheels]
    (index / "first-1.0-py3-none-any.whl").unlink()
    assert collect(["first"], OLD, str(tmp_path / "cache")) == wheels
    assert [Path(wheel).stat().st_mtime_ns for wheel in wheels] == [entry.st_mtime_ns for entry in before]


def test_what_has_no_wheel_for_the_host_is_named(index: Path, tmp_path: Path) -> None:
    _wheel(index, "first", "cp311-cp311-manylinux2014_x86_64")
    with pytest.raises(UsageError, match="first") as caught:
        collect(["first"], OLD, str(tmp_path / "cache"))
    assert "Python 3.9 on linux-aarch64" in caught.value.hint
