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
        from sshrun.cli.help import text_of

        return _print(text_of())
    if argv[:2] == ["completion", "--complete"]:  # a shell whose user waits for it; see completion/candidates.py
        from sshrun.completion.candidates import answer

        return _print(answer(argv[2:]))
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
            from sshrun.cli.help import text_of

            Console().data(f"sshrun {__version__}" if arguments.version else text_of(arguments.verb).rstrip("\n"))
            return 0
        return function_of(arguments.verb)(arguments, console)
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
        from sshrun.cli.crash import crashed

        console.fail(crashed(error, arguments))
        return SshrunError.exit_status
    finally:
        console.finish()


def function_of(verb: str) -> Callable[[Arguments, Console], int]:
    """The function of a verb; its module is imported only now. Raises ImportError for a verb that has none."""
    from importlib import import_module

    # One verb, one module, one function, all of one name: a table of its own would be a second place to keep in step.
    name = "run" if verb in ("model", "program") else verb.replace("-", "_")
    function: Callable[[Arguments, Console], int] = getattr(import_module(f"sshrun.commands.{name}"), name)
    return function


def _traceback() -> None:
    import traceback

    traceback.print_exc()


if __name__ == "__main__":
    main()
