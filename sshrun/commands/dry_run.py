"""`--dry-run`: every setting with its origin, and what would be uploaded, run and downloaded. Connects to nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sshrun.connection.login import Login
from sshrun.connection.query import resolved
from sshrun.origin import Origin, Sourced
from sshrun.project.limits import by_directory
from sshrun.terminal import visible
from sshrun.units import files_text, size_text

if TYPE_CHECKING:
    from sshrun.console import Console
    from sshrun.spec.project import Project
    from sshrun.spec.task import Task
    from sshrun.transfer.items import Item

_WIDEST = 48  # characters of a value that others are lined up with


def dry_run(task: Task, console: Console) -> int:
    """Returns 0. Raises SettingsError where ssh cannot read its configuration."""
    rows = [*_login(task.settings.login), *task.settings.rows()]
    rows += [("requirements", line, Origin("default", key="runner")) for line in task.runner.requirements]
    uploads = [(_shown(item), _target(item), item.size) for item in task.uploads if not item.is_directory]
    excluded = [
        (pattern.text, [item.size for item in items if not item.is_directory]) for pattern, items in task.excluded
    ]
    downloads = [(name, "") for name in filter(None, (task.runner.archive,))]
    downloads += [(pattern.text, pattern.receiver) for pattern in task.downloads]
    logs = task.runner.logs

    key_width = max(len(key) for key, _, _ in rows)
    text_width = min(_WIDEST, max(len(visible(text)) for _, text, _ in rows))
    for key, text, origin in rows:
        console.data(f"{key:<{key_width}}  {visible(text):<{text_width}}  {visible(str(origin))}")
    console.data("")
    if task.project is not None:
        _show_project(task.project, console)
    for source, target, size in uploads:
        console.data(f"upload    {visible(target)}  ({size} bytes, from {visible(source)})")
    for name, sizes in excluded:
        console.data(f"excluded  {visible(name)}  ({files_text(len(sizes))}, {sum(sizes)} bytes)")
    if uploads or task.project is None:
        console.data(f"          {files_text(len(uploads))}, {sum(size for _, _, size in uploads)} bytes")
    beneath = f"  (in {visible(task.runner.directory)})" if task.runner.directory else ""
    console.data(f"run       {visible(shlex.join(task.runner.argv))}{beneath}")
    for name, directory in downloads:
        place = f"  (beneath {visible(directory)})" if directory else ""
        console.data(f"download  {visible(name)}{place}")
    if logs is not None:
        console.data(f"download  {visible(logs.remote)}  (to {visible(logs.local)})")
    everything = "all that is new or changed, in " if task.finds_results else ""
    console.data(f"results   {everything}{visible(task.results_directory)}")
    console.record(
        {
            "event": "dry-run",
            "settings": [{"key": key, "value": text, "origin": _as_data(origin)} for key, text, origin in rows],
            "upload": [{"from": source, "to": target, "bytes": size} for source, target, size in uploads],
            "excluded": [{"by": name, "files": len(sizes), "bytes": sum(sizes)} for name, sizes in excluded],
            "project": _project_as_data(task.project) if task.project is not None else None,
            "run": list(task.runner.argv),
            "start": task.runner.directory,
            "download": [name for name, _ in downloads],
            "logs": {"from": logs.remote, "to": logs.local} if logs is not None else None,
            "results": task.results_directory,
        }
    )
    return 0


def _show_project(project: Project, console: Console) -> None:
    """What goes, by directory, what stays and by which rule, and what is installed."""
    console.data(f"project   {visible(project.root)}  ({project.reason})")
    for name, count, size in by_directory(project.items):
        console.data(f"sends     {visible(name)}  ({files_text(count)}, {size_text(size)})")
    console.data(f"          {files_text(len(project.items))}, {size_text(sum(item.size for item in project.items))}")
    for one in project.stays:
        why = f"  ({visible(one.why)})" if one.path else visible(one.why)
        console.data(f"stays     {visible(one.path)}{why}")
    if project.environment is not None and project.environment.kind:
        console.data(f"installs  what {visible(project.environment.text)} says")


def _project_as_data(project: Project) -> dict[str, Any]:
    return {
        "root": project.root,
        "reason": project.reason,
        "files": len(project.items),
        "bytes": sum(item.size for item in project.items),
        "directories": [
            {"name": name, "files": count, "bytes": size} for name, count, size in by_directory(project.items)
        ],
        "stays": [one._asdict() for one in project.stays],
        "environment": project.environment.text if project.environment is not None else "",
    }


def _login(login: Login) -> Iterator[tuple[str, str, Origin]]:
    settings: dict[str, Sourced[str] | Sourced[int] | None] = resolved(login)._asdict()
    settings["config_path"] = login.config_path
    for key, setting in settings.items():
        if setting is not None:
            yield key, str(setting.value), setting.origin


def _shown(item: Item) -> str:
    return f"{item.source}, a link to {item.link}" if item.link else item.source


def _target(item: Item) -> str:
    return item.name if item.root == "." else f"{item.root.rstrip('/')}/{item.name}"


def _as_data(origin: Origin) -> dict[str, Any]:
    return {name: value for name, value in origin._asdict().items() if value}
