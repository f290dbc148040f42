"""The command: reads the command line, makes one call, and turns every error into one line and an exit status."""

from __future__ import annotations

import os
import sys

from sshrun import __version__

TYPE_CHECKING = False  # type checkers know this name; typing itself would take longer than all of --version
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from sshrun.arguments import Arguments
    from sshrun.console import Console


def main() -> NoReturn:
    """The console script."""
    status = _status(sys.argv[1:])
    # All is written and closed by now. The kernel frees memory faster than the interpreter, which takes 8 ms for it.
    os._exit(status)


def _status(argv: list[str]) -> int:
    # Before anything is imported: these two are asked of a tool again and again, by people and by shells.
    if argv == ["--version"]:
        return _print(f"sshrun {__version__}\n")
    if argv == ["--help"]:
        from sshrun.help import TEXT

        return _print(TEXT)
    return _main(argv)


def _print(text: str) -> int:
    try:
        os.write(1, text.encode())
    except OSError as error:
        os.write(2, f"sshrun: standard output: {error.strerror}\n".encode())
        return 255
    return 0


def _main(argv: list[str]) -> int:
    from sshrun.arguments import Arguments, parse
    from sshrun.console import Console, JsonConsole
    from sshrun.errors import SshrunError
    from sshrun.interrupts import Interrupted

    console = JsonConsole() if "--json" in argv else Console()
    arguments = Arguments()
    try:
        arguments = parse(argv)
        make = JsonConsole if arguments.json else Console
        console = make(verbose=arguments.verbose, quiet=arguments.quiet)
        if arguments.version or arguments.help:
            from sshrun.help import text_of

            Console().data(f"sshrun {__version__}" if arguments.version else text_of(arguments.verb).rstrip("\n"))
            return 0
        return _command(arguments.verb)(arguments, console)
    except SshrunError as error:
        console.fail(error)
        if arguments.verbose:
            _traceback()
        return error.exit_status
    except Interrupted as interrupted:
        return interrupted.exit_status
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 (the one place that sees what nobody expected)
        return _bug(error, console)
    finally:
        console.finish()


def _command(verb: str) -> Callable[[Arguments, Console], int]:
    """The function of a verb; its module is imported only now."""
    match verb:
        case "model" | "run" | "program":
            from sshrun.commands.run import run

            return run
        case "resume":
            from sshrun.commands.resume import resume

            return resume
        case "status":
            from sshrun.commands.status import status

            return status
        case "logs":
            from sshrun.commands.logs import logs

            return logs
        case "stop":
            from sshrun.commands.stop import stop

            return stop
        case "retrieve":
            from sshrun.commands.retrieve import retrieve

            return retrieve
        case "jobs":
            from sshrun.commands.jobs import jobs

            return jobs
        case "doctor":
            from sshrun.commands.doctor import doctor

            return doctor
        case "sandbox":
            from sshrun.commands.sandbox import sandbox

            return sandbox
        case _:
            from sshrun.commands.ssh_keygen import ssh_keygen

            return ssh_keygen


def _bug(error: Exception, console: Console) -> int:
    """Something we did not expect: the traceback goes to a file to be reported, a line to the person."""
    import traceback

    from sshrun.errors import SshrunError

    path = os.path.expanduser("~/.sshrun/crash.log")
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w", encoding="utf-8", opener=_private) as file:
            file.write(f"sshrun {__version__}, Python {sys.version}\n")
            traceback.print_exception(error, file=file)
    except OSError:
        traceback.print_exception(error)  # nowhere to keep it
        path = "the lines above"
    console.fail(SshrunError(f"a bug in sshrun: {type(error).__name__}: {error}", f"please report it with {path}"))
    return SshrunError.exit_status


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _traceback() -> None:
    import traceback

    traceback.print_exc()


if __name__ == "__main__":
    main()
