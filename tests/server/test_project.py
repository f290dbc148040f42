"""Project mode: the whole project goes along, and all that is new comes back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Finished, Sshrun
from support.trees import contents
from support.waiting import eventually

TRAIN = """\
import os, sys
from model import net
os.makedirs("out", exist_ok=True)
with open("out/checkpoint.bin", "wb") as file:
    file.write(net.weights(1000))
with open("metrics.json", "w") as file:
    file.write(open("config.json").read())
print("trained in", os.path.basename(os.getcwd()))
"""


@pytest.fixture
def project(tmp_path: Path, home: Path, sshrun: Sshrun) -> Path:
    """A script with modules beside it and a config file, in a repository; no environment is made."""
    settings = home / ".sshrun" / "user_settings.yaml"
    settings.write_text(f"{settings.read_text()}  create_venv: false\n  project: true\n")
    return write(
        tmp_path / "digits",
        {
            "train.py": TRAIN,
            "model/__init__.py": "",
            "model/net.py": "def weights(count):\n    return bytes(range(250)) * (count // 250)\n",
            "config.json": '{"rate": 0.1}\n',
            ".gitignore": "out/\n*.bin\n",
        },
    )


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if not (folder / ".git").exists():
        subprocess.run(["git", "init", "-q", folder], check=True)
    return folder


def events(finished: Finished, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in finished.stdout.splitlines()]
    return [event for event in found if event["event"] == kind]


def there(sandbox: Sandbox) -> Path:
    """The working directory of the one project on the host."""
    (found,) = (sandbox.home / "sshrun").iterdir()
    return found


def sent(finished: Finished) -> int:
    """The files that an upload sent."""
    return sum(event["files"] for event in events(finished, "progress") if event["direction"] == "upload")


def test_a_project_runs_as_it_would_here_and_a_second_time_sends_nothing(
    sshrun: Sshrun, sandbox: Sandbox, project: Path, tmp_path: Path
) -> None:
    here = tmp_path / "here" / "digits"
    shutil.copytree(project, here)
    subprocess.run(["python3", "-B", "train.py"], cwd=here, check=True, stdout=subprocess.DEVNULL)
    finished = sshrun("run", "train.py", cwd=project)
    assert (finished.status, finished.stdout.startswith(b"trained in digits-")) == (0, True), finished.stderr
    assert contents(project) == contents(here)
    assert "downloaded metrics.json, out/checkpoint.bin" in finished.stderr
    again = sshrun("--json", "run", "train.py", cwd=project)
    assert again.status == 0 and sent(again) == 0
    (project / "config.json").write_text('{"rate": 0.2}\n')
    last = sshrun("--json", "run", "train.py", cwd=project)
    assert last.status == 0 and sent(last) == 1
    assert (project / "metrics.json").read_text() == '{"rate": 0.2}\n'


def test_a_command_starts_where_it_was_typed(sshrun: Sshrun, sandbox: Sandbox, project: Path, tmp_path: Path) -> None:
    write(project, {"scripts/where.py": "import os, sys\nprint(os.getcwd(), sys.argv)\nopen('here.txt', 'w')\n"})
    started = [
        (project, "scripts/where.py", "", "scripts/where.py"),
        (project / "scripts", "where.py", "/scripts", "where.py"),
        (project / "model", "../scripts/where.py", "/model", "../scripts/where.py"),
        (tmp_path, str(project / "scripts" / "where.py"), "/scripts", "where.py"),
    ]
    for current, word, beneath, script in started:
        finished = sshrun("run", word, "--x", cwd=current)
        assert finished.stdout.decode() == f"{there(sandbox)}{beneath} {[script, '--x']}\n", finished.stderr
        assert (Path(f"{project}{beneath}") / "here.txt").exists()
        (Path(f"{project}{beneath}") / "here.txt").unlink()
    finished = sshrun("--", "pwd", cwd=project / "model")
    assert finished.stdout.decode() == f"{there(sandbox)}/model\n"


def test_a_module_that_was_renamed_is_gone_and_what_the_job_made_stays(
    sshrun: Sshrun, sandbox: Sandbox, project: Path
) -> None:
    assert sshrun("run", "train.py", cwd=project).status == 0
    shutil.rmtree(project / "out")
    (project / "model" / "net.py").rename(project / "model" / "network.py")
    finished = sshrun("run", "train.py", cwd=project)
    assert finished.status == 1 and b"cannot import name 'net'" in finished.stdout
    assert (there(sandbox) / "out" / "checkpoint.bin").exists()
    assert not (project / "out").exists()


def test_what_must_not_go_stays_and_is_named(sshrun: Sshrun, sandbox: Sandbox, project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("private")
    (project / "link").symlink_to(tmp_path / "elsewhere")
    (project / "inside").symlink_to("config.json")
    write(project, {".env": "TOKEN=1\n", "key.pem": "secret\n", "out/old.bin": "old\n"})
    finished = sshrun("run", "train.py", cwd=project)
    assert finished.status == 0
    names = set(contents(there(sandbox)))
    assert not names & {".env", "key.pem", "link", "out/old.bin"} and not any(".git/" in name for name in names)
    assert (there(sandbox) / "inside").read_text() == (project / "config.json").read_text()
    assert ".env" in finished.stderr and "link" in finished.stderr


def test_words_that_name_ignored_files_bring_them_along(sshrun: Sshrun, project: Path) -> None:
    write(project, {"first.bin": "1\n", "model/second.bin": "2\n", "cat.sh": 'cat "$1" "${2#*=}"\n'})
    finished = sshrun("run", "cat.sh", "first.bin", "--data=model/second.bin", cwd=project)
    assert (finished.status, finished.stdout) == (0, b"1\n2\n"), finished.stderr


def test_too_much_is_refused_before_anything_connects(plain_sshrun: Sshrun, project: Path) -> None:
    (project / "data").mkdir()
    with open(project / "data" / "huge.npy", "wb") as file:
        file.truncate(600_000_000)
    finished = plain_sshrun("--host", "no-such-host.invalid", "run", "train.py", cwd=project)
    assert finished.status == 2
    assert "data/huge.npy (600 MB)" in finished.stderr and ".sshrunignore" in finished.stderr
    (project / ".sshrunignore").write_text("data/\n")
    finished = plain_sshrun("--host", "no-such-host.invalid", "--dry-run", "run", "train.py", cwd=project)
    assert finished.status == 0, finished.stderr


def test_what_changed_here_meanwhile_is_kept(sshrun: Sshrun, sandbox: Sandbox, project: Path) -> None:
    write(
        project,
        {
            "slow.sh": "echo theirs >config.json; echo theirs >metrics.json; echo theirs >same.txt\n"
            "touch ready; while [ ! -e go ]; do sleep 0.1; done\n",
            "metrics.json": "of an earlier run\n",
            "same.txt": "same\n",
        },
    )
    running = sshrun.start("run", "slow.sh", cwd=project)
    eventually(lambda: bool(list(sandbox.home.glob("sshrun/*/ready"))), 20)
    (project / "config.json").write_text("mine\n")
    (project / "same.txt").write_text("theirs\n")
    (there(sandbox) / "go").touch()
    finished = running.wait()
    assert finished.status == 0
    assert (project / "config.json").read_text() == "mine\n"
    assert (project / "config.json.from-sandbox").read_text() == "theirs\n"
    assert (project / "metrics.json").read_text() == "theirs\n"
    assert not (project / "metrics.json.from-sandbox").exists() and not (project / "same.txt.from-sandbox").exists()
    assert "config.json was changed here since the job began and stays as it is" in finished.stderr


@pytest.mark.parametrize("how", ["fails", "is stopped", "is interrupted"])
def test_results_come_also_when_the_job(sshrun: Sshrun, sandbox: Sandbox, project: Path, how: str) -> None:
    write(project, {"job.sh": f"echo 1 >epoch.txt; {'exit 3' if how == 'fails' else 'touch ready; exec sleep 60'}\n"})
    running = sshrun.start("run", "job.sh", cwd=project)
    if how != "fails":
        eventually(lambda: bool(list(sandbox.home.glob("sshrun/*/ready"))), 20)
        if how == "is stopped":
            assert sshrun("stop", cwd=project).status == 0
        else:
            running.press(signal.SIGINT)
    finished = running.wait()
    assert finished.status in {"fails": [3], "is stopped": [130, 143], "is interrupted": [130]}[how], finished.stderr
    assert (project / "epoch.txt").read_text() == "1\n"


def test_two_projects_of_one_name_never_meet(sshrun: Sshrun, sandbox: Sandbox, project: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other" / "digits", {"train.py": "open('metrics.json', 'w').write('of the other')\n"})
    assert sshrun("run", "train.py", cwd=project).status == 0
    assert sshrun("run", "train.py", cwd=other).status == 0
    assert set(contents(other)) - {name for name in contents(other) if name.startswith(".git/")} == {
        "train.py",
        "metrics.json",
    }
    assert (other / "metrics.json").read_text() == "of the other"
    assert len(list((sandbox.home / "sshrun").iterdir())) == 2


def test_an_earlier_jobs_files_are_no_results(sshrun: Sshrun, sandbox: Sandbox, project: Path) -> None:
    write(project, {"save.sh": 'echo "$1" >"$1.txt"\n'})
    assert sshrun("run", "save.sh", "one", cwd=project).status == 0
    (project / "one.txt").unlink()
    finished = sshrun("run", "save.sh", "two", cwd=project)
    assert finished.status == 0
    assert (project / "two.txt").exists() and not (project / "one.txt").exists()
    assert "one.txt" not in finished.stderr


def test_what_is_over_the_limit_stays_and_holds_the_shutdown_commands(
    sshrun: Sshrun, sandbox: Sandbox, project: Path
) -> None:
    write(
        project,
        {
            "pyproject.toml": '[tool.sshrun]\nresults_limit = "1 MB"\nshutdown_cmds = ["touch ~/goodbye"]\n',
            "big.sh": "head -c 2000000 /dev/zero >big.bin; echo 1 >small.txt; exit ${1:-0}\n",
        },
    )
    finished = sshrun("run", "big.sh", cwd=project)
    assert finished.status == 255
    assert "big.bin (2 MB) stay there, over results_limit" in finished.stderr
    assert "sshrun retrieve --all downloads" in finished.stderr
    assert (project / "small.txt").exists() and not (project / "big.bin").exists()
    assert not (sandbox.home / "goodbye").exists()
    finished = sshrun("retrieve", "big.bin", cwd=project)
    assert finished.status == 0 and (project / "big.bin").stat().st_size == 2_000_000
    assert not (sandbox.home / "goodbye").exists()
    (project / "big.bin").unlink()
    assert sshrun("retrieve", "--all", cwd=project).status == 0
    assert (project / "big.bin").stat().st_size == 2_000_000
    assert (sandbox.home / "goodbye").exists()
    (project / "big.bin").unlink()
    (sandbox.home / "goodbye").unlink()
    finished = sshrun("run", "big.sh", "3", cwd=project)
    assert finished.status == 3 and "over results_limit" in finished.stderr
    assert not (sandbox.home / "goodbye").exists()
    assert sshrun("--resume", cwd=project).status == 3
    assert (sandbox.home / "goodbye").exists() and not (project / "big.bin").exists()


def test_another_client_gets_the_results_into_its_own_directory_and_replaces_nothing(
    sshrun: Sshrun, sandbox: Sandbox, project: Path, home: Path, tmp_path: Path
) -> None:
    assert sshrun("--no-wait", "run", "train.py", cwd=project).status == 0
    shutil.rmtree(home / ".sshrun" / "jobs")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "metrics.json").write_text("mine")
    finished = sshrun("--resume", cwd=elsewhere)
    assert finished.status == 0, finished.stderr
    assert (elsewhere / "metrics.json").read_text() == "mine"
    assert (elsewhere / "metrics.json.from-sandbox").read_text() == (project / "config.json").read_text()
    assert (elsewhere / "out" / "checkpoint.bin").stat().st_size == 1000
    assert not (project / "out").exists()


def test_who_resumes_beneath_the_root_has_the_results_in_their_places(sshrun: Sshrun, project: Path) -> None:
    assert sshrun("--no-wait", "run", "train.py", cwd=project).status == 0
    finished = sshrun("--resume", cwd=project / "model")
    assert finished.status == 0
    assert (project / "out" / "checkpoint.bin").exists() and not (project / "model" / "out").exists()


def test_a_file_that_is_missing_there_and_ignored_here_is_named_with_its_rule(sshrun: Sshrun, project: Path) -> None:
    write(project, {"model/train.bin": "1\n", "read.py": "open('model/train.bin')\n"})
    finished = sshrun("run", "read.py", cwd=project)
    assert finished.status == 1
    assert "model/train.bin is here, but did not go to the host (.gitignore:2 `*.bin`)" in finished.stderr
    (project / ".sshrunignore").write_text("!*.bin\n")
    assert sshrun("run", "read.py", cwd=project).status == 0


def test_upload_files_go_beside_the_project_and_replace_what_they_are_put_over(
    sshrun: Sshrun, sandbox: Sandbox, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "weights").write_text("pretrained")
    write(
        project,
        {
            "data/a.bin": "data\n",
            "sub/read.sh": "cat ../data/a.bin weights ../config.json b.bin\n",
            "sub/b.bin": "b\n",
            "prod.json": "production\n",
            "pyproject.toml": '[tool.sshrun]\nupload_files = ["data/*", "sub/*.bin", '
            f'"{tmp_path}/weights|sub/weights", "prod.json|config.json"]\n',
        },
    )
    for _ in range(2):
        finished = sshrun("run", "sub/read.sh", cwd=project)
        assert finished.status == 1, finished.stderr
    finished = sshrun("run", "read.sh", cwd=project / "sub")
    assert (finished.status, finished.stdout) == (0, b"data\npretrainedproduction\nb\n"), finished.stderr


def test_a_directory_that_is_too_much_sends_only_what_is_named(
    sshrun: Sshrun, sandbox: Sandbox, project: Path, home: Path
) -> None:
    (home / "job.sh").write_text("ls; cat words; echo 1 >result\n")
    (home / "words").write_text("named\n")
    (home / "other").write_text("not named\n")
    finished = sshrun("run", "job.sh", "words", cwd=home)
    assert (finished.status, finished.stdout) == (0, b"job.sh\nwords\nnamed\n"), finished.stderr
    assert (home / "result").exists()
    finished = sshrun("--", "ls", cwd=home)
    assert (finished.status, b"other" in finished.stdout) == (0, False)


def test_names_of_any_bytes_and_executables_arrive(sshrun: Sshrun, sandbox: Sandbox, project: Path) -> None:
    names = [b"n\nl", b"\xff\xfe", b" blank ", b"-rf", b"quote'\""]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(project), name))).write_bytes(name)
    write(project, {"run-me": '#!/bin/sh\necho ran; for name in *; do cp -- "$name" "out-$name"; done 2>/dev/null\n'})
    (project / "run-me").chmod(0o755)
    finished = sshrun("--", "./run-me", cwd=project)
    assert finished.status == 0 and finished.stdout == b"ran\n", finished.stderr
    for name in names:
        assert Path(os.fsdecode(os.path.join(os.fsencode(project), b"out-" + name))).read_bytes() == name


def test_the_dry_run_shows_the_whole_plan(sshrun: Sshrun, project: Path) -> None:
    write(project, {".env": "TOKEN=1\n", "out/a.bin": "1\n", "requirements.txt": "numpy\n"})
    finished = sshrun("--dry-run", "run", "train.py", cwd=project)
    text = finished.stdout.decode()
    assert f"project   {project}  (top level of its git repository)" in text
    assert "sends     model/  (2 files, " in text
    assert "stays     .env  (it may hold a secret)" in text and "stays     out/  (.gitignore:1 `out/`)" in text
    assert "sshrun/digits-" in text and f"results   all that is new or changed, in {project}" in text
    data = json.loads(sshrun("--json", "--dry-run", "run", "train.py", cwd=project).stdout.splitlines()[-1])
    assert (
        data["project"]["root"] == str(project)
        and {"path": ".env", "why": "it may hold a secret"} in data["project"]["stays"]
    )
