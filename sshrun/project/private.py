"""What stays here unless it is asked for: secrets that git does not track, and what programs make for themselves."""

from __future__ import annotations

import os

SECRET = "it may hold a secret"

# Of a tool, made again by itself, and often for this machine alone. Each name stands for a directory at any depth.
CACHES = (
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".ipynb_checkpoints",
    ".tox",
    ".nox",
    ".eggs",
    "node_modules",
)
CACHE_SUFFIX = ".egg-info"
# Files and directories that a file manager makes, and what a transfer that was cut off left behind.
LITTER = (".DS_Store", ".sshrun-part*")

_PUBLIC = (".example", ".sample", ".template", ".dist", ".pub")
_NAMES = frozenset((".envrc", ".netrc", ".pypirc", ".git-credentials", ".pgpass"))
_KEYS = ("id_rsa", "id_ed25519", "id_ecdsa", "id_dsa")
_SUFFIXES = (".env", ".pem", ".key", ".p12", ".pfx", ".ppk", ".kdbx")
_DIRECTORIES = ("/.aws/", "/.ssh/", "/.gnupg/", "/.kube/", "/.azure/", "/.gcloud/")


def is_secret(name: str) -> bool:
    """Whether a file is one of those that hold passwords and keys, judged by its name and its directories' names."""
    base = name.rpartition("/")[2]
    if base.endswith(_PUBLIC):
        return False
    if base.endswith(_SUFFIXES) or base.startswith((".env.", *_KEYS)) or base in _NAMES:
        return True
    return (name.startswith(".") or "/." in name) and any(directory in f"/{name}" for directory in _DIRECTORIES)


def names_a_cache(invitations: bytes) -> bool:
    return any(os.fsencode(name) in invitations for name in (*CACHES, CACHE_SUFFIX))


def cache_of(name: str) -> str:
    """The outermost cache of a tool that holds a file, or ""."""
    steps = name.split("/")
    for depth, step in enumerate(steps[:-1], 1):
        if step in CACHES or step.endswith(CACHE_SUFFIX):
            return "/".join(steps[:depth])
    return ""


def environments(names: list[str]) -> list[str]:
    """The virtual environments among so many names of files: directories that hold `pyvenv.cfg` (PEP 405)."""
    return sorted(name.removesuffix("pyvenv.cfg") for name in names if name.endswith("/pyvenv.cfg"))
