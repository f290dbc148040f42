"""Specs that compute their settings, run with stubs in the place of everything that they import."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sshrun.errors import SettingsError
from sshrun.spec.find import Spec, computed, read_spec

# How the models of MLTK's own documentation come to their settings.
TWO_PHASES = """\
import os
import shutil
from typing import Dict, Tuple
import numpy as np
import tensorflow as tf
import mltk.core as mltk_core
from mltk.utils.python import install_pip_package
from mltk.core.preprocess.utils import audio as audio_utils

class MyModel(mltk_core.MltkModel, mltk_core.TrainMixin, mltk_core.AudioDatasetMixin, mltk_core.SshMixin):
    pass

my_model = MyModel()
my_model.version = 1
my_model.tflite_converter['optimizations'] = [tf.lite.Optimize.DEFAULT]
my_model.n = len([1, 2]) * 3 + np.int8(4)
install_pip_package('audiomentations')
import audiomentations

def augment(batch: np.ndarray, other: Tuple[tf.data.Dataset, Dict[str, np.ndarray]] = None) -> np.ndarray:
    return np.zeros(batch.shape)

class Layer(tf.keras.layers.Layer):
    @tf.function
    def call(self, x):
        return x
layer = Layer(3, name='x')

@my_model.cli.command('visualize')
def visualize():
    pass

def teacher(check=True):
    ext = '.teacher.test.h5' if my_model.test_mode_enabled else '.teacher.h5'
    path = my_model.model_specification_path.replace('.py', ext)
    if check and not os.path.exists(path):
        raise RuntimeError(f'Teacher not found: {path}\\nHave you trained it?\\nexport TRAIN_TEACHER=1')
    return path

def prepare():
    is_teacher = os.environ.get('TRAIN_TEACHER', '0') == '1'
    my_model.ssh_environment = dict(TRAIN_TEACHER='1' if is_teacher else '0')
    if is_teacher:
        my_model.ssh_upload_files = [os.path.basename(teacher(check=False))]
        made = os.path.basename(my_model.h5_log_dir_path)
        my_model.ssh_download_files = [f'~/.mltk/models/{my_model.name}/{made}|{os.path.basename(teacher(False))}']
    else:
        my_model.ssh_upload_files = [os.path.basename(teacher())]

prepare()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLTK_CACHE_DIR", raising=False)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    return tmp_path


def spec_of(folder: Path, text: str) -> Spec:
    path = folder / "my_model.py"
    path.write_text(text)
    return read_spec(str(path))


def values(settings: tuple[object, ...]) -> list[str]:
    return [str(setting) for setting in settings]


def problem(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        computed(spec_of(folder, text))
    (line,) = caught.value.problems
    return line


def test_both_phases_of_a_training_are_learned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAIN_TEACHER", "1")
    found = computed(spec_of(folder, TWO_PHASES))
    first = found.layers[0]
    assert [(v.name, v.value) for v in first.environment] == [("TRAIN_TEACHER", "1")]
    assert values(first.upload_files) == ["my_model.teacher.h5"]
    assert first.upload_files[0].origin.line == TWO_PHASES[: TWO_PHASES.index("my_model.ssh_upload")].count("\n") + 1
    assert values(first.download_files) == ["~/.mltk/models/my_model/my_model.h5|my_model.teacher.h5"]
    (said,) = found.warnings
    assert said.endswith(
        ": ssh_environment, ssh_upload_files, ssh_download_files: computed; learned with stubs for its modules"
    )
    assert first.warnings == ()
    monkeypatch.setenv("TRAIN_TEACHER", "0")
    line = problem(folder, TWO_PHASES)
    assert f"RuntimeError: Teacher not found: {folder}/my_model.teacher.h5 [...] export TRAIN_TEACHER=1" in line
    (folder / "my_model.teacher.h5").touch()
    second = computed(spec_of(folder, TWO_PHASES)).layers[0]
    assert [(v.name, v.value) for v in second.environment] == [("TRAIN_TEACHER", "0")]
    assert (values(second.upload_files), values(second.download_files)) == (["my_model.teacher.h5"], [])


MODEL = "from mltk.core import *\nclass M(MltkModel, TrainMixin, SshMixin): pass\nm = M()\n"


@pytest.mark.parametrize(
    ("variables", "source", "value"),
    [
        ({}, "m.name", "my_model"),
        ({}, "m.model_specification_path", "{folder}/my_model.py"),
        ({}, "str(m.test_mode_enabled)", "False"),
        ({}, "m.log_dir", "{folder}/home/.mltk/models/my_model"),
        ({}, "m.h5_log_dir_path", "{folder}/home/.mltk/models/my_model/my_model.h5"),
        ({}, "m.archive_path", "{folder}/my_model.mltk.zip"),
        ({"MLTK_CACHE_DIR": "$HOME/cache"}, "m.log_dir", "{folder}/home/cache/models/my_model"),
        ({"MLTK_READONLY": "1", "MLTK_CACHE_DIR": "/dev/null"}, "m.log_dir", "/dev/null/models/my_model"),
        ({"MLTK_CACHE_DIR": "/dev/null", "MLTK_TEMP_DIR": "/t"}, "m.log_dir", "/t/models/my_model"),
        ({"LOGS": "~/mine"}, "setattr(m, 'log_dir', os.environ['LOGS']) or m.log_dir", "{folder}/home/mine"),
        ({}, "__import__('mltk.utils.path').utils.path.create_user_dir('x')", "{folder}/home/.mltk/x"),
        ({}, "str(m.ssh_upload_files)", "None"),
    ],
)
def test_a_model_answers_as_mltk_would(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], source: str, value: str
) -> None:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    layer = computed(spec_of(folder, f"import os\n{MODEL}m.ssh_command = {source}\n")).layers[0]
    assert layer.command is not None
    assert layer.command.value == value.format(folder=folder)
    assert not (folder / "home" / ".mltk").exists()


def test_a_log_directory_that_is_computed_is_followed(folder: Path) -> None:
    text = f"{MODEL}m.ssh_command = str(1)\nm.log_dir = '/'.join(['logs', m.name])\n"
    assert computed(spec_of(folder, text)).log_dir == "logs/my_model"


def test_an_installed_mltk_tells_its_version_and_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = folder / "venv" / "lib" / "python3.10" / "site-packages"
    (site / "mltk").mkdir(parents=True)
    (site / "mltk" / "__init__.py").write_text("raise RuntimeError('imported')")
    (site / "silabs_mltk-0.19.0.dist-info").mkdir()
    (folder / "venv" / "bin").mkdir()
    (folder / "venv" / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("VIRTUAL_ENV", str(folder / "venv"))
    text = "import mltk\nm = mltk.core.MltkModel()\nm.ssh_command = mltk.__version__ + mltk.MLTK_DIR\n"
    layer = computed(spec_of(folder, text)).layers[0]
    assert layer.command is not None
    assert layer.command.value == f"0.19.0{site}/mltk"
    monkeypatch.delenv("VIRTUAL_ENV")
    assert "ssh_command: depends on mltk.__version__, which" in problem(folder, text)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("m.ssh_archive = np.name", "numpy.name"),
        ("m.ssh_archive = f'{np.name}/x'", "numpy.name"),
        ("m.ssh_archive = os.path.join('a', np.name(3)['x'])", "numpy.name()[...]"),
        ("m.ssh_upload_files = ['a', *['b', 'x' + np.name]]", "numpy.name"),
        ("m.ssh_environment = {'N': str(int(np.pi * 3))}", "numpy.pi"),
        ("m.ssh_upload_files = [name for name in np.files()]", "numpy.files()"),
        ("if np.flag: m.ssh_archive = 'x'", "numpy.flag"),
        ("m.ssh_archive = 'x' if np.a == 1 else 'y'", "numpy.a"),
        ("for x in np.files: m.ssh_archive = 'x'", "numpy.files"),
        ("def f():\n  if np.flag:\n    m.ssh_archive = 'x'\nf()", "numpy.flag"),
        ("def f():\n  return len(np.files) * 'x'\nm.ssh_archive = f()", "numpy.files"),
    ],
)
def test_what_a_stub_cannot_know_is_an_error_with_its_line(folder: Path, line: str, cause: str) -> None:
    text = f"import os\nimport numpy as np\nclass M: pass\nm = M()\n{line}\n"
    for owner in ("", "from mltk.core import MltkModel, SshMixin\nclass M(MltkModel, SshMixin): pass\nm = M()\n"):
        told = problem(folder, text.replace("class M: pass\nm = M()\n", owner or "class M: pass\nm = M()\n"))
        assert told.startswith("my_model.py:")
        assert int(told.split(":")[1].split()[0]) >= 5
        assert " ssh_" in told
        assert told.endswith(f": depends on {cause}, which is not run to read settings")


def test_a_guess_elsewhere_is_a_warning(folder: Path) -> None:
    text = "import numpy as np\nclass M: pass\nm = M()\nn = 2 if np.flag else 3\nm.ssh_archive = str(n)\n"
    assert computed(spec_of(folder, text)).warnings[1:] == (
        "my_model.py:4: numpy.flag is not known without its module, and is taken for true",
    )


def test_stubs_bear_what_specs_do_with_them(folder: Path) -> None:
    text = """\
    import abc, copy, dataclasses, enum, functools, threading
    import tensorflow as tf, numpy as np
    from torch import nn
    from somewhere import *
    (train, labels), test = tf.keras.datasets.mnist.load_data()
    first, *rest = np.split(train)
    class Block(nn.Module, abc.ABC):
        RATE: np.float32 = 3
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3)
            self.ssh_like = self.conv(labels)
    class Deeper(Block, nn.Module): pass
    block = copy.deepcopy(Deeper())
    with tf.device('cpu') as device, np.errstate(all='ignore'):
        x = -block(train)[1:, ..., 0] @ np.ones((3, 3)) / 255.0
    np.values['a'] = 'kept'
    np.limit = 5
    a: 'np.ndarray | None' = None
    def typed(x: np.ndarray | None, *more: tf.Tensor) -> dict[str, nn.Module]: return {}
    @tf.keras.utils.register_keras_serializable(package='x')
    @functools.lru_cache
    def plain(): return 'plain'
    @dataclasses.dataclass
    class Options:
        activation: nn.Module = nn.ReLU
    try:
        raise ValueError
    except (tf.errors.NotFoundError, ValueError) if False else ValueError:
        pass
    undefined_elsewhere(first)
    class M: pass
    m = M()
    m.ssh_archive = plain() + np.values['a'] + str(np.limit)
    """
    found = computed(spec_of(folder, "\n".join(line[4:] for line in text.splitlines()) + "\n"))
    assert (str(found.layers[0].archive), found.warnings[1:]) == ("plainkept5", ())


def test_a_spec_that_imports_sshrun_meets_its_mixin(folder: Path) -> None:
    text = (
        "import sshrun\nclass M(sshrun.SshMixin): pass\nm = M()\nm.ssh_upload_files.append('a')\n"
        "m.ssh_upload_files += ['b' * 2]\n"
    )
    assert values(computed(spec_of(folder, text)).layers[0].upload_files) == ["a", "bb"]


EFFECTS = {
    "subprocess.run(['touch', canary])": "subprocess.Popen",
    "os.system('touch ' + canary)": "os.system",
    "os.posix_spawn('/usr/bin/touch', ['touch', canary], {})": "os.posix_spawn",
    "os.execvp('touch', ['touch', canary])": "os.exec",
    "os.fork() or os._exit(0)": "os.fork",
    "__import__('pty').spawn(['touch', canary])": "pty.spawn",
    "multiprocessing.get_context('spawn').Process(target=print).start()": "",
    "__import__('_posixsubprocess').fork_exec([b'touch'], [b'/usr/bin/touch'])": "fork_exec",
    "socket.create_connection(('127.0.0.1', 9))": "socket.getaddrinfo",
    "socket.socket(socket.AF_UNIX)": "socket.__new__",
    "urllib.request.urlopen('http://127.0.0.1:9')": "socket.getaddrinfo",
    "open(canary, 'w')": "open",
    "os.open(canary, os.O_CREAT | os.O_RDWR)": "open",
    "pathlib.Path(canary).touch()": "open",
    "pathlib.Path(here).rename(canary)": "os.rename",
    "tempfile.mkdtemp(dir=os.path.dirname(canary))": "os.mkdir",
    "os.makedirs(canary)": "os.mkdir",
    "os.symlink('x', canary)": "os.symlink",
    "os.mkfifo(canary)": "os.mkfifo",
    "os.remove(here)": "os.remove",
    "shutil.rmtree(os.path.dirname(here))": "shutil.rmtree",
    "os.chmod(here, 0)": "os.chmod",
    "sqlite3.connect(canary)": "sqlite3.connect",
    "ctypes.CDLL(None).system(b'true')": "ctypes.dlsym",
    "logging.basicConfig(filename=canary)": "open",
    "os.kill(os.getppid(), 0)": "os.kill",
    "__import__('venv').create(canary)": "",
}


@pytest.mark.parametrize(("effect", "event"), EFFECTS.items(), ids=EFFECTS)
def test_whatever_has_an_effect_is_refused(folder: Path, effect: str, event: str) -> None:
    yard = folder / "yard"
    yard.mkdir()
    imports = (
        "ctypes, logging, multiprocessing, os, pathlib, shutil, socket, sqlite3, subprocess, tempfile, urllib.request"
    )
    text = (
        f"import {imports}\nhere = __file__\ncanary = {str(yard / 'canary')!r}\nclass M: pass\nm = M()\n{{}}\n"
        "m.ssh_archive = str(1)\n"
    )
    told = problem(folder, text.format(effect))
    assert "failed in line 6: " in told
    assert f"{event} is refused: reading settings " in told if event else "refused" in told
    # Where the spec goes on without it, that may have changed what it computes.
    caught = text.format(f"try: {effect}\nexcept Exception: pass")
    found = computed(spec_of(folder, caught))
    assert any(f"my_model.py:6: {event}" in line and "was refused" in line for line in found.warnings)
    assert list(yard.iterdir()) == []
    assert (folder / "my_model.py").read_text() == caught


def test_what_only_looks_is_allowed(folder: Path) -> None:
    (folder / "data.csv").write_text("1,2")
    text = (
        "import ctypes, glob, multiprocessing, os, platform, socket, ssl, sqlite3, sys, uuid, zipfile\n"
        "class M: pass\nm = M()\nwith open(os.devnull, 'w') as nowhere: print('x', file=nowhere)\n"
        "os.makedirs('home', exist_ok=True)\n"
        "m.ssh_upload_files = glob.glob('*.csv') + [open('data.csv').read(), socket.gethostname(), platform.node()]\n"
        "print('progress', file=sys.stderr)\n"
    )
    files = values(computed(spec_of(folder, text)).layers[0].upload_files)
    assert files == ["data.csv", "1,2", os.uname().nodename, os.uname().nodename]
