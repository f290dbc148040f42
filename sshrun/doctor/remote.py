"""The host: shell, tools, disk space, and whether a job outlives its connection."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator, Mapping, Sequence

from sshrun.connection.master import Connection
from sshrun.doctor.finding import Finding, Verdict, failure, ok, warning
from sshrun.errors import ConnectionFailed, HostUnfit, RemoteError
from sshrun.job import Job
from sshrun.jobs.refusals import busy_text
from sshrun.jobs.replies import JobReplies
from sshrun.process import PIPE, run, spawn
from sshrun.session.login_shell import GUARDS
from sshrun.session.protocol import Refusal, decode
from sshrun.session.session import Session, begin
from sshrun.settings.schema import Settings
from sshrun.units import size_text

TIMEOUT = 10  # seconds for a host to answer
DISCONNECTED = 0.5  # seconds without a connection: logind ends processes within a few hundredths
CLOCK_TOLERANCE = 5  # seconds; make(1) and rsync(1) compare times of two machines
LITTLE_SPACE = 100 << 10  # kilobytes, as df -k counts them: 1024 bytes; a virtual environment alone takes more

NO_VENV = "on the host: apt-get install python3-venv; or in the settings: create_venv: false"
OTHER_TMPDIR = "environment: [TMPDIR=DIRECTORY] in the settings"

# The sftp client's first packet, SSH_FXP_INIT of version 3, and the type of its answer (draft-ietf-secsh-filexfer-02).
SFTP_INIT = b"\0\0\0\5\1\0\0\0\3"
SFTP_VERSION = 2


def host(connection: Connection, settings: Settings) -> Iterator[Finding]:
    directory = settings.remote_dir.value
    session = begin(connection)
    seen = JobReplies()
    directories: list[str] = []
    try:
        asked = time.time()
        session.request("probe", directory)
        python = settings.python.value if settings.python else ""
        temporary = {variable.name: variable.value for variable in settings.environment}.get("TMPDIR", "")
        session.request("examine", directory, python, temporary)
        for last in ("done", "done"):
            for reply in session.replies(last):
                if reply.word == "fact" and reply.values.startswith("directory "):
                    directories.append(reply.values.removeprefix("directory "))
                seen.note(reply)
        answered = time.time()
    except RemoteError as error:
        yield _no_shell(connection, error)
        session.kill()
        return
    capabilities = seen.capabilities
    yield _shell(capabilities, session)
    yield from _tools(capabilities, settings)
    yield from _directories(capabilities, directories)
    canary = os.urandom(4).hex()
    # In the session that is already open, as a run does it: the server may allow no second one.
    problem = _start_canary(session, canary) if "profile" in capabilities else _no_login_shell()
    yield _sessions(connection)
    session.close()
    yield _sftp(connection)
    yield problem or _survival(connection, canary, capabilities)
    yield _gpus(capabilities)
    yield _clock(capabilities, asked, answered)
    yield _job(connection.host, seen)


def _no_shell(connection: Connection, error: RemoteError) -> Finding:
    if isinstance(error, Refusal):
        values = decode(error.values).decode("utf-8", "replace")
        return failure("home", values, "free some space on the host, or see who may write to it")
    if isinstance(error, HostUnfit):
        return failure("shell", error.message, error.hint)
    return failure("shell", error.message, f"what does it wait for? {connection.by_hand}")


def _shell(capabilities: Mapping[str, str], session: Session) -> Finding:
    tools = capabilities.get("tools", "").split()
    shell = f"{capabilities.get('shell', '')} on {capabilities.get('system', '')}"
    noise = session.noise.decode("utf-8", "replace").strip()
    if noise:
        first = noise.splitlines()[0]
        text = f"{shell} prints before it runs a command: {first!r}. sshrun skips that; scp and sftp cannot"
        name = os.path.basename(capabilities.get("shell", ""))
        return warning("shell", text, f"on the host, first line of {GUARDS.get(name, GUARDS['sh'])}")
    if "bash" not in tools:
        text = f"{shell} without bash: startup and shutdown commands run in sh"
        return warning("shell", text, "on the host: apt-get install bash")
    return ok("shell", f"{shell}; jobs run in a bash login shell")


def _no_login_shell() -> Finding:
    text = "a start file of the login shell ends it, or makes it another program, before a job can begin"
    fix = "on the host, first line of ~/.bash_profile or ~/.profile: case $- in *i*) ;; *) return ;; esac"
    return failure("profile", text, fix)


def _tools(capabilities: Mapping[str, str], settings: Settings) -> Iterator[Finding]:
    tools = capabilities.get("tools", "").split()
    yield ok("tools", " ".join(tools))
    if "rsync" not in tools and "tar" in tools:
        text = "no rsync on the host: large files that changed are sent whole, by tar"
        yield warning("rsync", text, "on the host: apt-get install rsync")
    elif "tar" not in tools or "xargs" not in tools:
        text = "no tar and xargs on the host: files are sent one by one, by " + ("rsync" if "rsync" in tools else "scp")
        yield warning("tar", text, "on the host: apt-get install tar findutils")
    python = capabilities.get("python", "")
    if "uv" in capabilities:
        yield ok("python", ", ".join(filter(None, (capabilities["uv"], python))))
    elif not settings.create_venv.value:
        yield ok("python", f"{python or 'none'}, and create_venv is off")
    elif not python and settings.python:
        text = f"no {settings.python.value!r} and no uv on the host: no virtual environment can be made"
        yield warning("python", text, f"name one that the host has: {settings.python.origin}")
    elif not python:
        text = "no python3 and no uv on the host: no virtual environment can be made"
        yield warning("python", text, NO_VENV)
    elif "venv" not in capabilities:
        text = f"{python} without its venv module: no virtual environment can be made"
        yield warning("python", text, NO_VENV)
    else:
        yield ok("python", python)
    if "conda" in capabilities:
        text = "only a shell at a terminal gets to conda's block in ~/.bashrc: no job finds it"
        yield warning("conda", text, f"first of startup_cmds: {capabilities['conda']}")


def _directories(capabilities: Mapping[str, str], lines: Sequence[str]) -> Iterator[Finding]:
    """`lines` are each NAME STATE FREE PATH."""
    names = {"home": "home", "work": "directory", "temporary": "temporary"}
    good = set()
    for line in lines:
        name, state, free, path = line.split(" ", 3)
        path = decode(path).decode("utf-8", "replace")
        if state == "good" and path in good:
            continue
        good.add(path)
        check = names[name]
        kilobytes = int(free) if free.isdigit() else None
        space = "" if kilobytes is None else f", {size_text(kilobytes * 1024)} free"
        match state:
            case "missing":
                yield failure(check, f"{path} does not exist", "on the host, as root: mkhomedir_helper USER")
            case "closed" if name == "work":
                yield failure(check, f"{path}: nothing can be written", "name another: --host HOST/PATH")
            case "closed" if name == "home":
                elsewhere = capabilities.get("state", "no place")
                text = f"{path}: nothing can be written; jobs keep their state in {elsewhere}"
                yield warning(check, text, "see who owns it, and whether it is mounted read-only")
            case "closed":
                yield warning(check, f"{path}: nothing can be written", OTHER_TMPDIR)
            case "full":
                verdict: Verdict = "warning" if name == "temporary" else "failure"
                yield Finding(
                    check, verdict, f"{path}: the disk is full{space}", f"on the host: du -xh {path} | sort -h | tail"
                )
            case "noexec":
                text = f"{path} is mounted noexec: no program can run from it"
                fix = OTHER_TMPDIR if name == "temporary" else "name another: --host HOST/PATH"
                yield warning(check, text, fix)
            case _ if kilobytes is not None and kilobytes < LITTLE_SPACE:
                yield warning(check, f"{path}{space}", f"on the host: du -xh {path} | sort -h | tail")
            case _:
                yield ok(check, f"{path}{space}")


def _sessions(connection: Connection) -> Finding:
    """A second session, while the first is open."""
    try:
        ended = run([*connection.remote_shell(), "--", connection.target, "exit 0"], timeout=TIMEOUT)
    except TimeoutError:
        return warning("sessions", "a second session hangs: files are sent through the first one", "see MaxSessions")
    if ended.status == 255:
        text = "one session at a time: files are sent through it by tar, not by rsync"
        return warning("sessions", text, "MaxSessions 10 in sshd_config, if it is yours")
    return ok("sessions", "several at once over one connection")


def _log_in_again(connection: Connection) -> None:
    """Logs in again where the server ends a connection with its first session (tinysshd). Raises ConnectionFailed."""
    if not connection.alive():
        connection.reopen(connection.answer_timeout())


def _sftp(connection: Connection) -> Finding:
    try:
        _log_in_again(connection)
    except ConnectionFailed as error:
        return warning("sftp", f"not known, since no second login went through: {error.message}", error.hint)
    answer = b""
    for _ in range(10):  # where one session is allowed, the last may not be over yet
        answer, errors = _exchange(connection.sftp_argv(), SFTP_INIT)
        if b"open refused" not in errors:
            break
        time.sleep(0.1)
    if answer[4:5] == bytes([SFTP_VERSION]):
        return ok("sftp", f"version {int.from_bytes(answer[5:9])}")
    if answer:
        return warning("sftp", "what the shell prints breaks it; sshrun does not need it", "see shell")
    text = "none; sshrun does not need it where there is tar"
    return warning("sftp", text, "Subsystem sftp internal-sftp in sshd_config, if it is yours")


def _exchange(argv: Sequence[str], packet: bytes) -> tuple[bytes, bytes]:
    """What a program answers to a packet, while its input stays open: sftp-server exits at its end."""
    child = spawn(argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, session=True)
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    try:
        os.write(child.stdin, packet)
        ready, _, _ = select.select([child.stdout], [], [], TIMEOUT)
        answer = os.read(child.stdout, 1 << 16) if ready else b""
        return answer, os.read(child.stderr, 1 << 16) if ready and not answer else b""
    except BrokenPipeError:
        return b"", os.read(child.stderr, 1 << 16)
    finally:
        child.close()
        child.kill()


def _start_canary(session: Session, canary: str) -> Finding | None:
    """Starts a job that does nothing; the failure, or None."""
    try:
        session.request("canary", canary)
        session.reply()
    except RemoteError as error:
        return failure("detaching", f"a job could not be started: {error.message}", error.hint)
    return None


def _survival(connection: Connection, canary: str, capabilities: Mapping[str, str]) -> Finding:
    """Whether a job outlives the connection: for logind that is the whole login, not only the session."""
    shared = connection.shared
    try:
        connection.kill()
        time.sleep(DISCONNECTED)
        connection.reopen(connection.answer_timeout())
        session = begin(connection)
        session.request("canary_check", canary)
        alive = session.reply(timeout=30).values == "alive"
        session.close()
    except ConnectionFailed as error:
        text = f"not known, since no second login went through: {error.message}"
        return warning("detaching", text, error.hint)
    if alive:
        # The user's own connection has stayed open: where logind counts logins, that may have kept the job alive.
        text = "a job goes on without its connection" + (", while yours was open" if shared else "")
        return ok("detaching", text)
    if "true" in capabilities.get("kills", ""):
        text = "logind ends all jobs at logout (KillUserProcesses=yes), and the account does not linger"
        user = capabilities.get("user", "").partition(" ")[2] or "USER"
        return failure("detaching", text, f"on the host, as root: loginctl enable-linger {user}")
    text = "something on the host ends a job when its connection ends"
    return failure("detaching", text, "ask who looks after the machine for a way to run long jobs")


def _gpus(capabilities: Mapping[str, str]) -> Finding:
    found = capabilities.get("gpu", "").strip("; ")
    if not found:
        return ok("gpus", "none seen (no nvidia-smi)")
    if "MiB" not in found:
        return warning("gpus", found, "on the host: nvidia-smi; a driver may wait for a restart")
    return ok("gpus", "; ".join(part.strip() for part in found.split(";")))


def _clock(capabilities: Mapping[str, str], asked: float, answered: float) -> Finding:
    try:
        remote = float(capabilities.get("clock", ""))
    except ValueError:
        printed = capabilities.get("clock", "")
        return warning("clock", f"`date +%s` on the host prints {printed!r}", "see which date is first in PATH")
    # It was read somewhere between the two, and whole seconds are cut off.
    off = remote - answered if remote > answered else min(0.0, remote + 1 - asked)
    if abs(off) <= CLOCK_TOLERANCE:
        return ok("clock", "the same as on this machine")
    text = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the local one: times of files mislead"
    return warning("clock", text, "on the host, as root: timedatectl set-ntp true")


def _job(host: str, seen: JobReplies) -> Finding:
    if seen.job is not None and _open(seen.job):
        return failure("job", busy_text(host, seen.job), "sshrun --resume, or --force", busy=True)
    if seen.others:
        text = f"none, but one on {', '.join(seen.others)}, which shares its home directory"
        return ok("job", text)
    return ok("job", "none")


def _open(job: Job) -> bool:
    return job.holds_slot
