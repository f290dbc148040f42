"""The connection: one login, shared by all that follows; the only place that knows the flags of ssh and scp."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Generator, Iterator

from sshrun import host
from sshrun.errors import AnswerNeeded, ConnectionFailed, Refused, RemoteError, SettingsError, SshrunError, Unreachable
from sshrun.identity import agent_may_serve, read_key
from sshrun.interrupts import Interrupted
from sshrun.job import Event
from sshrun.login_words import TRY_AGAIN, LoginWords
from sshrun.process import DEVNULL, PIPE, Child, capture, spawn
from sshrun.prompt import TerminalModes, somebody_to_ask

# What a person's configuration may say for their own logins, and what would break a program's: ssh_config(5).
PLAIN = (
    "-oRemoteCommand=none",
    "-oRequestTTY=no",
    "-oClearAllForwardings=yes",
    "-oPermitLocalCommand=no",
)
NEWER = ("SessionType", "StdinNull", "ForkAfterAuthentication")  # than OpenSSH 8.6
PIPED = (*PLAIN, "-oStdinNull=no", "-oForkAfterAuthentication=no")
SESSION = (*PIPED, "-oSessionType=default")

# What `failure` goes by; a person may have asked for less, or for more.
AUDIBLE = "-oLogLevel=INFO"

# A session that logs in by itself; by then nobody is at hand to be asked.
ALONE = ("-oControlMaster=no", "-oControlPath=none", "-oBatchMode=yes")

# Seconds that our own master outlives its last session: if sshrun is killed, nothing stays for longer.
PERSIST = 60

# Seconds for a server to answer where only its words are wanted.
PATIENCE = 10

# Seconds that the system's own TCP waits for an answer, where nobody has set less: tcp(7), tcp_syn_retries.
TCP_PATIENCE = 127

# Seconds for keys, and a touch of one, once a server that is logged in to again has answered.
AUTHENTICATION = 45

# Seconds after which files in the folder of control sockets that nobody locks count as left behind.
FRESH = 60

# Seconds between two looks at what a login that is under way has said.
LOOK = 0.05

# What stands for the person's shell during a login, so that what a proxy says is heard.
PROXY_SHELL = os.path.join(os.path.dirname(__file__), "proxy_shell.sh")

# The files of a connection in the folder of control sockets, each the connection's name with one of these behind it.
ENDINGS = ("", ".log", ".proxy", ".batch", ".session", ".config")

# Seconds that a login that is given up may take to end: ssh has a terminal to restore.
ENDING = 3.0

# A control socket's path may have 108 bytes (104 on macOS), of which ssh needs 17 for a temporary name beside it.
SOCKET_PATH_LIMIT = 104 - 18


class Connection:
    """One login to a host. `open` begins it and returns at once; `ready` waits for it.

    With `account`, `said` tells each step of a login as `ssh -v` does.
    """

    def __init__(self, login: host.Login, *, account: bool = False) -> None:
        self.login = login
        self._account = ("-v",) if account else ()
        self.host = login.host
        self.folder = control_folder()
        self.name = os.path.join(self.folder, f"{os.getpid():x}-{os.urandom(3).hex()}")
        self.view = look(login, host.last_account(login)) if host.must_look(login) else host.SshView()
        self.plan = host.plan(login, self.name, self.view, agent_serves=agent_serves(login, self.view))
        # It counts once, where it is said first: what the person's files have behind it would be an error again.
        self._ignored = "-oIgnoreUnknown=" + ",".join([*NEWER, *self.view.ignored_keywords])
        self.config = self.name + ".config"
        self._lock = _own(self.config, self.plan.config)
        self._session_config = self.name + ".session"
        _write(self._session_config, self.plan.session)
        self.master: Child | None = None
        self._terminal_modes: TerminalModes | None = None
        # Whether a proxy on the way has said something: it may have asked for what takes minutes.
        self.proxy_spoke = False
        # One that the user has open is used as it is, and neither ended nor changed.
        theirs = self._their_socket()
        self.shared = theirs is not None and is_socket(theirs)
        self.socket = theirs if self.shared and theirs is not None else self.name
        # Why no login can be shared from here, where that is so: then each session logs in by itself.
        self.alone = ""

    def _their_socket(self) -> str | None:
        """The ControlPath of the person's files, where they have one and its connection may be used."""
        theirs = self.view.control_path
        return None if theirs == "none" or self.login.forced_key is not None else theirs

    def open(self) -> None:
        """Begins to log in, with the terminal at hand for a password, a passphrase, a key to touch."""
        if self.shared or self.master is not None:
            return
        self._terminal_modes = self._terminal_modes or TerminalModes()
        # -E keeps ssh's own messages for `ready` to read, while what asks for a touch still goes to the terminal.
        argv = self._master_argv() if somebody_to_ask() else self._unasking(self._master_argv())
        self.master = self._spawn_login(argv)

    def ready(self) -> None:
        """Waits until the login is done. Raises as `logging_in` does."""
        for _ in self.logging_in():
            pass

    def logging_in(self, within: float | None = None) -> Iterator[Event]:
        """Waits until the login is done, at most so many seconds, and tells what a person should know meanwhile.

        Raises Unreachable, Refused, ConnectionFailed, SettingsError, and Interrupted where a key that was meant for us
        has ended ssh, which was asking something.
        """
        if not self.alone:
            self.open()
        if self.master is None:
            return
        status = yield from self._watched(self.master, within)
        if status in (-signal.SIGINT, -signal.SIGQUIT):
            raise Interrupted(-status)
        if status != 0:
            self.master = None
            flaw = "" if self.alone else _socket_flaw(self.said)
            if not flaw:
                raise self._failure()
            self.alone = flaw

    def _watched(self, master: Child, within: float | None) -> Generator[Event, None, int]:
        """Returns the exit status of a login."""
        agent = None if "IdentityAgent=none" in self.plan.options else host.agent_socket(self.view)
        words = LoginWords(self.name + ".log", self.name + ".proxy", agent)
        began = time.monotonic()
        while (status := _status_within(master, LOOK)) is None:
            if within is not None and time.monotonic() - began > within:
                master.end(ENDING)
                self.master = None
                raise Unreachable(f"{self.host} answers, and does not go on", f"try: {self.by_hand} -v")
            yield from words.news()
            self.proxy_spoke = self.proxy_spoke or words.proxy_spoke
        if status == 0:
            # What ends a login that failed is its error, and told with that.
            yield from words.news(ended=True)
            _empty(self.name + ".proxy")  # it goes on to grow for as long as the proxy lives
        return status

    @property
    def usable(self) -> bool:
        """Whether somebody is logged in, so that sessions can be had."""
        return self.shared or self.master is not None or bool(self.alone)

    def alive(self) -> bool:
        """Whether a master, ours or the user's, is there to give out sessions, or none is needed."""
        if self.alone:
            return True
        import socket

        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.socket)
            except OSError:
                return False
        return True

    def leave_shared(self) -> None:
        """Turns away from a master that the user has open and that does not answer, to one of our own beside it."""
        self.shared, self.socket = False, self.name
        self.open()

    def reopen(self, patience: int) -> None:
        """Logs in again after a loss, without asking anybody anything; the host has `patience` seconds to answer.

        Raises like `ready`.
        """
        for _ in self._login_unasked(patience):
            pass

    def login_again(self, patience: int) -> Iterator[Event]:
        """As `reopen`, and tells what a person should know meanwhile. Raises AnswerNeeded too."""
        try:
            yield from self._login_unasked(patience)
        except Refused as refused:
            answer = "" if self.alone else self._missing_answer()
            if not answer:
                raise
            raise AnswerNeeded(
                f"logging in to {self.host} again needs {answer}",
                f"ssh says: {refused.message}; on a terminal, or where SSH_ASKPASS is set: sshrun --resume",
            ) from refused

    def _login_unasked(self, patience: int) -> Iterator[Event]:
        self._start_over()
        limit = f"-oConnectTimeout={patience}"
        argv = self._trial_argv(*self._log, limit) if self.alone else self._master_argv(limit)
        self.master = self._spawn_login(self._unasking(argv), stderr=DEVNULL, session=True)
        # ConnectTimeout is for the answer alone: a network that is lost behind it keeps ssh waiting.
        yield from self.logging_in(within=patience + AUTHENTICATION)

    def login_with_answers(self) -> Iterator[Event]:
        """Logs in again after a loss as at first, with somebody at hand who answers."""
        self._start_over()
        yield from self.logging_in()

    def _start_over(self) -> None:
        self.drop()
        self.shared, self.socket = False, self.name

    def _spawn_login(self, argv: list[str], *, stderr: int | None = None, session: bool = False) -> Child:
        env = None
        if os.access(PROXY_SHELL, os.X_OK):
            shell = os.environ.get("SHELL") or "/bin/sh"
            ours = {"SHELL": PROXY_SHELL, "SSHRUN_PROXY_SHELL": shell, "SSHRUN_PROXY_LOG": self.name + ".proxy"}
            env = {**os.environ, **ours}
        return spawn(argv, stdin=DEVNULL, stdout=DEVNULL, stderr=stderr, session=session, env=env)

    def _unasking(self, argv: list[str]) -> list[str]:
        """Asks nothing on any host of the way: the ssh of a ProxyJump reads the same file, and no option."""
        batch = self.name + ".batch"
        _remove(batch)
        _write(batch, self.plan.config + b"Host *\n  BatchMode yes\n")
        ssh, *words = (batch if word == self.config else word for word in argv)
        return [ssh, "-oBatchMode=yes", *words]

    def _missing_answer(self) -> str:
        """What a person would have to say for a login that was refused, or ""."""
        import re

        offered = re.findall(r"Permission denied \((\S*)\)", self.said + self.proxy_said)
        methods = set(",".join(offered).split(","))
        answers = ["your password"] if "password" in methods else []
        if not answers and "keyboard-interactive" in methods:
            answers.append("your password or code")
        if "publickey" in methods and self._locked_keys():
            answers.append("the passphrase of your key")
        return " or ".join(answers)

    def _locked_keys(self) -> bool:
        """Whether there is a key file that takes a passphrase, or a token with a PIN."""
        effective = self.effective()
        if effective.get("pkcs11provider", ["none"]) != ["none"]:
            return True
        for path in effective.get("identityfile", []):
            try:
                if read_key(host.ssh_expanded(path)).locked:
                    return True
            except OSError:
                continue
        return False

    def answer_limit(self) -> int:
        """Seconds that the host may take to answer, as the ssh config has it; ours are in host.py."""
        if not self.view.proxied and not host.may_set_patience(self.login):
            return host.CONNECT_TIMEOUT  # each time that ssh is asked, it has programs of `Match exec` run
        try:
            seconds = self.effective()["connecttimeout"][0]
        except (SettingsError, KeyError):  # somebody may be editing it at this moment
            return PATIENCE
        return int(seconds) if seconds.isdecimal() else TCP_PATIENCE

    def _master_argv(self, *options: str) -> list[str]:
        return [
            *("ssh", "-F", self.config, *self.plan.options, "-fN", "-S", self.name, *self._log),
            *("-oControlMaster=yes", f"-oControlPersist={PERSIST}", AUDIBLE, self._ignored, *PLAIN, *options),
            *("--", self.plan.host),
        ]

    def _trial_argv(self, *options: str) -> list[str]:
        """A login that does nothing, where there is none to share."""
        argv = ["ssh", "-F", self.config, *self.plan.options, "-T", *ALONE, AUDIBLE, self._ignored, *SESSION, *options]
        return [*argv, "--", self.plan.host, "exit 0"]

    @property
    def _log(self) -> tuple[str, ...]:
        return (*self._account, "-E", self.name + ".log")

    def session(self, command: str) -> Child:
        """Starts a command on the host over the connection, with pipes, out of Ctrl+C's reach."""
        return spawn(
            [*self.remote_shell(), "--", self.plan.host, command], stdin=PIPE, stdout=PIPE, stderr=PIPE, session=True
        )

    @property
    def target(self) -> str:
        """The HOST argument of ssh."""
        return self.plan.host

    def remote_shell(self) -> list[str]:
        """ssh for one more session. Without the master it is to share it fails at once, and logs in no second time."""
        return ["ssh", *self._share(), "-T", "-oLogLevel=ERROR", self._ignored, *SESSION]

    def scp_argv(self) -> list[str]:
        """scp over the connection; paths stand as TARGET:PATH."""
        # No SessionType: scp says `-s` for the sftp subsystem, which beats the config and is refused behind another.
        return ["scp", *self._share(), "-q", self._ignored, *PIPED]

    def sftp_argv(self) -> list[str]:
        """The sftp subsystem over the connection, spoken to through pipes."""
        # First of all, since SESSION says what kind of session it is otherwise.
        ssh, *options = self.remote_shell()
        return [ssh, "-s", *options, "--", self.plan.host, "sftp"]

    def effective(self) -> dict[str, list[str]]:
        """All that ssh goes by, by keyword in lower case. Raises SettingsError where ssh cannot read its files."""
        status, output = capture(["ssh", "-G", "-F", self.config, *self.plan.options, "--", self.plan.host])
        if status != 0:
            raise _unreadable(self.login, self.config, output.decode("utf-8", "replace"))
        values: dict[str, list[str]] = {}
        for line in os.fsdecode(output).splitlines():
            keyword, _, value = line.partition(" ")
            values.setdefault(keyword.lower(), []).append(value)
        return values

    def _share(self) -> tuple[str, ...]:
        """What a session goes by: the master that it is to share and no more, or all that a login takes."""
        if self.alone:
            return ("-F", self.config, *self.plan.options, *ALONE)
        socket = f"-oControlPath={_escape(self.socket)}"
        return ("-F", self._session_config, "-oControlMaster=no", socket, "-oProxyCommand=false")

    @property
    def by_hand(self) -> str:
        """What a person types to see for themselves."""
        return _by_hand(self.login)

    @property
    def said(self) -> str:
        """What ssh said of the login."""
        return _read(self.name + ".log")

    @property
    def proxy_said(self) -> str:
        """What the programs said that the login went through."""
        return _read(self.name + ".proxy")

    def _failure(self) -> SshrunError:
        said = self.said.replace(self.name + ".batch", self.config)
        if "bad configuration option" in said or "Bad owner or permissions" in said:
            return _unreadable(self.login, self.config, said)
        if "UNKNOWN port" in said:
            # Closed behind a ProxyJump or ProxyCommand, which knows why.
            said += self.proxy_said
        lines = [line for line in said.splitlines() if not line.startswith("debug")]
        return failure(self.host, "\n".join(lines), self.by_hand)

    def drop(self) -> None:
        """Ends our own master, however stuck it may be."""
        if not self.shared:
            child = self._tell_master("exit")
            try:
                child.wait(timeout=2)
            except TimeoutError:
                child.kill()
        self.master = None
        for ending in ("", ".log", ".proxy"):
            _remove(self.name + ending)

    def close(self) -> None:
        """Ends our own master without waiting for it, and removes our files, and those of clients that were killed."""
        if self.master is not None and self.master.poll() != 0:
            self._give_up_login(self.master)
        self._part("exit")

    def _give_up_login(self, master: Child) -> None:
        """Ends a login that is under way.

        Who asks for a password has turned the terminal's echo off, and turns it on again when told to end, but not
        when killed. That may be ssh, or a program that it has started (the ssh of a ProxyJump), which a key that has
        ended ssh already has reached as well.
        """
        master.end(ENDING)
        if self._terminal_modes is not None:
            self._terminal_modes.restore()

    def leave(self) -> None:
        """As `close`, but our own master lives for as long as a session has something to say."""
        self._part("stop")

    def _part(self, word: str) -> None:
        if not self.shared and os.path.exists(self.name):
            self._tell_master(word)
        for ending in ENDINGS[1:]:
            _remove(self.name + ending)
        os.close(self._lock)
        if self._terminal_modes is not None:
            self._terminal_modes.close()
        _sweep(self.folder)

    def _tell_master(self, word: str) -> Child:
        """-O of ssh(1). The socket says all that is needed: no configuration is read, and HOST is any word."""
        argv = ["ssh", "-F", "/dev/null", "-S", self.name, "-O", word, "--", "host"]
        return spawn(argv, stdout=DEVNULL, stderr=DEVNULL, session=True)


def look(login: host.Login, unset: host.Account = host.UNSET) -> host.SshView:
    """Asks ssh what its configuration files say. Raises SettingsError where ssh cannot read them."""
    view = _asked(login, host.plan_to_look(login, unset))
    return _asked(login, host.plan_to_look(login, unset, twice=True)) if view.twice else view


def _asked(login: host.Login, plan: host.SshPlan) -> host.SshView:
    path = os.path.join(control_folder(), f"{os.getpid():x}-{os.urandom(3).hex()}.look")
    _write(path, plan.config)
    try:
        status, output = capture(["ssh", "-G", "-F", path, *plan.options, "--", plan.host])
    finally:
        _remove(path)
    if status != 0:
        raise _unreadable(login, path, output.decode("utf-8", "replace"))
    return host.ssh_view(output)


def agent_serves(login: host.Login, view: host.SshView) -> bool:
    """Whether the agent is to offer the key that beats all others: where only it can use it without a question."""
    if login.forced_key is None or not host.key_wants_agent(login):
        return False
    socket = host.agent_socket(view)
    if socket is None:
        return False
    try:
        listed = capture(["ssh-add", "-L"], {**os.environ, "SSH_AUTH_SOCK": socket}).output
    except FileNotFoundError:
        return False
    return agent_may_serve(read_key(login.forced_key.value), list(view.identity_files), listed)


def control_folder() -> str:
    """A folder for control sockets: short, ours alone, and not one that somebody planted. Raises ConnectionFailed."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    candidates = [os.path.join(runtime, "sshrun")] if runtime else []
    candidates += [os.path.expanduser("~/.sshrun/control"), f"/tmp/sshrun-{os.getuid()}"]
    for folder in candidates:
        if len(os.fsencode(folder)) > SOCKET_PATH_LIMIT - 16 or "%" in folder or "${" in folder:
            continue  # ssh has tokens and variables in such a path: ssh_config(5), ControlPath
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            status = os.lstat(folder)
        except OSError:
            continue
        if status.st_uid == os.getuid() and status.st_mode & 0o170077 == 0o040000:
            return folder
    where = ", ".join(candidates)
    raise ConnectionFailed(f"no folder for the control socket: none of {where} is short, writable and yours alone")


def is_socket(path: str) -> bool:
    try:
        return os.stat(path).st_mode & 0o170000 == 0o140000
    except OSError:
        return False


def failure(name: str, said: str, by_hand: str) -> RemoteError:
    """What ssh's own words mean, for the person and for whether it is worth trying again.

    `by_hand` is a command that logs in the same way.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    # Behind a ProxyJump that did not let us pass, ssh knows neither address nor port, and says no more than that.
    # What it says before it asks once more is no reason either.
    spoken = [line for line in lines if "UNKNOWN port" not in line and line != TRY_AGAIN]
    last = spoken[-1] if spoken else "ssh ended without a word"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return Refused(f"{name}: the host key has changed", f"if you know why: {_forget(said, name)}; then: {by_hand}")
    if "REVOKED HOST KEY" in said or "revoked by file" in said:
        where = next((f" by {line.rpartition(' ')[2]}" for line in lines if "revoked by file" in line), "")
        return Refused(f"{name}: its host key is revoked{where}", f"do not log in before you know why: {by_hand} -v")
    if "Host key verification failed" in said or "host key is known" in said:
        return Refused(f"{name}: its host key is not known here", f"log in once and compare it: {by_hand}")
    for words in ("Permission denied", "Too many authentication failures"):
        for line in reversed(spoken):
            if words in line:
                return Refused(f"{name}: {line}", f"see which keys are tried: {by_hand} -v; or name one: -i FILE")
    for words in ("Connection refused", "timed out", "No route to host", "unreachable", "Could not resolve hostname"):
        for line in reversed(spoken):
            if words in line:
                return Unreachable(line.removeprefix("ssh: "), f"try: {by_hand}")
    return ConnectionFailed(f"{name}: {last}", f"try: {by_hand} -v")


def _by_hand(login: host.Login) -> str:
    import shlex

    words = ["ssh"]
    if login.config_path is not None:
        words += ["-F", login.config_path.value]
    if login.forced_port is not None:
        words += ["-p", str(login.forced_port.value)]
    if login.forced_user is not None:
        words += ["-l", login.forced_user.value]
    if login.forced_key is not None:
        words += ["-i", login.forced_key.value]
    return shlex.join([*words, login.host])


def _unreadable(login: host.Login, config: str, said: str) -> SettingsError:
    """Why ssh cannot read its files: its own words, and the name that a person knows, of which `config` begins with a
    copy, line by line.
    """
    if login.config_path is not None:
        said = said.replace(config, login.config_path.value)
    problems = [line.strip() for line in said.splitlines() if line.strip() and ": terminating, " not in line]
    return SettingsError(problems or ["ssh cannot read its configuration"], f"try: {_by_hand(login)} -G")


def _socket_flaw(said: str) -> str:
    """Why ssh could not make the socket that its sessions would share: what holds it may have none (NFS, FAT, WSL)."""
    flaws = ("cannot bind to path", "too long for Unix domain socket")
    return next((line.strip() for line in said.splitlines() if any(flaw in line for flaw in flaws)), "")


def _forget(said: str, name: str) -> str:
    """The command that removes a host key: what ssh calls a host on another port, or with an alias, only ssh knows."""
    import shlex

    options: list[str] = []
    for line in said.splitlines():
        if line.startswith("Offending ") and " in " in line:
            options = ["-f", line.partition(" in ")[2].rpartition(":")[0]]
        elif line.startswith("Host key for ") and " has changed" in line:
            name = line.removeprefix("Host key for ").partition(" has changed")[0]
    return shlex.join(["ssh-keygen", *options, "-R", name])


def _write(path: str, content: bytes) -> None:
    """Makes a file of ours that was not there."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _own(path: str, content: bytes) -> int:
    """Makes a file that is locked for as long as we live, however we end; returns its descriptor."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, content)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks: nobody can take our file for a dead client's either
    return descriptor


def _sweep(folder: str) -> None:
    """Removes what clients that were killed have left: files that nobody locks, or is about to."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        try:
            if name.endswith(".config") and time.time() - os.stat(path).st_mtime > FRESH:
                with open(path, "rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    for ending in ENDINGS:
                        _remove(path.removesuffix(".config") + ending)
        except OSError:
            continue


def _escape(path: str) -> str:
    """ssh expands %-tokens and ${VARIABLE} in a ControlPath; one that is expanded already must stay as it is."""
    return path.replace("%", "%%")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _status_within(child: Child, seconds: float) -> int | None:
    try:
        return child.wait(timeout=seconds)
    except TimeoutError:
        return None


def _empty(path: str) -> None:
    try:
        os.truncate(path, 0)
    except OSError:
        pass


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
