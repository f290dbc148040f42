from __future__ import annotations

import textwrap
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sshrun.settings.reader import Node
from sshrun.settings.table import KEYS
from sshrun.spec.source import SpecSource, read_source


def read(source: str) -> SpecSource:
    return read_source(textwrap.dedent(source).encode(), "my_model.py")


def plain(node: Node) -> Any:
    """A node as Python would hold it, numbers and booleans as they are written."""
    if node.kind == "mapping":
        return {key: plain(value) for key, value in node.entries}
    if node.kind == "list":
        return [plain(item) for item in node.items]
    return None if node.kind == "null" else node.text


def settings(source: str) -> dict[str, Any]:
    found = read(source)
    assert (found.unread, found.problems) == ((), ())
    result = plain(found.settings)
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("m.ssh_upload_files = ['a', \"b\" 'c']", ["a", "bc"]),
        ("m.ssh_upload_files = ('a',) + ('b',)", ["a", "b"]),
        ("m.ssh_upload_files = ['a'] + ['b']", ["a", "b"]),
        ("m.ssh_upload_files = list(('a', 'b'))", ["a", "b"]),
        ("A = ['a']; m.ssh_upload_files = [*A, 'b']", ["a", "b"]),
        ("A: str = 'a'\nB = C = f'{A}/{1:03d}{A!r}'\nm.ssh_upload_files = [C]", ["a/001'a'"]),
        ("m.ssh_upload_files = ['a']\nm.ssh_upload_files += ['b']", ["a", "b"]),
        ("m.ssh_upload_files += ['b']", ["b"]),
        ("m.ssh_upload_files: list[str] = ['a']", ["a"]),
        ("n = m\nm.ssh_upload_files = []\nm.ssh_upload_files = ['a']", ["a"]),
        ("A = []\nm.ssh_upload_files = A\nA += ['late']", ["late"]),
        ("A = []\nm.ssh_upload_files = A\nA = ['other']", []),
        ("m.ssh_upload_files = A = ['a']\nm.ssh_upload_files += ('b',)\nA += ['c']", ["a", "b", "c"]),
        ("m.ssh_download_files = ['d']\nm.ssh_upload_files = m.ssh_download_files", ["d"]),
        ("A = 'a'\nA += 'b'\nm.ssh_upload_files = [A]", ["ab"]),
        ("A = ['a']\nprint(A, len(A), sorted(A))\nm.ssh_upload_files = A", ["a"]),
        ("def f(A):\n  A.append(1)\nA = ['a']\nm.ssh_upload_files = A", ["a"]),
        ("m.ssh_upload_files = ['a']\ndef f():\n  return len(m.ssh_upload_files)", ["a"]),
        ("m.ssh_upload_files = None", None),
    ],
)
def test_literals_are_followed_as_python_would(source: str, value: object) -> None:
    assert settings(source)["upload_files"] == value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{'A': 1}", {"A": "1"}),
        (
            "dict(A=0x10, B=1_000, C=-1.50, D=True, E=None)",
            {"A": "0x10", "B": "1_000", "C": "-1.50", "D": "True", "E": None},
        ),
        ("{'A': 'x'} | {'B': 'y'}", {"A": "x", "B": "y"}),
        ("{**dict(A='x'), 'A': 'y'}", {"A": "y"}),
        ("dict({'A': 'x'}, B='y')", {"A": "x", "B": "y"}),
        ("['A=1']", ["A=1"]),
    ],
)
def test_environments_keep_what_is_written(source: str, value: object) -> None:
    assert settings(f"m.ssh_environment = {source}")["environment"] == value


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("if True:\n  m.ssh_upload_files = []", 2),
        ("for x in []:\n  m.ssh_upload_files = [x]", 2),
        ("try:\n  pass\nfinally:\n  m.ssh_upload_files = []", 4),
        ("def f():\n  m.ssh_upload_files = []", 2),
        ("class M:\n  def __init__(self):\n    self.ssh_upload_files = []", 3),
        ("class M:\n  ssh_upload_files = []", 2),
        ("m.ssh_upload_files = []\nm.ssh_upload_files.append('a')", 2),
        ("m.ssh_upload_files = ['a']\nm.ssh_upload_files[0] = 'b'", 2),
        ("m.ssh_upload_files = []\ndel m.ssh_upload_files", 2),
        ("m.ssh_upload_files = make()", 1),
        ("m.ssh_upload_files = sorted(['b', 'a'])", 1),
        ("m.ssh_upload_files = [x for x in 'ab']", 1),
        ("m.ssh_upload_files = ['a'] * 3", 1),
        ("m.ssh_upload_files = [UNKNOWN]", 1),
        ("m.ssh_upload_files = [f'{1:9999}']", 1),
        ("m.ssh_upload_files += make()", 1),
        ("m.ssh_upload_files *= 2", 1),
        ("m.ssh_upload_files, x = [], 1", 1),
        ("a.b.ssh_upload_files = []", 1),
        ("setattr(m, 'ssh_upload_files', [])", 1),
        ("A = []\nm.ssh_upload_files = A\nA.append('a')", 3),
        ("A = []\nm.ssh_upload_files = A\nrandom.shuffle(A)", 3),
        ("A = []\nm.ssh_upload_files = A\nB = [A][0]\nB.append(1)\nf(A)", 5),
        ("A = ['a']\nA[0] = 'b'\nm.ssh_upload_files = A", 2),
        ("A = ['a']\nif x:\n  A = ['b']\nm.ssh_upload_files = A", 4),
        ("A = ['a']\nfor A in x: pass\nm.ssh_upload_files = A", 3),
        ("def f():\n  A.append('x')\nA = ['a']\nf()\nm.ssh_upload_files = A", 5),
        ("def f():\n  global A\n  A = []\nA = ['a']\nf()\nm.ssh_upload_files = A", 6),
        ("A = ['a']\nfrom x import *\nm.ssh_upload_files = A", 3),
        ("A = ['a']\nimport x as A\nm.ssh_upload_files = A", 3),
        ("A = []\nA += [A]\nm.ssh_upload_files = A", 3),
        ("files = m.ssh_upload_files\nfiles.append(1)", 1),
        ("def f():\n  files = m.ssh_upload_files\n  files.append(1)", 2),
        ("(A := []).append(1)\nm.ssh_upload_files = A", 2),
        ("from base import m\nm.ssh_upload_files += ['a']", 2),
    ],
)
def test_anything_else_is_left_to_an_import_and_its_line_named(source: str, line: int) -> None:
    found = read(source)
    assert (line, "ssh_upload_files") in [note[:2] for note in found.unread]
    assert "upload_files" in found.lines


def test_a_script_without_settings_is_read_to_the_end_whatever_it_does() -> None:
    found = read("import numpy as np\nfor x in range(3): np.append(x)\n[].append(1)\n")
    assert (found.unread, found.problems, found.lines, found.modules) == ((), (), {}, {"numpy"})


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("import mltk", True),
        ("import mltk.core as c", True),
        ("from mltk.core import (MltkModel, SshMixin)", True),
        ("try:\n  import mltk\nexcept ImportError: pass", True),
        ("if x:\n  from mltk import core", True),
        ("def f():\n  import mltk", False),
        ("import mltk2", False),
        ("from .mltk import x", False),
        ("x = 'import mltk'", False),
    ],
)
@pytest.mark.parametrize("rest", ["", "\nm.ssh_archive = 'x'"])
def test_the_modules_a_spec_imports_are_known(source: str, answer: bool, rest: str) -> None:
    assert ("mltk" in read(source + rest).modules) is answer


MIXED_IN = """
from sshrun import SshMixin
class Base(SshMixin): pass
class M(Base): pass
m = M()
"""


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("m.ssh_upload_file = []", "unknown setting; do you mean ssh_upload_files?"),
        ("m.ssh_downlaod_files += []", "unknown setting; do you mean ssh_download_files?"),
        ("if x: m.ssh_pyhton = ''", "unknown setting; do you mean ssh_python?"),
    ],
)
@pytest.mark.parametrize("before", ["", MIXED_IN])
def test_a_near_miss_is_a_problem_on_any_object(before: str, line: str, problem: str) -> None:
    assert [text for _, _, text in read(before + line).problems] == [problem]


@pytest.mark.parametrize("name", ["ssh_client", "ssh_host", "ssh_connection", "ssh_config_path"])
def test_another_attribute_is_a_problem_only_on_an_object_with_the_mixin(name: str) -> None:
    assert read(f"m.{name} = 1").problems == ()
    assert [attribute for _, attribute, _ in read(MIXED_IN + f"m.{name} = 1").problems] == [name]
    assert read(MIXED_IN + f"other.{name} = 1").problems == ()


def test_a_setting_without_its_prefix_gets_a_warning_on_an_object_with_the_mixin() -> None:
    assert read("m.upload_files = []").warnings == ()
    warned = read(MIXED_IN + "m.upload_files = []").warnings
    assert warned == ((6, "upload_files", "unknown setting; do you mean ssh_upload_files?"),)


def test_a_literal_log_folder_is_known() -> None:
    assert read("m.log_dir = 'logs'\nm.ssh_archive = 'x'").log_dir == "logs"
    assert read("m.log_dir = find()\nm.ssh_archive = 'x'").log_dir is None
    assert read("m.log_dir = 'logs'").log_dir == "logs"


# -- against Python itself

expressions = st.deferred(
    lambda: (
        st.sampled_from(["'a'", "'b'", "A", "B", "C", "m.ssh_upload_files", "[]", "()"])
        | st.tuples(expressions, expressions).map(lambda pair: f"({pair[0]} + {pair[1]})")
        | st.lists(expressions, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | expressions.map(lambda inner: f"[*{inner}]")
        | expressions.map(lambda inner: f"list({inner})")
        | expressions.map(lambda inner: f"tuple({inner})")
        | expressions.map(lambda inner: f"f'x{{{inner}}}'")
    )
)
statements = st.one_of(
    st.tuples(st.sampled_from(["A", "B", "C", "m.ssh_upload_files", "A = B"]), expressions).map(" = ".join),
    st.tuples(st.sampled_from(["A", "B", "m.ssh_upload_files"]), expressions).map(" += ".join),
    st.tuples(st.sampled_from(["A.append", "f", "len", "m.ssh_upload_files.append"]), expressions).map(
        "{0[0]}({0[1]})".format
    ),
    st.sampled_from(
        [
            "if A:\n  B = 'x'",
            "for C in A: pass",
            "def g():\n  A.append('q')",
            "g()",
            "B = A",
            "del A",
            "A[0] = 'z'",
        ]
    ),
)


@given(st.lists(statements, max_size=8))
@example(["A = [[]]", "m.ssh_upload_files = A", "B = [*A]", "f(B)"])
@example(["A = []", "B = [A]", "A += B", "m.ssh_upload_files = A"])
@example(["A = [[]]", "B = list(A)", "m.ssh_upload_files = B", "f(A)"])
def test_what_is_read_is_what_running_gives(lines: list[str]) -> None:
    class Model:
        ssh_upload_files: Any = None

    def grow(value: Any) -> None:
        while isinstance(value, list):
            inner, value = value, value[0] if value else None
            inner.append("grown")
            value = None if value is inner else value

    source = "\n".join(["m.ssh_upload_files = []", "A = ['a']", "B = ('b',)", "C = 'c'", *lines])
    model = Model()
    try:
        exec(source, {"m": model, "f": grow, "g": len})
        text = repr(model.ssh_upload_files)
    except (SyntaxError, TypeError, NameError, AttributeError, IndexError, RecursionError):
        return
    found = read(source)
    if not found.unread and "..." not in text:
        as_lists = text.replace("(", "[").replace(",)", "]").replace(")", "]")
        assert repr(plain(found.settings).get("upload_files")) == as_lists


# -- anything at all

pieces = st.sampled_from(
    [
        "m",
        ".",
        "ssh_upload_files",
        "ssh_environment",
        "=",
        "+=",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "*",
        "**",
        "'a'",
        "f'{m}'",
        ",",
        ":",
        "\n",
        "  ",
        "def f",
        "class C",
        "if x",
        "lambda",
        "for",
        "in",
        "import",
        "from",
        "1",
        "-",
        "+",
        "|",
        "None",
        "setattr",
        "global",
        "A",
        "async",
        "with",
        "match",
        "case",
        "try",
        "yield",
        "await",
        "@",
        ";",
        "#",
        "\\",
        "\x00",
        "\r",
        "é",
    ]
)


@given(st.lists(pieces, max_size=40).map("".join) | st.text(max_size=80))
@example("x" + "+1" * 100_000 + ".ssh_")
@example("[" * 5000 + "ssh_")
@example("m.ssh_archive = 0x" + "f" * 5000)
@example("# -*- coding: latin-1 -*-\nm.ssh_environment = {'\xe4': 1}")
@example("m.ssh_environment = {'A'\r: 1}")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_source(text.encode("utf-8", "surrogatepass"), "x.py")
    except (SyntaxError, ValueError):
        pass


def test_every_setting_can_be_set_by_an_attribute() -> None:
    source = "".join(f"m.ssh_{key} = 'x'\n" for key in KEYS)
    assert set(settings(source)) == set(KEYS)


def test_what_mltk_refuses_on_the_host_is_said_here() -> None:
    source = """
    import mltk.core as mltk_core
    class Base(mltk_core.MltkModel, mltk_core.SshMixin):
        ssh_python = 'python3.11'
    class Model(Base): pass
    class Plain: pass
    m = Model()
    other = Plain()
    m.ssh_upload_files = ['a']
    m.ssh_requirements = ['scipy']
    m.ssh_pass_environment = ['HF_TOKEN']
    other.ssh_requirements = ['scipy']
    """
    found = read(source)
    assert [(line, attribute) for line, attribute, _ in found.warnings] == [
        (10, "ssh_requirements"),
        (11, "ssh_pass_environment"),
    ]
    assert "MLTK's models refuse this attribute" in found.warnings[0][2]
