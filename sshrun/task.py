"""What a command line means, once the spec and all settings are read: the task that a host is to be given."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sshrun import paths
from sshrun.environment import Environment
from sshrun.errors import SettingsError
from sshrun.host import Login
from sshrun.job import Facts, Job, facts_to_data
from sshrun.mixin import stand_in
from sshrun.model import Spec, computed, find_script, find_spec, imported, read_script, read_spec
from sshrun.options import options, sandbox_login
from sshrun.plan import Homecoming, Start
from sshrun.runner import Runner, runner_for_model, runner_for_program, runner_for_script, stored_logs
from sshrun.settings import Layer, Settings, merge, merge_for_program
from sshrun.settings_files import load_project_file, load_requires_python, load_user_file
from sshrun.sources import Origin, Sourced
from sshrun.terminal import size, visible

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.records import Record
    from sshrun.sandbox import Sandbox


class Task(NamedTuple):
    """`home` is the folder here that results come to; `uploads` are the files that go there.

    `args` are what was typed behind the model, the script or the program.
    `unrun` are the shutdown commands that a sandbox does not run, since it is the very machine that they would stop.
    """

    runner: Runner
    settings: Settings
    home: str
    args: tuple[str, ...] = ()
    unrun: tuple[str, ...] = ()
    spec: Spec | None = None
    uploads: tuple[paths.Item, ...] = ()
    excluded: tuple[tuple[paths.Pattern, tuple[paths.Item, ...]], ...] = ()
    downloads: tuple[paths.Pattern, ...] = ()
    protected: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    facts_there: Facts | None = None  # of a job that is there already
    owned: Callable[[str], bool] | None = None  # see Homecoming

    @property
    def facts(self) -> Facts:
        """What is stored with the job, so that any client can bring its results home. Nothing of the environment."""
        if self.facts_there is not None:
            return self.facts_there
        client = this_client()
        return Facts(
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
            log_folder=self.runner.logs.to_data() if self.runner.logs else None,
        )

    @property
    def homecoming(self) -> Homecoming:
        from pathlib import Path

        return Homecoming(
            home=Path(self.home),
            archive=self.runner.archive or "",
            archive_sent=self.runner.sends_archive,
            logs=self.runner.logs,
            log_copy=_log_copy(self.runner),
            downloads=self.downloads,
            shutdown_cmds=_texts(self.settings.shutdown_cmds),
            protected=self.protected,
            owned=self.owned,
            engine=self.settings.transfer.value if self.settings.transfer else None,
            compress=self.settings.compress.value if self.settings.compress else None,
        )

    def start(self, job_id: str, *, discard: bool, clean: bool) -> Start:
        """What the host is given, under the id `job_id`."""
        import json

        return Start(
            id=job_id,
            folder=self.settings.remote_dir.value,
            facts=self.facts,
            files={
                "environment": [f"{variable.name}={variable.value}" for variable in self.settings.environment],
                "startup": _texts(self.settings.startup_cmds),
                "command": self.runner.argv,
                "defaults": list(_defaults()),
                "ending": [f"{self.settings.stop_grace.value} {self.settings.leftovers.value}"],
                "facts": [json.dumps(facts_to_data(self.facts))],
                **({"variable": (self.runner.logs.variable,)} if self.runner.logs else {}),
            },
            environment=Environment.of(self.settings, self.runner),
            stand_in=stand_in() if self.spec and self.spec.imports_sshrun else b"",
            uploads=self.uploads,
            downloads=self.downloads,
            engine=self.settings.transfer.value if self.settings.transfer else None,
            compress=self.settings.compress.value if self.settings.compress else None,
            requires_python=self._requires_python(),
            discard=discard,
            clean=clean and not self.runner.sends_archive,
        )

    def _requires_python(self) -> Sourced[str] | None:
        if self.spec is None or self.spec.is_model_file or not self.settings.create_venv.value:
            return None
        return load_requires_python(self.spec.path)

    def clean_here(self) -> None:
        """Removes what an earlier run of the model left here: its archive and its runner's logs.

        Not what the job needs: of mltk's commands only `train` begins anew.
        """
        if self.runner.sends_archive:
            return
        import shutil
        from pathlib import Path

        if self.runner.archive:
            archive = Path(self.home, Path(self.runner.archive).name)
            if archive.is_file() or archive.is_symlink():
                archive.unlink()
        if self.runner.logs:
            logs = Path(self.runner.logs.here).resolve()
            # A spec may choose any folder for its logs, also one that holds everything else.
            if not any(Path(kept).resolve().is_relative_to(logs) for kept in (self.home, os.getcwd(), Path.home())):
                shutil.rmtree(logs, ignore_errors=True)


def prepare(arguments: Arguments, sandbox: Sandbox | None = None) -> Task:
    """Reads everything that a run depends on. Raises UsageError, and SettingsError with all that is wrong in files."""
    user = load_user_file()
    said = options(arguments, sandbox)
    spec: Spec | None = None
    files = _Files()
    # Nothing is uploaded where a job is there already: what was sent for it may be gone from here.
    uploads = not arguments.resume
    if arguments.verb == "program":
        args = list(arguments.words[1:])
        settings = merge_for_program(said, [load_project_file(os.getcwd()), user])
        runner = runner_for_program(arguments.words)
    elif arguments.verb == "run":
        script, *args = arguments.words
        spec = read_script(find_script(script))
        files = _files(spec, [*spec.layers, user], uploads=uploads)
        settings = merge(said, [files.flaws, *spec.layers, user])
        runner = runner_for_script(spec, args, settings)
    else:
        command, model, *args = arguments.words
        spec = _with_computed(read_spec(find_spec(model, user.model_paths)), arguments)
        # The first phase of a training may make what the second one uploads: mltk's own models do that.
        files = _files(spec, [*spec.layers, user], uploads=uploads, may_lack=spec.imports_mltk)
        settings = merge(said, [files.flaws, *spec.layers, user])
        runner = runner_for_model(spec, command, args, settings, model=model, clean=arguments.clean)
    along = [item for item in _with_arguments(spec, runner) if item.name not in {item.name for item in files.uploads}]
    outputs = [paths.parse_download(text) for text in runner.outputs]
    unrun: tuple[str, ...] = ()
    if sandbox is not None:
        # Nor are they stored with the job: whoever resumes it would run them.
        unrun = _texts(settings.shutdown_cmds)
        settings = settings._replace(login=sandbox_login(sandbox), shutdown_cmds=())
    uninstalled = _uninstalled(settings)
    of_spec = (*spec.unread, *spec.warnings) if spec else ()
    return Task(
        runner=runner,
        settings=settings,
        home=spec.home if spec else os.getcwd(),
        args=tuple(args),
        unrun=unrun,
        spec=spec,
        uploads=(*files.uploads, *along) if uploads else files.uploads,
        excluded=files.excluded,
        downloads=(*files.downloads, *outputs),
        protected=(spec.path,) if spec and not spec.is_model_file else (),
        warnings=(
            *arguments.doubtful,
            *of_spec,
            *settings.warnings,
            *uninstalled,
            *files.warnings,
            *_unclean(arguments, runner),
        ),
    )


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
    """The task of a job that is on a host, from what was stored with it: results come to the current folder.

    What this machine wrote down itself when it started the job counts. Of one that was started elsewhere only the host
    can tell, and a host names no place here outside of the current folder. Nor does a job of another folder, or of
    another client, replace what it did not bring itself.
    """
    facts, warnings = (record.facts(), ()) if record.begun else _confined(job.facts)
    origin = Origin("default", key="stored with the job")
    settings = Settings(
        login=login,
        remote_dir=Sourced(".", origin),
        create_venv=Sourced(False, origin),
        shutdown_cmds=tuple(Sourced(command, origin) for command in facts.shutdown_cmds),
    )
    runner = Runner(
        name=facts.runner,
        argv=facts.argv,
        command=facts.command,
        model=facts.model,
        archive=facts.archive or None,
        logs=stored_logs(facts.log_folder, os.getcwd()) if facts.log_folder else None,
    )
    return Task(
        runner=runner,
        settings=settings,
        home=os.getcwd(),
        downloads=tuple(paths.parse_download(text) for text in facts.download_files),
        owned=None if _belongs_here(facts, record) else record.downloaded,
        protected=(facts.spec, os.path.join(os.getcwd(), os.path.basename(facts.spec))) if facts.spec else (),
        facts_there=facts,
        warnings=warnings,
    )


def _belongs_here(facts: Facts, record: Record) -> bool:
    """Whether the current folder is where the job was started from."""
    path = facts.path or facts.spec
    folder = path if facts.runner == "program" else os.path.dirname(path)
    started_here = record.started or facts.client == this_client().name
    return started_here and os.path.realpath(folder) == os.path.realpath(os.getcwd())


class Client(NamedTuple):
    """Who starts jobs: a user of this machine."""

    user: str
    name: str


def this_client() -> Client:
    import pwd
    import socket

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an account that only a container's runtime knows
        user = str(os.getuid())
    return Client(user, socket.gethostname())


def _confined(facts: Facts) -> tuple[Facts, tuple[str, ...]]:
    """Facts whose downloads come to the current folder, and a warning for each that is to come elsewhere."""
    kept, warnings = [], []
    for text in facts.download_files:
        try:
            pattern = paths.parse_download(text)
        except ValueError as error:
            warnings.append(f"{visible(text)} is not brought home: {error}")
            continue
        if pattern.leaves_home:
            name = os.path.basename(pattern.source.rstrip("/"))
            warnings.append(f"{visible(text)} comes to {visible(name)} in this folder: another client named that place")
            text = f"{pattern.source}|./{name}"
        kept.append(text)
    name = os.path.basename(facts.archive)
    archive = facts.archive if name not in ("", ".", "..", os.path.basename(facts.spec)) else ""
    return facts._replace(download_files=tuple(kept), archive=archive), tuple(warnings)


def _uninstalled(settings: Settings) -> tuple[str, ...]:
    """A warning where packages are named and nothing is there to install them into."""
    if settings.create_venv.value or not settings.requirements:
        return ()
    first, where = settings.requirements[0].origin, settings.create_venv.origin
    return (f"{first}: these packages are not installed, since create_venv is false ({where})",)


class _Files(NamedTuple):
    """`flaws` holds what is wrong with what settings name, to be told together with what is wrong with themselves."""

    uploads: tuple[paths.Item, ...] = ()
    downloads: tuple[paths.Pattern, ...] = ()
    excluded: tuple[tuple[paths.Pattern, tuple[paths.Item, ...]], ...] = ()
    warnings: tuple[str, ...] = ()
    flaws: Layer = Layer()


def _files(spec: Spec, layers: Sequence[Layer], *, uploads: bool, may_lack: bool = False) -> _Files:
    """The files to upload, the spec first, and the patterns to download.

    What a spec names and is not there is wrong, unless it `may_lack` them.
    """
    problems: list[str] = []
    warnings: list[str] = []
    in_effect = layers[::-1]
    named = [entry for layer in in_effect for entry in layer.upload_files] if uploads else []
    parsed = list(_parsed(named, _directory, paths.parse_upload, problems))
    origins = dict(parsed)
    selection = paths.select_local([pattern for pattern, _ in parsed], spec.folder)
    for pattern in selection.unmatched:
        origin = origins[pattern]
        line = f"{origin}: {pattern.text!r} matches nothing in {pattern.sender or spec.folder}"
        is_wrong = origin.layer in ("spec", "script block") and not may_lack
        (problems if is_wrong else warnings).append(line)
    named = [entry for layer in in_effect for entry in layer.download_files]
    downloads = [pattern for pattern, _ in _parsed(named, _writable_directory, paths.parse_download, problems)]
    # The spec always goes along, whatever else is named like it.
    itself = paths.item(spec.path, os.path.basename(spec.path))
    items = (itself, *(item for item in selection.items if (item.root, item.name) != (itself.root, itself.name)))
    return _Files(
        items,
        tuple(downloads),
        selection.excluded,
        (*selection.warnings, *warnings),
        Layer(problems=tuple(problems)),
    )


def _directory(origin: Origin) -> str:
    """Where the local side of a pattern begins: a project file's own directory, "" for the spec's."""
    return os.path.dirname(origin.file) if origin.layer == "project file" else ""


def _writable_directory(origin: Origin) -> str:
    """The same for results, which come to the spec's home where the project cannot take them."""
    directory = _directory(origin)
    return directory if directory and os.access(directory, os.W_OK) else ""


def _with_arguments(spec: Spec | None, runner: Runner) -> Iterator[paths.Item]:
    """What goes along because of what the command is: the trained model, and files that its arguments name.

    The archive is where results come to, or where MLTK looks for it: beside the spec.
    """
    if spec and runner.sends_archive and runner.archive and not spec.is_model_file:
        candidates = [os.path.join(folder, os.path.basename(runner.archive)) for folder in (spec.home, spec.folder)]
        path = next(filter(os.path.isfile, candidates), None)
        if path:
            yield paths.item(path, runner.archive)
    yield from paths.select_local([paths.parse_upload(text) for text in runner.inputs], os.getcwd()).items


def _unclean(arguments: Arguments, runner: Runner) -> Iterator[str]:
    if arguments.clean and runner.sends_archive:
        yield f"--clean removes nothing: {runner.command} needs what train has left"


def _log_copy(runner: Runner) -> str:
    """Where `mltk ssh` leaves what the command printed: utils/ssh/mltk_command.py, remote_cmd_log_file."""
    if runner.logs is None:
        return ""
    words = "_".join(word.replace("/", "_") for word in (runner.command, runner.model))
    return os.path.join(runner.logs.here, f"mltk_ssh_{words}.log")


def _parsed(
    entries: Sequence[Sourced[str]],
    directory: Callable[[Origin], str],
    parse: Callable[[str, str], paths.Pattern],
    problems: list[str],
) -> Iterator[tuple[paths.Pattern, Origin]]:
    for entry in entries:
        try:
            yield parse(entry.value, directory(entry.origin)), entry.origin
        except ValueError as error:
            problems.append(f"{entry.origin}: {error}")


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
