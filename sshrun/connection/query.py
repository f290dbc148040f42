"""Asks ssh itself what its config files set: `ssh -G`."""

from __future__ import annotations

from sshrun.connection.configured import Configured, parse_answer
from sshrun.connection.control import control_directory, new_name, remove, write
from sshrun.connection.diagnosis import config_error
from sshrun.connection.login import Login, Resolved, resolve
from sshrun.connection.ssh_config import SshPlan, query_plan
from sshrun.process import capture


def query(login: Login, *, as_used: bool = False) -> Configured:
    """What the files set for a login; `as_used` as in `query_plan`. Raises SettingsError where ssh cannot read them."""
    answer = _ask(login, query_plan(login, as_used=as_used))
    return _ask(login, query_plan(login, as_used=as_used, final_pass=True)) if answer.final_pass else answer


def resolved(login: Login) -> Resolved:
    """Where a login goes, and which place decides it. Raises SettingsError where ssh cannot read its files."""
    answer = query(login)
    return resolve(login, answer.hostname, answer.account)


def _ask(login: Login, plan: SshPlan) -> Configured:
    path = new_name(control_directory()) + ".query"
    write(path, plan.config)
    try:
        status, output = capture(["ssh", "-G", "-F", path, *plan.options, "--", plan.host])
    finally:
        remove(path)
    if status != 0:
        raise config_error(login, path, output.decode("utf-8", "replace"))
    return parse_answer(output)
