"""sshrun: train a model, or run any long job, on another machine over plain SSH."""

__version__ = "0.1.0"

TYPE_CHECKING = False  # type checkers know this name; typing itself would cost an import
if TYPE_CHECKING:
    from sshrun.mixin import SshMixin as SshMixin


def __getattr__(name: str) -> object:
    """SshMixin is imported when it is asked for, so that `import sshrun` costs nothing."""
    if name == "SshMixin":
        from sshrun.mixin import SshMixin

        return SshMixin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
