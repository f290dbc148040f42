"""docs/json.md describes the objects that --json prints, and shows one of each."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from sshrun.console import JsonConsole
from sshrun.errors import HostBusy
from sshrun.events import (
    VERSION,
    Event,
    JobChanged,
    LoggingIn,
    LoginMessage,
    Notice,
    Output,
    PasswordRefused,
    Phase,
    Results,
    Started,
    TransferProgress,
    WarningNotice,
    to_data,
)
from sshrun.job import Job, State

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text()
BLOCKS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [json.loads(line) for block in BLOCKS for line in block.splitlines()]
FIELDS = {example["event"]: list(example) for example in reversed(EXAMPLES)}  # the first one of each

EVENTS: list[Event] = [
    Notice("reconnected", "text"),
    WarningNotice("text"),
    Output(b"text", 0),
    TransferProgress("upload", 1, 2, 3),
    Started("id", "host"),
    JobChanged(Job("id", State.RUNNING)),
    Results(("/path",), "path"),
    LoginMessage("text"),
    PasswordRefused("text"),
    Phase("startup", "text", 1, 2),
    LoggingIn("host"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_has_the_fields_of_its_example(event: Event) -> None:
    data = to_data(event)
    assert list(data) == FIELDS[data["event"]]
    assert data["version"] == VERSION


def test_each_kind_of_event_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


def test_an_error_has_the_fields_of_its_example(capfd: pytest.CaptureFixture[str]) -> None:
    JsonConsole().fail(HostBusy("message", "hint"))
    error = json.loads(capfd.readouterr().out)
    assert list(error) == FIELDS["error"]


def test_each_example_is_explained_and_of_this_version() -> None:
    assert {example["version"] for example in EXAMPLES} == {VERSION}
    for name in FIELDS:
        assert f"| `{name}` |" in PAGE
