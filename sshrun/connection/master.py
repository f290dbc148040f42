"""The connection: one login, shared by all sessions, through a master of our own or one that the user has open."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Iterator

from sshrun.connection import diagnosis
from sshrun.connection.agent import agent_serves, agent_socket
from sshrun.connection.config_files import may_set_timeout, must_query
from sshrun.connection.configured import Configured, parse_values
from sshrun.connection.control import ControlFiles, is_socket
from sshrun.connection.login import Login
from sshrun.connection.login_output import LoginOutput
from sshrun.connection.query import query
from sshrun.connection.ssh_argv import SshArgv
from sshrun.connection.ssh_config import CONNECT_TIMEOUT, plan_login
from sshrun.errors import AnswerNeeded, Refused, SettingsError, SshrunError, Unreachable
from sshrun.events import Event
from sshrun.interrupts import Interrupted
from sshrun.process import DEVNULL, PIPE, Child, capture, spawn
from sshrun.prompt import TerminalModes, somebody_to_ask

# Seconds for a server to answer, where the ssh config cannot be asked at this moment.
ANSWER_TIMEOUT = 10

# Seconds that the system's own TCP waits for an answer, where nothing sets less: tcp(7), tcp_syn_retries.
TCP_TIMEOUT = 127

# Seconds for keys, and a touch of one, once a server that is logged in to again has answered.
AUTHENTICATION_TIMEOUT = 45

# Seconds between two readings of the logs of a login that is under way.
POLL_INTERVAL = 0.05

# Seconds that a login that is given up may take to end: ssh has a terminal to restore.
GRACE = 3.0

# The shell of a login, in place of the person's own, so that the standard error of a proxy can be read.
PROXY_SHELL = os.path.join(os.path.dirname(__file__), "proxy_shell.sh")


class Connection:
    """One login to a host. `open` starts it and returns at once; `logging_in` waits for it.

    With `verbose`, `log` names each step of a login as `ssh -v` does.
    """

    def __init__(self, login: Login, *, verbose: bool = False) -> None:
        self.login = login
        self.host = login.host
        self._files = ControlFiles()
        self._configured = query(login, as_used=True) if must_query(login) else Configured()
        serves = agent_serves(login, self._configured.identity_agent, self._configured.identity_files)
        self._plan = plan_login(login, self._files.socket, self._configured, agent_serves=serves)
        self._argv = SshArgv(self._plan, self._files, self._configured.ignored_keywords, verbose=verbose)
        self._files.create(self._plan.config, self._plan.session)
        self._master: Child | None = None
        self._terminal_modes: TerminalModes | None = None
        # Whether a proxy on the way has printed something: it may have asked for what takes minutes.
        self.proxy_spoke = False
        # A master that the user has open is used as it is, and neither ended nor changed.
        theirs = self._their_socket()
        self.shared = theirs is not None and is_socket(theirs)
        self.socket = theirs if self.shared and theirs is not None else self._files.socket
        # Why no login can be shared on this machine, where that is so: then each session logs in by itself.
        self.alone = ""

    def _their_socket(self) -> str | None:
        """The ControlPath of the person's files, where they have one and its connection may be used."""
        theirs = self._configured.control_path
        return None if theirs == "none" or self.login.overrides.key is not None else theirs

    # Logging in

    def open(self) -> None:
        """Starts to log in; ssh may ask for a password, a passphrase, the touch of a key."""
        if self.shared or self._master is not None:
            return
        self._terminal_modes = self._terminal_modes or TerminalModes()
        # -E keeps ssh's own messages for `logging_in` to read, while a request for a touch still goes to the terminal.
        argv = self._argv.master()
        self._master = self._spawn_login(argv if somebody_to_ask() else self._without_questions(argv))

    def open_own(self) -> None:
        """Opens a master of our own beside the user's, which does not answer."""
        self._use_own()
        self.open()

    def logging_in(self, within: float | None = None) -> Iterator[Event]:
        """Waits until the login is done, at most so many seconds, and yields what a person should know meanwhile.

        Raises Unreachable, Refused, ConnectionFailed, SettingsError, and Interrupted where a key that was meant for us
        has ended ssh, which was asking something.
        """
        if not self.alone:
            self.open()
        if self._master is None:
            return
        status = yield from self._watched(self._master, within)
        if status in (-signal.SIGINT, -signal.SIGQUIT):
            raise Interrupted(-status)
        if status != 0:
            self._master = None
            problem = "" if self.alone else diagnosis.sharing_error(self.log)
            if not problem:
                raise self._login_error()
            self.alone = problem

    def _watched(self, master: Child, within: float | None) -> Generator[Event, None, int]:
        """Returns the exit status of a login."""
        asks_agent = "IdentityAgent=none" not in self._plan.options
        agent = agent_socket(self._configured.identity_agent) if asks_agent else None
        output = LoginOutput(self._files.log, self._files.proxy_log, agent)
        started = time.monotonic()
        while (status := _status_within(master, POLL_INTERVAL)) is None:
            if within is not None and time.monotonic() - started > within:
                master.end(GRACE)
                self._master = None
                raise Unreachable(f"{self.host} answers, and does not go on", f"try: {self.by_hand} -v")
            yield from output.news()
            self.proxy_spoke = self.proxy_spoke or output.proxy_spoke
        if status == 0:
            # The last lines of a login that failed are its error, and shown with that.
            yield from output.news(ended=True)
            self._files.empty_proxy_log()  # it goes on to grow for as long as the proxy lives
        return status

    # Logging in again

    def reopen(self, timeout: int) -> None:
        """Logs in again after a loss, without asking anybody anything; the host has `timeout` seconds to answer.

        Raises like `logging_in`.
        """
        for _ in self._login_unasked(timeout):
            pass

    def login_again(self, timeout: int) -> Iterator[Event]:
        """As `reopen`, and yields what a person should know meanwhile. Raises AnswerNeeded too."""
        try:
            yield from self._login_unasked(timeout)
        except Refused as refused:
            answer = "" if self.alone else diagnosis.missing_answer(self.log + self.proxy_log, self.effective)
            if not answer:
                raise
            raise AnswerNeeded(
                f"logging in to {self.host} again needs {answer}",
                f"ssh: {refused.message}; on a terminal, or where SSH_ASKPASS is set: sshrun --resume",
            ) from refused

    def _login_unasked(self, timeout: int) -> Iterator[Event]:
        self._start_over()
        limit = f"-oConnectTimeout={timeout}"
        argv = self._argv.trial(limit) if self.alone else self._argv.master(limit)
        self._master = self._spawn_login(self._without_questions(argv), stderr=DEVNULL, session=True)
        # ConnectTimeout is for the answer alone: a network that is lost behind it keeps ssh waiting.
        yield from self.logging_in(within=timeout + AUTHENTICATION_TIMEOUT)

    def login_with_answers(self) -> Iterator[Event]:
        """Logs in again after a loss as at first, with somebody at hand who answers."""
        self._start_over()
        yield from self.logging_in()

    def _start_over(self) -> None:
        self.kill()
        self._use_own()

    def _use_own(self) -> None:
        self.shared, self.socket = False, self._files.socket

    def _spawn_login(self, argv: list[str], *, stderr: int | None = None, session: bool = False) -> Child:
        env = None
        if os.access(PROXY_SHELL, os.X_OK):
            shell = os.environ.get("SHELL") or "/bin/sh"
            ours = {"SHELL": PROXY_SHELL, "SSHRUN_PROXY_SHELL": shell, "SSHRUN_PROXY_LOG": self._files.proxy_log}
            env = {**os.environ, **ours}
        return spawn(argv, stdin=DEVNULL, stdout=DEVNULL, stderr=stderr, session=session, env=env)

    def _without_questions(self, argv: list[str]) -> list[str]:
        self._files.create_batch_config(self._plan.config)
        return self._argv.without_questions(argv)

    def answer_timeout(self) -> int:
        """Seconds that the host may take to answer, as the ssh config has it; our own are in ssh_config.py."""
        if not self._configured.proxied and not may_set_timeout(self.login):
            return CONNECT_TIMEOUT  # each time that ssh is asked, it runs the programs of `Match exec`
        try:
            seconds = self.effective()["connecttimeout"][0]
        except (SettingsError, KeyError):  # somebody may be editing it at this moment
            return ANSWER_TIMEOUT
        return int(seconds) if seconds.isdecimal() else TCP_TIMEOUT

    # Using it

    @property
    def usable(self) -> bool:
        """Whether the login is done, so that sessions can be opened."""
        return self.shared or self._master is not None or bool(self.alone)

    def alive(self) -> bool:
        """Whether a master, ours or the user's, takes sessions, or none is needed."""
        if self.alone:
            return True
        import socket

        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.socket)
            except OSError:
                return False
        return True

    def session(self, command: str) -> Child:
        """Starts a command on the host over the connection, with pipes, out of Ctrl+C's reach."""
        return spawn(
            [*self.remote_shell(), "--", self.target, command], stdin=PIPE, stdout=PIPE, stderr=PIPE, session=True
        )

    @property
    def target(self) -> str:
        """The HOST argument of ssh."""
        return self._plan.host

    def remote_shell(self) -> list[str]:
        """ssh for one more session. Without the master it is to share it fails at once, and logs in no second time."""
        return self._argv.shell(self._session_socket)

    def scp_argv(self) -> list[str]:
        """scp over the connection; paths are written as TARGET:PATH."""
        return self._argv.scp(self._session_socket)

    def sftp_argv(self) -> list[str]:
        """The sftp subsystem over the connection, used through pipes."""
        return self._argv.sftp(self._session_socket)

    @property
    def _session_socket(self) -> str | None:
        return None if self.alone else self.socket

    def effective(self) -> dict[str, list[str]]:
        """All that ssh goes by, by keyword in lower case. Raises SettingsError where ssh cannot read its files."""
        status, output = capture(self._argv.effective())
        if status != 0:
            raise diagnosis.config_error(self.login, self._files.config, output.decode("utf-8", "replace"))
        return parse_values(output)

    # What became of it

    @property
    def by_hand(self) -> str:
        """What a person types to see for themselves."""
        return diagnosis.by_hand(self.login)

    @property
    def log(self) -> str:
        """What ssh wrote about the login."""
        return self._files.read_log()

    @property
    def proxy_log(self) -> str:
        """What the programs printed that the login went through."""
        return self._files.read_proxy_log()

    def _login_error(self) -> SshrunError:
        log = self.log.replace(self._files.batch_config, self._files.config)
        if diagnosis.is_config_error(log):
            return diagnosis.config_error(self.login, self._files.config, log)
        if "UNKNOWN port" in log:
            # Closed behind a ProxyJump or ProxyCommand, which knows why.
            log += self.proxy_log
        lines = [line for line in log.splitlines() if not line.startswith("debug")]
        return diagnosis.login_error(self.host, "\n".join(lines), self.by_hand)

    # Ending it

    def kill(self) -> None:
        """Ends our own master, even one that hangs."""
        if not self.shared:
            child = self._control_master("exit")
            try:
                child.wait(timeout=2)
            except TimeoutError:
                child.kill()
        self._master = None
        self._files.remove_login()

    def close(self) -> None:
        """Ends our own master without waiting for it, and removes our files, and those of clients that were killed."""
        if self._master is not None and self._master.poll() != 0:
            self._cancel_login(self._master)
        self._release("exit")

    def _cancel_login(self, master: Child) -> None:
        """Ends a login that is under way.

        A program that asks for a password has turned the terminal's echo off, and turns it on again when it is to end,
        but not when killed. That may be ssh, or a program that it has started (the ssh of a ProxyJump), which a key
        that has ended ssh already has reached as well.
        """
        master.end(GRACE)
        if self._terminal_modes is not None:
            self._terminal_modes.restore()

    def detach(self) -> None:
        """As `close`, but our own master lives until its sessions have ended."""
        self._release("stop")

    def _release(self, command: str) -> None:
        if not self.shared and os.path.exists(self._files.socket):
            self._control_master(command)
        self._files.remove()
        if self._terminal_modes is not None:
            self._terminal_modes.close()

    def _control_master(self, command: str) -> Child:
        return spawn(self._argv.control(command), stdout=DEVNULL, stderr=DEVNULL, session=True)


def _status_within(child: Child, seconds: float) -> int | None:
    try:
        return child.wait(timeout=seconds)
    except TimeoutError:
        return None
