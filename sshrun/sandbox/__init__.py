"""A throwaway SSH server of one's own on this machine: to try sshrun, to test a spec in CI, and for sshrun's own tests.

It is a real sshd(8), run by whoever asks for it (root or not) on a free port of 127.0.0.1 with keys made for it. One
directory holds everything: home/ (where sessions start, and their HOME), keys, known_hosts, log, and an ssh_config with
the host `sandbox`. A small shell script, the keeper, ends it with its owner, however the owner ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sshrun import dirs
from sshrun.errors import HostUnfit, UsageError
from sshrun.process import DEVNULL, PIPE, Child, spawn

HOST = "sandbox"

_KEEPER = Path(__file__).with_name("keeper.sh")
_ENTER = Path(__file__).with_name("enter.sh")

# sshd is in no ordinary user's PATH on Debian; Homebrew's last.
_SERVER_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin")
_SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/opt/homebrew/libexec/sftp-server",
)
# Jobs in a sandbox reach the network as everything else on this machine does.
_NETWORK = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
    *("PIP_CERT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "UV_INDEX_URL", "UV_DEFAULT_INDEX"),
)

_START_SECONDS = 20.0
_END_SECONDS = 30.0
_ATTEMPTS = 5


class Sandbox:
    """A server that is running. Who started it owns it, and `close` (or the owner's end) ends it and its jobs."""

    host = HOST

    def __init__(self, directory: Path, port: int, listener: Child | None = None) -> None:
        self.directory = directory
        self.port = port
        self.home = directory / "home"
        self.config = directory / "ssh_config"
        self.log = directory / "log"
        self._listener = listener

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def logins(self) -> int:
        """How often somebody has logged in. The log has "Accepted key for" twice for each."""
        return self.log.read_bytes().count(b"Accepted publickey for")

    def alive(self) -> bool:
        """Whether an owned sandbox still has its server."""
        return self._listener is not None and self._listener.poll() is None

    def close(self) -> None:
        """Ends the server, its sessions and all processes of their jobs, and removes the directory.

        A job that ignores SIGTERM has a second. A sandbox of somebody else, from `running`, goes on.
        """
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.close_stdin()
        assert listener.stdout is not None
        _wait_for_end_of_file(listener.stdout)
        listener.close()
        if self.directory.exists():  # somebody has killed the keeper
            _end(self.directory, listener.pid)
        listener.kill()

    def publish(self) -> None:
        """Lets `running` find it, in every other sshrun of this account on this machine."""
        entry = _entry()
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = entry.with_name(f"{entry.name}.{os.getpid()}")
        new.symlink_to(self.directory)
        new.replace(entry)


class _PortTaken(Exception):
    pass


def start(
    directory: Path | None = None,
    *,
    extra: Sequence[str] = (),
    shell: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Sandbox:
    """A new sandbox, in `directory` (which must not exist yet) or in a temporary one.

    `extra` are lines of sshd_config(5) that win over the sandbox's own, `shell` is what sessions have as login shell
    instead of the account's, `environment` adds to what they have or replaces it (PATH hides or adds tools).
    Raises HostUnfit where there is no sshd or it does not start, UsageError for a directory that cannot be used.
    """
    sshd = server_program()
    inherited = _environment(shell, environment)
    for _ in range(_ATTEMPTS):
        made = _new_directory(directory)
        try:
            sandbox = _start(made, sshd, extra, inherited)
        except BaseException:
            _remove(made)
            raise
        try:
            _wait_until_it_listens(sandbox)
        except _PortTaken:
            sandbox.close()
        except BaseException:
            sandbox.close()
            raise
        else:
            return sandbox
    raise HostUnfit("the sandbox found no free port on 127.0.0.1")


def running() -> Sandbox | None:
    """The sandbox that `sshrun sandbox` has in another terminal. What remains of a dead one is removed."""
    entry = _entry()
    try:
        directory = Path(os.readlink(entry))
    except OSError:
        return None
    try:
        # ENXIO unless the keeper has it open for reading: no process id to be mistaken about.
        os.close(os.open(directory / "alive", os.O_WRONLY | os.O_NONBLOCK))
        return Sandbox(directory, int((directory / "port").read_text()))
    except (OSError, ValueError):
        if (directory / "cookie").exists():
            _end(directory)
        entry.unlink(missing_ok=True)
        return None


def _start(directory: Path, sshd: str, extra: Sequence[str], environment: Mapping[str, str]) -> Sandbox:
    port = _free_port()
    cookie = os.urandom(16).hex()
    home = directory / "home"
    home.mkdir()
    ours = {"HOME": str(home), "SSHRUN_SANDBOX": cookie}
    os.mkfifo(directory / "alive", 0o600)
    _write(directory / "cookie", cookie + "\n")
    _write(directory / "port", f"{port}\n")
    _write(directory / "enter", _ENTER.read_text())
    _write(directory / "sshd_config", _sshd_config(directory, port, extra, {**environment, **ours}))
    _write(directory / "ssh_config", _ssh_config(directory, port))
    keeper = ["/bin/sh", str(_KEEPER), "keep", str(directory), str(_entry()), str(port), sshd]
    return Sandbox(directory, port, spawn(keeper, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, session=True))


def _wait_until_it_listens(sandbox: Sandbox) -> None:
    # The log and not a connection: the port may be somebody else's.
    deadline = time.monotonic() + _START_SECONDS
    while True:
        alive = sandbox.alive()
        log = sandbox.log.read_text(errors="replace") if sandbox.log.exists() else ""
        if "Server listening on" in log:
            return
        if "Cannot bind any address" in log:
            raise _PortTaken
        if not alive or time.monotonic() > deadline:
            reason = "; ".join(log.splitlines()[-3:]) or "its log is empty"
            raise HostUnfit(f"the sandbox's sshd does not start: {reason}")
        time.sleep(0.002)


def _remove(directory: Path) -> None:
    import shutil

    shutil.rmtree(directory, ignore_errors=True)


def _wait_for_end_of_file(descriptor: int) -> None:
    import select

    deadline = time.monotonic() + _END_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0] and not os.read(descriptor, 4096):
            return


def _end(directory: Path, listener: int | None = None) -> None:
    pid = [] if listener is None else [str(listener)]
    spawn(["/bin/sh", str(_KEEPER), "end", str(directory), str(_entry()), *pid], stdout=DEVNULL, stderr=DEVNULL).wait()


def _sshd_config(directory: Path, port: int, extra: Sequence[str], environment: Mapping[str, str]) -> str:
    lines = [
        *extra,  # the first value wins
        f"ListenAddress 127.0.0.1:{port}",
        f'HostKey "{directory}/host_key"',
        f'AuthorizedKeysFile "{directory}/authorized_keys"',
        "PidFile none",
        "LogLevel VERBOSE",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        # Only root can use PAM, and only root needs it: without it sshd refuses a locked account.
        f"UsePAM {'yes' if _account_is_locked() else 'no'}",
        "StrictModes no",  # a temporary directory may lie anywhere
        "PermitRootLogin prohibit-password",
        "PermitTTY no",  # with a terminal sshd writes wtmp and lastlog
        "PermitUserRC no",
        "PrintMotd no",
        "PrintLastLog no",
        "UseDNS no",
        "MaxStartups 200",
        "MaxSessions 100",
        # HOME alone is not enough: sshd starts the session in the account's own home.
        f"ForceCommand exec /bin/sh '{directory}/enter'",
        "SetEnv " + " ".join(f'"{name}={_quoted(value)}"' for name, value in environment.items()),
    ]
    if not any(line.lower().startswith("subsystem") for line in extra):
        # not internal-sftp: ForceCommand would have nothing to go on with
        lines += [f"Subsystem sftp {server}" for server in _SFTP_SERVERS if os.access(server, os.X_OK)][:1]
    return "\n".join(lines) + "\n"


def _ssh_config(directory: Path, port: int) -> str:
    return f"""\
Host {HOST}
    HostName 127.0.0.1
    Port {port}
    User {_account()}
    IdentityFile "{directory}/user_key"
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile "{directory}/known_hosts"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    UpdateHostKeys no
    RequestTTY no
"""


def _environment(shell: Path | None, given: Mapping[str, str] | None) -> dict[str, str]:
    environment = {name: os.environ[name] for name in _NETWORK if name in os.environ}
    environment["PATH"] = os.environ.get("PATH", os.defpath)
    if shell is not None:
        environment["SHELL"] = str(shell)
    return {**environment, **(given or {})}


def _quoted(value: str) -> str:
    if not value.isprintable():
        raise UsageError(f"an environment variable of the sandbox contains a control character: {value!r}")
    return value.replace("\\", "\\\\").replace('"', '\\"')


def server_program() -> str:
    """Where sshd is; it must be started by its whole path. Raises HostUnfit."""
    import shutil

    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SERVER_DIRECTORIES))
    sshd = shutil.which("sshd", path=path)
    missing = "openssh-server" if sshd is None else "" if shutil.which("ssh-keygen") else "openssh-client"
    if sshd is None or missing:
        root = "" if os.geteuid() == 0 else "sudo "
        install = f"type: {root}apt-get install {missing}" if shutil.which("apt-get") else f"install {missing}"
        raise HostUnfit(f"a sandbox needs {missing} on this machine", install)
    if os.geteuid() == 0 and os.path.isdir("/run"):
        # Debian's sshd insists on it for root, and only the system's own ssh service makes it.
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    return sshd


def _account() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise HostUnfit(
            f"a sandbox needs an account, and user id {os.geteuid()} has none on this machine",
            "run it as a user that /etc/passwd knows",
        ) from None


def _account_is_locked() -> bool:
    """Whether sshd without PAM would refuse the account (its LOCKED_PASSWD_PREFIX on Linux is "!")."""
    try:
        shadow = Path("/etc/shadow").read_text()
    except OSError:
        return False  # not root: sshd cannot know either
    return any(line.startswith(f"{_account()}:!") for line in shadow.splitlines())


def _new_directory(wanted: Path | None) -> Path:
    if wanted is None:
        import tempfile

        directory = Path(tempfile.mkdtemp(prefix="sshrun-sandbox-", dir=_temporary())).resolve()
    else:
        directory = wanted.resolve()
        try:
            directory.mkdir(mode=0o700)
        except OSError as error:
            raise UsageError(f"the sandbox cannot make its directory {directory}: {error.strerror}") from error
    if not str(directory).isprintable() or set("\"'\\%$!`") & set(str(directory)):
        directory.rmdir()
        raise UsageError(
            f"the sandbox cannot use the directory {directory}: ssh's files have no way to write such a name",
            "type: TMPDIR=/tmp sshrun sandbox",
        )
    return directory


def _temporary() -> str:
    """A temporary directory in which programs, such as those of a virtual environment, may run."""
    import tempfile

    forbidden = getattr(os, "ST_NOEXEC", 0)
    usual = tempfile.gettempdir()
    for directory in (usual, "/var/tmp"):
        if os.access(directory, os.W_OK) and not os.statvfs(directory).f_flag & forbidden:
            return directory
    return usual


def _entry() -> Path:
    return Path(dirs.sandbox())


def _free_port() -> int:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _write(path: Path, text: str) -> None:
    with open(path, "w", opener=lambda name, flags: os.open(name, flags | os.O_EXCL, 0o600)) as file:
        file.write(text)
