"""A value and the place it comes from, so that every setting can be shown and corrected where it stands."""

from __future__ import annotations

import os
from typing import Generic, Literal, NamedTuple, TypeVar

LayerName = Literal["option", "spec", "script block", "project file", "user file", "ssh config", "default"]

Value = TypeVar("Value")


class Origin(NamedTuple):
    """Where a setting stands. `line` counts from 1; 0 where it is not known."""

    layer: LayerName
    file: str = ""
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        """`user_settings.yaml:12 ssh.upload_files[1]`"""
        name = os.path.basename(self.file)
        if name and self.line:
            name = f"{name}:{self.line}"
        return " ".join(filter(None, (name or self.layer, self.key)))


class Sourced(NamedTuple, Generic[Value]):
    value: Value
    origin: Origin

    def __str__(self) -> str:
        return str(self.value)
