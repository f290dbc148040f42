"""The whole life of a job, on every host. The names of the tests are the columns of the table that ends the run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from support.hosts import SshHost
from support.installed import Sshrun
from support.specs import write_spec
from support.waiting import eventually

WAIT_FOR_GO = "until [ -e go ]; do sleep 0.05 || sleep 1; done"

# Names that a shell, rsync, tar or find could take for something else.
NAMES = ("two words", "it's $HOME `id`", "line\nbreak", "-rf", "ümlaut *", "back\\slash")
LARGE = os.urandom(1 << 20) * 2


def go(ssh_host: SshHost) -> None:
    ssh_host.sh("touch life/go")


def living(ssh_host: SshHost, word: str) -> int:
    """How many processes there have `word` on their command line; a zombie has none.

    A process that its shell has forked has the shell's command line until its exec: one more, for a moment.
    """
    hidden = f"{word[:-1]}[{word[-1]}]"  # from itself
    return int(ssh_host.sh(f"cat /proc/[0-9]*/cmdline 2>/dev/null | tr '[:cntrl:]' ' ' | grep -o -e {hidden} | wc -l"))


def test_start(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, f"rm -f go; echo begun; {WAIT_FOR_GO}; echo ended; exit 3")
    started = sshrun("--force", "train", "my_model", "--no-wait")
    assert started.status == 0, started.stderr
    ssh_host.relay.cut()
    assert b'"running"' in sshrun("--json", "status").stdout
    go(ssh_host)
    ended = sshrun("--resume", "train", "my_model")
    assert (ended.status, ended.stdout) == (3, b"begun\nended\n"), ended.stderr


def test_follow(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path, home: Path) -> None:
    write_spec(tmp_path, f"rm -f go; echo one; {WAIT_FOR_GO}; printf '\\033[1m\\000two\\r\\303(\\n\\nthree'")
    running = sshrun.start("--force", "train", "my_model")
    running.wait_until(lambda running: running.stdout == b"one\n")
    go(ssh_host)
    ended = running.wait()
    assert (ended.status, ended.stdout) == (0, b"one\n\033[1m\0two\r\303(\n\nthree"), ended.stderr
    (copy,) = home.glob(".sshrun/jobs/*/log")
    assert copy.read_bytes() == ended.stdout


def test_cut(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    job = f"""rm -f go
i=0
while [ $i -lt 300 ]; do i=$((i + 1)); echo "line $i"; sleep 0.01; done
{WAIT_FOR_GO}
echo over"""
    write_spec(tmp_path, job)
    running = sshrun.start("--force", "train", "my_model")
    for cut, lines in enumerate((20, 150), start=1):
        running.wait_until(lambda running, lines=lines: running.stdout.count(b"\n") >= lines)
        ssh_host.relay.cut()
        running.wait_until(lambda running, cut=cut: running.stderr.count("again after") == cut)
    go(ssh_host)
    ended = running.wait()
    assert ended.stdout == b"".join(b"line %d\n" % line for line in range(1, 301)) + b"over\n"
    assert ended.status == 0


def test_resume(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, f"rm -f go; echo begun; {WAIT_FOR_GO}; echo trained >my_model.zip; exit 7")
    running = sshrun.start("--force", "train", "my_model")
    running.wait_until(lambda running: running.stdout == b"begun\n")
    running.process.kill()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    go(ssh_host)
    ended = sshrun("--resume", cwd=elsewhere)
    assert ended.status == 7, ended.stderr
    assert (elsewhere / "my_model.zip").read_text() == "trained\n"
    (copy,) = Path(os.environ["HOME"]).glob(".sshrun/jobs/*/log")
    assert copy.read_text() == "begun\n"


def test_force(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    tag = os.urandom(8).hex()
    write_spec(tmp_path, f"rm -f go; (sh -c '{WAIT_FOR_GO}; :' {tag} &) & sh -c '{WAIT_FOR_GO}; :' {tag}")
    assert sshrun("--force", "train", "my_model", "--no-wait").status == 0
    eventually(lambda: living(ssh_host, tag) == 2)
    refused = sshrun("train", "my_model")
    assert refused.status == 75, refused.stderr
    (tmp_path / "my_model.sh").write_text("echo new")
    forced = sshrun("--force", "train", "my_model")
    assert (forced.status, forced.stdout) == (0, b"new\n"), forced.stderr
    assert living(ssh_host, tag) == 0


def test_stop(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    tag = os.urandom(8).hex()
    write_spec(tmp_path, f"rm -f go; sh -c '{WAIT_FOR_GO}; :' {tag} & echo begun; wait; wait")
    running = sshrun.start("--force", "train", "my_model")
    running.wait_until(lambda running: running.stdout == b"begun\n")
    eventually(lambda: living(ssh_host, tag) == 1)
    running.press(signal.SIGINT)
    ended = running.wait()
    assert ended.status == 130, ended.stderr
    assert living(ssh_host, tag) == 0
    assert sshrun("--force", "train", "my_model", "--no-wait").status == 0
    eventually(lambda: living(ssh_host, tag) == 1)
    stopped = sshrun("stop")
    assert stopped.status == 0, stopped.stderr
    assert living(ssh_host, tag) == 0
    assert sshrun("--resume", "train", "my_model").status == 143


def test_upload(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / name).write_bytes(os.fsencode(name))
    (tmp_path / "large").write_bytes(LARGE)
    job = "cd data && for n in *; do cat ./\"$n/$n\"; printf '|'; done; cat ../large"
    ssh_host.sh("rm -rf life/data life/large")
    write_spec(tmp_path, job, upload_files=["data/**/*", "large"])
    ended = sshrun("--force", "train", "my_model")
    assert ended.status == 0, ended.stderr
    *names, large = ended.stdout.split(b"|", len(NAMES))
    assert sorted(map(os.fsdecode, names)) == sorted(NAMES)
    assert large == LARGE


def test_download(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    (tmp_path / "seed").write_bytes(LARGE)
    job = """rm -rf out
mkdir -p out/deep
for n; do printf %s "$n" >"out/$n"; done
cp seed my_model.zip
cp seed out/deep/large
ln -s deep/large out/best"""
    write_spec(tmp_path, job, upload_files=["seed"], download_files=["out/**/*"])
    ended = sshrun("--force", "train", "my_model", "--", *NAMES)
    assert ended.status == 0, ended.stderr
    assert (tmp_path / "my_model.zip").read_bytes() == LARGE
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*NAMES, "deep", "best"}
    assert all((tmp_path / "out" / name).read_text() == name for name in NAMES)
    assert (tmp_path / "out" / "best").read_bytes() == (tmp_path / "out" / "deep" / "large").read_bytes() == LARGE
    assert os.readlink(tmp_path / "out" / "best") == "deep/large"


def test_exit_codes(ssh_host: SshHost, sshrun: Sshrun) -> None:
    endings = {"exit 0": 0, "exit 255": 255, "kill -KILL $$": 137, "kill -TERM $$": 143}
    assert {ending: sshrun("--force", "--", "sh", "-c", ending).status for ending in endings} == endings


def test_one_login(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    """Upload, archive, download and shutdown commands over one connection, and the commands last of all."""
    (tmp_path / "large").write_bytes(LARGE)
    job = "rm -f goodbye; cp large my_model.zip; cp large result; exit 4"
    write_spec(
        tmp_path,
        job,
        upload_files=["large"],
        download_files=["result"],
        startup_cmds=["GREETING=hello; export GREETING"],
        shutdown_cmds=['echo "$GREETING $SSHRUN_EXIT_CODE" >goodbye'],
        environment={"GREETING": "bye"},
    )
    before = ssh_host.relay.connections
    ended = sshrun("--force", "train", "my_model")
    assert ended.status == 4, ended.stderr
    assert ssh_host.relay.connections == before + 1
    assert (tmp_path / "result").read_bytes() == (tmp_path / "my_model.zip").read_bytes() == LARGE
    eventually(lambda: ssh_host.sh("cat life/goodbye") == "bye 4")
