"""The command lines of ssh and scp for one connection: the only place that knows their flags."""

from __future__ import annotations

from collections.abc import Iterable

from sshrun.connection.control import ControlFiles
from sshrun.connection.ssh_config import SshPlan

# What a person's config may set for their own logins, and what would break a program's: ssh_config(5).
PLAIN = (
    "-oRemoteCommand=none",
    "-oRequestTTY=no",
    "-oClearAllForwardings=yes",
    "-oPermitLocalCommand=no",
)
NEWER = ("SessionType", "StdinNull", "ForkAfterAuthentication")  # than OpenSSH 8.6
PIPED = (*PLAIN, "-oStdinNull=no", "-oForkAfterAuthentication=no")
SESSION = (*PIPED, "-oSessionType=default")

# What diagnosis.py goes by; a person may have asked for less, or for more.
LOG_LEVEL = "-oLogLevel=INFO"

# A session that logs in by itself; by then nobody is at hand to be asked.
NOT_SHARED = ("-oControlMaster=no", "-oControlPath=none", "-oBatchMode=yes")

# Seconds that our own master outlives its last session: if sshrun is killed, nothing stays for longer.
MASTER_LIFETIME = 60


class SshArgv:
    """`socket` is that of the master that a session shares, None where it logs in by itself."""

    def __init__(self, plan: SshPlan, files: ControlFiles, ignored: Iterable[str], *, verbose: bool) -> None:
        """`ignored` are the person's own patterns of IgnoreUnknown; with `verbose` a login logs each step."""
        self._plan = plan
        self._files = files
        self._log = (*(("-v",) if verbose else ()), "-E", files.log)
        # ssh takes the first IgnoreUnknown alone: ours would make errors of what the person's files have it ignore.
        self._ignored = "-oIgnoreUnknown=" + ",".join([*NEWER, *ignored])
        self._login = ("-F", files.config, *plan.options)

    def master(self, *options: str) -> list[str]:
        return [
            *("ssh", *self._login, "-fN", "-S", self._files.socket, *self._log, "-oControlMaster=yes"),
            *(f"-oControlPersist={MASTER_LIFETIME}", LOG_LEVEL, self._ignored, *PLAIN, *options),
            *("--", self._plan.host),
        ]

    def trial(self, *options: str) -> list[str]:
        """A login that does nothing, where none can be shared."""
        ssh = ["ssh", *self._login, "-T", *NOT_SHARED, LOG_LEVEL, self._ignored, *SESSION, *self._log, *options]
        return [*ssh, "--", self._plan.host, "exit 0"]

    def without_questions(self, argv: Iterable[str]) -> list[str]:
        """A login in which nobody is asked anything, on any host of the way.

        The ssh of a ProxyJump reads the same config file, and gets no option.
        """
        ssh, *words = (self._files.batch_config if word == self._files.config else word for word in argv)
        return [ssh, "-oBatchMode=yes", *words]

    def control(self, command: str) -> list[str]:
        """-O of ssh(1). The socket is all that it needs: no config is read, and HOST is any word."""
        return ["ssh", "-F", "/dev/null", "-S", self._files.socket, "-O", command, "--", "host"]

    def effective(self) -> list[str]:
        return ["ssh", "-G", *self._login, "--", self._plan.host]

    def shell(self, socket: str | None) -> list[str]:
        return ["ssh", *self._share(socket), "-T", "-oLogLevel=ERROR", self._ignored, *SESSION]

    def scp(self, socket: str | None) -> list[str]:
        # No SessionType: scp gives `-s` for the sftp subsystem; it overrides the config and is refused after another.
        return ["scp", *self._share(socket), "-q", self._ignored, *PIPED]

    def sftp(self, socket: str | None) -> list[str]:
        # -s first of all, since SESSION sets another type of session.
        ssh, *options = self.shell(socket)
        return [ssh, "-s", *options, "--", self._plan.host, "sftp"]

    def _share(self, socket: str | None) -> tuple[str, ...]:
        """What a session goes by: the master that it is to share and no more, or all that a login takes."""
        if socket is None:
            return (*self._login, *NOT_SHARED)
        # ssh expands %-tokens in a ControlPath; this one is expanded already.
        path = socket.replace("%", "%%")
        return ("-F", self._files.session_config, "-oControlMaster=no", f"-oControlPath={path}", "-oProxyCommand=false")
