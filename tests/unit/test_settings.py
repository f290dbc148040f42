from __future__ import annotations

from pathlib import Path

import pytest

from sshrun.connection.target import Target
from sshrun.errors import SettingsError
from sshrun.origin import LayerName, Origin
from sshrun.settings.declaration import Items, Variables
from sshrun.settings.reader import Node, Reader
from sshrun.settings.schema import Layer, Options, Settings, merge, merge_for_program
from sshrun.settings.table import JOB, KEYS, LISTS
from sshrun.units import Size

SCALARS = [setting.key for setting in JOB if not isinstance(setting, Items | Variables)]
LAYERS: tuple[LayerName, ...] = ("spec", "script block", "project file", "user file")


def layer(name: LayerName, **settings: object) -> Layer:
    """A layer as a file of that kind gives it, with texts, booleans, lists and mappings."""

    def node(value: object) -> Node:
        if isinstance(value, dict):
            return Node("mapping", entries=tuple((key, node(item)) for key, item in value.items()))
        if isinstance(value, list):
            return Node("list", items=tuple(map(node, value)))
        if isinstance(value, bool):
            return Node("boolean", text=str(value))
        return Node("number" if type(value) is int else "string", text=str(value))

    read = Reader(name, f"/files/{name}", "").read(node(settings))
    assert read.problems == ()
    return read


def merged(*layers: Layer, options: Options = Options()) -> Settings:
    return merge(options, [*layers, Layer()])


@pytest.mark.parametrize("key", SCALARS)
@pytest.mark.parametrize("strongest", LAYERS)
def test_the_strongest_layer_that_says_something_wins(key: str, strongest: LayerName) -> None:
    def said(name: LayerName) -> object:
        if key in ("project", "create_venv", "wheels", "compress"):
            return name != strongest
        if key == "stop_grace":
            return 60 if name == strongest else 20
        if key == "results_limit":
            return Size(10**9 if name == strongest else 10**6)
        choices = {"transfer": ("tar", "scp"), "leftovers": ("wait", "stop")}
        return choices[key][name != strongest] if key in choices else f"by {name}"

    layers = [layer(name, **{key: said(name)}) for name in LAYERS[LAYERS.index(strongest) :]]
    won = getattr(merge(Options(), [Layer()] * LAYERS.index(strongest) + layers), key)
    assert (won.value, won.origin.layer) == (said(strongest), strongest)


def test_the_path_of_the_host_beats_every_remote_dir() -> None:
    settings = merged(layer("spec", remote_dir="~/spec"), options=Options(Target("h", path="mine")))
    assert (settings.remote_dir.value, str(settings.remote_dir.origin)) == ("mine", "option --host")
    settings = merged(layer("spec", remote_dir="~/spec"), options=Options(Target("h")))
    assert settings.remote_dir.value == "spec"


def test_nothing_said_leaves_the_defaults() -> None:
    settings = merged()
    default = Origin("default")
    assert settings.remote_dir == (".", default)
    assert settings.create_venv == (True, default)
    assert settings.wheels == (False, default)
    assert (settings.transfer, settings.compress, settings.python, settings.archive) == (None, None, None, None)


@pytest.mark.parametrize("key", LISTS)
def test_lists_follow_one_another_from_the_user_file_to_the_spec(key: str) -> None:
    settings = merge(Options(), [layer(name, **{key: [f"{name} 1", f"{name} 2"]}) for name in LAYERS])
    found = [item.value for item in getattr(settings, key)]
    assert found == [f"{name} {number}" for name in reversed(LAYERS) for number in (1, 2)]


def test_environments_are_merged_and_the_strongest_wins() -> None:
    layers = [layer(name, environment={"ALL": name, name.split()[0].upper(): "x"}) for name in LAYERS]
    variables = {variable.name: variable.value for variable in merge(Options(), layers).environment}
    assert variables == {"ALL": "spec", "SPEC": "x", "SCRIPT": "x", "PROJECT": "x", "USER": "x"}


def test_a_program_takes_no_lists_and_makes_a_venv_only_if_the_user_file_says_so() -> None:
    lists = {key: ["x"] for key in LISTS}
    project = layer("project file", create_venv=True, remote_dir="p", environment={"A": "1"}, archive="a", **lists)
    settings = merge_for_program(Options(), [project, layer("user file", command="x", **lists)])
    assert settings.create_venv.value is False
    assert settings.remote_dir.value == "p"
    assert [variable.name for variable in settings.environment] == ["A"]
    counted = {"remote_dir", "project", "create_venv", "environment", "pass_environment", "results_limit"}
    left_out = set(KEYS) - counted - {"stop_grace", "leftovers"}
    assert not {key for key, _, _ in settings.rows()} & (left_out - {"wheels"})
    assert merge_for_program(Options(), [project, layer("user file", create_venv=True)]).create_venv.value is True
    ending = layer("user file", stop_grace=60, leftovers="wait")
    settings = merge_for_program(Options(), [layer("project file", stop_grace=0), ending])
    assert (settings.stop_grace.value, settings.leftovers.value) == (0, "wait")


def test_problems_of_all_files_come_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        merge(Options(), [Layer(problems=("a: x",)), Layer(problems=("b: y", "c: z"))])
    assert caught.value.problems == ["a: x", "b: y", "c: z"]


def test_options_carry_their_own_origin(tmp_path: Path) -> None:
    login = merged(options=Options(Target("h"), 22, "/k")).login
    assert login.port is not None
    assert login.identity is not None
    assert [str(login.port.origin), str(login.identity.origin)] == ["option --port", "option -i"]


def test_no_value_of_the_environment_shows_anywhere() -> None:
    settings = merged(layer("spec", environment={"TOKEN": "hunter2"}))
    rows = list(settings.rows())
    assert ("environment", "TOKEN=***") in [row[:2] for row in rows]
    assert "hunter2" not in repr(settings) + str(settings) + str(rows) + f"{settings.environment[0]}"


def test_rows_show_every_setting_with_its_place() -> None:
    everything = {key: ["x"] for key in LISTS}
    settings = merged(layer("spec", remote_dir="r", archive="a", command="c", python="p", wheels=True, compress=False,
                            transfer="tar", stop_grace=60, leftovers="wait", project=True, results_limit="1 GB",
                            create_venv=False, environment={"A": "1"}, **everything))  # fmt: skip
    rows = list(settings.rows())
    assert list(dict.fromkeys(key for key, _, _ in rows)) == list(KEYS), "in the order of the table"
    assert all(origin.layer == "spec" for _, _, origin in rows)
    assert ("compress", "false") in [row[:2] for row in rows]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("torch==2.3", "torch==2.3"),
        ("git+https://joe:hunter2@host/x@v1", "git+https://***@host/x@v1"),
        (
            "--index-url https://host/simple --extra-index-url https://joe:hunter2@other/simple",
            "--index-url https://host/simple --extra-index-url https://***@other/simple",
        ),
        ("x @ https://host/a@b https://joe:hunter2@host", "x @ https://host/a@b https://***@host"),
    ],
)
def test_no_password_of_an_index_shows(line: str, shown: str) -> None:
    assert ("requirements", shown) in [row[:2] for row in merged(layer("spec", requirements=[line])).rows()]
