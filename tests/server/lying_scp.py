"""What `scp -O` starts on a host, sending what a JSON file says: lines of its protocol and bytes behind them.

lying_scp.py LIES ARGUMENT…         LIES: a list of {"line", "text" or "endless"}
"""

from __future__ import annotations

import json
import os
import sys


def main(lies: str) -> None:
    with open(lies) as file:
        entries = json.load(file)
    os.read(0, 1)
    for entry in entries:
        os.write(1, entry["line"].encode() + b"\n")
        if not entry["line"].startswith("\x01"):  # an error, which nobody answers
            os.read(0, 1)
        while entry.get("endless"):
            os.write(1, bytes(1 << 16))
        if "text" in entry:
            os.write(1, entry["text"].encode() + b"\0")
            os.read(0, 1)


if __name__ == "__main__":
    main(sys.argv[1])
