"""Nothing that is named, typed or written anywhere is ever carried out: a file called canary would appear."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from sshrun.connection.login import Login
from sshrun.connection.ssh_config import plan_login
from sshrun.connection.target import parse_target
from sshrun.errors import SettingsError, SshrunError
from sshrun.origin import Origin, Sourced
from sshrun.settings.files import load_user_file
from sshrun.spec.find import read_spec
from support.desk import Desk

HOSTILE = (
    "-oProxyCommand=touch canary", "$(touch canary)", "`touch canary`", ";touch canary;", "|touch canary",
    "&touch canary&", "touch${IFS}canary", "%h", "%r", "'", '"', "\\", "\n", " ", "@", ":", "/", "[", "]", "::1", "!",
    "*", "host",
)  # fmt: skip
pieces = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3), max_size=5).map("".join)


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a canary would appear, whoever made it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ssh hands host and account to a shell in places of the user's own config, unquoted.
@hypothesis.settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces)
@example("$(touch canary)@host")
@example("host;touch${IFS}canary")
@example("touch${IFS}canary")
@example("-oProxyCommand=touch canary")
@example("host:22/$(touch canary)")
def test_no_host_is_carried_out_by_a_proxy_command(yard: Path, text: str) -> None:
    config = yard / "config"
    config.write_text("Host *\n  ProxyCommand sh -c 'echo %n %h %p %r; exit 1'\n  KnownHostsCommand none\n")
    try:
        login = Login(parse_target(text), config_path=Sourced(str(config), Origin("user file")))
        the_plan = plan_login(login, str(yard / "socket"))
    except SshrunError:
        return
    (yard / "layered").write_bytes(the_plan.config)
    argv = ["ssh", "-F", yard / "layered", "-oBatchMode=yes", *the_plan.options, "--", the_plan.host, "true"]
    ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert ended.returncode == 255
    assert not (yard / "canary").exists()


@pytest.mark.parametrize("host", ["-oProxyCommand=touch canary", "u`touch canary`@$(touch canary)", "a\nb"])
def test_a_hostile_host_is_refused_before_ssh_sees_it(desk: Desk, host: str) -> None:
    desk.user_file()
    finished = desk("--host", host, "--", "true", status=2)
    assert len(finished.stderr.splitlines()) == 1
    assert not (desk.folder / "canary").exists()


@pytest.mark.parametrize("name", ["$(touch canary)`touch canary`; touch canary; 'a\"\\n b", "-rf"])
def test_a_folder_and_files_of_any_name_are_just_that(desk: Desk, name: str) -> None:
    desk.log_in_as(create_venv=False, project=False, remote_dir=name)
    desk.write("pyproject.toml", f"[tool.sshrun]\nupload_files = [{json.dumps(name)}]\ndownload_files = ['got']\n")
    desk.write(f"{name}/{name}", "x")
    desk.write(
        "fit.py",
        "import os, shutil\nprint(os.getcwd())\n"
        "for name in os.listdir(): name == 'fit.py' or shutil.copytree(name, f'got/{name}')\n",
    )
    finished = desk("run", "fit.py")
    assert finished.stdout.decode() == f"{desk.world.accounts['joe'].home}/{name}\n"
    assert (desk.folder / "got" / name / name).read_text() == "x"
    assert not list(desk.world.accounts["joe"].home.rglob("canary"))
    assert not (desk.folder / "canary").exists()


def test_words_of_the_command_line_arrive_as_they_are(desk: Desk) -> None:
    desk.log_in_as()
    words = ["", " a  b ", "$(touch canary)", "`touch canary`", "; touch canary", "'", '"', "\\n", "\n", "*", "--", "ä"]
    output = desk("--", "printf", "%s\\0", *words).stdout
    assert output.decode().split("\0")[:-1] == words
    assert not list(desk.world.accounts["joe"].home.rglob("canary"))


expressions = st.sampled_from(
    [
        "open('canary', 'w')", "__import__('os').system('touch canary')", "[open('canary', 'w') for _ in 'x']",
        "f'{open(\"canary\", \"w\")}'", "dict(a=open('canary', 'w'))", "list(open('canary', 'w'))", "['a']", "{'A': 1}",
        "exec('open(\"canary\", \"w\")')", "(lambda: open('canary', 'w'))()", "m.ssh_upload_files", "'x'", "other",
    ]
)  # fmt: skip
statements = st.one_of(
    st.builds("m.ssh_{} = {}".format, st.sampled_from(["upload_files", "environment", "command"]), expressions),
    st.builds("m.ssh_{} += {}".format, st.sampled_from(["upload_files", "download_files"]), expressions),
    st.builds("other = {}".format, expressions),
    st.builds("{}".format, expressions),
    st.builds("if {}:\n    m.ssh_upload_files = {}".format, expressions, expressions),
    st.builds("@{}\ndef f(a={}): pass".format, expressions, expressions),
    st.builds("class C({}): ssh_command = {}".format, expressions, expressions),
)


@hypothesis.settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(statements, max_size=6))
def test_reading_a_spec_runs_nothing_of_it(yard: Path, lines: list[str]) -> None:
    (yard / "spec.py").write_text("\n".join(["class M: pass", "m = M()", *lines]))
    with contextlib.suppress(SettingsError):
        read_spec(str(yard / "spec.py"))
    assert not (yard / "canary").exists()


tags = st.sampled_from(
    [
        "!!python/object/apply:os.system ['touch canary']", "!!python/object/new:os.system ['touch canary']",
        "!!python/name:os.system", "!!python/module:os", "$(touch canary)", "`touch canary`", "[a, b]", "{a: b}",
        "*x", "&x 1",
    ]
)  # fmt: skip
keys = st.sampled_from(["connection", "environment", "upload_files", "config_path", "<<", "remote_dir", "x"])


@hypothesis.settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(keys, tags), max_size=4), st.booleans())
def test_reading_a_user_file_runs_nothing_of_it(yard: Path, lines: list[tuple[str, str]], foreign: bool) -> None:
    path = Path(os.environ["HOME"], ".sshrun/user_settings.yaml")
    path.parent.mkdir(exist_ok=True)
    path.write_text(("other:\n" if foreign else "ssh:\n") + "".join(f"  {key}: {tag}\n" for key, tag in lines))
    layer = load_user_file()
    assert all(len(problem.splitlines()) == 1 for problem in layer.problems)
    assert not (yard / "canary").exists()


def test_a_script_that_is_run_there_is_never_run_here(desk: Desk) -> None:
    desk.log_in_as(create_venv=False, project=False)
    desk.write("fit.py", "open('canary', 'w')\nclass M: pass\nm = M()\nif m:\n    m.ssh_upload_files = []\n")
    finished = desk("run", "fit.py", status=2)
    assert "fit.py:5 ssh_upload_files" in finished.stderr
    assert not (desk.folder / "canary").exists()
    desk.write("fit.py", "open('canary', 'w')\n")
    desk("run", "fit.py")
    assert not (desk.folder / "canary").exists()
    assert (desk.world.accounts["joe"].home / "canary").exists()
