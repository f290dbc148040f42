from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from sshrun.errors import SettingsError, UsageError
from sshrun.origin import Origin, Sourced
from sshrun.settings.schema import Layer, Options, merge
from sshrun.spec.find import Spec, computed, find_script, find_spec, imported, read_script, read_spec


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def spec_of(text: str) -> Spec:
    return read_spec(write(Path.cwd() / "my_model.py", text))


def values(settings: tuple[object, ...]) -> list[str]:
    return [str(setting) for setting in settings]


# -- finding


def test_a_spec_is_found_by_name_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = folder / "site"
    write(site / "mltk/__init__.py", "raise RuntimeError('mltk is not to be imported')")
    by_mltk = write(site / "mltk/models/deep/down/my_model.py")
    monkeypatch.syspath_prepend(str(site))
    configured = [
        Sourced(str(folder / "missing"), Origin("user file")),
        Sourced(str(folder / "paths"), Origin("user file")),
    ]
    assert find_spec("my_model", configured) == by_mltk
    by_variable = write(folder / "variable/x/my_model.py")
    monkeypatch.setenv("MLTK_MODEL_PATHS", f"{folder}/other{os.pathsep}{folder}/variable")
    assert find_spec("my_model", configured) == by_variable
    by_setting = write(folder / "paths/a/b/my_model.py")
    write(folder / "paths/a/.hidden/my_model.py")
    assert find_spec("my_model", configured) == by_setting
    here = write(folder / "my_model.py")
    assert find_spec("my_model", configured) == here
    assert find_spec("my_model-test", configured) == here
    assert find_spec("paths/a/b/my_model.py") == by_setting
    assert find_spec(by_variable) == by_variable


def test_a_spec_whose_name_ends_in_test_is_found_first(folder: Path) -> None:
    write(folder / "my_model.py")
    named = write(folder / "my_model-test.py")
    assert find_spec("my_model-test") == named


@pytest.mark.parametrize(
    ("model", "message", "hint"),
    [
        ("my_modle", "there is no my_modle.py in the current directory", "do you mean my_model?"),
        ("sub/my_modl.py", "there is no file sub/my_modl.py", "do you mean sub/my_model.py?"),
        ("zzz", "there is no zzz.py in the current directory", "give a path"),
        ("missing/x.py", "there is no file missing/x.py", "it is looked for from"),
    ],
)
def test_what_is_not_found_is_a_usage_error_with_a_guess(folder: Path, model: str, message: str, hint: str) -> None:
    write(folder / "my_model.py")
    write(folder / "sub/my_model.py")
    with pytest.raises(UsageError) as caught:
        find_spec(model)
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_a_script_is_a_path(folder: Path) -> None:
    path = write(folder / "fit.py")
    assert find_script("fit.py") == path
    with pytest.raises(UsageError):
        find_script("other.py")


# -- reading


def test_attributes_stand_before_the_block_and_that_before_the_project_file(folder: Path) -> None:
    write(folder / "pyproject.toml", "[tool.sshrun]\nremote_dir = 'project'\narchive = 'project'\npython = 'project'\n")
    spec = spec_of(
        "# /// script\n# dependencies = ['rich']\n# [tool.sshrun]\n# remote_dir = 'block'\n# archive = 'block'\n# ///\n"
        "m.ssh_remote_dir = 'attribute'\n"
    )
    settings = merge(Options(), [*spec.layers, Layer()])
    assert [str(settings.remote_dir), str(settings.archive), str(settings.python)] == ["attribute", "block", "project"]
    assert str(settings.remote_dir.origin) == "my_model.py:7 ssh_remote_dir"
    assert values(settings.requirements) == ["rich"]
    assert (spec.name, spec.directory, spec.results_directory, spec.warnings) == (
        "my_model",
        str(folder),
        str(folder),
        (),
    )


def test_problems_of_a_spec_name_the_line_and_the_attribute() -> None:
    spec = spec_of("m.ssh_upload_file = []\nm.ssh_upload_files = [\n  'a',\n  5,\n]\nm.ssh_create_venv = 'no'\n")
    assert [problem for layer in spec.layers for problem in layer.problems] == [
        "my_model.py:1 ssh_upload_file: unknown setting; do you mean ssh_upload_files?",
        "my_model.py:4 ssh_upload_files[1]: a string is needed, not a number: put it in quotes",
        "my_model.py:6 ssh_create_venv: true or false (without quotes) is needed, not a string",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = (\n", "my_model.py:1: is not Python: '(' was never closed"),
        ("x = '\0'", "my_model.py: is not Python: source code string cannot contain null bytes"),
    ],
)
def test_what_python_cannot_read_is_one_line(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        spec_of(text)
    assert caught.value.problems == [problem]


def test_a_spec_that_imports_tensorflow_is_read_without_it_and_at_once() -> None:
    body = "\n".join(f"def layer_{n}(x):\n    return tf.keras.layers.Dense({n})(x) + [{n}]" for n in range(500))
    head = "import tensorflow as tf\nfrom mltk.core import *\nm = MltkModel()"
    text = f"{head}\n{body}\nm.ssh_remote_dir = 'x'\nraise SystemExit(9)\n"
    path = write(Path.cwd() / "my_model.py", text)
    begin = time.process_time()
    spec = read_spec(path)
    assert time.process_time() - begin < 1  # the import of tensorflow alone takes longer
    assert (spec.unread, spec.imports_mltk, str(spec.layers[0].remote_dir)) == ((), True, "x")


def test_results_come_to_the_current_folder_where_the_specs_is_not_writable(folder: Path) -> None:
    path = write(folder / "read-only/my_model.py")
    (folder / "read-only").chmod(0o500)
    account = os.getuid()
    if account == 0:
        os.setreuid(
            65534, -1
        )  # root may write anywhere; access(2) asks about the real account, reading about the other
    try:
        spec = read_spec(path)
    finally:
        if account == 0:
            os.setreuid(0, -1)
    assert spec.results_directory == str(folder)
    assert spec.warnings == (f"{folder}/read-only is not writable: results go to {folder}",)


# -- computing, with stubs for the modules that a spec imports

COMPUTING = "import os\nclass M: pass\nm = M()\n"


def test_running_a_spec_tells_what_the_source_does_not(capfd: pytest.CaptureFixture[str]) -> None:
    spec = spec_of(
        COMPUTING + "print('noise')\nos.write(1, b'noise')\n\n"
        "m.ssh_environment = {'A': True, 'B': 1.5, 'C': None, 'D': 'ä\\udcff'} | vars(m)\n"
        "m.ssh_upload_files = ['a']\nm.ssh_upload_files.append('b')\nm.ssh_create_venv = not True\n"
    )
    assert spec.unread == (
        "my_model.py:7 ssh_environment: is not a literal",
        "my_model.py:9 ssh_upload_files: is changed in a way that only running the script shows",
        "my_model.py:10 ssh_create_venv: is not a literal",
    )
    for found in (computed(spec), imported(spec)):
        attributes = found.layers[0]
        assert attributes.problems == ()
        assert values(attributes.upload_files) == ["a", "b"]
        assert attributes.create_venv == (False, Origin("spec", spec.path, 10, "ssh_create_venv"))
        assert {v.name: v.value for v in attributes.environment} == {"A": "True", "B": "1.5", "C": "", "D": "ä\udcff"}
        assert found.unread == ()
    (said,) = computed(spec).warnings
    names = "ssh_environment, ssh_upload_files, ssh_create_venv"
    assert said == f"my_model.py:7: {names}: computed; learned with stubs for its modules"
    assert imported(spec).warnings[1].endswith("shows; my_model.py was imported to find out")
    assert capfd.readouterr() == ("", "")


def test_what_the_source_tells_stays_as_written_there() -> None:
    spec = spec_of(
        COMPUTING + "m.ssh_environment = {'RATE': 1e-5, 'MASK': 0x1F,\n  'SPLIT': '1'}\nm.ssh_archive = str(1)\n"
    )
    found = computed(spec).layers[0]
    assert {v.name: v.value for v in found.environment} == {"RATE": "1e-5", "MASK": "0x1F", "SPLIT": "1"}
    assert [v.origin.line for v in found.environment] == [4, 4, 5]
    assert found.archive == ("1", Origin("spec", spec.path, 6, "ssh_archive"))


def test_settings_of_a_class_and_its_instance_are_found() -> None:
    text = "class M:\n  ssh_archive = 'a'\n  def __init__(self):\n    self.ssh_python = 'p'\nm = M()\n"
    for found in (computed(spec_of(text)), imported(spec_of(text))):
        assert (str(found.layers[0].archive), str(found.layers[0].python)) == ("a", "p")


def test_what_is_computed_may_be_a_path_or_a_set() -> None:
    text = "import pathlib\nclass M: pass\nm = M()\nm.ssh_remote_dir = pathlib.Path('work') / 'x'\n"
    layer = computed(spec_of(text + "m.ssh_download_files = set(['b', 'a'])\n")).layers[0]
    assert str(layer.remote_dir and layer.remote_dir.value) == "work/x"
    assert values(layer.download_files) == ["a", "b"]


def test_a_spec_imports_its_neighbours_and_none_of_our_modules(folder: Path) -> None:
    write(folder / "host.py", "import numpy\nFILES = ['mine']\nSHAPE = numpy.zeros(3)")
    write(folder / "parts/more.py", "MORE = ['more']")
    (folder / "wandb").mkdir()  # data: no package, though Python would take it for one
    text = (
        "import host, spelling, wandb\nfrom parts.more import MORE\nimport parts\n"
        "wandb.init(project='x')\nm.ssh_upload_files = host.FILES + MORE\nm.ssh_archive = f'{spelling.near_miss}'\n"
    )
    with pytest.raises(SettingsError, match=r"ssh_archive: depends on spelling\.near_miss, which"):
        computed(spec_of(COMPUTING + text))
    layer = computed(spec_of(COMPUTING + text.replace("spelling.near_miss", "MORE[0]"))).layers[0]
    assert values(layer.upload_files) == ["mine", "more"]
    assert not (folder / "__pycache__").exists()
    assert not (folder / "parts/__pycache__").exists()


def test_wrong_types_are_told_of_computed_settings_too() -> None:
    spec = spec_of(
        COMPUTING + "m.ssh_upload_files = 'a' * 2\nm.ssh_create_venv = str(1)\nm.ssh_archive = {1: 2, **{}}.get(9)\n"
    )
    found = computed(spec).layers[0]
    assert found.problems == (
        "my_model.py:4 ssh_upload_files: a list is needed, not a string (put it in [ ])",
        "my_model.py:5 ssh_create_venv: true or false (without quotes) is needed, not a string",
    )
    assert found.warnings == ("my_model.py:6 ssh_archive: is not set by running the script, and has no effect",)


@pytest.mark.parametrize(
    ("text", "is_expected"),
    [
        ("if __name__ == '__main__':\n  m.ssh_archive = 'x'\n", True),
        ("if os.environ.get('NOT_SET'):\n  m.ssh_archive = 'x'\n", False),
        ("def f():\n  m.ssh_archive = 'x'\n", False),
    ],
)
def test_only_a_setting_that_never_counts_is_said_to_have_no_effect(text: str, is_expected: bool) -> None:
    found = computed(spec_of(COMPUTING + text)).layers[0]
    line = "my_model.py:5 ssh_archive: is not set by running the script, and has no effect"
    assert found.warnings == ((line,) if is_expected else ())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("os._exit(7)", "failed: exit status 7"),
        ("exit(0)", "failed in line 4: it calls exit(0)"),
        ("raise ValueError('\\x1b]0;x\\x07')", "failed in line 4: 'ValueError: \\x1b]0;x\\x07'"),
        ("raise ValueError('what\\nbla\\ndo this')", "failed in line 4: ValueError: what [...] do this"),
        ("def f(): raise KeyError\nf()", "failed in line 4: KeyError"),
    ],
)
def test_a_spec_that_fails_is_one_line_with_the_reason(line: str, reason: str) -> None:
    spec = spec_of(f"{COMPUTING}{line}\nm.ssh_archive = str(1)\n")
    for learn, how in ((computed, "running it with stubs for its modules"), (imported, "importing it")):
        with pytest.raises(SettingsError) as caught:
            learn(spec)
        assert caught.value.problems == [f"{spec.unread[0]}; {how} {reason}"]


def test_the_whole_cause_is_kept_for_who_asks_for_it() -> None:
    spec = spec_of(f"{COMPUTING}print('before')\nraise ValueError('a\\nb\\nc')\nm.ssh_archive = str(1)\n")
    with pytest.raises(SettingsError) as caught:
        computed(spec)
    assert caught.value.details.startswith("before\n")
    assert caught.value.details.endswith("ValueError: a\nb\nc\n")


def test_only_an_import_needs_the_modules() -> None:
    spec = spec_of(f"{COMPUTING}import tensorflow_of_another_world\nm.ssh_archive = str(1)\n")
    assert str(computed(spec).layers[0].archive) == "1"
    with pytest.raises(SettingsError, match=r"importing it failed in line 4: ModuleNotFoundError: No module named"):
        imported(spec)


def test_running_a_spec_has_a_time_limit() -> None:
    spec = spec_of(f"{COMPUTING}import time\ntime.sleep(600)\nm.ssh_archive = str(1)\n")
    with pytest.raises(SettingsError, match=r"running it took longer than 0\.5 s"):
        computed(spec, timeout=0.5)


def test_a_script_is_never_imported(folder: Path) -> None:
    path = write(
        folder / "fit.py",
        f"open({str(folder / 'canary')!r}, 'w')\nm.ssh_archive = str(1)\nif x:\n  m.ssh_python = ''\n",
    )
    with pytest.raises(SettingsError) as caught:
        read_script(path)
    assert [problem.split(":")[1] for problem in caught.value.problems] == ["2 ssh_archive", "4 ssh_python"]
    assert not (folder / "canary").exists()


def test_reading_imports_nothing_heavy() -> None:
    import subprocess

    spec_of("m.ssh_upload_files = ['a']\n")
    heavy = {"argparse", "yaml", "rich", "sh", "ast", "json", "shutil", "tempfile", "inspect", "asyncio", "tomllib"}
    code = (
        "import sys; from sshrun.spec.find import *; from sshrun.settings.files import *; load_user_file()\n"
        "read_spec(find_spec('my_model')); print(*(set(sys.modules) - before))"
    )
    program = f"import sys; before = set(sys.modules)\n{code}"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split()
    assert not heavy & set(printed)
