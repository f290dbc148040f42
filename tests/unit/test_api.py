from __future__ import annotations

import ast
import signal
from pathlib import Path

import pytest

import sshrun
from sshrun.console import Console
from sshrun.events import Event, Notice
from sshrun.interrupts import SIGNALS, Interrupted, Interrupts
from sshrun.session.retry import Steps

PACKAGE = Path(sshrun.__file__).parent


def test_no_signal_is_handled_unless_it_is_asked_for() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    Interrupts(signals=())
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("module", [PACKAGE / "api.py", *(PACKAGE / "jobs").glob("*.py")], ids=lambda path: path.stem)
def test_what_runs_jobs_prints_nothing_handles_no_signals_and_does_not_exit(module: Path) -> None:
    tree = ast.parse(module.read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported.isdisjoint({"sshrun.console", "sshrun.commands"})
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert called.isdisjoint({"print", "exit", "sys.exit", "os._exit", "os.write", "signal.signal", "Interrupts"})


def test_who_is_interrupted_while_an_event_is_shown_may_tell_more(capfd: pytest.CaptureFixture[str]) -> None:
    class Interrupting(Console):
        def show(self, event: Event) -> None:
            super().show(event)
            if event == Notice("", "one"):
                raise Interrupted(signal.SIGTERM)

    def steps() -> Steps[int]:
        try:
            yield Notice("", "one")
        except Interrupted:
            yield Notice("", "leaving")
            raise
        return 0

    with pytest.raises(Interrupted):
        Interrupting().play(steps())
    assert capfd.readouterr().err == "sshrun: one\nsshrun: leaving\n"
