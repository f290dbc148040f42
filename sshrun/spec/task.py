"""What a command line means, once the spec and all settings are read: the task that a host is to be given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sshrun.command_line import VERBS
from sshrun.connection.login import Login
from sshrun.environment.venv import Environment
from sshrun.errors import SettingsError, UsageError
from sshrun.job import MANIFEST_VERSION, Job, Manifest, manifest_to_data, this_client
from sshrun.jobs.plan import Retrieval, Start
from sshrun.mixin import module_source
from sshrun.origin import Origin, Sourced
from sshrun.settings.files import load_project_file, load_requires_python, load_user_file
from sshrun.settings.options import options, sandbox_login
from sshrun.settings.schema import Settings, merge, merge_for_program
from sshrun.spec import notebook
from sshrun.spec.files import Files, files_of, files_of_module, files_of_program
from sshrun.spec.find import Spec, computed, find_script, find_spec, imported, read_script, read_spec
from sshrun.spec.project import Project, project_of
from sshrun.spec.runner import (
    Runner,
    runner_for_model,
    runner_for_module,
    runner_for_program,
    runner_for_script,
    stored_logs,
)
from sshrun.spelling import near_miss
from sshrun.terminal import size, visible
from sshrun.transfer.items import Item
from sshrun.transfer.local_tree import local_item, select_local
from sshrun.transfer.ownership import EVERYTHING, Ownership, Since
from sshrun.transfer.patterns import Pattern, everything, parse_download, parse_upload

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.jobs.records import Record
    from sshrun.sandbox import Sandbox


class Task(NamedTuple):
    """`results_directory` is the local directory of the results; `uploads` are the files that are sent.

    `args` are what was typed behind the model, the script or the program.
    `unrun` are the shutdown commands that a sandbox does not run, since it is the very machine that they would stop.
    """

    runner: Runner
    settings: Settings
    results_directory: str
    args: tuple[str, ...] = ()
    unrun: tuple[str, ...] = ()
    spec: Spec | None = None
    uploads: tuple[Item, ...] = ()
    excluded: tuple[tuple[Pattern, tuple[Item, ...]], ...] = ()
    downloads: tuple[Pattern, ...] = ()
    protected: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    stored: Manifest | None = None  # of a job that exists already
    owned: Ownership = EVERYTHING  # see Retrieval
    project: Project | None = None

    @property
    def manifest(self) -> Manifest:
        """What is stored with the job, so that any client can download its results. Nothing of the environment."""
        if self.stored is not None:
            return self.stored
        client = this_client()
        return Manifest(
            version=MANIFEST_VERSION,
            command=self.runner.command,
            model=self.runner.model,
            argv=self.runner.argv,
            runner=self.runner.name,
            host=self.settings.login.host,
            client=client.name,
            user=client.user,
            path=os.path.realpath(self.spec.path if self.spec else os.getcwd()),
            args=self.args,
            startup_cmds=_texts(self.settings.startup_cmds),
            archive=self.runner.archive or "",
            spec=self.spec.path if self.spec and not self.spec.is_model_file else "",
            download_files=(*_texts(self.settings.download_files), *self.runner.outputs),
            shutdown_cmds=_texts(self.settings.shutdown_cmds),
            runner_logs=self.runner.logs.to_data() if self.runner.logs else None,
            project=os.path.realpath(self.project.root) if self.project else "",
            selected=self.project.moment if self.project else 0,
            results_limit=self.settings.results_limit.value if self.project else 0,
        )

    def retrieval(self, record: Record) -> Retrieval:
        """What is retrieved of the job that is recorded."""
        from pathlib import Path

        manifest = self.manifest
        return Retrieval(
            directory=Path(self.results_directory),
            archive=self.runner.archive or "",
            archive_sent=self.runner.sends_archive,
            logs=self.runner.logs,
            log_copy=_log_copy(self.runner),
            downloads=self._results,
            shutdown_cmds=_texts(self.settings.shutdown_cmds),
            protected=self.protected,
            owned=self._owned(record),
            limit=manifest.results_limit or None,
            engine=self.settings.transfer.value if self.settings.transfer else None,
            compress=self.settings.compress.value if self.settings.compress else None,
        )

    @property
    def finds_results(self) -> bool:
        """Whether its results are all that is new, in project mode where nothing else is asked for."""
        return bool(self.manifest.project) and not self.downloads

    @property
    def _results(self) -> tuple[Pattern, ...]:
        return (everything(),) if self.finds_results else self.downloads

    def _owned(self, record: Record) -> Ownership:
        """In the project itself, what nobody has touched since it was sent; elsewhere, what came from the job."""
        if not self.manifest.project:
            return self.owned
        sent = record.manifest()
        is_there = os.path.realpath(self.results_directory) == sent.project
        return Since(sent.selected, record) if record.started and is_there else record

    def start(self, job_id: str, *, discard: bool, clean: bool) -> Start:
        """What the host is given, under the id `job_id`."""
        import json

        return Start(
            id=job_id,
            directory=self.settings.remote_dir.value,
            manifest=self.manifest,
            files={
                "environment": [f"{variable.name}={variable.value}" for variable in self.settings.environment],
                "startup": _texts(self.settings.startup_cmds),
                "command": self.runner.argv,
                "defaults": list(_defaults()),
                "ending": [f"{self.settings.stop_grace.value} {self.settings.leftovers.value}"],
                "manifest": [json.dumps(manifest_to_data(self.manifest))],
                **({"start": (self.runner.directory,)} if self.runner.directory else {}),
                **({"variable": (self.runner.logs.variable,)} if self.runner.logs else {}),
            },
            environment=self._environment(),
            modules=self._modules(),
            mirror=self.project.mirror if self.project else None,
            uploads=self.uploads,
            downloads=self._results,
            engine=self.settings.transfer.value if self.settings.transfer else None,
            compress=self.settings.compress.value if self.settings.compress else None,
            requires_python=self._requires_python(),
            discard=discard,
            clean=clean and not self.runner.sends_archive,
        )

    def _modules(self) -> dict[str, bytes]:
        """What is sent for the job to import."""
        stub = {"sshrun": module_source()} if self.spec and self.spec.imports_sshrun else {}
        return {**stub, notebook.MODULE: notebook.program()} if self.runner.rewrites else stub

    def _environment(self) -> Environment:
        """What the virtual environment is to hold: the runner's own requirements come first."""
        settings = self.settings
        of_project = self.project.environment if self.project else None
        return Environment(
            wanted=settings.create_venv.value,
            python=settings.python.value if settings.python else "",
            requirements=(
                *self.runner.requirements,
                *(of_project.requirements if of_project else _texts(settings.requirements)),
            ),
            wheels=settings.wheels.value,
            project=of_project,
        )

    def _requires_python(self) -> Sourced[str] | None:
        if self.project and self.project.environment and self.settings.create_venv.value:
            return self.project.environment.requires_python
        if self.spec is None or self.spec.is_model_file or not self.settings.create_venv.value:
            return None
        return load_requires_python(self.spec.path)

    def remove_earlier_results(self) -> None:
        """Removes what an earlier run of the model left on this machine: its archive and its runner's logs.

        Not what the job needs: of mltk's commands only `train` begins anew.
        """
        if self.runner.sends_archive:
            return
        import shutil
        from pathlib import Path

        if self.runner.archive:
            archive = Path(self.results_directory, Path(self.runner.archive).name)
            if archive.is_file() or archive.is_symlink():
                archive.unlink()
        if self.runner.logs:
            logs = Path(self.runner.logs.local).resolve()
            # A spec may choose any directory for its logs, also one that holds everything else.
            if not any(
                Path(kept).resolve().is_relative_to(logs) for kept in (self.results_directory, os.getcwd(), Path.home())
            ):
                shutil.rmtree(logs, ignore_errors=True)


class _Read(NamedTuple):
    """What one form of a command line means. `args` are the words behind the model, the script or the program."""

    runner: Runner
    settings: Settings
    args: Sequence[str] = ()
    files: Files = Files()
    spec: Spec | None = None
    project: Project | None = None

    def in_project(self) -> _Read:
        """The same with each file in its place, and all that is new for its results unless they are named."""
        if self.project is None:
            return self
        project, files = self.project.with_uploads(self.files)
        archive = self.settings.archive.value if self.settings.archive else None
        runner = self.runner._replace(archive=archive)
        if not self.settings.download_files:
            runner = runner._replace(outputs=())
        script_directory = self.spec.directory if self.spec else os.getcwd()
        project = project.with_environment(script_directory, self.settings)
        settings = project.settings(self.settings, makes_venv=self.runner.name != "program")
        return self._replace(project=project, files=files, runner=runner, settings=settings)


class _Reader:
    """Reads what a run depends on, one method for each form of the command line."""

    def __init__(self, arguments: Arguments, sandbox: Sandbox | None) -> None:
        self.arguments = arguments
        self.given = options(arguments, sandbox)
        self.user = load_user_file()
        # Nothing is uploaded where the job exists already: what was sent for it may be gone from this machine.
        self.uploads = not arguments.resume

    def read(self) -> _Read:
        """Raises UsageError, and SettingsError with all that is wrong in files."""
        if self.arguments.verb == "program":
            return self._program()
        if self.arguments.verb != "run":
            return self._model()
        return self._script() if self.arguments.module is None else self._module(self.arguments.module)

    def _program(self) -> _Read:
        words = self.arguments.words
        layers = [load_project_file(os.getcwd()), self.user]
        settings = merge_for_program(self.given, layers)
        if not _is_project(settings):
            return _Read(runner_for_program(words), settings, words[1:])
        files = files_of_program(layers, uploads=self.uploads)
        settings = merge(self.given, layers, files.problems)
        project = self._project("", words)
        return _Read(runner_for_program(words, project.start), settings, words[1:], files, project=project)

    def _module(self, module: str) -> _Read:
        args = self.arguments.words
        layers = [load_project_file(os.getcwd()), self.user]
        files = files_of_module(module, layers, uploads=self.uploads)
        settings = merge(self.given, layers, files.problems)
        if not _is_project(settings):
            return _Read(runner_for_module(module, args, settings), settings, args, files)
        project = self._project("", args)
        return _Read(runner_for_module(module, args, settings, project.start), settings, args, files, project=project)

    def _script(self) -> _Read:
        script, *args = self.arguments.words
        spec = read_script(find_script(script))
        layers = [*spec.layers, self.user]
        files = files_of(spec, layers, uploads=self.uploads)
        settings = merge(self.given, layers, files.problems)
        if not _is_project(settings, spec):
            return _Read(runner_for_script(spec, args, settings), settings, args, files, spec)
        project = self._project(spec.path, args)
        runner = runner_for_script(spec, args, settings, project.start, project.word_for(spec.path))
        return _Read(runner, settings, args, files, spec, project)

    def _model(self) -> _Read:
        command, model, *args = self.arguments.words
        spec = _with_computed(read_spec(_spec_path(command, model, self.user.model_paths)), self.arguments)
        layers = [*spec.layers, self.user]
        # The first phase of a training may make what the second one uploads: mltk's own models do that.
        files = files_of(spec, layers, uploads=self.uploads, may_lack=spec.imports_mltk)
        settings = merge(self.given, layers, files.problems)
        project = self._project(spec.path, args) if _is_project(settings, spec) else None
        at = (project.start, project.word_for(spec.path)) if project else ()
        runner = runner_for_model(spec, command, args, settings, *at, model=model, clean=self.arguments.clean)
        return _Read(runner, settings, args, files, spec, project)

    def _project(self, script: str, words: Sequence[str]) -> Project:
        return project_of(script, words, uploads=self.uploads)


def prepare(arguments: Arguments, sandbox: Sandbox | None = None) -> Task:
    """Reads everything that a run depends on. Raises UsageError, and SettingsError with all that is wrong in files."""
    read = _Reader(arguments, sandbox).read().in_project()
    runner, settings, files, spec, project = read.runner, read.settings, read.files, read.spec, read.project
    implied = [item for item in _with_arguments(spec, runner) if item.name not in {item.name for item in files.uploads}]
    outputs = [parse_download(text) for text in runner.outputs]
    unrun: tuple[str, ...] = ()
    if sandbox is not None:
        # Nor are they stored with the job: whoever resumes it would run them.
        unrun = _texts(settings.shutdown_cmds)
        settings = settings.with_values(shutdown_cmds=()).with_login(sandbox_login(sandbox))
    of_directory = project or spec
    of_spec = (*spec.unread, *spec.warnings) if spec else ()
    return Task(
        runner=runner,
        settings=settings,
        results_directory=of_directory.results_directory if of_directory else os.getcwd(),
        args=tuple(read.args),
        unrun=unrun,
        spec=spec,
        uploads=files.uploads if arguments.resume else (*files.uploads, *implied),
        excluded=files.excluded,
        downloads=(*files.downloads, *outputs),
        protected=(spec.path,) if spec and not spec.is_model_file and not runner.rewrites else (),
        warnings=(
            *arguments.doubtful,
            *of_spec,
            *settings.warnings,
            *_uninstalled(settings),
            *files.warnings,
            *_unclean(arguments, runner),
        ),
        notices=tuple(project.notices) if project else (),
        project=project,
    )


def _is_project(settings: Settings, spec: Spec | None = None) -> bool:
    """Whether the whole project goes along; mltk's runner knows itself what a model needs."""
    return settings.project is not None and settings.project.value and not (spec and spec.imports_mltk)


def _spec_path(command: str, model: str, model_paths: Sequence[Sourced[str]]) -> str:
    """Raises UsageError: where there is no such model, a verb may have been meant, with its HOST, ID or NAME."""
    try:
        return find_spec(model, model_paths)
    except UsageError as error:
        if near := near_miss(command, [verb.name for verb in VERBS if verb.words]):
            error.hint = f"if {command} is to be a verb: did you mean sshrun {near}?"
        raise


def _with_computed(spec: Spec, arguments: Arguments) -> Spec:
    """The spec with all of its settings, those that it computes among them."""
    if not spec.unread:
        return spec
    try:
        return imported(spec) if arguments.import_spec else computed(spec)
    except SettingsError as error:
        if arguments.resume:  # what a setting depends on may be another now than when the job was started
            error.hint = "sshrun --resume alone uses the settings that are stored with the job"
        raise


def task_of(job: Job, record: Record, login: Login) -> Task:
    """The task of a job that is on a host, from what was stored with it: results go into the current directory.

    Raises UsageError where a newer version stored it.

    What this machine recorded when it started the job counts. One that was started elsewhere is known from the host
    alone, and a host names no local path outside of the current directory. Nor does a job of another directory, or of
    another client, replace a local file that was not downloaded from it.
    """
    manifest, warnings = (record.manifest(), ()) if record.begun else _confined(job.manifest)
    if manifest.version > MANIFEST_VERSION:
        raise UsageError(f"job {job.id} was started by a newer sshrun, which knows more of it", "update sshrun")
    origin = Origin("default", key="stored with the job")
    settings = Settings(login).with_values(
        remote_dir=Sourced(".", origin),
        create_venv=Sourced(False, origin),
        shutdown_cmds=tuple(Sourced(command, origin) for command in manifest.shutdown_cmds),
    )
    is_of_here = _started_in_this_directory(manifest, record)
    rewrites = manifest.spec if notebook.is_notebook(manifest.spec) else ""
    runner = Runner(
        name=manifest.runner,
        argv=manifest.argv,
        command=manifest.command,
        model=manifest.model,
        archive=manifest.archive or None,
        logs=stored_logs(manifest.runner_logs, os.getcwd()) if manifest.runner_logs else None,
        rewrites=rewrites if is_of_here else "",
    )
    kept = manifest.spec if not rewrites else ""
    return Task(
        runner=runner,
        settings=settings,
        results_directory=_stored_project(manifest, record) or os.getcwd(),
        downloads=tuple(parse_download(text) for text in manifest.download_files),
        owned=EVERYTHING if is_of_here else record,
        protected=(kept, os.path.join(os.getcwd(), os.path.basename(kept))) if kept else (),
        stored=manifest,
        warnings=warnings,
    )


def _stored_project(manifest: Manifest, record: Record) -> str:
    """The local directory of the project that a job is of, if it was started from this machine, and we are in it."""
    root, current = manifest.project, os.path.realpath(os.getcwd())
    if not (root and record.started and os.access(root, os.W_OK)):
        return ""
    return root if current == root or current.startswith(root.rstrip("/") + "/") else ""


def _started_in_this_directory(manifest: Manifest, record: Record) -> bool:
    """Whether the current directory is where the job was started from."""
    path = manifest.path or manifest.spec
    directory = path if manifest.runner in ("module", "program") else os.path.dirname(path)
    started_locally = record.started or manifest.client == this_client().name
    return started_locally and os.path.realpath(directory) == os.path.realpath(os.getcwd())


def _confined(manifest: Manifest) -> tuple[Manifest, tuple[str, ...]]:
    """A manifest whose downloads go into the current directory, and a warning for each that names another."""
    kept, warnings = [], []
    for text in manifest.download_files:
        try:
            pattern = parse_download(text)
        except ValueError as error:
            warnings.append(f"{visible(text)} is not downloaded: {error}")
            continue
        if pattern.leaves_directory:
            name = os.path.basename(pattern.source.rstrip("/"))
            warnings.append(
                f"{visible(text)} is downloaded as {visible(name)} into this directory: another client named that path"
            )
            text = f"{pattern.source}|./{name}"
        kept.append(text)
    name = os.path.basename(manifest.archive)
    archive = manifest.archive if name not in ("", ".", "..", os.path.basename(manifest.spec)) else ""
    return manifest._replace(download_files=tuple(kept), archive=archive), tuple(warnings)


def _uninstalled(settings: Settings) -> tuple[str, ...]:
    """A warning where packages are named and no environment is made to install them into."""
    if settings.create_venv.value or not settings.requirements:
        return ()
    first, where = settings.requirements[0].origin, settings.create_venv.origin
    return (f"{first}: these packages are not installed, since create_venv is false ({where})",)


def _with_arguments(spec: Spec | None, runner: Runner) -> Iterator[Item]:
    """What is uploaded because of what the command is: the trained model, and files that its arguments name.

    The archive is in the results directory, or where MLTK expects it: beside the spec.
    """
    if spec and runner.sends_archive and runner.archive and not spec.is_model_file:
        candidates = [
            os.path.join(directory, os.path.basename(runner.archive))
            for directory in (spec.results_directory, spec.directory)
        ]
        path = next(filter(os.path.isfile, candidates), None)
        if path:
            yield local_item(path, runner.archive)
    yield from select_local([parse_upload(text) for text in runner.inputs], os.getcwd()).items


def _unclean(arguments: Arguments, runner: Runner) -> Iterator[str]:
    if arguments.clean and runner.sends_archive:
        yield f"--clean removes nothing: {runner.command} needs what train has made"


def _log_copy(runner: Runner) -> str:
    """Where `mltk ssh` writes what the command printed: utils/ssh/mltk_command.py, remote_cmd_log_file."""
    if runner.logs is None:
        return ""
    words = "_".join(word.replace("/", "_") for word in (runner.command, runner.model))
    return os.path.join(runner.logs.local, f"mltk_ssh_{words}.log")


def _defaults() -> Iterator[str]:
    """Variables that a job gets where nothing else sets them.

    Python keeps what it prints for itself where it sees no terminal: a log would get it late, or, of a job that is
    killed, never. Progress bars ask for the width; tqdm, up to 4.67, believes COLUMNS only together with LINES.
    """
    yield "PYTHONUNBUFFERED=1"
    terminal = size()
    if terminal is not None:
        yield f"COLUMNS={terminal.columns}"
        yield f"LINES={terminal.lines}"


def _texts(entries: tuple[Sourced[str], ...]) -> tuple[str, ...]:
    return tuple(entry.value for entry in entries)
