"""Who wins among options, the ssh config and `connection`, as `ssh -G` shows it."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import hypothesis
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sshrun.connection.config_files import must_query
from sshrun.connection.configured import Configured
from sshrun.connection.keys import identity_option
from sshrun.connection.login import ConnectionSetting, Login
from sshrun.connection.query import query, resolved
from sshrun.connection.ssh_config import SshPlan, plan_login
from sshrun.connection.target import Target
from sshrun.errors import UsageError
from sshrun.origin import Origin, Sourced

SOMEWHERE = Origin("user file", "/x/user_settings.yaml", 3, "ssh.connection")


def effective(plan: SshPlan, folder: Path, host: str = "") -> dict[str, list[str]]:
    """What `ssh -G` says with a plan, for its host, or for another one that a bastion might be."""
    config = folder / "layered"
    config.write_bytes(plan.config)
    options = [] if host else plan.options
    printed = subprocess.run(
        ["ssh", "-G", "-F", config, *options, "--", host or plan.host],
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
    ).stdout.decode()
    shown: dict[str, list[str]] = {}
    for line in printed.splitlines():
        keyword, _, value = line.partition(" ")
        shown.setdefault(keyword, []).append(value)
    return shown


def user_config(folder: Path, text: str) -> Sourced[str]:
    path = folder / "config"
    path.write_text(text)
    return Sourced(str(path), SOMEWHERE)


def connection(folder: Path, hostname: str | None = None) -> ConnectionSetting:
    key = folder / "id_%h [connection]"
    key.touch()
    return ConnectionSetting(
        hostname and Sourced(hostname, SOMEWHERE),
        Sourced(2222, SOMEWHERE),
        Sourced("CORP\\jane", SOMEWHERE),
        Sourced(str(key), SOMEWHERE),
    )


CONFIGURED = "Host alias\n  HostName real.example\n  Port 2201\n  User fromconfig\n  IdentityFile /from/config\n"


def test_ssh_config_beats_connection_for_the_host_of_the_option(tmp_path: Path) -> None:
    config = user_config(tmp_path, CONFIGURED)
    login = Login(Target("alias"), connection=connection(tmp_path, "unused"), config_path=config)
    shown = effective(plan_login(login, "/c", query(login)), tmp_path)
    assert shown["hostname"] == ["real.example"]
    assert (shown["port"], shown["user"], shown["identityfile"]) == (["2201"], ["fromconfig"], ["/from/config"])


@pytest.mark.parametrize("block", ["Match final originalhost alias", "CanonicalizeHostname yes\nMatch canonical"])
def test_ssh_config_beats_connection_also_with_what_it_says_in_the_end(tmp_path: Path, block: str) -> None:
    lines = "  Port 2201\n  User fromconfig\n  IdentityFile /from/config\n  ControlPath /theirs\n"
    login = Login(Target("alias"), connection=connection(tmp_path), config_path=user_config(tmp_path, block))
    assert must_query(login)
    shown = effective(plan_login(login, "/ours", query(login)), tmp_path)
    assert (shown["port"], shown["user"], shown["controlpath"]) == (["2222"], ["CORP\\jane"], ["/ours"])
    login = login._replace(config_path=user_config(tmp_path, f"{block}\n{lines}"))
    shown = effective(plan_login(login, "/ours", query(login)), tmp_path)
    assert (shown["port"], shown["user"], shown["controlpath"]) == (["2201"], ["fromconfig"], ["/theirs"])
    assert shown["identityfile"] == ["/from/config"]
    assert resolved(login).port == Sourced(2201, Origin("ssh config", key="Port"))


def test_connection_fills_what_ssh_config_leaves_open(tmp_path: Path) -> None:
    config = user_config(tmp_path, "Host other\n  Port 9\nHost alias\n  HostName real.example\n")
    login = Login(Target("alias"), connection=connection(tmp_path), config_path=config)
    shown = effective(plan_login(login, "/c", query(login)), tmp_path)
    assert (shown["port"], shown["user"]) == (["2222"], ["CORP\\jane"])
    assert shown["identityfile"] == [f"{tmp_path}/id_%%h [connection]"]
    assert shown["identitiesonly"] == ["yes"]


def test_connection_beats_ssh_config_without_the_option(tmp_path: Path) -> None:
    config = user_config(tmp_path, CONFIGURED)
    login = Login(connection=connection(tmp_path, "alias"), config_path=config)
    shown = effective(plan_login(login, "/c"), tmp_path)
    assert shown["hostname"] == ["real.example"]
    assert (shown["port"], shown["user"]) == (["2222"], ["CORP\\jane"])
    assert shown["identityfile"][0] == f"{tmp_path}/id_%%h [connection]"
    assert shown["identityagent"] == ["none"]


def test_options_beat_everything(tmp_path: Path) -> None:
    config = user_config(tmp_path, CONFIGURED)
    option = Origin("option")
    target = Target("alias", "me", 2300)
    login = Login(target, None, Sourced("/i", option), connection(tmp_path), config)
    shown = effective(plan_login(login, "/c"), tmp_path)
    assert (shown["port"], shown["user"], shown["identityfile"][0]) == (["2300"], ["me"], "/i")
    assert shown["preferredauthentications"][0].startswith("publickey,")
    login = login._replace(port=Sourced(2400, option))
    assert effective(plan_login(login, "/c"), tmp_path)["port"] == ["2400"]


@pytest.mark.parametrize("target", [Target("inner"), None])
def test_a_bastion_gets_nothing_that_is_meant_for_the_host(tmp_path: Path, target: Target | None) -> None:
    config = user_config(tmp_path, "Host inner\n  ProxyJump bastion\n")
    login = Login(target, connection=connection(tmp_path, "inner"), config_path=config)
    ssh_plan = plan_login(login, "/c", query(login))
    shown = effective(ssh_plan, tmp_path, "bastion")
    assert (shown["port"], shown["user"]) == (["22"], [pwd.getpwuid(os.getuid()).pw_name])
    assert "controlpath" not in shown
    assert not any("connection" in key for key in shown["identityfile"])
    assert shown["serveraliveinterval"] == ["5"]
    assert effective(ssh_plan, tmp_path)["port"] == ["2222"]


def test_keepalive_is_the_users_where_the_user_sets_one(tmp_path: Path) -> None:
    login = Login(Target("h"), config_path=user_config(tmp_path, "ServerAliveInterval 60"))
    shown = effective(plan_login(login, "/c"), tmp_path)
    assert (shown["serveraliveinterval"], shown["serveralivecountmax"]) == (["60"], ["3"])


def test_a_port_that_stays_silent_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    assert effective(plan_login(Login(Target("h")), "/c"), tmp_path)["connecttimeout"] == ["30"]
    login = Login(Target("h"), config_path=user_config(tmp_path, "ConnectTimeout 5"))
    assert effective(plan_login(login, "/c"), tmp_path)["connecttimeout"] == ["5"]


@pytest.mark.parametrize(
    ("text", "expected", "used"),
    [
        ("", None, "/ours"),
        ("ControlPath /theirs-%n", "/theirs-h", "/theirs-h"),
        ("ControlPath none", "none", "/ours"),
        ("Host other\n  ControlPath /theirs", None, "/ours"),
    ],
)
def test_the_control_path_is_the_users_unless_it_is_turned_off(
    tmp_path: Path, text: str, expected: str | None, used: str
) -> None:
    login = Login(Target("h"), config_path=user_config(tmp_path, text))
    answer = query(login)
    assert answer.control_path == expected
    assert effective(plan_login(login, "/ours", answer), tmp_path)["controlpath"] == [used]


def test_a_forced_key_never_shares_the_users_connection(tmp_path: Path) -> None:
    config = user_config(tmp_path, "ControlPath /theirs")
    login = Login(Target("h"), identity=Sourced("/i", Origin("option")), config_path=config)
    assert effective(plan_login(login, "/ours"), tmp_path)["controlpath"] == ["/ours"]


def test_a_copied_config_may_end_in_a_block_or_without_a_newline(tmp_path: Path) -> None:
    for end in ("Host x\n  Port 7", "Match host x\n  User y"):
        login = Login(Target("h"), connection=connection(tmp_path), config_path=user_config(tmp_path, end))
        assert effective(plan_login(login, "/c"), tmp_path)["port"] == ["2222"]


def test_without_a_config_path_the_users_own_file_comes_first_and_the_systems_before_our_block() -> None:
    lines = plan_login(Login(Target("h")), "/c").config.decode().splitlines()
    own = f'Include "{pwd.getpwuid(os.getuid()).pw_dir}/.ssh/config"'
    order = [lines.index(line) for line in (own, "Include /etc/ssh/ssh_config", 'Host "h"')]
    assert order == sorted(order)
    assert order[0] == 0


def test_match_lines_of_the_user_see_the_account_of_the_option(tmp_path: Path) -> None:
    config = user_config(tmp_path, "Match user joe\n  IdentityFile /joes\n")
    login = Login(Target("h", "joe"), config_path=config)
    assert query(login).identity_files == ("/joes",)
    assert query(Login(Target("h"), config_path=config)).identity_files == ()


@pytest.mark.parametrize("host", ["fe80::1%lo", "%h", "h%%h", "%r%C"])
def test_a_percent_sign_in_a_name_reaches_ssh_as_it_is(tmp_path: Path, host: str) -> None:
    config = user_config(tmp_path, "ControlPath /theirs-%h-%r\n")
    login = Login(Target(host, "a%b%h"), connection=connection(tmp_path), config_path=config)
    answer = query(login)
    assert answer.control_path == f"/theirs-{host}-a%b%h"
    shown = effective(plan_login(login, "/c", answer), tmp_path)
    assert (shown["host"], shown["hostname"], shown["user"], shown["port"]) == ([host], [host], ["a%b%h"], ["2222"])
    assert shown["controlpath"] == [answer.control_path]


names = st.from_regex(r"[a-zA-Z0-9_.%][a-zA-Z0-9_.#=~^+%-]{0,10}", fullmatch=True)
accounts = st.from_regex(r"[a-z0-9#=~^+,*?!$][a-z0-9#=~^+,*?!$\\@-]{0,8}[a-z]", fullmatch=True)


@hypothesis.settings(max_examples=40)
@given(names, accounts, st.booleans())
@example("h", "a\\\\b\\c", False)
@example("h", "#joe", True)
@example("a#b=c", "joe", True)
def test_every_allowed_name_reaches_ssh_unchanged_and_alone(
    tmp_path_factory: pytest.TempPathFactory, host: str, account: str, final_pass: bool
) -> None:
    folder = tmp_path_factory.mktemp("ssh")
    settings = ConnectionSetting(port=Sourced(2222, SOMEWHERE), username=Sourced(account, SOMEWHERE))
    config = user_config(folder, "Match final" if final_pass else "")
    login = Login(Target(host), connection=settings, config_path=config)
    ssh_plan = plan_login(login, "/c", Configured(final_pass=final_pass))
    shown = effective(ssh_plan, folder)
    assert (shown["host"], shown["port"], shown["user"]) == ([host], ["2222"], [account])
    assert effective(ssh_plan, folder, "elsewhere")["port"] == ["22"]


# -- whether ssh has to be asked first


@pytest.mark.parametrize(
    ("text", "with_key", "answer"),
    [
        ("", False, False),
        ("Host a\n  Port 1\n# ControlPath /x\n", True, False),
        ("  controlpath=/x", False, True),
        ("ControlPath\t/x", False, True),
        ('"ControlPath" /x', False, True),
        ("IdentityFile /x", False, False),
        ("IdentityFile /x", True, True),
        ("Include {0}/conf.d/*", False, True),
        ("Include {0}/conf.d/other", False, False),
        ("Include {0}/missing", False, False),
        ("Include {0}/*/share", False, True),
        ("Include {0}/loop", False, True),
        ("Include ${{HOME}}/x", False, True),
        ("Include ~root/no-such-directory/x", False, False),
        ("Include ~no-such-account/x", False, True),
        ("Include {0}/a\0b", False, True),
        ("Host unix/* vsock/*\n  ProxyCommand /x\nHost .host machine/.host\n  ProxyCommand /x", False, False),
        ("Host unix/* gpu*\n  ProxyCommand /x", False, True),
        ("Host unix/*\n  Port 1\nMatch all\n  ProxyCommand /x", False, True),
        ('Host unix/*\n"Host" *\n  ProxyCommand /x', False, True),
        ("Match final\n  Port 1", False, False),
        ("Match final\n  Port 1", True, True),
        ("CanonicalizeHostname yes", True, True),
    ],
)
def test_ssh_is_asked_only_where_the_files_may_matter(tmp_path: Path, text: str, with_key: bool, answer: bool) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "share").write_text("Host *\n  ControlPath /x\n")
    (tmp_path / "conf.d" / "other").write_text("Host *\n  Port 3\n")
    (tmp_path / "loop").write_text(f"Include {tmp_path}/loop\n")
    settings = connection(tmp_path) if with_key else ConnectionSetting()
    login = Login(Target("h"), connection=settings, config_path=user_config(tmp_path, text.format(tmp_path)))
    assert must_query(login) is answer


def test_ssh_is_asked_about_a_host_that_systemd_names(tmp_path: Path) -> None:
    config = user_config(tmp_path, "Host .host machine/.host\n  ProxyCommand /x")
    assert must_query(Login(Target(".host"), config_path=config))
    assert not must_query(Login(Target("h"), config_path=config))


# -- where it goes in the end


def test_resolved_names_the_place_of_each_value(tmp_path: Path) -> None:
    config = user_config(tmp_path, "Host alias\n  HostName real.example\n  IdentityFile /k\n")
    login = Login(Target("alias", port=2200), connection=connection(tmp_path), config_path=config)
    found = resolved(login)
    assert (found.hostname.value, str(found.hostname.origin)) == ("real.example", "ssh config HostName")
    assert (found.port.value, str(found.port.origin)) == (2200, "option --host")
    assert (found.user.value, str(found.user.origin)) == ("CORP\\jane", "user_settings.yaml:3 ssh.connection")
    assert found.identity is not None
    assert (found.identity.value, str(found.identity.origin)) == ("/k", "ssh config IdentityFile")


def test_resolved_falls_back_to_what_ssh_does_by_itself(tmp_path: Path) -> None:
    login = Login(Target("H"), config_path=user_config(tmp_path, ""))
    found = resolved(login)
    assert found.port == Sourced(22, Origin("default"))
    assert found.user == Sourced(pwd.getpwuid(os.getuid()).pw_name, Origin("default"))
    assert found.hostname.origin == Origin("option", key="--host")
    assert found.identity is None


def test_no_host_at_all_says_where_one_may_be_named() -> None:
    with pytest.raises(UsageError, match="no host is named") as caught:
        _ = Login().host
    assert "--host" in caught.value.hint
    assert "hostname" in caught.value.hint


def test_a_missing_identity_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        identity_option(str(tmp_path / "id"))
    (tmp_path / "id.pub").touch()
    assert identity_option(str(tmp_path / "id")) == str(tmp_path / "id")
