"""The only printer: the job's output and data go to stdout, sshrun's own messages go to stderr."""

from __future__ import annotations

import codecs
import errno
import os
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from sshrun.errors import OutputFailed, SshrunError
from sshrun.events import (
    VERSION,
    Event,
    JobChanged,
    LoggingIn,
    LoginMessage,
    Notice,
    Output,
    PasswordRefused,
    Phase,
    Results,
    Started,
    TransferProgress,
    WarningNotice,
    to_data,
)
from sshrun.interrupts import Interrupted
from sshrun.terminal import TerminalFilter, visible
from sshrun.units import files_text
from sshrun.waiting import LiveLine, Waiting, can_erase, columns_of

if TYPE_CHECKING:
    from sshrun.table import Sheet, Table

Result = TypeVar("Result")

BAR_PAUSE = 0.5  # seconds that a transfer may take without a bar being drawn
PROGRESS_PAUSE = 10.0  # seconds between two lines of progress where there is no terminal


class Console:
    """Text for a person. stdout stays as raw as the job's output, unless it is a terminal."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        self.verbose = verbose
        self.quiet = quiet
        self._filter = TerminalFilter() if os.isatty(1) else None
        live = LiveLine(2, self._write_ours) if os.isatty(2) and can_erase() else None
        self._waiting = Waiting(lambda phase: self._line(phase.text), live)
        self._amid_line = False  # of the log, where our own lines would go on with it
        self._bar: Any = None
        self._moving_since: float | None = None
        self._progress_shown = 0.0

    def notice(self, text: str) -> None:
        """A line that -q leaves out."""
        if not self.quiet:
            self._line(text)

    def detail(self, text: str) -> None:
        """A line for -v."""
        if self.verbose:
            self._line(text)

    def warn(self, text: str) -> None:
        self._line(f"warning: {text}")

    def relay(self, text: str) -> None:
        """A line of somebody else's, shown even with -q: it may ask for something to be done."""
        self._put(f"{visible(text)}\n")

    def _try_again(self, text: str) -> None:
        if os.isatty(2):
            # ssh writes its question by itself, so that this may come before it or after it: on one line with it.
            _write(2, f"({visible(text)}) ".encode("utf-8", "surrogateescape"))
        else:
            self.relay(text)

    def fail(self, error: SshrunError) -> None:
        first, *others = error.message.splitlines() or [""]
        self._line(first if others or not error.hint else f"{first} ({error.hint})")
        for line in others:
            self._line(line)
        if others and error.hint:
            self._line(error.hint)
        for line in error.details.splitlines():
            self.detail(line)

    def data(self, text: str) -> None:
        """A line of what was asked for."""
        self._write_data(f"{text}\n")

    def _write_data(self, lines: str) -> None:
        with self._alone():
            self._make_room()
            self._waiting.shown()
            _write(1, lines.encode("utf-8", "surrogateescape"))

    def table(self, table: Table | Sheet) -> None:
        """What was asked for, in columns."""
        if os.isatty(1):
            self._write_data(table.drawn(columns_of(1)))
        else:
            for line in table.plain():
                self.data(line)

    def record(self, fields: dict[str, Any]) -> None:
        """One object of data that is meant for programs: nothing for a person."""

    def show(self, event: Event) -> None:
        """Shows what happens on the way, and while nothing does, what is waited for."""
        with self._alone():
            self._show(event)

    def _show(self, event: Event) -> None:
        if isinstance(event, Output):
            self._show_log(event.data)
        elif isinstance(event, Phase | LoggingIn):
            if not self.quiet:
                self._waiting.begin(event)
        elif isinstance(event, Notice):
            self.notice(event.text.rstrip("\n"))
        elif isinstance(event, WarningNotice):
            self.warn(event.text)
        elif isinstance(event, LoginMessage):
            self.relay(event.text)
        elif isinstance(event, PasswordRefused):
            self._try_again(event.text)
        elif isinstance(event, TransferProgress):
            self._progress(event)
        elif isinstance(event, Started):
            self.notice(f"job {event.id} is on {event.host}")
        elif isinstance(event, JobChanged):
            self.detail(f"job {event.job.id}: {event.job.state} {event.job.phase}".rstrip())
        elif isinstance(event, Results):
            self.notice(f"downloaded {event.text}")

    def play(self, steps: Generator[Event, None, Result]) -> Result:
        """Carries steps through and shows what happens; returns what they return.

        Interrupted is raised into the steps also where it comes while an event is shown: they know what to report.
        """
        interrupted: Interrupted | None = None
        try:
            while True:
                try:
                    event = next(steps) if interrupted is None else steps.throw(interrupted)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                interrupted = None
                try:
                    self.show(event)
                except Interrupted as error:
                    interrupted = error
        finally:
            self._waiting.end()

    def finish(self) -> None:
        """Writes what is still held back of the job's output."""
        self._waiting.end()
        self._end_bar()
        if self._filter is not None:
            with suppress(Interrupted, OutputFailed):
                _write(1, self._filter.flush())

    def _show_log(self, data: bytes) -> None:
        self._make_room()
        _write(1, data if self._filter is None else self._filter.feed(data))
        if self._filter is not None:
            self._waiting.shown()
            self._amid_line = os.isatty(2) and not data.endswith(b"\n")

    def _progress(self, event: TransferProgress) -> None:
        now = time.monotonic()
        if event.finished:
            self._end_bar()
            self._moving_since = None
            self.detail(_moved_text(event))
            return
        if self._moving_since is None:
            self._moving_since = self._progress_shown = now
        if self.quiet:
            return
        if not os.isatty(2):
            if now - self._progress_shown >= PROGRESS_PAUSE:
                self._progress_shown = now
                self._line(_moved_text(event))
        elif self._bar is not None or now - self._moving_since >= BAR_PAUSE:
            self._draw(event)

    def _draw(self, event: TransferProgress) -> None:
        if self._bar is None:
            from rich import progress
            from rich.console import Console as RichConsole

            self._make_room()
            self._bar = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(),
                progress.DownloadColumn(binary_units=True),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
                console=RichConsole(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(event.direction, total=event.total)
            self._bar.start()
        self._bar.update(self._task, completed=event.done, total=event.total)

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nothing else is written meanwhile."""
        self._waiting.hold()
        yield
        if self._bar is None and not (self._amid_line and self._waiting.phase.logged):
            self._waiting.go_on()

    def _make_room(self) -> None:
        """Removes what does not stay."""
        self._waiting.make_room()
        self._end_bar()

    def _line(self, text: str) -> None:
        self._put("".join(f"sshrun: {visible(line)}\n" for line in text.splitlines()))

    def _put(self, lines: str) -> None:
        """Writes lines that stay, to stderr."""
        with self._alone():
            self._make_room()
            self._waiting.shown()
            self._write_ours(lines.encode("utf-8", "surrogateescape"))

    def _write_ours(self, data: bytes) -> None:
        """Writes what begins a line, on a new one where the job's last is not over."""
        if self._amid_line:
            self._amid_line = False
            data = b"\n" + data
        _write(2, data)


class JsonConsole(Console):
    """One JSON object a line on stdout, for scripts; errors and warnings among them."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        super().__init__(verbose=verbose, quiet=quiet)
        self._filter = None
        self._waiting = Waiting(self._write_event, None)
        # A chunk may end inside of a character, which waits for its rest.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._log_end = 0

    def notice(self, text: str) -> None:
        self._write_event(Notice("", text))

    def detail(self, text: str) -> None:
        if self.verbose:
            self._write_event(Notice("detail", text))

    def warn(self, text: str) -> None:
        self._write_event(WarningNotice(text))

    def fail(self, error: SshrunError) -> None:
        cause = type(error).__name__
        try:
            self.record(
                {
                    "event": "error",
                    "cause": cause,
                    "message": error.message,
                    "hint": error.hint,
                    "exit": error.exit_status,
                }
            )
        except (OutputFailed, Interrupted):
            super().fail(error)  # nobody reads stdout

    def data(self, text: str) -> None:
        pass

    def table(self, table: Table | Sheet) -> None:
        pass

    def record(self, fields: dict[str, Any]) -> None:
        import json

        _write(1, json.dumps({"version": VERSION, **fields}, ensure_ascii=True).encode() + b"\n")

    def show(self, event: Event) -> None:
        self._waiting.end()
        if isinstance(event, LoggingIn) or (isinstance(event, Phase) and event.early):
            # What every command does first is worth an object only where it takes long.
            self._waiting.begin(event)
            self._waiting.shown()
            self._waiting.go_on()
        elif isinstance(event, Output):
            self._log(event.data, event.offset)
        else:
            self._write_event(event)

    def finish(self) -> None:
        with suppress(Interrupted, OutputFailed):
            self._log(b"", self._log_end, final=True)

    def _write_event(self, event: Event) -> None:
        self.record(to_data(event))

    def _log(self, data: bytes, offset: int, *, final: bool = False) -> None:
        begin = offset - len(self._decoder.getstate()[0])
        self._log_end = offset + len(data)
        if text := self._decoder.decode(data, final):
            self._write_event(Output(text.encode("utf-8", "surrogateescape"), begin))


def _moved_text(event: TransferProgress) -> str:
    by = f", by {event.engine}" if event.engine else ""
    return f"{event.direction}: {event.done / 1e6:.1f} of {event.total / 1e6:.1f} MB, {files_text(event.files)}{by}"


def _write(descriptor: int, data: bytes) -> None:
    """All of it, or nothing more: what goes to stderr alone is no reason to end.

    On stdout a reader that has gone away (a pipe to `head`) ends sshrun, not the job: Interrupted. Raises OutputFailed
    where the output cannot be written, to a full disk for example.
    """
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # whoever shares the pipe or the terminal has made it so
            _wait_for_room(descriptor)
        except OSError as error:
            if descriptor != 1:
                return
            if error.errno in (errno.EPIPE, errno.EIO):  # EIO: a terminal that was closed
                raise Interrupted(signal.SIGPIPE) from None
            raise OutputFailed("standard output", error) from error


def _wait_for_room(descriptor: int) -> None:
    import select

    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    room.poll()
