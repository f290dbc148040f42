"""`make bench`: sshrun beside the commands that a skilled person would type, as ratios of medians inside one run."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from measure import Row  # noqa: E402 (found beside this file)

MODULES = ("startup", "whole_run", "following", "files", "project", "environment", "rivals")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help=f"some of: {' '.join(MODULES)}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[Row] = []
    for name in options.modules or MODULES:
        if importlib.util.find_spec(name) is None:
            continue
        with tempfile.TemporaryDirectory() as home:
            os.environ["HOME"] = home
            for variable in [name for name in os.environ if name.startswith(("SSHRUN_", "MLTK_", "XDG_"))]:
                del os.environ[variable]
            for row in importlib.import_module(name).rows():
                rows.append(row)
                if not options.json:
                    print(row.text(), flush=True)
    if options.json:
        json.dump([row.data() for row in rows], sys.stdout, indent=1)
        print()
    missed = [row.name for row in rows if row.met is False]
    print(f"{len(rows)} rows, {len(missed)} goals missed" + "".join(f"\n  {name}" for name in missed), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
