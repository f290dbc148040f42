"""What patterns mean: Python's glob is the judge."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sshrun.transfer.local_tree import local_item, select_local
from sshrun.transfer.patterns import Pattern, parse_download, parse_upload, whole
from support.trees import globbed

# Names that bite: wildcards, quotes, blanks, options, hidden ones, bytes that are no UTF-8.
NAMES = [
    "a",
    "b",
    "c.csv",
    "d.csv",
    ".hidden",
    ".b",
    "-rf",
    " x",
    "q'\"",
    "$HOME",
    "n\nl",
    "[1]",
    "back\\slash",
    "\udcff",
]
STEPS = [
    "*",
    "**",
    "?",
    "*.csv",
    "[ab]",
    "[!a]*",
    ".*",
    "a",
    "b",
    "c.csv",
    ".hidden",
    "[[]1]",
    "-*",
    "?*",
    "[a",
    "*\udcff",
]

trees = st.sets(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join), max_size=10)
patterns = st.lists(st.sampled_from(STEPS), min_size=1, max_size=4).map("/".join)


def grow(folder: Path, names: set[str], links: dict[str, str] | None = None) -> None:
    """Files under these names, as far as they agree on what is a folder."""
    for name in sorted(names):
        path = os.path.join(folder, name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "x") as file:
                file.write(name.encode("utf-8", "surrogateescape").hex())
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            pass
    for name, target in (links or {}).items():
        os.symlink(target, os.path.join(folder, name))


def selected(folder: Path, *texts: str) -> dict[str, str]:
    chosen = select_local([parse_upload(text) for text in texts], folder)
    return {one.name: one.source for one in chosen.items if not one.is_directory and not one.link}


@given(trees, patterns)
def test_selects_what_glob_selects(names: set[str], pattern: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grow(folder, names)
        chosen = selected(folder, pattern)
        assert set(chosen) == globbed(folder, pattern)
        assert all(os.path.samefile(source, folder / name) for name, source in chosen.items())


@settings(max_examples=50)
@given(trees, patterns)
def test_follows_links_to_folders_and_files_as_glob_does(names: set[str], pattern: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, elsewhere = Path(name) / "here", Path(name) / "elsewhere"
        folder.mkdir()
        grow(elsewhere, {"a/c.csv", "b", ".hidden/d.csv"})
        grow(folder, names, {"linked": "../elsewhere", "one.csv": "../elsewhere/b"})
        assert set(selected(folder, pattern)) == globbed(folder, pattern)


@given(st.text(max_size=12), st.sampled_from([parse_upload, parse_download]))
def test_any_text_is_a_pattern_or_a_problem_in_words(text: str, parse) -> None:
    try:
        pattern = parse(text)
    except ValueError as error:
        problem = str(error)
        assert problem
    else:
        assert pattern.text == text
        if pattern.excludes:
            assert text.startswith("!") and parse is parse_upload
            return
        assert ".." not in pattern.path.split("/")
        assert not pattern.path.startswith("/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a\0b", "NUL"),
        ("/etc/passwd", "leaves the directory"),
        ("~/x", "leaves the directory"),
        ("../x", "leaves the directory"),
        ("a/../b", "leaves the directory"),
        ("a|b|c", "more than one"),
        ("a|", "names nothing"),
        ("|b", "names nothing"),
        ("*.csv|b", "do not go together"),
        ("a|b?", "do not go together"),
        ("~joe/x|b", "./~joe/x"),
        ("..|b/", "gives no name"),
        ("~|.", "gives no name"),
    ],
)
def test_refuses_what_cannot_be_meant(text: str, said: str) -> None:
    for parse in (parse_upload, parse_download):
        with pytest.raises(ValueError, match=said.replace(".", r"\.")):
            parse(text)


@settings(max_examples=200)
@example({"a/a/.hidden"}, "*/*/**")
@given(trees, patterns)
@example({"a/.hidden", "a/a"}, "*/**")
def test_an_exclusion_takes_out_what_glob_finds_and_all_beneath_it(names: set[str], pattern: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grow(folder, names)
        # Of "a/**" Python 3.11 finds "a/" even where "a" is a file.
        found = [
            os.path.normpath(path)
            for path in glob.glob(pattern, root_dir=folder, recursive=True)
            if not path.endswith("/") or (folder / path).is_dir()
        ]
        left = {path for path in selected(folder, ".") if not any(f"{path}/".startswith(f"{top}/") for top in found)}
        assert set(selected(folder, ".", f"!{pattern}")) == left


@pytest.mark.parametrize(
    ("texts", "left"),
    [
        (["data", "!data/cache"], ["data/a.csv", "data/b.bin"]),
        (["data", "!data/**/*.bin"], ["data/a.csv"]),
        (["data", "!./data/", "a|data/again"], ["data/again"]),
        (["!data/a.csv", "data/*"], ["data/a.csv", "data/b.bin"]),
        (["data", "!data", "data/a.csv"], ["data/a.csv"]),
        (["../far|near", "!../far/one"], ["near/two"]),
        (["~/far|near", "!~/far/o*"], ["near/two"]),
        (["FAR|near", "!FAR/two"], ["near/one"]),
        (["data", "!dat"], ["data/a.csv", "data/b.bin", "data/cache/c.bin"]),
        (["!strange", "./!strange"], ["!strange"]),
    ],
    ids=str,
)
def test_order_decides_what_an_exclusion_takes_out(
    tmp_path: Path, home: Path, texts: list[str], left: list[str]
) -> None:
    work = tmp_path / "work"
    grow(work, {"data/a.csv", "data/b.bin", "data/cache/c.bin", "a", "!strange"})
    for far in (tmp_path / "far", home / "far"):
        grow(far, {"one", "two"})
    texts = [text.replace("FAR", str(tmp_path / "far")) for text in texts]
    assert sorted(selected(work, *texts)) == left


def test_an_exclusion_tells_what_it_took_and_that_it_came_too_early(tmp_path: Path) -> None:
    grow(tmp_path, {"d/a", "d/b"})
    texts = ["!d/b", "d", "!d/a", "!e"]
    selection = select_local([parse_upload(text) for text in texts], tmp_path)
    took = {pattern.text: [item.name for item in items] for pattern, items in selection.excluded}
    assert took == {"!d/b": [], "!d/a": ["d/a"], "!e": []}
    assert selection.warnings == ("!d/b takes nothing out: it has to come after what selects its files",)
    assert selection.unmatched == ()


@pytest.mark.parametrize("text", ["!", "!a|b", "!a\0b"])
def test_an_exclusion_is_one_name_or_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"'!'|NUL"):
        parse_upload(text)


def test_the_local_side_may_begin_in_a_directory_of_its_own(tmp_path: Path) -> None:
    project, spec = tmp_path / "pro[j]ect", tmp_path / "pro[j]ect" / "src"
    grow(project, {"data/a", "data/b", "out/c"})
    grow(spec, {"data/wrong"})
    texts = ["data", "!data/b", "out/c|x/", "../pro[j]ect/out|far"]
    chosen = select_local([parse_upload(text, str(project)) for text in texts], spec).items
    assert sorted(item.name for item in chosen if not item.is_directory) == ["data/a", "far/c", "x/c"]
    placed = [parse_download(text, str(project)).place("r/m.json") for text in ("r/*", "r|s", "r|../t", "r|/u")]
    assert placed == [
        (str(project), "r/m.json"), (str(project), "s/m.json"), (f"{project}/..", "t/m.json"), ("/", "u/m.json"),
    ]  # fmt: skip


def test_a_refusal_says_which_side_is_which() -> None:
    with pytest.raises(ValueError, match=r"LOCAL\|REMOTE"):
        parse_upload("/x")
    with pytest.raises(ValueError, match=r"REMOTE\|LOCAL"):
        parse_download("/x")


@pytest.mark.parametrize(
    ("text", "placed"),
    [
        ("data/a.csv", [(".", "data/a.csv")]),
        ("./data//a.csv", [(".", "data/a.csv")]),
        ("data/*", [(".", "data/a.csv")]),
        ("data/a.csv|b.csv", [(".", "b.csv")]),
        ("data/a.csv|in/b.csv", [(".", "in/b.csv")]),
        ("data/a.csv|in/", [(".", "in/a.csv")]),
        ("data/a.csv|.", [(".", "a.csv")]),
        ("data/a.csv|~", [("~", "a.csv")]),
        ("data/a.csv|~/b.csv", [("~", "b.csv")]),
        ("data/a.csv|/srv/b.csv", [("/srv", "b.csv")]),
        ("data/a.csv|/b.csv", [("/", "b.csv")]),
        ("data/a.csv|../b.csv", [("..", "b.csv")]),
        ("data|there", [(".", "there"), (".", "there/a.csv"), (".", "there/sub"), (".", "there/sub/b")]),
        ("data/|/srv/", [("/srv/", "data"), ("/srv/", "data/a.csv"), ("/srv/", "data/sub"), ("/srv/", "data/sub/b")]),
        ("./data/.|there", [(".", "there"), (".", "there/a.csv"), (".", "there/sub"), (".", "there/sub/b")]),
        ("[x]|[y]", [(".", "[y]")]),
    ],
)
def test_places_what_is_found(tmp_path: Path, text: str, placed: list[tuple[str, str]]) -> None:
    grow(tmp_path, {"data/a.csv", "data/sub/b", "[x]"})
    assert [(one.root, one.name) for one in select_local([parse_upload(text)], tmp_path).items] == placed


def test_a_tilde_on_the_left_of_an_upload_is_the_home_here(tmp_path: Path, home: Path) -> None:
    grow(home, {"patch.txt"})
    (one,) = select_local([parse_upload("~/patch.txt|./patch.txt")], tmp_path).items
    assert (one.source, one.root, one.name) == (str(home / "patch.txt"), ".", "patch.txt")


def test_a_folder_goes_whole_with_its_hidden_and_empty_ones(tmp_path: Path) -> None:
    grow(tmp_path, {"d/.git/x", "d/y"})
    (tmp_path / "d" / "empty").mkdir()
    chosen = select_local([parse_upload("d")], tmp_path)
    assert [one.name for one in chosen.items] == ["d", "d/.git", "d/.git/x", "d/empty", "d/y"]


def test_a_name_with_a_slash_at_its_end_is_a_folder(tmp_path: Path) -> None:
    grow(tmp_path, {"a", "d/x"})
    chosen = select_local([parse_upload("a/"), parse_upload("d/")], tmp_path)
    assert [one.name for one in chosen.items] == ["d", "d/x"]
    assert [pattern.text for pattern in chosen.unmatched] == ["a/"]


def test_a_folder_that_a_link_leads_back_to_is_not_entered_again(tmp_path: Path) -> None:
    grow(tmp_path, {"a/x", "a/b/y"}, {"a/up": "..", "a/b/self": "."})
    assert set(selected(tmp_path, "a")) == {"a/x", "a/b/y"}
    assert set(selected(tmp_path, "**/y")) == {"a/b/y"}


def linked(folder: Path, *texts: str) -> tuple[list[str], dict[str, str]]:
    """The names of the files that are sent, and the links."""
    items = select_local([parse_upload(text) for text in texts], folder).items
    files = sorted(item.name for item in items if not item.is_directory and not item.link)
    return files, {item.name: item.link for item in items if item.link}


@pytest.mark.parametrize(
    ("texts", "files", "links"),
    [
        # To a file, a folder, through another link, back up: all of it goes along.
        (["in"], ["in/d/a", "in/d/b"], {"in/f": "d/a", "in/g": "d", "in/h": "d/a"}),
        (["loop"], ["loop/d/a"], {"loop/d/up": ".."}),
        (["loop/d"], ["loop/d/a"], {}),
        # Only some of what is behind it goes: what is asked for through the link is sent.
        (["in/g/a"], ["in/g/a"], {}),
        (["in/g/*", "in/d/a"], ["in/d/a", "in/g/a", "in/g/b"], {}),
        (["in/g/*", "in/d/*"], ["in/d/a", "in/d/b"], {"in/g": "d"}),
        (["in/f"], ["in/f"], {}),
        (["in/*"], ["in/f", "in/h"], {}),
        (["in", "!in/d/b"], ["in/d/a", "in/g/a", "in/g/b"], {"in/f": "d/a", "in/h": "d/a"}),
        # Under other names; and where something else is to stand behind it.
        (["in|x/y"], ["x/y/d/a", "x/y/d/b"], {"x/y/f": "d/a", "x/y/g": "d", "x/y/h": "d/a"}),
        (["in/d|p", "in/f|q/r"], ["p/a", "p/b"], {"q/r": "../p/a"}),
        (["in/d|p", "in/g|q", "o|q/z"], ["p/a", "p/b", "q/a", "q/b", "q/z"], {}),
        (["in/d|/p", "in/f|q"], ["p/a", "p/b", "q"], {}),
        # What leads out is resolved, and links within what it leads to are links again.
        (["out"], ["out/far/d/a", "out/one"], {"out/far/l": "d/a"}),
    ],
    ids=str,
)
def test_a_link_stays_one_where_what_it_leads_to_goes_along(
    tmp_path: Path, texts: list[str], files: list[str], links: dict[str, str]
) -> None:
    here = tmp_path / "here"
    grow(tmp_path, {"far/d/a"}, {"far/l": "d/a"})
    grow(here, {"in/d/a", "in/d/b", "o"}, {"in/f": "d/a", "in/g": "d", "in/h": "f"})
    grow(here, {"loop/d/a"}, {"loop/d/up": ".."})
    (here / "out").mkdir()
    grow(here, set(), {"out/far": "../../far", "out/one": "../../far/d/a"})
    found, kept = linked(here, *texts)
    assert (found, kept) == (files, links)


def test_a_link_to_nothing_and_a_fifo_are_warnings(tmp_path: Path) -> None:
    grow(tmp_path, {"a"}, {"gone": "nowhere", "round": "round"})
    os.mkfifo(tmp_path / "pipe")
    chosen = select_local([parse_upload("*")], tmp_path)
    assert [one.name for one in chosen.items] == ["a"]
    assert chosen.warnings == (
        "gone is a link to nothing: left out",
        "pipe is neither a file nor a directory: left out",
        "round is a link to nothing: left out",
    )


def test_a_pattern_that_finds_nothing_is_named(tmp_path: Path) -> None:
    grow(tmp_path, {"a"}, {"gone": "nowhere"})
    found, *nothing = [parse_upload(text) for text in ("a", "b", "*.csv", "gone")]
    assert select_local([found, *nothing], tmp_path).unmatched == tuple(nothing)


def test_of_two_sources_for_one_target_the_later_counts(tmp_path: Path) -> None:
    grow(tmp_path, {"a", "b"})
    (one,) = select_local([parse_upload("a|x"), parse_upload("b|x")], tmp_path).items
    assert one.path == "b"


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["d|x", "a|x"], ["x"]),
        (["a|x", "d|x"], ["x", "x/b"]),
        (["d|x/y", "a|x"], ["x"]),
        (["a|x", "d|x/y"], ["x/y", "x/y/b"]),
        (["a|d", "d/*"], ["d/b"]),
        (["d/*", "a|d"], ["d"]),
        (["d|x", "a|/srv/x"], ["x", "x/b", "x"]),
        (["d", "a|d/b/c"], ["d", "d/b/c"]),
    ],
)
def test_of_a_file_and_what_would_stand_beneath_it_the_later_counts(
    tmp_path: Path, texts: list[str], names: list[str]
) -> None:
    grow(tmp_path, {"a", "d/b"})
    chosen = select_local([parse_upload(text) for text in texts], tmp_path)
    assert [one.name for one in chosen.items] == names


def test_leftovers_of_a_transfer_are_nobodys_files(tmp_path: Path) -> None:
    grow(tmp_path, {".sshrun-part/a", "d/.sshrun-part-host/b", "d/c"})
    assert set(selected(tmp_path, ".")) == {"d/c"}
    assert set(selected(tmp_path, "**/.*/*")) == set()


def test_whole_takes_every_name_as_it_is(tmp_path: Path) -> None:
    pattern = whole("~/.mltk/models/a|b*", tmp_path / "there")
    assert isinstance(pattern, Pattern)
    assert (pattern.base, pattern.path) == ("~/.mltk/models", "a|b*")
    assert pattern.place("a|b*/log/x") == (str(tmp_path), "there/log/x")
    assert not pattern.wildcard


def test_an_item_of_ones_own_knows_what_to_compare(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("x = 1\n")
    status = (tmp_path / "m.py").stat()
    one = local_item(tmp_path / "m.py", "m.py")
    assert (one.source, one.size, one.mtime_ns) == (str(tmp_path / "m.py"), 6, status.st_mtime_ns)


def test_what_is_needed_before_a_connection_loads_no_engine_and_no_session() -> None:
    code = "import sys, sshrun.spec.task; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    )
    assert "sshrun.transfer.local_tree" in loaded
    for name in ("tar", "rsync", "scp", "staging", "upload", "download"):
        assert f"sshrun.transfer.{name}" not in loaded
    assert "sshrun.session.session" not in loaded
