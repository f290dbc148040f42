"""Paths of ssh's own files, as ssh reads them."""

from __future__ import annotations

import os
import pwd

SYSTEM_CONFIG = "/etc/ssh/ssh_config"
USER_CONFIG = "~/.ssh/config"


def ssh_expanded(path: str) -> str:
    """A path as ssh reads it: `~` is the home directory of the passwd file, not $HOME (tilde_expand() of misc.c)."""
    return pwd.getpwuid(os.getuid()).pw_dir + path[1:] if path.startswith("~/") else path
