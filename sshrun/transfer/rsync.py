"""Files by rsync(1): sends what changed within a file, goes on with one that was cut off, verifies each as a whole.

It renames what is whole by itself, so an upload goes to its place directly; a download goes through the staging
directory.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sshrun.errors import TransferFailed
from sshrun.process import PIPE, Child, capture, spawn
from sshrun.session.protocol import decode
from sshrun.session.session import Session
from sshrun.transfer.comparison import same_time
from sshrun.transfer.engine import (
    REPLY_TIMEOUT,
    Arrived,
    NoSpace,
    SessionRefused,
    SharedConnection,
    Step,
    count_files,
    failure,
    limited,
)
from sshrun.transfer.items import PARTIAL_PREFIX, Item
from sshrun.transfer.staging import Staging

Version = tuple[int, ...]

OLDEST: Version = (3, 0, 0)  # --protect-args, without which names would go through a remote shell
_PROGRESS: Version = (3, 1, 0)
_STOP = 3.0  # seconds to put away what has arrived of a file, for the next time
_ERRORS = 1 << 16

_VANISHED = 24  # exit status: some files were gone before it came to them


class Rsync:
    """The engine. `local` is the version of the local rsync."""

    name = "rsync"

    def __init__(self, session: Session, connection: SharedConnection, local: Version, *, compress: bool) -> None:
        self.session = session
        self.connection = connection
        self.local = local
        self.compress = compress

    def upload(self, root: str, items: Sequence[Item]) -> Iterator[Step]:
        self.session.request("rsync", root)
        temporary = os.fsdecode(decode(self.session.reply().values))
        options = [
            f"--temp-dir={temporary}",
            "--chmod=a-st,Du+rwx",  # directories stay ours to write to
        ]
        renamed = [item for item in items if item.path != item.name]
        try:
            with _under_new_names(renamed) as directory:
                groups = [
                    *_by_base(item for item in items if item.path == item.name),
                    *([(directory, renamed)] if renamed else []),
                ]
                for base, group in groups:
                    for part, holes in self._by_holes(group):
                        argv = [*self._argv(), *holes, *options, "--", f"{base}/", self._remote(root)]
                        yield from self._run(argv, [item.name for item in part], fine=(0,))
                        yield Step(files=count_files(part))
        except NoSpace:
            self._tidy(root, keep=False)
            raise
        except (TransferFailed, SessionRefused):
            self._tidy(root, keep=True)
            raise
        self._tidy(root, keep=True)

    def _tidy(self, root: str, *, keep: bool) -> None:
        """After a lost connection nobody answers it, and the next transfer goes on with what is left."""
        self.session.request("tidy", root, str(int(keep)))
        self.session.reply(timeout=REPLY_TIMEOUT)

    def download(self, base: str, items: Sequence[Item], staging: Staging) -> Iterator[Step | Arrived]:
        import hashlib

        # What is cut off stays for the next time.
        staging.keep = True
        name = f"rsync-{hashlib.sha256(os.fsencode(base)).hexdigest()[:10]}"
        target = staging.subdirectory(name)
        # Directories are ours to write to, and files to read, whatever their mode is: a file's own comes with its name.
        argv = [*self._argv(), "--chmod=Du+rwx,Fu+r"]
        if all(item.path == item.name for item in items):
            # Never takes the place of what is asked for (--ignore-times), but only what changed in it travels.
            argv.append(f"--compare-dest={staging.root}")
        argv += ["--", self._remote(base), f"{target}/"]
        argv = limited(argv, max(item.size for item in items))
        at = argv.index("--")
        failed = None
        try:
            for part, holes in self._by_holes(items):
                yield from self._run(
                    [*argv[:at], *holes, *argv[at:]], [item.path for item in part], fine=(0, _VANISHED)
                )
        except NoSpace:
            staging.keep = False
            raise
        except TransferFailed as error:
            failed = error  # one file that may not be read keeps no other from being downloaded
        staging.keep = failed is not None
        for item in items:
            path = f"{name}/{item.path}"
            try:
                if failed is not None and not _is_complete(item, staging.open(path)):
                    continue
                staging.adopt(path, item)
            except FileNotFoundError:
                continue
            yield Arrived(item, path)
        if failed is not None:
            raise failed

    def _by_holes(self, items: Sequence[Item]) -> Iterator[tuple[Sequence[Item], list[str]]]:
        """Files without holes and files with, and the options for these.

        rsync knows no holes on the way: compressed they take next to nothing. In a file that has none, no zeros are to
        become some.
        """
        others = [item for item in items if not item.is_sparse]
        if others:
            yield others, []
        sparse = [item for item in items if item.is_sparse]
        if sparse:
            yield sparse, ["-S"] if self.compress else ["-S", "-z"]  # -z twice is another method

    def _argv(self) -> list[str]:
        """Sends what is listed, whatever its time and size: what is unchanged was left out before.

        The sender resolves links (-L), the receiver takes neither links nor devices: -l, -D and so -a are not used.
        """
        argv = [
            "rsync",
            "-ptLIs",
            "--files-from=-",
            "--from0",
            f"--partial-dir={PARTIAL_PREFIX}",
            f"--timeout={REPLY_TIMEOUT:.0f}",
        ]
        if self.local >= _PROGRESS:
            argv += ["--info=progress2", "--no-human-readable", "--outbuf=Line"]
        if self.compress:
            argv.append("-z")
        shell = self.connection.remote_shell()
        if self.session.noise:
            nonce = os.urandom(16).hex()
            shell = [sys.executable, "-P", "-m", "sshrun.transfer.rsync_shell", nonce, *shell]
            argv.append(f"--rsync-path=echo {nonce} && rsync")
        return [*argv, "-e", " ".join(map(_quoted, shell))]

    def _remote(self, directory: str) -> str:
        target = self.connection.target
        return f"[{target}]:{directory}/" if ":" in target else f"{target}:{directory}/"

    def _run(self, argv: Sequence[str], names: Sequence[str], fine: Sequence[int]) -> Iterator[Step]:
        """Raises SessionRefused, ConnectionFailed, TransferFailed for an exit status that is not `fine`."""
        import tempfile

        # rsync reads its own variables too, and some would weaken these options.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RSYNC_")}
        with tempfile.TemporaryFile() as listed:
            listed.write(b"".join([b"%b\0" % os.fsencode(name) for name in names]))
            listed.seek(0)
            child = spawn(argv, stdin=listed.fileno(), stdout=PIPE, stderr=PIPE, session=True, env=environment)
        errors = bytearray()
        try:
            done = 0
            for line in _lines(self.session, child, errors):
                count = line.split(None, 1)[:1]
                if count and count[0].isdigit():
                    yield Step(bytes=int(count[0]) - done)
                    done = int(count[0])
            status = child.wait()
        finally:
            _end(child)
        if status not in fine:
            raise failure(self.session, "rsync", errors.decode("utf-8", "replace"))


def version(line: str) -> Version:
    """The version that `rsync --version` begins with; () for another program: macOS has openrsync under this name."""
    words = line.split()
    if words[:2] != ["rsync", "version"]:
        return ()
    return tuple(int(number) for number in words[2].lstrip("v").split(".") if number.isdigit())


def local_version() -> Version:
    try:
        return version(capture(["rsync", "--version"]).output.decode("ascii", "replace"))
    except FileNotFoundError:
        return ()


def _by_base(items: Iterable[Item]) -> list[tuple[str, list[Item]]]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.base, []).append(item)
    return list(groups.items())


@contextmanager
def _under_new_names(items: Sequence[Item]) -> Iterator[str]:
    """A directory in which links have the names that files get on the host: rsync resolves links, and cannot rename."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="sshrun-") as directory:
        for item in items:
            path = os.path.join(directory, item.name)
            if item.is_directory:
                os.makedirs(path, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.symlink(item.source, path)
        yield directory


def _is_complete(item: Item, descriptor: int) -> bool:
    """Whether a file is the item, and not what an earlier transfer, which was cut off, had of an older one."""
    status = os.fstat(descriptor)
    os.close(descriptor)
    return status.st_size == item.size and same_time(item.mtime_ns, status.st_mtime_ns)


def _quoted(word: str) -> str:
    """As rsync splits -e: at blanks, with quotes, in which two mean one; there is no other escape."""
    return word if word and not set(word) & set(" \t\"'") else "'" + word.replace("'", "''") + "'"


def _lines(session: Session, child: Child, errors: bytearray) -> Iterator[bytes]:
    """Lines of standard output, progress included, until the program closes it; its errors go to `errors`.

    Raises ConnectionFailed where neither it nor the session sends anything for too long.
    """
    assert child.stdout is not None and child.stderr is not None
    poll = select.poll()
    poll.register(child.stdout, select.POLLIN)
    poll.register(child.stderr, select.POLLIN)
    open_ends = 2
    rest = b""
    while open_ends:
        for descriptor, _ in session.watch(poll):
            data = os.read(descriptor, 1 << 16)
            if not data:
                poll.unregister(descriptor)
                open_ends -= 1
            elif descriptor == child.stderr:
                if len(errors) < _ERRORS:
                    errors += data
            else:
                *lines, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
                rest = rest[-_ERRORS:]
                yield from lines


def _end(child: Child) -> None:
    if child.poll() is None:
        # rsync keeps what it has of a file, so that the next one can go on from it.
        os.kill(child.pid, signal.SIGTERM)
        try:
            child.wait(timeout=_STOP)
        except TimeoutError:
            child.kill()
    child.close()
