"""Whom to log in to: `[USER@]HOST[:PORT][/PATH]`, and the ssh configuration that gives each setting its rank.

ssh itself does the merging. Its first value wins, so the file given with `-F` holds, in this order: the user's own
file, our defaults for `Host *`, the system's file, and last what ranks below all of them, in a block for the one host:
a bastion reached by ProxyJump reads the same file. What ranks above the files goes onto ssh's command line, which a
bastion never sees.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sshrun.errors import UsageError
from sshrun.identity import certifies, read_key
from sshrun.sources import Origin, Sourced

SYSTEM_CONFIG = "/etc/ssh/ssh_config"
USER_CONFIG = "~/.ssh/config"  # beneath the home directory of the passwd file, as `ssh_expanded` reads it

CONNECT_TIMEOUT = 30  # seconds for a server to answer, where nobody has said how long

# A dead connection is noticed within 5 s x 3, and a long silent job keeps its connection.
_DEFAULTS = f"Host *\n  ServerAliveInterval 5\n  ServerAliveCountMax 3\n  ConnectTimeout {CONNECT_TIMEOUT}\n"

# Seconds for an answer that comes through a proxy, unless the person's file says otherwise: it may have asked for a
# login in a browser (cloudflared, gcloud), or a bastion for a password.
_PROXY_PATIENCE = 600

# What `ssh -G` shows of these says: nothing sets it.
_UNSET_PORT = "1"
_UNSET_USER = "unset-user"
_UNSET_KEY = "/unset-key"
_UNSET_CONTROL_PATH = "/unset-control-path"

# What `ssh -G` shows among SendEnv where ssh reads the files twice: for `Match final`, and for CanonicalizeHostname.
_TWICE = "SSHRUN_READ_TWICE"

# What a session over a login that is there takes from the files, beside what we say of it: mux.c of OpenSSH.
_VARIABLES = ("sendenv", "setenv")

_KEYS_FIRST = "publickey,gssapi-with-mic,hostbased,keyboard-interactive,password"

_FORM = "[USER@]HOST[:PORT][/PATH]"


class Target(NamedTuple):
    """What `--host` says. `path` is absolute, or relative to the login directory; None where nothing was said."""

    host: str
    user: str | None = None
    port: int | None = None
    path: str | None = None


class Connection(NamedTuple):
    """`connection` of the user file, each checked; `key_filename` is an absolute path."""

    hostname: Sourced[str] | None = None
    port: Sourced[int] | None = None
    username: Sourced[str] | None = None
    key_filename: Sourced[str] | None = None


class Login(NamedTuple):
    """All that the command line and the user file say about logging in.

    `config_path` is an ssh config file to use in place of the user's own.
    """

    target: Target | None = None
    port: Sourced[int] | None = None
    identity: Sourced[str] | None = None
    connection: Connection = Connection()
    config_path: Sourced[str] | None = None

    @property
    def host(self) -> str:
        """The HOST argument of ssh. Raises UsageError where nobody names one."""
        if self.target:
            return self.target.host
        if self.connection.hostname:
            return self.connection.hostname.value
        raise UsageError(
            "no host is named", f"add --host {_FORM}, or connection: {{hostname: HOST}} under ssh: in the user file"
        )

    @property
    def forced_user(self) -> Sourced[str] | None:
        """The account that beats the ssh config."""
        if self.target and self.target.user:
            return Sourced(self.target.user, Origin("option", key="--host"))
        return None if self.target else self.connection.username

    @property
    def forced_port(self) -> Sourced[int] | None:
        """The port that beats the ssh config."""
        if self.port:
            return self.port
        if self.target and self.target.port:
            return Sourced(self.target.port, Origin("option", key="--host"))
        return None if self.target else self.connection.port

    @property
    def forced_key(self) -> Sourced[str] | None:
        """The key that beats the ssh config and whatever else the agent holds."""
        return self.identity or (None if self.target else self.connection.key_filename)

    @property
    def weak(self) -> Connection:
        """What ranks below the ssh config."""
        return self.connection if self.target else Connection()


class SshPlan(NamedTuple):
    """How to call ssh: `ssh -F FILE_WITH(config) *options -- host`. Nothing in it is secret.

    `session` is a config for one session over a login that is there. It holds what such a session still takes from the
    files, the variables of the local environment, and has no `Match exec` run its program again.
    """

    config: bytes
    options: tuple[str, ...]
    host: str
    session: bytes = b""


class SshView(NamedTuple):
    """What `ssh -G` says about a host: None or empty for what neither the user's nor the system's file sets.

    `control_path` is expanded, which is right where user and port are set; "none" where the user turned sharing off.
    `algorithms` are those that a key or a certificate may be offered with, set or not. `ignored_keywords` are the
    patterns of IgnoreUnknown. `twice`: ssh reads the files a second time, and what they say only then counts as well.
    `proxied`: the way goes through a ProxyCommand or a ProxyJump. `variables` are lines of a config file; None where
    ssh was not asked.
    """

    hostname: str | None = None
    port: int | None = None
    user: str | None = None
    identity_files: tuple[str, ...] = ()
    control_path: str | None = None
    identity_agent: str | None = None
    certificates: tuple[str, ...] = ()
    algorithms: str = ""
    ignored_keywords: tuple[str, ...] = ()
    twice: bool = False
    proxied: bool = False
    variables: tuple[str, ...] | None = None


class Resolved(NamedTuple):
    """Where a login goes in the end. `identity` is None where ssh chooses among its default keys and the agent's."""

    hostname: Sourced[str]
    port: Sourced[int]
    user: Sourced[str]
    identity: Sourced[str] | None


def parse_target(text: str) -> Target:
    """Reads `[USER@]HOST[:PORT][/PATH]`. Raises UsageError.

    The first `/` begins PATH (`/~/x` and `/x` are relative to the login directory, `//x` is absolute), the last `@`
    before it ends USER. HOST and USER are what OpenSSH's valid_hostname() and valid_ruser() let pass (ssh.c,
    CVE-2023-51385), without spaces. A `%` in them (a zone as in fe80::1%eth0) stands for itself: ssh expands it in its
    options, and these are none.
    """
    login, slash, path = text.partition("/")
    user, at, address = login.rpartition("@")
    host, port = _split_port(address, text)
    flaw = host_flaw(host) or (user_flaw(user) if at else "") or (path_flaw(path) if slash else "")
    if flaw:
        raise UsageError(f"--host {text!r}: {flaw}", f"the form is {_FORM}")
    return Target(host, user or None, port, remote_folder(path) if slash else None)


def _split_port(address: str, text: str) -> tuple[str, int | None]:
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        well_formed = bracket and ":" in host and (not rest or rest.startswith(":"))
        colon, digits = rest[:1], rest[1:]
    else:
        host, colon, digits = address.partition(":")
        well_formed = ":" not in digits
    if not well_formed:
        raise UsageError(f"--host {text!r}: an IPv6 address stands in brackets", "for example [::1]:22/dir")
    if not colon:
        return host, None
    port = parse_port(digits)
    if port is None:
        raise UsageError(f"--host {text!r}: {digits!r} is no port", "ports are 1 to 65535")
    return host, port


def parse_port(digits: str) -> int | None:
    """A port number of 1 to 65535, or None."""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5):
        return None
    return int(digits) if 1 <= int(digits) <= 65535 else None


def remote_folder(text: str) -> str:
    """A working directory as `--host` or `remote_dir` names it: absolute, or relative to the login directory."""
    if text == "~" or text.startswith("~/"):
        text = text[1:].lstrip("/")
    return text or "."


def host_flaw(host: str) -> str:
    """What is wrong with a host's name, or ""."""
    # *, ? and a leading ! would make a pattern of it in the block that the layered config holds for this host.
    return _flaw(host, "HOST", "'`\"$\\;&<>|(){},*?@/") or ("HOST begins with '!'" if host.startswith("!") else "")


def user_flaw(user: str) -> str:
    """What is wrong with an account's name, or ""."""
    return _flaw(user, "USER", "'`\";&<>|(){}") or ("USER ends with a backslash" if user.endswith("\\") else "")


def configured_user_flaw(user: str) -> str:
    """What is wrong with an account's name that may come to stand in a config file, or ""."""
    return user_flaw(user) or ("USER holds '%'" if "%" in user else "")  # OpenSSH 10 expands tokens in User


def path_flaw(path: str) -> str:
    """What is wrong with a path on the host, or ""."""
    return "PATH holds a NUL or a newline" if "\0" in path or "\n" in path else ""


def _flaw(text: str, name: str, forbidden: str) -> str:
    if not text:
        return f"{name} is empty"
    if text.startswith("-"):
        return f"{name} begins with '-'"
    for character in text:
        if character in forbidden:
            return f"{name} holds {character!r}"
        if character.isspace() or not character.isprintable():
            return f"{name} holds a space or a control character"
    return ""


class Account(NamedTuple):
    """What `ssh -G` says of port and account where nothing sets them."""

    port: str
    user: str


UNSET = Account(_UNSET_PORT, _UNSET_USER)


def last_account(login: Login) -> Account:
    """What a login has where no file sets it, so that tokens stand for what they will."""
    port, user = login.weak.port, login.weak.username
    return Account(str(port.value) if port else "22", user.value if user else _account())


def plan_to_look(login: Login, unset: Account = UNSET, *, twice: bool = False) -> SshPlan:
    """How to ask what the configuration files say: put `-G` before `options`; the answer is for `ssh_view`.

    Where that says `twice`, ask again and say so: what is written here for "unset" would have come before the rest.
    """
    block = (
        f"{_last(login, twice=twice)}  Port {unset.port}\n  User {_quoted(unset.user)}\n  IdentityFile {_UNSET_KEY}\n"
        f"  ControlPath {_UNSET_CONTROL_PATH}\nMatch canonical\n  SendEnv {_TWICE}\n"
    )
    # Account and port go along where they are given, for `Match user` and %p in the user's own lines.
    return SshPlan(_layers(login, block), _forced_account(login), login.host)


def must_look(login: Login) -> bool:
    """Whether the SshView is needed: the files may set ControlPath, IgnoreUnknown, a proxy, or a key beside the one
    named, or have ssh read them twice.

    False in the common case: then nothing stands between the command line and the connection.
    """
    if login.forced_key:
        if key_wants_agent(login):
            return True
        keywords = {"ignoreunknown", "certificatefile"}
    elif login.weak.key_filename:
        keywords = {"ignoreunknown", "controlpath", "identityfile"}
    else:
        keywords = {"ignoreunknown", "controlpath"}
    if login.weak.port or login.weak.username:
        keywords |= {"canonicalizehostname", "match"}
    keywords |= {"proxycommand", "proxyjump"}
    return any(
        _may_set(keywords, *file) or (_may_set(_VARIABLES, *file) and _may_set({"match"}, *file))
        for file in _files(login)
    )


def may_set_patience(login: Login) -> bool:
    """Whether the files may say how long a server may take to answer."""
    return any(_may_set({"connecttimeout"}, *file) for file in _files(login))


def _files(login: Login) -> tuple[tuple[str, str], tuple[str, str]]:
    """The user's file and the system's, each with what relative Includes in it are relative to."""
    own = login.config_path.value if login.config_path else ssh_expanded(USER_CONFIG)
    return (own, "~/.ssh"), (SYSTEM_CONFIG, os.path.dirname(SYSTEM_CONFIG))


def key_wants_agent(login: Login) -> bool:
    """Whether a key that beats all others can be used without a question only through the agent (see `identity`)."""
    try:
        return login.forced_key is not None and read_key(login.forced_key.value).locked
    except OSError:
        return False


def agent_socket(view: SshView) -> str | None:
    """The socket of the agent that ssh would ask, None where it asks none: ssh_config(5), IdentityAgent."""
    named = view.identity_agent or "SSH_AUTH_SOCK"
    if named == "SSH_AUTH_SOCK":
        return os.environ.get(named)
    if named.startswith("$"):
        return os.environ.get(named[1:].strip("{}"))
    return None if named == "none" else ssh_expanded(named)


def ssh_view(output: bytes) -> SshView:
    """Reads what `ssh -G` printed for `plan_to_look`."""
    values: dict[str, list[str]] = {}
    for line in os.fsdecode(output).splitlines():
        keyword, _, value = line.partition(" ")
        values.setdefault(keyword.lower(), []).append(value)

    def first(keyword: str, unset: str = "") -> str | None:
        value = values.get(keyword, [unset])[0]
        return value if value != unset else None

    port = first("port", _UNSET_PORT)
    keys = tuple(ssh_expanded(key) for key in values.get("identityfile", []) if key != _UNSET_KEY)
    return SshView(
        hostname=first("hostname"),
        port=parse_port(port) if port else None,
        user=first("user", _UNSET_USER),
        identity_files=keys,
        # `ControlPath none` is printed as nothing at all.
        control_path=first("controlpath", _UNSET_CONTROL_PATH) if "controlpath" in values else "none",
        identity_agent=first("identityagent"),
        certificates=tuple(map(ssh_expanded, values.get("certificatefile", []))),
        algorithms=first("pubkeyacceptedalgorithms") or "",
        ignored_keywords=tuple(values.get("ignoreunknown", [""])[0].replace(",", " ").split()),
        twice=_TWICE in values.get("sendenv", []),
        variables=_variables(values),
        proxied=any(values.get(keyword, ["none"]) != ["none"] for keyword in ("proxycommand", "proxyjump")),
    )


def _variables(values: Mapping[str, list[str]]) -> tuple[str, ...]:
    """One line for each keyword, since the first SetEnv that is met is the one that counts."""
    words = {keyword: [word for word in values.get(keyword, []) if word != _TWICE] for keyword in _VARIABLES}
    return tuple(" ".join((keyword, *map(_quoted, found))) for keyword, found in words.items() if found)


def plan(login: Login, control_path: str, view: SshView = SshView(), *, agent_serves: bool = False) -> SshPlan:
    """How to call ssh for a login.

    `control_path` is ours. It is used where the user's files set none or say "none", and always together with a key of
    the command line's: an open master of the user's may have logged in with another one. It must then belong to this
    key alone. `view` is needed where `must_look` says so; `agent_serves` is what `identity.agent_may_serve` found.
    """
    options = _forced_account(login)
    block: list[str] = []
    if login.forced_key:
        options += ("-o", f"IdentityFile={_literal(login.forced_key.value)}", "-o", "IdentitiesOnly=yes")
        # Keys of a token come before all files, keys of the agent before those of files, and Kerberos before all keys.
        options += ("-o", "PKCS11Provider=none", "-o", f"PreferredAuthentications={_KEYS_FIRST}")
        if not agent_serves:
            options += ("-o", "IdentityAgent=none")
        options += _certificate(login.forced_key.value, view)
    elif login.weak.key_filename and not view.identity_files:
        block += [f"IdentityFile {_literal(login.weak.key_filename.value)}", "IdentitiesOnly yes"]
    if login.forced_key or view.control_path == "none":
        options += ("-o", f"ControlPath={_quoted(control_path)}")
    else:
        block.append(f"ControlPath {_quoted(control_path)}")
    if login.weak.port:
        block.append(f"Port {login.weak.port.value}")
    if login.weak.username:
        block.append(f"User {_quoted(login.weak.username.value)}")
    lines = "".join(f"  {line}\n" for line in block)
    last = _last(login, twice=view.twice) + lines
    patience = f"Host {_quoted(login.host)}\n  ConnectTimeout {_PROXY_PATIENCE}\n" if view.proxied else ""
    return SshPlan(_layers(login, last, before_ours=patience), options, login.host, _session(login, view))


def _session(login: Login, view: SshView) -> bytes:
    """Whole files only where ssh was not asked: then no `Match` is in any that sets variables (`must_look`)."""
    if view.variables is not None:
        return os.fsencode("".join(f"{line}\n" for line in view.variables))
    own, system = (_may_set(_VARIABLES, *file) for file in _files(login))
    return (_own(login) + b"Host *\n" if own else b"") + (f"Include {SYSTEM_CONFIG}\n".encode() if system else b"")


def resolved(login: Login, view: SshView) -> Resolved:
    """Where the login goes, and which place says so. `view` is that of `plan_to_look`."""

    def configured(keyword: str) -> Origin:
        return Origin("ssh config", key=keyword)

    named = Origin("option", key="--host") if login.target else None
    if named is None:
        named = login.connection.hostname.origin if login.connection.hostname else Origin("default")
    renamed = view.hostname is not None and view.hostname.lower() != login.host.lower()
    hostname = Sourced(view.hostname or login.host, configured("HostName") if renamed else named)

    port = login.forced_port
    if port is None and view.port:
        port = Sourced(view.port, configured("Port"))
    user = login.forced_user
    if user is None and view.user:
        user = Sourced(view.user, configured("User"))
    identity = login.forced_key
    if identity is None and view.identity_files:
        identity = Sourced(view.identity_files[0], configured("IdentityFile"))
    default = Origin("default")
    return Resolved(
        hostname,
        port or login.weak.port or Sourced(22, default),
        user or login.weak.username or Sourced(_account(), default),
        identity or login.weak.key_filename,
    )


def _certificate(key: str, view: SshView) -> tuple[str, ...]:
    """What keeps certificates of other keys out: ssh offers them before any key, and no option takes one back."""
    if not view.certificates:
        return ()
    try:
        own = [path for path in (f"{key}-cert.pub", *view.certificates) if certifies(path, read_key(key))]
    except OSError:
        own = []
    if own:
        return ("-o", f"CertificateFile={_literal(own[0])}")
    plain = [name for name in view.algorithms.split(",") if "-cert-" not in name]
    return ("-o", f"PubkeyAcceptedAlgorithms={','.join(plain)}")


def identity_option(text: str) -> str:
    """The absolute path that `-i` names; it may be the public half alone. Raises UsageError."""
    path = os.path.abspath(ssh_expanded(text))
    if not os.path.isfile(path) and not os.path.isfile(path + ".pub"):
        raise UsageError(f"-i {text}: there is no such file", "make a key with: sshrun ssh-keygen NAME")
    return path


def _forced_account(login: Login) -> tuple[str, ...]:
    options: tuple[str, ...] = ()
    if login.forced_port:
        options += ("-p", str(login.forced_port.value))
    if login.forced_user:
        options += ("-l", login.forced_user.value)
    return options


def _last(login: Login, *, twice: bool) -> str:
    """The beginning of the block that ranks below the files. ssh's first value wins, whichever reading it is from."""
    # The second time, Host would mean the name that the host has got by then.
    return f"Match canonical originalhost {_quoted(login.host)}\n" if twice else f"Host {_quoted(login.host)}\n"


def _own(login: Login) -> bytes:
    """The user's file, as lines of another one. It may end in any block."""
    if login.config_path is None:
        return os.fsencode(f"Include {_quoted(_globbed(ssh_expanded(USER_CONFIG)))}\n")
    # Copied in, not included: Include refuses a file of another owner or mode, which ssh -F does not.
    with open(login.config_path.value, "rb") as file:
        return file.read() + b"\n"


def _layers(login: Login, last: str, *, before_ours: str = "") -> bytes:
    # `Host *` ends whatever block the user's file ended in.
    return _own(login) + os.fsencode(f"{before_ours}{_DEFAULTS}Include {SYSTEM_CONFIG}\n{last}")


def _quoted(text: str) -> str:
    """A word of an ssh config file. A backslash stands for itself but before a backslash or a quote (argv_split())."""
    word = ""
    for character, following in zip(text, text[1:] + '"', strict=True):
        special = character == '"' or (character == "\\" and following in "\\\"'")
        word += "\\" + character if special else character
    return f'"{word}"'


def _literal(path: str) -> str:
    """A path as a word of an ssh config file that ssh expands no `%` in."""
    return _quoted(path.replace("%", "%%"))


def _globbed(path: str) -> str:
    """A path as a pattern that names it alone: Include has glob(3) read what it is given."""
    return "".join("\\" + character if character in "*?[\\" else character for character in path)


def _may_set(keywords: Iterable[str], path: str, folder: str, depth: int = 16) -> bool:
    """Whether a config file may set one of `keywords` for some host; True also where only ssh itself could tell.

    `folder` is what relative Includes in it are relative to: ssh_config(5), Include.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    for line in lines:
        keyword, _, rest = line.strip().replace("=", " ", 1).replace("\t", " ").partition(" ")
        keyword = keyword.lower()
        if keyword in keywords or keyword.startswith('"'):
            return True
        if keyword != "include":
            continue
        if depth == 0 or any(character in rest for character in "\"'\\%$[]{}\0"):
            return True
        for pattern in rest.split():
            # glob(3) takes ~ from $HOME, other than the rest of ssh: what ssh does is what counts.
            included = os.path.expanduser(pattern if pattern[0] in "/~" else f"{folder}/{pattern}")
            parent, name = os.path.split(included)
            if "*" in parent or "?" in parent or included.startswith("~"):
                return True
            for file_name in _names_in(parent) if "*" in name or "?" in name else [name]:
                if _may_set(keywords, f"{parent}/{file_name}", folder, depth - 1):
                    return True
    return False


def _names_in(folder: str) -> list[str]:
    """None where the folder is missing or may not be read: ssh finds nothing in it either."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def ssh_expanded(path: str) -> str:
    """A path as ssh reads it: `~` is what the passwd file says, not $HOME (tilde_expand() of misc.c)."""
    return pwd.getpwuid(os.getuid()).pw_dir + path[1:] if path.startswith("~/") else path


def _account() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
