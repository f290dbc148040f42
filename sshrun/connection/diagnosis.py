"""Why a login failed: what ssh's own messages mean, whether a retry may help, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sshrun.connection.keys import needs_agent
from sshrun.connection.login import Login
from sshrun.connection.login_output import TRY_AGAIN
from sshrun.connection.paths import ssh_expanded
from sshrun.errors import ConnectionFailed, Refused, RemoteError, SettingsError, Unreachable


def login_error(name: str, log: str, by_hand: str) -> RemoteError:
    """The error that the log of a failed login amounts to. `by_hand` is a command that logs in the same way."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    # Behind a ProxyJump that was refused, ssh knows neither address nor port, and logs no more than that. What it logs
    # before it asks once more is no reason either.
    reasons = [line for line in lines if "UNKNOWN port" not in line and line != TRY_AGAIN]
    last = reasons[-1] if reasons else "ssh ended without a message"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in log:
        return Refused(
            f"{name}: the host key has changed", f"if you know why: {_remove_key(log, name)}; then: {by_hand}"
        )
    if "REVOKED HOST KEY" in log or "revoked by file" in log:
        where = next((f" by {line.rpartition(' ')[2]}" for line in lines if "revoked by file" in line), "")
        return Refused(f"{name}: its host key is revoked{where}", f"do not log in before you know why: {by_hand} -v")
    if "Host key verification failed" in log or "host key is known" in log:
        return Refused(f"{name}: its host key is unknown", f"log in once and compare it: {by_hand}")
    for words in ("Permission denied", "Too many authentication failures"):
        for line in reversed(reasons):
            if words in line:
                return Refused(f"{name}: {line}", f"see which keys are tried: {by_hand} -v; or name one: -i FILE")
    for words in ("Connection refused", "timed out", "No route to host", "unreachable", "Could not resolve hostname"):
        for line in reversed(reasons):
            if words in line:
                return Unreachable(line.removeprefix("ssh: "), f"try: {by_hand}")
    return ConnectionFailed(f"{name}: {last}", f"try: {by_hand} -v")


def is_config_error(log: str) -> bool:
    """Whether ssh could not read its config files."""
    return "bad configuration option" in log or "Bad owner or permissions" in log


def config_error(login: Login, config: str, log: str) -> SettingsError:
    """Why ssh cannot read its files: its own messages, with the name that a person knows.

    `config` is our file, which begins with a copy of the person's, line by line.
    """
    if login.config_path is not None:
        log = log.replace(config, login.config_path.value)
    problems = [line.strip() for line in log.splitlines() if line.strip() and ": terminating, " not in line]
    return SettingsError(problems or ["ssh cannot read its configuration"], f"try: {by_hand(login)} -G")


def sharing_error(log: str) -> str:
    """Why ssh could not create the socket that its sessions would share, or "": NFS, FAT and WSL may allow none."""
    errors = ("cannot bind to path", "too long for Unix domain socket")
    return next((line.strip() for line in log.splitlines() if any(error in line for error in errors)), "")


def missing_answer(log: str, effective: Callable[[], Mapping[str, list[str]]]) -> str:
    """What a person would have to type for a login that was refused while nobody was asked, or "".

    `effective` asks ssh what it goes by, where that matters.
    """
    import re

    offered = re.findall(r"Permission denied \((\S*)\)", log)
    methods = set(",".join(offered).split(","))
    answers = ["your password"] if "password" in methods else []
    if not answers and "keyboard-interactive" in methods:
        answers.append("your password or code")
    if "publickey" in methods and _has_locked_key(effective()):
        answers.append("the passphrase of your key")
    return " or ".join(answers)


def _has_locked_key(effective: Mapping[str, list[str]]) -> bool:
    """Whether there is a key file that takes a passphrase, or a token with a PIN."""
    if effective.get("pkcs11provider", ["none"]) != ["none"]:
        return True
    return any(needs_agent(ssh_expanded(path)) for path in effective.get("identityfile", []))


def by_hand(login: Login) -> str:
    """The command with which a person logs in the same way."""
    import shlex

    account = login.overrides
    words = ["ssh"]
    if login.config_path is not None:
        words += ["-F", login.config_path.value]
    if account.port is not None:
        words += ["-p", str(account.port.value)]
    if account.user is not None:
        words += ["-l", account.user.value]
    if account.key is not None:
        words += ["-i", account.key.value]
    return shlex.join([*words, login.host])


def _remove_key(log: str, name: str) -> str:
    """The command that removes a host key. Only ssh knows the name that it has for another port, or with an alias."""
    import shlex

    options: list[str] = []
    for line in log.splitlines():
        if line.startswith("Offending ") and " in " in line:
            options = ["-f", line.partition(" in ")[2].rpartition(":")[0]]
        elif line.startswith("Host key for ") and " has changed" in line:
            name = line.removeprefix("Host key for ").partition(" has changed")[0]
    return shlex.join(["ssh-keygen", *options, "-R", name])
