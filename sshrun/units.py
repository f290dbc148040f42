"""Numbers with their units, for people."""

from __future__ import annotations

import re


def files_text(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def size_text(count: int) -> str:
    """`81.2 GB` of so many bytes: of 1000, as disks and networks are sold."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:  # what is rounded to three digits
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


class Size(int):
    """A number of bytes that is shown with its unit."""

    __slots__ = ()

    def __str__(self) -> str:
        return size_text(self)


def parse_size(text: str) -> Size | None:
    """`10 GB`, `1.5 TB`: in units of 1000, as `size_text` writes them; None of what is no size."""
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,3})?)\s*(k?B|MB|GB|TB)\s*", text, re.IGNORECASE | re.ASCII)
    if match is None:
        return None
    return Size(float(match[1]) * 1000 ** ("b", "kb", "mb", "gb", "tb").index(match[2].lower()))


def age_text(seconds: float) -> str:
    """`42 s`, `7 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes, hours = whole // 60, whole // 3600
    if hours < 1:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
