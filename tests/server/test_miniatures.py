"""Miniatures of the layouts that projects have: one command each, no settings, results as of a run on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.small_project import write_project
from support.trees import contents

REPORT = "import json, sys\ndef report(name, **what):\n    json.dump(what, open(name, 'w'), sort_keys=True)\n"


class Layout(NamedTuple):
    """Files of a repository, what is typed after `sshrun`, and what does the same on this machine.

    `forced` are files that git tracks although an ignore rule names them; `made` is a command that makes data first.
    """

    files: dict[str, str]
    typed: Sequence[str]
    local: Sequence[str]
    forced: Sequence[str] = ()
    made: Sequence[str] = ()
    current: str = "."


LAYOUTS = {
    "a flat script with modules beside it": Layout(
        {
            "train.py": "from model import net\nfrom utils import report\nreport('metrics.json', layers=net.LAYERS)\n",
            "utils.py": REPORT,
            "model/__init__.py": "",
            "model/net.py": "LAYERS = 3\n",
        },
        ["run", "train.py"],
        ["python3", "train.py"],
    ),
    "Hydra: groups of configuration, an output directory with a date": Layout(
        {
            "train.py": "import os, sys\n"
            "chosen = dict(word.split('=') for word in sys.argv[1:])\n"
            "os.makedirs('outputs/2026-11-26/10-00-00/.hydra')\n"
            "text = open(f\"conf/model/{chosen['model']}.yaml\").read() + open('conf/config.yaml').read()\n"
            "open('outputs/2026-11-26/10-00-00/.hydra/config.yaml', 'w').write(text)\n"
            "open('outputs/2026-11-26/10-00-00/train.log', 'w').write('done\\n')\n",
            "conf/config.yaml": "defaults:\n  - model: small\n",
            "conf/model/small.yaml": "width: 8\n",
            "conf/model/large.yaml": "width: 80\n",
            ".gitignore": "outputs/\n",
        },
        ["run", "train.py", "model=large"],
        ["python3", "train.py", "model=large"],
    ),
    "Lightning: a version for each run": Layout(
        {
            "train.py": "import os\n"
            "os.makedirs('lightning_logs', exist_ok=True)\n"
            "place = f\"lightning_logs/version_{len(os.listdir('lightning_logs'))}\"\n"
            "os.makedirs(f'{place}/checkpoints')\n"
            "open(f'{place}/hparams.yaml', 'w').write('rate: 0.1\\n')\n"
            "open(f'{place}/checkpoints/epoch=0-step=10.ckpt', 'wb').write(bytes(5000))\n",
            ".gitignore": "lightning_logs/\n",
        },
        ["run", "train.py"],
        ["python3", "train.py"],
    ),
    "nanoGPT: ignored data that one line brings in": Layout(
        {
            "data/tiny/prepare.py": "open('data/tiny/train.bin', 'wb').write(bytes(range(256)) * 10)\n",
            "train.py": "import os\nos.makedirs('out', exist_ok=True)\n"
            "data = open('data/tiny/train.bin', 'rb').read()\nopen('out/ckpt.pt', 'wb').write(data[::-1])\n",
            "config/train_tiny.py": "batch_size = 4\n",
            ".gitignore": "*.bin\n*.pt\n",
            ".sshrunignore": "!*.bin\n",
        },
        ["run", "train.py", "config/train_tiny.py"],
        ["python3", "train.py", "config/train_tiny.py"],
        made=["python3", "data/tiny/prepare.py"],
    ),
    "YOLO: a tracked file that is ignored": Layout(
        {
            "train.py": "import os\nos.makedirs('runs/train/exp', exist_ok=True)\n"
            "open('runs/train/exp/opt.yaml', 'w').write(open('data/coco.yaml').read())\n",
            "data/coco.yaml": "names: [cat, dog]\n",
            ".gitignore": "data/*.yaml\nruns/\n",
        },
        ["run", "train.py", "--data", "data/coco.yaml"],
        ["python3", "train.py", "--data", "data/coco.yaml"],
        forced=["data/coco.yaml"],
    ),
    "a launcher of two processes": Layout(
        {
            "launch.py": "import os, subprocess, sys\n"
            "runs = [subprocess.Popen([sys.executable, *sys.argv[1:]], env={**os.environ, 'RANK': str(rank)})\n"
            "        for rank in range(2)]\nsys.exit(max(run.wait() for run in runs))\n",
            "train.py": "import os\nopen(f\"rank-{os.environ['RANK']}.txt\", 'w').write('done\\n')\n",
        },
        ["--", "python3", "launch.py", "train.py"],
        ["python3", "launch.py", "train.py"],
    ),
    "make train": Layout(
        {
            "Makefile": "train: prepared.txt\n\tpython3 -B train.py\nprepared.txt:\n\techo prepared >$@\n",
            "train.py": "open('model.txt', 'w').write(open('prepared.txt').read())\n",
        },
        ["--", "make", "train"],
        ["make", "train"],
    ),
    "a shell script with its configuration": Layout(
        {
            "scripts/train.sh": 'set -e\ncp "${1#--config=}" used.yaml\npython3 -B train.py\n',
            "train.py": "open('model.txt', 'w').write(open('used.yaml').read())\n",
            "conf.yaml": "rate: 0.1\n",
            ".gitignore": "conf.yaml\n",
        },
        ["run", "scripts/train.sh", "--config=conf.yaml"],
        ["bash", "scripts/train.sh", "--config=conf.yaml"],
    ),
    "a package that is run as a module": Layout(
        {
            "digits/__init__.py": "",
            "digits/train.py": "from digits.net import LAYERS\nopen('layers.txt', 'w').write(str(LAYERS))\n",
            "digits/net.py": "LAYERS = 4\n",
        },
        ["run", "-m", "digits.train", "--fast"],
        ["python3", "-m", "digits.train", "--fast"],
    ),
    "a script in a directory of its own": Layout(
        {
            "experiments/one/train.py": "open('result.txt', 'w').write(open('../shared.txt').read())\n",
            "experiments/shared.txt": "shared\n",
        },
        ["run", "train.py"],
        ["python3", "train.py"],
        current="experiments/one",
    ),
}


@pytest.fixture
def sshrun(sshrun: Sshrun, home: Path, monkeypatch: pytest.MonkeyPatch) -> Sshrun:
    """Python writes no caches on this machine, as on the host none come back."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with (home / ".sshrun" / "user_settings.yaml").open("a") as file:
        file.write("  project: true\n")
    return sshrun


def repository(place: Path, files: dict[str, str], forced: Sequence[str] = ()) -> Path:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    subprocess.run(["git", "init", "-q", place], check=True)
    subprocess.run(
        ["git", "-C", place, "add", "-f", ".gitignore" if ".gitignore" in files else ".", *forced], check=True
    )
    return place


def sent(stdout: bytes) -> int:
    found = [json.loads(line) for line in stdout.splitlines()]
    uploads = [event for event in found if event["event"] == "progress" and event["direction"] == "upload"]
    return sum(event["files"] for event in uploads)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_runs_without_settings_as_it_does_here(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    layout = LAYOUTS[name]
    project = repository(tmp_path / "project", layout.files, layout.forced)
    if layout.made:
        subprocess.run(layout.made, cwd=project, check=True)
    here = tmp_path / "here"
    shutil.copytree(project, here)
    subprocess.run(layout.local, cwd=here / layout.current, check=True, stdout=subprocess.DEVNULL)
    finished = sshrun(*layout.typed, cwd=project / layout.current)
    assert finished.status == 0, finished.stderr
    assert contents(project) == contents(here)
    if name.startswith("Hydra"):
        return  # whose next run has another directory
    subprocess.run(layout.local, cwd=here / layout.current, check=True, stdout=subprocess.DEVNULL)
    finished = sshrun("--json", *layout.typed, cwd=project / layout.current)
    assert finished.status == 0, finished.stderr
    assert sent(finished.stdout) == 0
    assert contents(project) == contents(here)


def test_without_the_line_the_hint_names_the_rule(sshrun: Sshrun, tmp_path: Path) -> None:
    layout = LAYOUTS["nanoGPT: ignored data that one line brings in"]
    files = {name: text for name, text in layout.files.items() if name != ".sshrunignore"}
    project = repository(tmp_path / "project", files)
    subprocess.run(layout.made, cwd=project, check=True)
    finished = sshrun(*layout.typed, cwd=project)
    assert finished.status == 1
    assert "data/tiny/train.bin is here, but did not go to the host (.gitignore:1 `*.bin`)" in finished.stderr


def test_a_package_in_src_is_installed_editable_and_its_program_runs(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    code = "def main():\n    open('metrics.txt', 'w').write('{}\\n')\n"
    write_project(project, "fit", "1.0", '[project.scripts]\nfit = "fit:main"\n', code=code.format("one"))
    subprocess.run(["git", "init", "-q", project], check=True)
    finished = sshrun("--", "fit", cwd=project)
    assert finished.status == 0, finished.stderr
    assert (project / "metrics.txt").read_text() == "one\n"
    # Another source takes no other installation.
    (project / "src" / "fit.py").write_text(code.format("two"))
    (working,) = (sandbox.home / "sshrun").iterdir()
    made = os.stat(working / ".venv" / "sshrun" / "ready").st_mtime_ns
    finished = sshrun("--", "fit", cwd=project)
    assert finished.status == 0, finished.stderr
    assert (project / "metrics.txt").read_text() == "two\n"
    assert os.stat(working / ".venv" / "sshrun" / "ready").st_mtime_ns == made
    assert not list(project.glob("*.egg-info")) and not (project / ".venv").exists()


def test_a_lock_file_is_what_is_installed(sshrun: Sshrun, tmp_path: Path) -> None:
    project = tmp_path / "project"
    write_project(project, "fit", "1.0", code="VALUE = 7\n")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "lock", "-q", "--offline"], cwd=project, check=True)
    (project / "train.py").write_text("import fit\nopen('value.txt', 'w').write(str(fit.VALUE))\n")
    subprocess.run(["git", "init", "-q", project], check=True)
    finished = sshrun("--dry-run", "run", "train.py", cwd=project)
    assert b"installs  what uv.lock says" in finished.stdout
    finished = sshrun("run", "train.py", cwd=project)
    assert finished.status == 0, finished.stderr
    assert (project / "value.txt").read_text() == "7"
