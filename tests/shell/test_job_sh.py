"""What a job finds around it, and what is written down about it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from support.shell_host import ShellHost
from support.waiting import eventually

WEIRD = (
    b"plain",
    b"",
    b"two  words ",
    b"$HOME `id` $(id) ${x}",
    b"'single' \"double\"",
    b"back\\slash \\n \\t \\\\ \\0101 \\c end",
    b"line\nline\n\n",
    b"\n",
    b"a=b=c",
    b"-n",
    b"-e",
    b"%s %d",
    b"*",
    b"~",
    "\u00e4\u2713\U0001f600".encode(),
    b"\x80\xff\xfe not utf-8",
    bytes(range(1, 256)),
)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 77, 100, 126, 127, 128, 129, 137, 200, 254, 255])
def test_exit_code_is_the_commands_own(host: ShellHost, code: int) -> None:
    ended = host.sh('exit "$1"', str(code))
    assert (ended.state, ended.code) == ("finished", str(code))


@pytest.mark.parametrize(
    ("name", "number"), [("INT", 2), ("QUIT", 3), ("KILL", 9), ("USR1", 10), ("SEGV", 11), ("TERM", 15)]
)
def test_signal_that_ended_the_command_is_its_exit_code(host: ShellHost, name: str, number: int) -> None:
    # dash, since bash ignores SIGQUIT for itself
    ended = host.run(["/usr/bin/dash", "-c", 'ulimit -c 0; kill -"$1" $$; sleep 5', "sh", name])
    assert (ended.state, ended.code) == ("finished", str(128 + number))
    assert ended.log == b""  # no "Terminated" of a shell's own


def test_command_that_is_not_there_is_127(host: ShellHost) -> None:
    assert host.run(["/no/such/program"]).code == "127"


def test_log_holds_every_byte_of_output_and_errors(host: ShellHost) -> None:
    ended = host.sh(r"printf 'a\000b\377\033[1m\r\n'; printf 'to stderr' >&2")
    assert ended.log == b"a\0b\xff\x1b[1m\r\nto stderr"


def test_arguments_arrive_with_every_byte(host: ShellHost) -> None:
    ended = host.sh('for word; do printf "%s\\000" "$word"; done', *WEIRD)
    assert ended.log.split(b"\0")[:-1] == list(WEIRD)


def test_environment_arrives_with_every_byte(host: ShellHost) -> None:
    wanted = {b"V%d" % number: value for number, value in enumerate(WEIRD)}
    ended = host.run(["cat", "/proc/self/environ"], environment=[name + b"=" + value for name, value in wanted.items()])
    found = dict(line.partition(b"=")[::2] for line in ended.log.split(b"\0"))
    assert {name: found.get(name) for name in wanted} == wanted


def test_working_directory_of_any_name_is_made_and_entered(host: ShellHost) -> None:
    folder = host.home / "a b'c\"$HOME\\n\u00e4" / "-d"
    ended = host.sh("pwd", folder=str(folder))
    assert ended.log.decode() == f"{folder}\n"


@pytest.mark.parametrize(
    ("folder", "found"), [("x/y", "home/x/y"), ("~/z", "home/z"), ("~", "home"), (".", "home"), ("-p", "home/-p")]
)
def test_working_directory_is_relative_to_the_login_directory(host: ShellHost, folder: str, found: str) -> None:
    assert host.sh("pwd", folder=folder).log.decode() == f"{host.home.parent / found}\n"


@pytest.mark.parametrize("name", ["src", "a b/c", "-p", "back\\slash\nline\n", "$HOME"])
def test_startup_commands_command_and_shutdown_commands_start_in_the_directory_that_is_kept(
    host: ShellHost, name: str
) -> None:
    """And the virtual environment is that of the working directory."""
    start = host.home / "work" / name
    start.mkdir(parents=True)
    program = host.home / "work" / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!{host.tools}/sh\necho "$VIRTUAL_ENV $*"\n')
    program.chmod(0o755)
    files = {"start": [name], "venv": ["python3"], "requirements": []}
    session, job = host.begin(["sh", "-c", "pwd; python x"], startup=["pwd >there"], files=files)
    ended = host.follow(session, job)
    assert (ended.code, ended.log.decode()) == ("0", f"{start}\n{host.home}/work/.venv x\n")
    assert (start / "there").read_text() == f"{start}\n"
    host.release(session, job, "pwd >last")
    eventually(lambda: (start / "last").exists() and (start / "last").read_text() == f"{start}\n")


def test_a_directory_to_start_in_that_is_not_there_is_one_line(host: ShellHost) -> None:
    (host.home / "work").mkdir()
    (host.home / "work" / "file").touch()
    for name in ("nosuch/one", "file"):
        ended = host.sh("echo ran", startup=["echo one"], files={"start": [name]})
        assert (ended.state, ended.code, ended.log) == ("finished", "1", b"")
        assert ended.notes == (
            f"the command cannot start in {name}: there is no such directory in {host.home}/work on "
            f"{os.uname().nodename} (upload_files: [{name}] sends it)\n"
        )


def test_shutdown_commands_run_though_the_job_removed_the_directory_that_it_began_in(host: ShellHost) -> None:
    (host.home / "work" / "src").mkdir(parents=True)
    session, job = host.begin(["sh", "-c", "cd ..; rmdir src"], files={"start": ["src"]})
    assert host.follow(session, job).code == "0"
    host.release(session, job, "pwd >last")
    eventually(lambda: (host.home / "work" / "last").exists())


@pytest.mark.parametrize(
    ("program", "code", "text"),
    [
        ("nosuch", "127", "nosuch: command not found on "),
        ("./nosuch", "127", "./nosuch: there is no such file in {start} (upload_files: [nosuch] sends it)"),
        ("./train", "126", "./train may not be executed (chmod +x train before it is sent"),
        ("./fit", "127", "./fit asks for /no/such/python, which is not on "),
        ("../up", "0", "up"),
    ],
)
def test_what_cannot_start_in_the_directory_that_is_kept_is_told_by_name(
    host: ShellHost, program: str, code: str, text: str
) -> None:
    start = host.home / "work" / "src"
    start.mkdir(parents=True)
    (start / "train").write_text("#!/bin/sh\n")
    (start / "fit").write_text("#!/no/such/python\n")
    (start.parent / "up").write_text(f"#!{host.tools}/sh\necho up\n")
    for path in (start / "fit", start.parent / "up"):
        path.chmod(0o755)
    ended = host.run([program], files={"start": ["src"]})
    assert ended.code == code
    assert text.format(start=start) in ended.log.decode()
    assert ended.log.count(b"\n") == 1 and b"sshrun.sh" not in ended.log and b": line " not in ended.log


TRUE = Path("/bin/true").read_bytes()
LOADER = next(word for word in TRUE[:4096].split(b"\0") if word.startswith(b"/") and b"/ld" in word)


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        (
            TRUE.replace(LOADER, b"/lib99/ld.so".ljust(len(LOADER), b"\0"), 1),
            "127",
            "asks for /lib99/ld.so, which is not",
        ),
        (TRUE[:18] + b"\x15\x00" + TRUE[20:], "126", "is a program for another kind of machine than "),  # ppc64
        (b"\xcf\xfa\xed\xfe" + bytes(60), "126", "is a program for macOS, which "),
        (b"", "126", "is empty, there is nothing to run"),
        (TRUE, "0", ""),
        (b"exit 3\n", "3", ""),
    ],
    ids=["loader", "machine", "macOS", "empty", "fits", "text"],
)
def test_program_that_was_built_elsewhere_is_told_by_name(
    host: ShellHost, content: bytes, code: str, text: str
) -> None:
    program = host.home / "work" / "train"
    program.parent.mkdir()
    program.write_bytes(content)
    program.chmod(0o755)
    ended = host.run(["./train"])
    assert (ended.code, ended.log.count(b"\n")) == (code, 1 if text else 0), ended
    assert ended.log.decode().startswith(f"sshrun: ./train {text}" if text else "")


def test_program_that_is_not_found_on_a_spoilt_path_is_one_line(host: ShellHost) -> None:
    for program in ("nosuch", "./nosuch"):
        ended = host.run([program], startup=["PATH=/nowhere"])
        assert ended.code == "127"
        assert ended.log.startswith(f"sshrun: {program}: ".encode()) and ended.log.count(b"\n") == 1, ended


def test_modules_of_ours_are_found_whatever_becomes_of_pythonpath(host: ShellHost) -> None:
    ended = []
    for startup in ([], ["export PYTHONPATH=/other"], ["export PYTHONPATH=/other:$PYTHONPATH"], ["unset PYTHONPATH"]):
        session = host.session()
        job = host.new_id()
        host.claim(session, job)
        session.request("module", "sshrun_notebook", "print('a\\n\\\\b')\n")
        host.begin(["sh", "-c", 'echo "$PYTHONPATH"'], session=session, job=job, startup=startup)
        ended.append(host.follow(session, job).log.decode().strip().replace(str(host.job(job)), "JOB"))
        assert (host.job(job) / "lib" / "sshrun_notebook.py").read_text().strip() == "print('a\\n\\\\b')"
        host.release(session, job)
    assert ended == ["JOB/lib", "/other:JOB/lib", "/other:JOB/lib", "JOB/lib"]


def test_standard_input_is_empty(host: ShellHost) -> None:
    assert host.run(["readlink", "/proc/self/fd/0"]).log == b"/dev/null\n"
    assert host.sh("cat", startup=["cat"]).log == b""


def test_only_hang_up_is_ignored(host: ShellHost) -> None:
    ended = host.run(["grep", "SigIgn", "/proc/self/status"])
    # Bit 0 is SIGHUP. The C library's own signals, 32 and 33, are ignored in whatever posix_spawn(3) starts.
    assert int(ended.log.split()[1], 16) & 0x7FFFFFFF == 1


def test_job_has_no_terminal_and_no_file_open_but_its_log(host: ShellHost) -> None:
    before = {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if os.path.lexists(link)}
    session, job = host.begin(["sh", "-c", 'cat /proc/$$/stat; for link in /proc/$$/fd/*; do readlink "$link"; done'])
    terminal, *links = host.follow(session, job).log.decode().splitlines()
    assert terminal.split()[6] == "0"  # tty_nr, proc(5)
    assert {link for link in links if not link.endswith("/fd")} - before == {str(host.job(job) / "log")}


def test_files_of_the_job_have_the_users_umask_and_its_state_is_private(host: ShellHost) -> None:
    session = host.session("umask 027; cd")
    session, job = host.begin(
        ["sh", "-c", "umask; touch file; echo done"], session=session, environment=["SECRET=canary"]
    )
    assert b"0027" in b"0" + host.follow(session, job).log
    work = host.home / "work"
    assert stat.S_IMODE(work.stat().st_mode) == 0o750
    assert stat.S_IMODE((work / "file").stat().st_mode) == 0o640
    state = [host.home / ".sshrun", *(host.home / ".sshrun").rglob("*")]
    assert len(state) > 10
    assert [path for path in state if path.stat().st_mode & 0o077] == []


def test_values_of_the_environment_are_in_no_command_line(host: ShellHost) -> None:
    host.begin(["sleep", "60"], environment=["SECRET=canary-in-the-mine"], startup=["export OTHER=canary-in-the-mine"])
    eventually(lambda: any(words == "sleep 60" for words in host.mine().values()))
    assert [words for words in host.mine().values() if "canary" in words] == []


def test_profile_speaks_neither_in_the_log_nor_in_the_session(host: ShellHost) -> None:
    for name in (".profile", ".bash_profile", ".bashrc"):
        (host.home / name).write_text("echo noise; echo noise >&2; export FROM_PROFILE=yes\n")
    assert host.sh('echo "$FROM_PROFILE"').log == b"yes\n"


def _profile(host: ShellHost, text: str) -> None:
    for name in (".profile", ".bash_profile"):
        (host.home / name).write_text(text)


@pytest.mark.parametrize(
    "line",
    [
        "set -x",
        "set -xv",
        "export SHELLOPTS; set -x",
        "exec 9>>trace; BASH_XTRACEFD=9; set -x",
        "trap 'echo \"$BASH_COMMAND $* $enter_line $line $decoded\" | tee -a trace' DEBUG; set -T",
    ],
)
def test_profile_that_traces_shows_no_value_of_the_environment(host: ShellHost, line: str) -> None:
    if host.shell == "busybox" and line.startswith(("export", "trap", "exec")):
        pytest.skip("bash alone knows these")
    _profile(host, f"{line}\n")
    session, job = host.begin(
        ["sh", "-c", "echo ran"],
        environment=["TOKEN=hunter2-secret"],
        startup=['test -n "$TOKEN"'],
        files={"manifest": ["x"]},
    )
    ended = host.follow(session, job)
    host.release(session, job, 'test -n "$TOKEN"')
    assert (ended.code, ended.log) == ("0", b"ran\n")
    assert b"hunter2-secret" not in session.errors + session.noise
    holding = [
        str(path.relative_to(host.home))
        for path in host.home.rglob("*")
        if path.is_file() and b"hunter2-secret" in path.read_bytes()
    ]
    assert holding == [f".sshrun/hosts/{os.uname().nodename}/jobs/{job}/environment"]


@pytest.mark.parametrize(
    "line",
    [
        "TMOUT=1; readonly TMOUT; export TMOUT",
        "set -x; export SHELLOPTS",
        "export TAR_OPTIONS=--exclude=* GREP_OPTIONS=-v CDPATH=/:/usr GZIP=-v",
        "cat() { echo cat; }; sed() { echo sed; }; ln() { echo ln; }; export -f cat sed ln",
    ],
)
def test_what_a_start_file_exports_changes_no_session(host: ShellHost, line: str) -> None:
    session, job = host.begin(["sh", "-c", "sleep 2.5; echo ran"], session=host.session(line, login_shell="/bin/bash"))
    assert host.follow(session, job).log == b"ran\n"
    time.sleep(1.5)  # an idle client
    host.release(session, job)
    assert session.errors == b""


def test_a_job_has_what_its_session_sets_aside(host: ShellHost) -> None:
    session, job = host.begin(
        ["sh", "-c", 'echo "$TAR_OPTIONS,$CDPATH"'],
        session=host.session("TAR_OPTIONS='-v --totals'; CDPATH=/:/usr; export TAR_OPTIONS CDPATH"),
    )
    assert host.follow(session, job).log == b"-v --totals,/:/usr\n"


def test_profile_may_go_to_another_folder(host: ShellHost) -> None:
    _profile(host, "cd /\n")
    ended = host.sh("pwd; exit 3")
    assert (ended.code, ended.log) == ("3", b"%b/work\n" % os.fsencode(host.home))


@pytest.mark.parametrize("end", ["exit 0", "exec true"])
def test_profile_that_lets_no_job_run_is_no_success(host: ShellHost, end: str) -> None:
    _profile(host, f"{end}\n")
    ended = host.sh("echo ran")
    assert ended.code == "1"
    assert ended.notes.startswith("a start file of the login shell ended the shell (exit 0)")


@pytest.mark.parametrize("end", ["exit 0", "exec true", ". ./ends", "trap 'exit 0' EXIT; exit 7"])
def test_startup_command_that_ends_the_shell_well_is_no_success(host: ShellHost, end: str) -> None:
    (host.home / "work").mkdir()
    (host.home / "work" / "ends").write_text("exit 0\n")
    ended = host.sh("echo ran", startup=["true", end])
    assert (ended.code, ended.log) == ("1", b"")
    assert ended.notes == (
        "startup command 2 ended the shell (exit 0) before the command began: that is a failure, exit 1\n"
    )
    assert ended.words[-2:] == ["startup", "2"]


def test_end_of_the_shell_in_the_making_of_the_environment_is_no_success(host: ShellHost) -> None:
    """A start file may leave a trap that makes any end of the shell a good one."""
    _profile(host, "trap 'exit 0' EXIT\n")
    ended = host.sh("echo ran", files={"venv": ["no-such-python"], "requirements": []})
    assert (ended.code, ended.log) == ("1", b"")


def test_command_that_begins_has_its_own_exit_code_whatever_a_startup_command_left_set(host: ShellHost) -> None:
    ended = host.sh("echo ran", startup=["set -C", "trap 'exit 9' EXIT"])
    assert (ended.code, ended.log, ended.notes) == ("0", b"ran\n", "")


def test_return_ends_the_one_startup_command_that_says_it(host: ShellHost) -> None:
    ended = host.sh("echo ran", startup=["echo one; return 0; echo never", "echo two"])
    assert (ended.code, ended.log) == ("0", b"one\ntwo\nran\n")
    ended = host.sh("echo ran", startup=["return 6", "echo two"])
    assert (ended.code, ended.log) == ("6", b"")


@pytest.mark.parametrize("left", ["set -C", "set -eu", "set -f", "set -a", "IFS=:"])
def test_options_that_a_profile_leaves_set_are_none_of_the_jobs(host: ShellHost, left: str) -> None:
    _profile(host, f"{left}\n")
    ended = host.sh("env | grep -c '^job_'; exit 3", startup=["true >twice; true >twice"])
    assert (ended.code, ended.log) == ("3", b"0\n")


def test_startup_commands_share_one_shell_with_the_command(host: ShellHost) -> None:
    startup = ["export ONE=1", "two() { echo two; }", "mkdir -p inner && cd inner", "umask 022\numask 037", "two >&2"]
    ended = host.sh('echo "$ONE"; pwd; umask', startup=startup)
    assert ended.log.decode().split() == ["two", "1", f"{host.home}/work/inner", ended.log.decode().split()[-1]]
    assert ended.log.endswith(b"037\n")


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 9", 9), ("false", 1), ("(exit 200)", 200), ("no-such-program", 127), ("set -e; (exit 5); true", 5)],
)
def test_startup_command_that_fails_ends_the_job_with_its_code(host: ShellHost, command: str, code: int) -> None:
    ended = host.sh("echo command", startup=["echo one", command, "echo three"])
    assert (ended.state, ended.code) == ("finished", str(code))
    assert ended.log.startswith(b"one\n")
    assert b"three" not in ended.log
    assert not ended.log.endswith(b"command\n")
    assert ended.words[-2:] == ["startup", "2"]


def test_startup_command_that_is_no_shell_text_ends_the_job(host: ShellHost) -> None:
    ended = host.sh("echo command", startup=["if then (", "echo three"])
    assert ended.state == "finished"
    assert ended.code != "0"
    assert b"three" not in ended.log


def test_none_of_our_functions_stand_before_the_users_commands(host: ShellHost) -> None:
    functions = [
        line.partition("()")[0]
        for part in (Path(__file__).parents[2] / "sshrun" / "remote").glob("*.sh")
        for line in part.read_text().splitlines()
        if "() {" in line and line[0].isalpha()
    ]
    assert len(functions) > 50
    ours = [f"case $(type {name} 2>&1) in *' function'*) echo {name} ;; esac" for name in functions]
    assert host.sh(":", startup=ours).log == b""


def test_startup_commands_find_the_shell_as_after_a_login(host: ShellHost) -> None:
    ended = host.sh(":", startup=['printf %s "$IFS" | od -An -tx1', "case $- in *f*) echo noglob ;; esac", 'echo "$#"'])
    assert ended.log.split() == [b"20", b"09", b"0a", b"0"]


def test_phase_tells_what_the_job_is_at(host: ShellHost) -> None:
    gate = host.home / "gate"
    waiting = f"while [ ! -e {gate} ]; do sleep 0.05; done"
    session, job = host.begin(["sleep", "60"], startup=["true", waiting])
    eventually(lambda: host.look(session, job)[-2:] == ["startup", "2"])
    assert host.look(session, job)[1] == "preparing"
    gate.touch()
    eventually(lambda: host.look(session, job)[-1] == "running")
    assert host.look(session, job)[1] == "running"


def test_times_of_start_and_end_are_kept(host: ShellHost) -> None:
    before = int(time.time())
    ended = host.sh("exit 0")
    started, finished = (int(word) for word in ended.words[3:5])
    assert before <= started <= finished <= time.time()


def test_job_outlives_its_session(host: ShellHost) -> None:
    gate = host.home / "gate"
    session, job = host.begin(["sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done; echo alive; exit 3"])
    session.child.kill()
    gate.touch()
    ended = host.follow(host.session(), job)
    assert (ended.log, ended.code) == (b"alive\n", "3")


def test_supervisor_that_is_killed_leaves_the_job_lost(host: ShellHost) -> None:
    session, job = host.begin(["sleep", "60"])
    supervisor = int((host.job(job) / "id").read_text().split()[0])
    eventually(lambda: host.look(session, job)[1] == "running")
    session.request("follow", job, "0")
    assert session.reply().word == "log"
    os.kill(supervisor, signal.SIGKILL)
    ended = host.rest(session)
    assert (ended.state, ended.code) == ("lost", "-")
    session.request("stop", job)
    assert [reply.word for reply in session.replies("stopped")][-1] == "stopped"
    assert "sleep 60" not in host.mine().values()


def test_exit_code_is_recorded_though_a_stop_took_the_supervisors_programs_for_the_jobs(host: ShellHost) -> None:
    """Between the end of the command and the end of the supervisor, a stop may find "date" and "mv", and end them."""
    for name in ("date", "mv"):
        real = f"{shutil.which('busybox')} {name}" if host.shell == "busybox" else shutil.which(name)
        program = host.vacant(name)
        marks = {"date": '[ -e "started" ]', "mv": '[ "$1" = rc.pending ]'}
        program.write_text(
            f"#!{host.tools}/sh\nif {marks[name]} && [ ! -e killed.{name} ]; then\n"
            f'  : >killed.{name}\n  kill -KILL $$\nfi\nexec {real} "$@"\n'
        )
        program.chmod(0o755)
    session, job = host.begin(["sh", "-c", "exit 7"])
    ended = host.follow(session, job)
    assert (ended.state, ended.code) == ("finished", "7")
    assert {"killed.date", "killed.mv"} <= {path.name for path in host.job(job).iterdir()}
    assert (host.job(job) / "ended").read_text().strip().isdigit()


def test_archive_that_the_job_left_as_it_was_is_told_from_a_new_one(host: ShellHost) -> None:
    work = host.home / "work"
    work.mkdir()
    answers = []
    for script in ("true", "echo new >a.zip", "rm a.zip"):
        if script == "true":
            (work / "a.zip").write_text("old\n")
        session, job = host.begin(["sh", "-c", script], archive="a.zip")
        host.follow(session, job)
        session.request("archive", "a.zip", "0")
        answers.append(session.reply())
        session.request("release", job)
        session.reply()
    assert answers == [("archive", "same"), ("archive", "new"), ("archive", "none")]


def test_clean_removes_the_archive_of_an_earlier_run_and_never_the_jobs_own(host: ShellHost) -> None:
    """A start that is sent again, since its answer was lost, cleans again."""
    session = host.session()
    job = host.new_id()
    archive = host.home / "work" / "a.zip"
    archive.parent.mkdir()
    archive.write_text("of an earlier run")
    session.request("claim", job, "9")
    session.request("place", str(archive.parent))
    session.request("clean", "a.zip")
    host.begin(["sh", "-c", "ls; echo own >a.zip"], session=session, job=job, archive="a.zip")
    assert host.follow(session, job).log == b""
    session.request("clean", "a.zip")
    session.request("probe", ".")
    for _ in session.replies("done"):
        pass
    assert archive.read_text() == "own\n"


def test_python_does_not_keep_what_it_prints(host: ShellHost) -> None:
    """Also a Python that a shell script starts."""
    script = "print('one'); import time; time.sleep(60)"
    _session, job = host.begin(
        ["sh", "-c", f'{sys.executable} -c "{script}"; true'], files={"defaults": ["PYTHONUNBUFFERED=1"]}
    )
    eventually(lambda: (host.job(job) / "log").read_bytes() == b"one\n")


def test_defaults_reach_startup_commands_and_the_command(host: ShellHost) -> None:
    ended = host.sh('echo "$COLUMNS"', startup=['echo "$COLUMNS"'], files={"defaults": ["COLUMNS=137"]})
    assert ended.log == b"137\n137\n"


@pytest.mark.parametrize("value", ["0", ""])
@pytest.mark.parametrize("where", ["environment", "start file", "startup command"])
def test_a_default_gives_way_to_whatever_else_sets_the_variable(host: ShellHost, where: str, value: str) -> None:
    if where == "start file":
        _profile(host, f"export PYTHONUNBUFFERED={value}\n")
    ended = host.sh(
        'echo "=$PYTHONUNBUFFERED="',
        environment=[f"PYTHONUNBUFFERED={value}"] if where == "environment" else [],
        startup=[f"export PYTHONUNBUFFERED={value}"] if where == "startup command" else [],
        files={"defaults": ["PYTHONUNBUFFERED=1"]},
    )
    assert ended.log == f"={value}=\n".encode()


# What sshd sets, with the sockets and the terminal that end with the connection first: sshd(8), "ENVIRONMENT".
OF_THE_CONNECTION = ("DISPLAY", "SSH_AUTH_SOCK", "XAUTHORITY", "WAYLAND_DISPLAY", "SSH_TTY", "SSH_USER_AUTH")
OF_THE_LOGIN = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_ORIGINAL_COMMAND")
SHOWN = 'env | grep -E "^(DISPLAY|XAUTHORITY|WAYLAND|SSH_)"'


def test_nothing_of_the_connection_reaches_a_job_that_outlives_it(host: ShellHost) -> None:
    host.variables |= dict.fromkeys((*OF_THE_CONNECTION, *OF_THE_LOGIN), "of the connection")
    ended = host.sh(f"{SHOWN}; echo over", startup=[f"{SHOWN} || echo none"])
    assert ended.log == b"none\nover\n"


def test_what_the_person_sets_in_the_place_of_the_connections_own_reaches_the_job(host: ShellHost) -> None:
    """A start file looks first whether an agent is there; and it may ask how somebody logged in."""
    host.variables |= dict.fromkeys((*OF_THE_CONNECTION, *OF_THE_LOGIN), "of the connection")
    _profile(
        host, '[ -n "$SSH_AUTH_SOCK" ] || export SSH_AUTH_SOCK=lasting; [ -z "$SSH_CONNECTION" ] || export IN=ssh\n'
    )
    ended = host.sh(
        'echo "$SSH_AUTH_SOCK $IN $DISPLAY $SSH_TTY"', environment=["DISPLAY=:99"], startup=["export SSH_TTY=mine"]
    )
    assert ended.log == b"lasting ssh :99 mine\n"


def test_nothing_of_the_connection_reaches_the_shutdown_commands(host: ShellHost) -> None:
    host.variables |= dict.fromkeys((*OF_THE_CONNECTION, *OF_THE_LOGIN), "of the connection")
    session, job = host.begin(["true"])
    host.follow(session, job)
    host.release(session, job, f"{SHOWN} >shown || echo none >shown")
    eventually(lambda: (host.home / "work" / "shown").is_file() and (host.home / "work" / "shown").read_bytes())
    assert (host.home / "work" / "shown").read_text() == "none\n"
