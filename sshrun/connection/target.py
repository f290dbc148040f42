"""Whom to log in to: `[USER@]HOST[:PORT][/PATH]`, read and checked."""

from __future__ import annotations

from typing import NamedTuple

from sshrun.errors import UsageError

FORM = "[USER@]HOST[:PORT][/PATH]"


class Target(NamedTuple):
    """The value of `--host`. `path` is absolute, or relative to the login directory; None where there is none."""

    host: str
    user: str | None = None
    port: int | None = None
    path: str | None = None


def parse_target(text: str) -> Target:
    """Reads `[USER@]HOST[:PORT][/PATH]`. Raises UsageError.

    The first `/` begins PATH (`/~/x` and `/x` are relative to the login directory, `//x` is absolute), the last `@`
    before it ends USER. HOST and USER are what OpenSSH's valid_hostname() and valid_ruser() accept (ssh.c,
    CVE-2023-51385), without spaces. A `%` in them (a zone as in fe80::1%eth0) stands for itself: ssh expands it in its
    options, and these are none.
    """
    login, slash, path = text.partition("/")
    user, at, address = login.rpartition("@")
    host, port = _split_port(address, text)
    problem = host_error(host) or (user_error(user) if at else "") or (path_error(path) if slash else "")
    if problem:
        raise UsageError(f"--host {text!r}: {problem}", f"the form is {FORM}")
    return Target(host, user or None, port, remote_directory(path) if slash else None)


def _split_port(address: str, text: str) -> tuple[str, int | None]:
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        well_formed = bracket and ":" in host and (not rest or rest.startswith(":"))
        colon, digits = rest[:1], rest[1:]
    else:
        host, colon, digits = address.partition(":")
        well_formed = ":" not in digits
    if not well_formed:
        raise UsageError(f"--host {text!r}: an IPv6 address needs brackets", "for example [::1]:22/dir")
    if not colon:
        return host, None
    port = parse_port(digits)
    if port is None:
        raise UsageError(f"--host {text!r}: {digits!r} is not a port", "ports are 1 to 65535")
    return host, port


def parse_port(digits: str) -> int | None:
    """A port number of 1 to 65535, or None."""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5):
        return None
    return int(digits) if 1 <= int(digits) <= 65535 else None


def remote_directory(text: str) -> str:
    """A working directory as `--host` or `remote_dir` names it: absolute, or relative to the login directory."""
    if text == "~" or text.startswith("~/"):
        text = text[1:].lstrip("/")
    return text or "."


def host_error(host: str) -> str:
    """Why a host's name is invalid, or ""."""
    # *, ? and a leading ! would make a pattern of it in the layered config's block for this host.
    return _word_error(host, "HOST", "'`\"$\\;&<>|(){},*?@/") or (
        "HOST begins with '!'" if host.startswith("!") else ""
    )


def user_error(user: str) -> str:
    """Why an account's name is invalid, or ""."""
    return _word_error(user, "USER", "'`\";&<>|(){}") or ("USER ends with a backslash" if user.endswith("\\") else "")


def configured_user_error(user: str) -> str:
    """Why an account's name is invalid that may be written to a config file, or ""."""
    return user_error(user) or ("USER contains '%'" if "%" in user else "")  # OpenSSH 10 expands tokens in User


def path_error(path: str) -> str:
    """Why a path on the host is invalid, or ""."""
    return "PATH contains a NUL or a newline" if "\0" in path or "\n" in path else ""


def _word_error(text: str, name: str, forbidden: str) -> str:
    if not text:
        return f"{name} is empty"
    if text.startswith("-"):
        return f"{name} begins with '-'"
    for character in text:
        if character in forbidden:
            return f"{name} contains {character!r}"
        if character.isspace() or not character.isprintable():
            return f"{name} contains a space or a control character"
    return ""
