from __future__ import annotations

from pathlib import Path

import pytest

from sshrun.jobs.missing_module import hint

LOG = b"Traceback (most recent call last):\n  File \"fit.py\", line 1\nModuleNotFoundError: No module named 'numpy'\n"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("requirements.txt", "numpy\n", "requirements: [-r requirements.txt]"),
        ("pyproject.toml", '[project]\ndependencies = ["numpy>=2"]\n', 'requirements: ["numpy>=2"]'),
        ("pyproject.toml", "[project]\ndependencies = 3\n", ""),
        ("pyproject.toml", "project = [\n", ""),
        ("pyproject.toml", "project = 3\n", ""),
        ("other.txt", "numpy\n", ""),
    ],
)
def test_what_to_write_for_a_missing_module(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    line = hint(LOG, str(tmp_path), create_venv=True)
    assert says in line and bool(line) == bool(says)
    assert "create_venv: true" not in line
    assert bool(says) == ("create_venv: true" in hint(LOG, str(tmp_path), create_venv=False))
    assert hint(b"print('ModuleNotFoundError: No module named')\n", str(tmp_path), create_venv=True) == ""
