"""Every path that is ours on this machine: below `~/.sshrun`, but for sockets. Paths on a host are the host's."""

from __future__ import annotations

import os

# What sshrun keeps in a directory, of the person's and in a working directory on a host.
NAME = ".sshrun"


def base() -> str:
    return os.path.expanduser(f"~/{NAME}")


def records() -> str:
    """A directory for each job, with the copy of its log."""
    return os.path.join(base(), "jobs")


def user_settings() -> str:
    return os.path.join(base(), "user_settings.yaml")


def control_sockets() -> list[str]:
    """Directories for the sockets of shared connections, the best first: the path of a socket must be short."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    preferred = [os.path.join(runtime, "sshrun")] if runtime else []
    return [*preferred, os.path.join(base(), "control"), f"/tmp/sshrun-{os.getuid()}"]


def wheels() -> str:
    """Packages that were collected for hosts without internet."""
    return os.path.join(base(), "wheels")


def sandbox() -> str:
    """A link to the sandbox that runs on this machine, of those that share the home directory."""
    return os.path.join(base(), f"sandbox.{os.uname().nodename}")


def crash_log() -> str:
    return os.path.join(base(), "crash.log")
