"""Private key files: whether ssh can use one by itself, or only through the agent that holds its key."""

from __future__ import annotations

import os
from typing import NamedTuple

from sshrun.connection.paths import ssh_expanded
from sshrun.errors import UsageError

_MAGIC = b"openssh-key-v1\0"  # PROTOCOL.key of OpenSSH
_LONGEST = 1 << 16  # bytes; a key file is far smaller, and another file that is named by mistake need not be read whole


class KeyFile(NamedTuple):
    """What a key file shows without its passphrase. `public` is the key in base64, "" where it is not readable.

    `locked`: ssh cannot use it without the agent or an answer. `half`: the private half is missing.
    """

    public: str
    locked: bool
    half: bool = False


def read_key(path: str) -> KeyFile:
    """Reads a private key, or the public half where that is all there is. Raises OSError where there is neither."""
    try:
        text = _head(path)
    except FileNotFoundError:
        return KeyFile(_public(_head(path + ".pub")), locked=True, half=True)
    if b"PRIVATE KEY-----" not in text:
        return KeyFile(_public(text), locked=True, half=True)
    if b"BEGIN OPENSSH PRIVATE KEY" in text:
        return _openssh_key(text)
    locked = b"ENCRYPTED" in text  # PKCS#8 names it in its first line, PEM in Proc-Type
    try:
        return KeyFile(_public(_head(path + ".pub")), locked)
    except OSError:
        return KeyFile("", locked)


def needs_agent(path: str) -> bool:
    """Whether ssh can use a key without a question only through the agent. False where there is no such key."""
    try:
        return read_key(path).locked
    except OSError:
        return False


def agent_may_serve(key: KeyFile, configured: list[str], agent: bytes) -> bool:
    """Whether the agent would offer this key before the other `configured` key files.

    `agent` is what `ssh-add -L` printed. ssh offers the agent's keys in the agent's order, and those that the
    configuration names as well stay in the running even with IdentitiesOnly (pubkey_prepare() of sshconnect2.c).
    """
    others: set[str] = set()
    for path in configured:
        if "%" in path or "$" in path:
            others |= public_halves(agent) - {key.public}  # it may be any of them: only ssh itself expands the name
        try:
            others.add(read_key(path).public)
        except OSError:
            continue
    for line in agent.decode("ascii", "replace").splitlines():
        public = _public(line.encode("ascii", "replace"))
        if public and public == key.public:
            return True
        if public in others:
            return False
    return False


def certifies(path: str, key: KeyFile) -> bool:
    """Whether a certificate is one for this key.

    Behind type and nonce it holds what the key's public half holds behind its type (PROTOCOL.certkeys of OpenSSH).
    """
    import binascii

    try:
        certificate, public = (binascii.a2b_base64(text) for text in (_public(_head(path)), key.public))
    except (OSError, binascii.Error):
        return False
    own = _behind(public, 1)
    return bool(own) and _behind(certificate, 2).startswith(own)


def _behind(blob: bytes, fields: int) -> bytes:
    for _ in range(fields):
        blob = blob[4 + int.from_bytes(blob[:4], "big") :]
    return blob


def public_halves(agent: bytes) -> set[str]:
    """The keys, as KeyFile has them, in what `ssh-add -L` printed."""
    return {public for line in agent.splitlines() if (public := _public(line))}


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_LONGEST)


def _public(line: bytes) -> str:
    words = line.split()
    return words[1].decode("ascii", "replace") if len(words) > 1 and words[1].startswith(b"AAAA") else ""


def _openssh_key(text: bytes) -> KeyFile:
    import binascii

    body = b"".join(line for line in text.splitlines() if not line.startswith(b"-----"))
    try:
        blob = binascii.a2b_base64(body)
    except binascii.Error:
        return KeyFile("", locked=False)
    if not blob.startswith(_MAGIC):
        return KeyFile("", locked=False)
    fields = []
    at = len(_MAGIC)
    for field in ("cipher", "kdf", "kdf options", "number of keys", "public key"):
        if field == "number of keys":
            at += 4
            continue
        length = int.from_bytes(blob[at : at + 4], "big")
        fields.append(blob[at + 4 : at + 4 + length])
        at += 4 + length
    cipher, _, _, public = fields
    return KeyFile(binascii.b2a_base64(public, newline=False).decode("ascii"), cipher != b"none")


def identity_option(text: str) -> str:
    """The absolute path that `-i` names; it may be the public half alone. Raises UsageError."""
    path = os.path.abspath(ssh_expanded(text))
    if not os.path.isfile(path) and not os.path.isfile(path + ".pub"):
        raise UsageError(f"-i {text}: no such file", "make a key with: sshrun ssh-keygen NAME")
    return path
