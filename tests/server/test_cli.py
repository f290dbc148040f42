"""The command line as a person or a script meets it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sshrun import __version__
from sshrun.command_line import VERBS
from support.installed import SSHRUN, Sshrun
from support.specs import write_spec


def test_version_and_help_need_nothing(plain_sshrun: Sshrun, home: Path) -> None:
    (home / ".sshrun").mkdir()
    (home / ".sshrun" / "user_settings.yaml").write_text("not: [yaml")
    assert plain_sshrun("--version").stdout == f"sshrun {__version__}\n".encode()
    text = plain_sshrun("--help")
    assert (text.status, text.stderr) == (0, "") and b"sshrun [OPTIONS] COMMAND MODEL" in text.stdout
    assert plain_sshrun("train", "my_model", "--help").stdout == text.stdout
    assert plain_sshrun("-v", "--version").stdout == f"sshrun {__version__}\n".encode()


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_has_a_help_of_its_own(plain_sshrun: Sshrun, verb: str) -> None:
    text = plain_sshrun(verb, "--help")
    assert (text.status, text.stderr) == (0, "")
    assert verb in text.stdout.decode().splitlines()[0]
    assert text.stdout != plain_sshrun("--help").stdout
    assert plain_sshrun("--help", verb).stdout == text.stdout


def test_the_help_of_a_script_is_the_scripts(sshrun: Sshrun, tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text('echo "$@"')
    assert sshrun("run", "train.sh", "--help", "-h").stdout == b"--help -h\n"
    assert sshrun("--", "printf", "%s ", "--help", "-h").stdout == b"--help -h "


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("--version",), 255, "standard output: No space left on device"),
        (("--help",), 255, "standard output: No space left on device"),
        (("-h", "gpu1", "--dry-run", "--", "true"), 255, "standard output: No space left on device"),
        (("--json", "train"), 2, "which model?"),
    ],
)
def test_a_full_disk_behind_stdout_is_one_line(home: Path, words: tuple[str, ...], status: int, says: str) -> None:
    with open("/dev/full", "wb") as full:
        finished = subprocess.run([SSHRUN, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert finished.returncode == status, finished.stderr
    (line,) = finished.stderr.splitlines()
    assert line.startswith("sshrun: ") and says in line


def test_a_log_that_cannot_be_kept_here_ends_us_and_not_the_job(sshrun: Sshrun, home: Path, tmp_path: Path) -> None:
    # A file may have eight blocks of 512 bytes: what a full disk says to a log, and to nothing else.
    limited = ["sh", "-c", 'ulimit -f 8 && exec "$@"', "sh", SSHRUN, *sshrun.options]
    words = ["--", "sh", "-c", "head -c 9999 /dev/zero; sleep 60"]
    finished = subprocess.run([*limited, *words], cwd=tmp_path, capture_output=True, check=False)
    assert finished.returncode == 255
    said = finished.stderr.decode().splitlines()[-1]
    assert "/log: File too large" in said and "sshrun --resume" in said
    assert not (home / ".sshrun" / "crash.log").exists()
    assert b"state    running" in sshrun("status").stdout
    assert sshrun("stop").status == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "no command given"),
        (("--hots", "gpu1", "train", "m"), "did you mean --host?"),
        (("train",), "which model?"),
        (("statsu",), "did you mean status?"),
        (("docter", "gpu1"), "did you mean sshrun doctor?"),
        (("-h", "gpu1", "lgos", "20260101"), "did you mean sshrun logs?"),
        (("run",), "which script?"),
        (("--",), "which program?"),
        (("--resume", "--force", "train", "m"), "exclude each other"),
        (("--wait", "--no-wait", "train", "m"), "exclude each other"),
        (("--sandbox", "-h", "gpu1", "train", "m"), "exclude each other"),
        (("-h", "-oProxyCommand=true", "--", "true"), "-oProxyCommand"),
        (("-h", "a b", "--", "true"), "a b"),
        (("-p", "http", "-h", "gpu1", "--", "true"), "http"),
        (("-h",), "needs a value"),
        (("logs", "-n", "many"), "many"),
        (("--sandbox", "--no-wait", "--", "true"), "no sandbox is running"),
        (("--sandbox", "--resume"), "no sandbox is running"),
    ],
)
def test_wrong_words_are_one_line_and_2(plain_sshrun: Sshrun, words: tuple[str, ...], says: str) -> None:
    finished = plain_sshrun(*words)
    assert (finished.status, finished.stdout) == (2, b"")
    (line,) = finished.stderr.splitlines()
    assert says in line


def test_json_tells_errors_of_the_command_line_too(plain_sshrun: Sshrun) -> None:
    finished = plain_sshrun("--json", "--hots", "gpu1")
    assert (finished.status, finished.stderr) == (2, "")
    event = json.loads(finished.stdout)
    assert (event["event"], event["cause"], event["exit"]) == ("error", "UsageError", 2)


def test_a_run_as_json_is_one_object_a_line(sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, "echo said; echo result >my_model.zip; exit 4", shutdown_cmds=["echo bye"])
    finished = sshrun("--json", "train", "my_model")
    assert (finished.status, finished.stderr) == (4, "")
    events = [json.loads(line) for line in finished.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    for kind in ("started", "output", "job", "result"):
        assert kind in kinds, kinds
    assert [event["text"] for event in events if event.get("kind") == "shutdown"] == ["bye\n"]
    assert {event["version"] for event in events} == {1}
    assert "".join(event["text"] for event in events if event["event"] == "output") == "said\n"
    (ended,) = (event for event in events if event["event"] == "job" and event["state"] == "finished")
    assert ended["code"] == 4


def test_json_names_every_result_by_its_whole_path(sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, "touch 1 2 3 4 5 6; echo result >my_model.zip", download_files=["[1-6]"])
    events = [json.loads(line) for line in sshrun("--json", "train", "my_model").stdout.splitlines()]
    files = [path for event in events if event["event"] == "result" for path in event["files"]]
    assert sorted(files) == [*(f"{tmp_path}/{number}" for number in range(1, 7)), f"{tmp_path}/my_model.zip"]
    jobs = [event for event in events if event["event"] == "job"]
    assert len(jobs) == 1, "what is known is not told twice"


def test_quiet_says_nothing_that_is_no_trouble(sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, "echo said; echo result >my_model.zip")
    finished = sshrun("-q", "train", "my_model")
    assert (finished.status, finished.stdout, finished.stderr) == (0, b"said\n", "")


def test_a_word_that_looks_like_an_option_of_ours_is_passed_on_with_a_warning(sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, 'echo "$@"')
    finished = sshrun("train", "my_model", "--forse", "-x", "--", "--force")
    assert (finished.status, finished.stdout) == (0, b"--forse -x --force\n")
    assert "--forse goes to the command; if you mean ours, it is --force" in finished.stderr


def test_a_program_gets_every_word_as_it_is(sshrun: Sshrun) -> None:
    words = ["a b", "", "--force", "$HOME", "`id`", "'", '"', "*", "line\nbreak", "\\n", "-h", "ü", "!"]
    finished = sshrun("--", "printf", r"%s\0", *words)
    assert finished.stdout == b"".join(word.encode() + b"\0" for word in words)


def test_a_sandbox_of_its_own_runs_no_shutdown_command(plain_sshrun: Sshrun, tmp_path: Path, home: Path) -> None:
    write_spec(tmp_path, "echo $HOME; echo result >my_model.zip", shutdown_cmds=[f"touch {tmp_path}/goodbye"])
    finished = plain_sshrun("--sandbox", "train", "my_model")
    assert finished.status == 0, finished.stderr
    assert (tmp_path / "my_model.zip").read_text() == "result\n"
    assert not (tmp_path / "goodbye").exists() and f"touch {tmp_path}/goodbye" in finished.stderr
    where = Path(finished.stdout.decode().strip())
    assert where != home and not where.exists(), "nothing of it is left"


def test_a_bug_of_ours_is_70_with_a_log_to_report(sshrun: Sshrun, home: Path) -> None:
    # A folder in the place of a file: something nobody thought of.
    (home / ".sshrun" / "jobs" / "20260101-000000-aaaaaaaa" / "manifest").mkdir(parents=True)
    finished = sshrun("jobs")
    assert finished.status == 70
    (line,) = finished.stderr.splitlines()[-1:]
    assert "a bug in sshrun" in line and "Traceback" not in finished.stderr
    assert f"paste {home}/.sshrun/crash.log" in line and "report it at " in line


def test_the_log_of_a_bug_can_be_pasted_into_a_report(sshrun: Sshrun, home: Path) -> None:
    (home / ".sshrun" / "jobs" / "20260101-000000-aaaaaaaa" / "facts").mkdir(parents=True)
    assert sshrun("--env", "SECRET", "jobs").status == 70
    log = home / ".sshrun" / "crash.log"
    assert log.stat().st_mode & 0o777 == 0o600
    head, _, trace = log.read_text().partition("```text\n")
    assert f"sshrun {__version__}: IsADirectoryError" in head and "OpenSSH" in head and "Python 3." in head
    assert "command: jobs; options: " in head and "env" in head
    assert trace.startswith("Traceback") and trace.endswith("```\n")
    assert "SECRET" not in head and str(home) not in trace


def test_a_machine_without_ssh_is_told_so(
    plain_sshrun: Sshrun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    for words in (("-h", "gpu1", "--", "true"), ("ssh-keygen", "gpu1")):
        finished = plain_sshrun(*words)
        assert (finished.status, finished.stderr.count("\n")) == (2, 1), finished.stderr
        assert "is not installed on this machine" in finished.stderr


def test_a_bug_is_told_where_nothing_can_be_kept(plain_sshrun: Sshrun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    finished = plain_sshrun("jobs")
    assert finished.status in (0, 70)
    assert finished.stderr.splitlines()[-1].startswith("sshrun: ")
