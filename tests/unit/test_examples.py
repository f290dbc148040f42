from __future__ import annotations

from pathlib import Path

import pytest

from sshrun.connection.login import Login
from sshrun.settings.schema import Options, merge
from sshrun.spec.find import Spec, read_spec
from sshrun.spec.runner import runner_for_model

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(path: str) -> Spec:
    return read_spec(str(EXAMPLES / path))


@pytest.mark.parametrize(
    ("path", "runner", "archive"),
    [
        ("digits/digits.py", "script", "digits.zip"),
        ("mltk/waves.py", "mltk", "waves.mltk.zip"),
        ("pytorch-script/spirals.py", "script", "spirals.zip"),
    ],
)
def test_example_is_read_without_running_it(path: str, runner: str, archive: str) -> None:
    """A laptop needs neither numpy nor TensorFlow nor PyTorch for it."""
    spec = example(path)
    settings = merge(Options(), spec.layers)
    assert (spec.unread, spec.warnings, settings.warnings) == ((), (), ())
    found = runner_for_model(spec, "train", [], settings, model=spec.name, clean=False)
    assert (found.name, found.archive) == (runner, archive)
    assert settings.login == Login()
    assert settings.remote_dir.value == f"sshrun-{spec.name}"


def test_every_example_is_looked_at() -> None:
    mark = test_example_is_read_without_running_it.pytestmark[0]
    seen = {EXAMPLES / row[0] for row in mark.args[1]}
    assert seen == set(EXAMPLES.glob("*/*.py"))
