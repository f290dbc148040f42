"""`sshrun ssh-keygen NAME`: a key pair of one's own for a host, made by the system's ssh-keygen."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from sshrun.errors import UsageError
from sshrun.process import DEVNULL, spawn

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console

_RSA_BITS = 3072
_SHORTEST, _LONGEST = 2048, 16384  # bits; ssh refuses shorter ones by now, ssh-keygen longer ones


class _Wanted(NamedTuple):
    name: str
    kind: str
    bits: int
    directory: str
    passphrase: bool


def ssh_keygen(arguments: Arguments, console: Console) -> int:
    """Makes `DIRECTORY/id_NAME` and its public half, prints the latter. Raises UsageError.

    Nothing is ever overwritten. There is no passphrase unless `--passphrase` asks for one.
    """
    wanted = _wanted(arguments)
    path = os.path.join(wanted.directory, f"id_{wanted.name}")
    for existing in (path, f"{path}.pub"):
        if os.path.lexists(existing):
            raise UsageError(
                f"{existing} exists already", "choose another NAME, or another directory with -o DIRECTORY"
            )
    try:
        os.makedirs(wanted.directory, mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{wanted.directory}: {error.strerror}", "name another directory with -o DIRECTORY") from error
    _make(wanted, path)
    with open(f"{path}.pub", encoding="utf-8") as file:
        public = file.read().strip()
    console.notice(f"made {path} and {path}.pub; the host must know the public half, this line:")
    console.data(public)
    console.notice(f"send it with:  ssh-copy-id -i {_shell_word(path + '.pub')} USER@HOST")
    console.notice(f"then log in:   sshrun -h USER@HOST -i {_shell_word(path)} train MODEL")
    console.record({"event": "key", "private": path, "public": public})
    return 0


def _make(wanted: _Wanted, path: str) -> None:
    argv = ["ssh-keygen", "-q", "-t", wanted.kind, "-C", wanted.name, "-f", path]
    if wanted.kind == "rsa":
        argv += ["-b", str(wanted.bits)]
    if wanted.passphrase:
        child = spawn(argv, stdin=None, stdout=2)  # it asks on the terminal
    else:
        # With nobody to answer its question it overwrites nothing, even if a file appears at this very moment.
        child = spawn([*argv, "-N", ""], stdin=DEVNULL, stdout=DEVNULL)
    status = child.wait()
    if status != 0 or not os.path.isfile(path):
        raise UsageError(f"ssh-keygen ended with {status} and made no {path}", "its own message is above")


def _wanted(arguments: Arguments) -> _Wanted:
    if len(arguments.words) != 1:
        raise UsageError("sshrun ssh-keygen takes one NAME", "for example: sshrun ssh-keygen gpu1")
    (name,) = arguments.words
    if not name or "/" in name or name.startswith("-") or not name.isprintable():
        raise UsageError(f"{name!r} is no name for a key", "for example: sshrun ssh-keygen gpu1")
    kind = (arguments.key_type or "ed25519").lower()
    if kind not in ("ed25519", "rsa"):
        raise UsageError(f"-t {kind}: unknown type of key", "types are ed25519 and rsa")
    directory = os.path.abspath(os.path.expanduser(arguments.key_directory or "~/.ssh"))
    return _Wanted(name, kind, _bits(arguments.key_bits, kind), directory, arguments.passphrase)


def _bits(text: str | None, kind: str) -> int:
    if text is None:
        return _RSA_BITS
    if kind != "rsa":
        raise UsageError(f"an {kind} key has one length", "leave -b out, or add -t rsa")
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and _SHORTEST <= int(text) <= _LONGEST):
        raise UsageError(f"-b {text}: that many bits are not possible", f"from {_SHORTEST} to {_LONGEST}")
    return int(text)


def _shell_word(text: str) -> str:
    import shlex

    return shlex.quote(text)
