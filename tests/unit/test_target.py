"""What `--host` may be: read as documented, and never more than ssh itself accepts."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sshrun.connection.target import Target, parse_target
from sshrun.errors import UsageError


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("h", Target("h")),
        ("u@h", Target("h", "u")),
        ("h:22", Target("h", port=22)),
        ("u@h:22/dir", Target("h", "u", 22, "dir")),
        ("[::1]:22/dir", Target("::1", port=22, path="dir")),
        ("[fe80::1]", Target("fe80::1")),
        ("u@[::1]", Target("::1", "u")),
        ("h/", Target("h", path=".")),
        ("h/~", Target("h", path=".")),
        ("h/~/", Target("h", path=".")),
        ("h/~/dir", Target("h", path="dir")),
        ("h//abs/dir", Target("h", path="/abs/dir")),
        ("h/~joe/dir", Target("h", path="~joe/dir")),
        ("h/a b/$(x)@y:1", Target("h", path="a b/$(x)@y:1")),
        ("DOMAIN\\joe@h", Target("h", "DOMAIN\\joe")),
        ("joe@corp@h", Target("h", "joe@corp")),
        ("joe$@h:65535", Target("h", "joe$", 65535)),
        ("my-alias.1_x/work", Target("my-alias.1_x", path="work")),
        ("[fe80::1%eth0]:22", Target("fe80::1%eth0", port=22)),
        ("joe@[fe80::1%eth0]/dir", Target("fe80::1%eth0", "joe", path="dir")),
        ("a%b@h", Target("h", "a%b")),
        ("u%r@%h", Target("%h", "u%r")),
    ],
)
def test_every_form_of_host_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "", "/dir", ":22", "@h", "u@", "-oProxyCommand=x", "u@-h", "-u@h", "$(id)", "a b", "a\nb", "a;b",
        "`id`", "a'b", 'a"b', "a|b", "a&b", "a<b", "a>b", "a{b", "a(b", "a\\b", "u\\@h", "u u@h", "u;u@h", "u'u@h", "*",
        "!h", "h:0", "h:65536", "h:", "h:x", "h:+1", "h:1_0", "h:٢٢", "h:22:33", "::1", "[::1", "[h]:22", "[::1]22",
        "h\x00", "h\x7f", "h\u200b", "h\x85", "h/a\nb", "h/a\0b", "ssh://h",
    ],
)  # fmt: skip
def test_what_openssh_refuses_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


@pytest.mark.parametrize("form", ["{}", "-l"])
def test_whatever_this_ssh_refuses_is_refused_here(form: str) -> None:
    for character in map(chr, range(1, 128)):
        word = f"a{character}b"
        argv = ["ssh", "-G", "-F", "none", *(("-l", word, "--", "h") if form == "-l" else ("--", word))]
        if subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL).returncode != 0:
            with pytest.raises(UsageError):
                parse_target(f"{word}@h" if form == "-l" else form.format(word))


@given(st.text(st.characters(codec=None), max_size=40))
@example("joe@[")
def test_any_text_is_a_target_or_a_usage_error(text: str) -> None:
    try:
        target = parse_target(text)
    except UsageError:
        return
    for word in (target.host, target.user or "x"):
        assert word
        assert not word.startswith("-")
        assert not set(word) & set(" '`\";&<>|(){}\n\r\t\0")
    assert target.port is None or 1 <= target.port <= 65535
    assert "\n" not in (target.path or "")
