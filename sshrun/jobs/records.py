"""This machine's own copy of jobs: `~/.sshrun/jobs/ID/` with the log, byte for byte, and what is known of the job."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sshrun import dirs
from sshrun.errors import OutputFailed
from sshrun.job import Manifest, manifest_from_data, manifest_to_data

KEEP = 20  # jobs; older ones are pruned
Stamp = list[int]
MANIFEST_FILES = ("manifest", "facts")  # the second was written before manifests had a version


class Record:
    """The copy of one job. What writes to it raises OutputFailed where that cannot be done."""

    def __init__(self, job_id: str) -> None:
        self.id = job_id
        self.directory = jobs_directory() / job_id
        self.log = self.directory / "log"
        self._descriptor: int | None = None

    def make(self) -> None:
        with _writing(self.directory):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def begun(self) -> bool:
        """Whether the host has confirmed that it holds the job."""
        return any((self.directory / name).exists() for name in MANIFEST_FILES)

    @property
    def log_size(self) -> int:
        """Bytes of the local copy of the log."""
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            return 0

    def log_end(self, limit: int = 4096) -> bytes:
        """The last bytes of the local copy of the log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log_size - limit))
                return file.read()
        except OSError:
            return b""

    def write_log(self, data: bytes, offset: int) -> None:
        """Adds to the log: written before it is shown, so that what was seen once is never asked for again.

        Not appended: two that follow the same job each write the same bytes to the same place.
        """
        with _writing(self.log):
            if self._descriptor is None:
                self.make()
                self._descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT, 0o600)
            view = memoryview(data)
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                view, offset = view[written:], offset + written

    def copy_log(self, path: str) -> None:
        """A copy for whoever looks for the log beside other files; never seen half-written."""
        import shutil

        new = f"{path}.{os.getpid()}"
        with _writing(Path(path)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                shutil.copyfile(self.log, new) if self.log.exists() else Path(new).touch()
                os.replace(new, path)
            finally:
                Path(new).unlink(missing_ok=True)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def write(self, name: str, text: str) -> None:
        """Writes a small file of the record whole."""
        with _writing(self.directory / name):
            self.make()
            new = self.directory / f"{name}.{os.getpid()}"
            new.write_text(text, encoding="utf-8", errors="surrogateescape")
            new.replace(self.directory / name)

    def read(self, name: str) -> str | None:
        try:
            return (self.directory / name).read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return None

    def write_manifest(self, manifest: Manifest) -> None:
        import json

        self.write(MANIFEST_FILES[0], json.dumps(manifest_to_data(manifest)))

    def manifest(self) -> Manifest:
        """The manifest as it was written; an empty one where there is none, or another program's."""
        import json

        try:
            text = next(filter(None, map(self.read, MANIFEST_FILES)), "{}")
            return manifest_from_data(json.loads(text))
        except (ValueError, TypeError):
            return Manifest()

    @property
    def retrieved(self) -> bool:
        """Whether all of the results are downloaded."""
        return (self.directory / "retrieved").exists()

    @property
    def code(self) -> int | None:
        """What the job ended with, once it is retrieved; None for one that was lost."""
        text = self.read("retrieved")
        return int(text) if text else None

    def mark_retrieved(self, code: int | None) -> None:
        self.write("retrieved", "" if code is None else str(code))

    @property
    def started(self) -> bool:
        """Whether it was this client that started the job."""
        return (self.directory / "started").exists()

    def mark_started(self, manifest: Manifest) -> None:
        self.write("started", "")
        self.write_manifest(manifest)

    @property
    def discarded(self) -> str | None:
        """Who discarded the job from elsewhere, as far as the host has told us; None for one that was not."""
        return self.read("discarded")

    def mark_discarded(self, how: str) -> None:
        self.write("discarded", how)

    @property
    def open(self) -> bool:
        """Whether there is something to come of the job yet."""
        return self.begun and not self.retrieved and self.discarded is None

    def came_to(self, directory: str) -> bool:
        """Whether the results of a job that is retrieved went to a directory. Older versions did not write it down."""
        directories = self.read("directories")
        return directories is None or os.path.realpath(directory) in directories.split("\0")

    def note_directory(self, directory: str) -> None:
        known = (self.read("directories") or "").split("\0")
        self.write("directories", "\0".join(dict.fromkeys(filter(None, (*known, os.path.realpath(directory))))))

    reason = "is not from this job"  # said of a file that it does not own

    def owns(self, path: str) -> bool:
        """Whether what stands at a local path is a file that came from this job, and was not changed since."""
        return self._downloads().get(path) == stamp(path)

    def note_downloads(self, paths: Iterable[str]) -> None:
        self.note_stamps({path: stamp(path) for path in paths})

    def note_stamps(self, stamps: Mapping[str, Stamp]) -> None:
        """From now on these files are owned, as long as they are what they were when the stamps were taken."""
        import json

        downloads = self._downloads() | {path: taken for path, taken in stamps.items() if taken}
        self.write("downloads", json.dumps(downloads))

    def _downloads(self) -> dict[str, Stamp]:
        import json

        downloads = json.loads(self.read("downloads") or "{}")
        return downloads if isinstance(downloads, dict) else {}


def stamp(path: str) -> Stamp:
    """What changes with the content of a file; nothing where there is no file."""
    try:
        status = os.lstat(path)
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def jobs_directory() -> Path:
    return Path(dirs.records())


def records() -> Iterator[Record]:
    """All records, the latest first."""
    try:
        names = sorted(os.listdir(jobs_directory()), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        yield Record(name)


def prepare() -> None:
    """Sees to it that records can be kept, as long as there is no job yet. Raises OutputFailed."""
    with _writing(jobs_directory(), "what comes of a job is kept there: make it a directory of yours"):
        jobs_directory().mkdir(mode=0o700, parents=True, exist_ok=True)


def prune(keep: int = KEEP) -> None:
    """Removes the oldest records of jobs of which nothing more can come, down to `keep`."""
    import shutil

    for record in list(records())[keep:]:
        if record.retrieved or record.discarded is not None:
            shutil.rmtree(record.directory, ignore_errors=True)


@contextmanager
def _writing(path: Path, *hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputFailed(str(path), error, *hint) from error
