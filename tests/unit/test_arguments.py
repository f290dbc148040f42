from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshrun.arguments import Arguments, parse
from sshrun.cli.main import function_of
from sshrun.command_line import ANY, HOST, MODEL, OPTIONS, RUN, VERBS
from sshrun.errors import UsageError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train my_model --epochs 3", Arguments("model", ("train", "my_model", "--epochs", "3"))),
        ("train my_model --no-wait", Arguments("model", ("train", "my_model"), wait=False)),
        ("-h gpu1 -p 22 -i key train m", Arguments("model", ("train", "m"), host="gpu1", port="22", identity="key")),
        ("--host=gpu1 --identity-file=k train m", Arguments("model", ("train", "m"), host="gpu1", identity="k")),
        ("--identity_file k train m -v", Arguments("model", ("train", "m"), identity="k", verbose=True)),
        ("train m -- --force --host x", Arguments("model", ("train", "m", "--force", "--host", "x"))),
        ("run --force fit.py --host x -v", Arguments("run", ("fit.py", "--host", "x", "-v"), force=True)),
        ("-v run -- -fit.py", Arguments("run", ("-fit.py",), verbose=True)),
        ("-h gpu1 -- ./long.sh --resume -- x", Arguments("program", ("./long.sh", "--resume", "--", "x"), host="gpu1")),
        ("--resume", Arguments("resume", resume=True)),
        ("--resume --no-wait -h g", Arguments("resume", resume=True, wait=False, host="g")),
        ("--resume -- true", Arguments("program", ("true",), resume=True)),
        ("status --json", Arguments("status", json=True)),
        ("logs -f -n 5 abc -h gpu1", Arguments("logs", ("abc",), host="gpu1", follow=True, lines="5")),
        ("logs -n=5", Arguments("logs", lines="5")),
        ("logs -- -f", Arguments("logs", ("-f",))),
        ("retrieve --all", Arguments("retrieve", everything=True)),
        (
            "ssh-keygen gpu1 -t rsa -l 4096 --output d --passphrase",
            Arguments("ssh-keygen", ("gpu1",), key_type="rsa", key_bits="4096", key_directory="d", passphrase=True),
        ),
        ("--version", Arguments(version=True)),
        ("train --help", Arguments("train", help=True)),
        ("logs --help", Arguments("logs", help=True)),
        ("run fit.py --help", Arguments("run", ("fit.py", "--help"))),
        ("run fit.py -m x", Arguments("run", ("fit.py", "-m", "x"))),
        ("run -m pkg.train", Arguments("run", module="pkg.train")),
        (
            "run --force -m a --host x -m b -- -v",
            Arguments("run", ("--host", "x", "-m", "b", "--", "-v"), module="a", force=True),
        ),
        ("train m -m x", Arguments("model", ("train", "m", "-m", "x"))),
        ("-- python -m x", Arguments("program", ("python", "-m", "x"))),
        ("train m -p=3", Arguments("model", ("train", "m", "-p=3"))),
        ("train m --wait --wait", Arguments("model", ("train", "m"))),
    ],
)
def test_words_are_sorted(line: str, expected: Arguments) -> None:
    assert parse(line.split()) == expected


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "no command given"),
        ("--forse train m", "unknown option --forse; did you mean --force?"),
        ("--res train m", "unknown option --res"),
        ("-x train m", "unknown option -x"),
        ("run --forse fit.py", "did you mean --force?"),
        ("run", "which script?"),
        ("run --", "which script?"),
        ("run -m", "which module?"),
        ("run -m --help", "which module?"),
        ("run -m=", "which module?"),
        ("run -m pkg/train.py", "-m takes the name of a module, and pkg/train.py is a path"),
        ("-m x run", "unknown option -m"),
        ("run -mpkg.train", "-m and its value are two words"),
        ("run -x", "unknown option -x"),
        ("status -mpkg", "unknown option -mpkg"),
        ("train", "which model?"),
        ("stats", "did you mean status?"),
        ("--", "which program?"),
        ("train m --host", "--host needs a value"),
        ("logs -n", "-n needs a value"),
        ("logs --lines 3", "unknown option --lines"),
        ("logs -f=3", "-f takes no value"),
        ("retrieve --al", "did you mean --all?"),
        ("-n 3 logs", "unknown option -n"),
        ("train m --password x --port", "--port needs a value"),
        ("--force=yes train m", "--force takes no value"),
        ("--no-wait --wait train m", "exclude each other"),
        ("--force --resume train m", "exclude each other"),
        ("-q -v train m", "exclude each other"),
        ("--sandbox -h gpu1 train m", "exclude each other"),
        ("--sandbox -h gpu1 --resume", "exclude each other"),
        ("--sandbox -p 22 train m", "--sandbox and --port exclude each other"),
        ("--sandbox train m -i key", "--sandbox and -i exclude each other"),
        ("--resume --force", "exclude each other"),
        ("--dry-run stop", "stop is none"),
        ("--dry-run --resume", "resume is none"),
        ("stop gpu2", "takes no 'gpu2'"),
        ("-h gpu1 jobs 20261124", "takes no '20261124'"),
    ],
)
def test_wrong_words_are_named(line: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line.split())
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["pkg/train.py", "--lr", "a b"], "sshrun run pkg/train.py --lr 'a b'"),
        (["train.py"], "sshrun run train.py"),
        (["x.ipynb"], "sshrun run x.ipynb"),
        (["./pkg/train", "1"], "sshrun run -m pkg.train 1"),
        (["../"], "sshrun run -m MODULE"),
        (["."], "sshrun run -m MODULE"),
    ],
)
def test_a_path_in_the_place_of_a_module_is_told_what_to_type(words: list[str], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(["run", "-m", *words])
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("word", "meant"),
    [("--forc", "--force"), ("--no_wait", "--no-wait"), ("--jsn=1", "--json"), ("--cleann", "--clean")],
)
def test_what_may_be_a_mistyped_option_is_passed_on_and_doubted(word: str, meant: str) -> None:
    arguments = parse(["train", "m", word])
    assert arguments.words == ("train", "m", word)
    (doubt,) = arguments.doubtful
    assert meant in doubt


@pytest.mark.parametrize("word", ["--epochs", "--lr", "-e", "-", "--batch-size=3"])
def test_what_is_nothing_like_ours_is_not_doubted(word: str) -> None:
    assert parse(["train", "m", word]).doubtful == ()


ALL_OPTIONS = [*OPTIONS, *(option for verb in VERBS for option in verb.options)]
NAMES = [name for option in ALL_OPTIONS for name in option.names]
VERB_NAMES = [verb.name for verb in VERBS]

WORDS = st.lists(st.sampled_from([*NAMES, *VERB_NAMES, "train", "m", "--", "-", "", "--x=1"]) | st.text())


@given(WORDS)
def test_any_words_are_understood_or_refused_in_words(words: list[str]) -> None:
    try:
        arguments = parse(words)
    except UsageError as refused:
        said = refused.message
    else:
        said = arguments.verb or "--help or --version"
    assert said


@given(WORDS)
def test_a_programs_words_are_never_touched(words: list[str]) -> None:
    assert parse(["-h", "gpu1", "--", "program", *words]).words == ("program", *words)
    assert parse(["run", "script.py", *words]).words == ("script.py", *words)


@pytest.mark.parametrize("name", [name for option in OPTIONS for name in option.names])
def test_every_option_may_stand_before_and_behind_the_model(name: str) -> None:
    value = ["value"] if any(option.value and name in option.names for option in OPTIONS) else []
    assert parse([name, *value, "train", "m"]) == parse(["train", "m", name, *value])


def test_every_option_sets_a_field() -> None:
    assert {option.key for option in ALL_OPTIONS} <= set(Arguments._fields)


def test_no_name_means_two_things() -> None:
    general = [name for option in OPTIONS for name in option.names]
    for verb in VERBS:
        names = [*general, *(name for option in verb.options for name in option.names)]
        assert len(names) == len(set(names)), verb.name
    assert len(VERB_NAMES) == len(set(VERB_NAMES))


def test_every_scope_is_one_that_is_known() -> None:
    scopes = {RUN, MODEL, HOST, ANY}
    assert {option.scope for option in OPTIONS} <= {*scopes, ""}
    assert {scope for verb in VERBS for scope in verb.scopes} <= scopes


def test_every_verb_has_a_function_of_its_own() -> None:
    functions = {name: function_of(name) for name in [*VERB_NAMES, "resume"]}
    assert len(set(functions.values())) == len(functions)
    for name, function in functions.items():
        assert function.__name__ == name.replace("-", "_")
    assert function_of("model") is function_of("program") is functions["run"]


def test_a_verb_without_a_function_is_taken_for_no_other() -> None:
    with pytest.raises(ImportError):
        function_of("forgotten")
