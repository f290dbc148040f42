"""Every setting, once. To add one, add it to this table.

It decides what the reader accepts and checks, how the places are merged, the rows of `--dry-run`, the attributes of
`SshMixin` and docs/settings.md. The last two are text: `make docs` writes them, `make lint` fails where they are stale.
"""

from __future__ import annotations

from sshrun.settings.declaration import FILES, Group, Items, Single, Variables, WithDefault, declared
from sshrun.units import Size


class JobSettings:
    """What each of the four places may set, as `key` in files and as `ssh_key` in a spec."""

    remote_dir = WithDefault[str](
        "remote directory",
        "The working directory on the host, absolute or relative to the login directory.",
        more="`~/PATH` is the same as `PATH`.",
        default=".",
        example="~/workspace",
        option="--host HOST/PATH",
        program=FILES,
        mltk=True,
    )
    project = Single[bool](
        "boolean",
        "Whether the whole project of the script goes along, and all that is new comes back.",
        unset="false",
        more="`--project` and `--no-project` override every file. See [project.md](project.md).",
        option="--project",
        program=FILES,
    )
    create_venv = WithDefault[bool](
        "boolean",
        "Whether the job runs in a virtual environment that sshrun makes in the working directory.",
        default=True,
        more="For `sshrun -- PROGRAM` the user file alone counts, and the default is false.",
        program=("user file",),
        mltk=True,
    )
    python = Single[str](
        "line",
        "The Python that the virtual environment is made with: a name, a version or a path on the host.",
        unset="the host's `python3`",
        more="`requires-python` of a script block or of `[project]` is compared with it before anything is sent.",
        example="python3.11",
    )
    requirements = Items(
        "requirements",
        "Packages for the virtual environment, one line for pip each; `-r FILE` names a file beside the settings.",
        more="The `dependencies` of a script block count as the first of its lines.",
        example=["numpy", "torch==2.3", "-r requirements.txt"],
    )
    wheels = WithDefault[bool](
        "boolean",
        "Whether packages are collected on this machine and sent, for a host without internet.",
        default=False,
    )
    environment = Variables(
        "environment",
        "Variables of the job: a list of `NAME=value`, or a mapping; nothing in a value is expanded.",
        more="`NAME=` and `NAME` are empty. In a list one pair of quotes around the whole value is taken off; in a "
        "mapping nothing is, and numbers and booleans become text as they are written.",
        example=["DEV=1", "CUDA_VISIBLE_DEVICES=0"],
        program=FILES,
        mltk=True,
    )
    pass_environment = Items(
        "variables",
        "Names of local variables that the job gets, or patterns such as `WANDB_*`.",
        more="A value in `environment` overrides what is passed on; `--env NAME` passes one on for one run, and "
        "overrides both. A pattern leaves out what belongs to this machine: `HOME`, `PATH`, `SSH_*` and the like.",
        example=["HF_TOKEN", "WANDB_*"],
        program=FILES,
    )
    upload_files = Items(
        "strings",
        "Files and directories to upload: a path or glob, `LOCAL|REMOTE`, or `!PATTERN` to take some out again.",
        more="The spec itself is always uploaded. A relative path begins in the spec's directory, in a project file in "
        "that file's directory, and has the same place beneath the working directory.",
        example=["dataset/**/*.csv", "~/patch.txt|./patch.txt"],
        mltk=True,
    )
    startup_cmds = Items(
        "strings",
        "Shell commands before the job, in the shell that becomes it: an `export` or `conda activate` reaches the job.",
        more="One that fails ends the job.",
        example=["pip install mylib"],
        mltk=True,
    )
    command = Single[str](
        "command",
        "What to run in place of the runner's command, with `{command}`, `{model}` and `{args}` filled in.",
        unset="the runner's command",
        more="No shell reads it: for a pipe, `>` or `VAR=x` write `sh -c '…'`.",
        example="torchrun {model}.py {command} {args}",
    )
    archive = Single[str](
        "archive",
        "The file with the trained model, a path inside the working directory.",
        unset="`MODEL.zip`, with mltk `MODEL.mltk.zip`",
        example="out/model.zip",
    )
    download_files = Items(
        "strings",
        "Files and directories to download when the job has ended: a path or glob, or `REMOTE|LOCAL`.",
        more="A relative path begins in the working directory, and has the same place beneath the spec's directory, of "
        "a project file beneath that file's directory.",
        example=["logs/*.txt", "./results.txt|~/results.txt"],
        mltk=True,
    )
    results_limit = WithDefault[Size](
        "size",
        "With `project`, how much a run downloads by itself; of what is more, the largest files stay on the host.",
        default=Size(10 * 10**9),
        more="What stays is named, and shutdown commands wait for it.",
        example="50 GB",
        program=FILES,
    )
    shutdown_cmds = Items(
        "strings",
        "Shell commands on the host once all results are downloaded; `$SSHRUN_EXIT_CODE` is the job's exit code.",
        more="They run after success and failure, and not before everything is safely downloaded.",
        example=["./tell-me.sh"],
        mltk=True,
    )
    stop_grace = WithDefault[int](
        "seconds",
        "Seconds that a job has to end by itself before the next signal (INT, TERM, KILL).",
        default=10,
        example=60,
        program=FILES,
    )
    leftovers = WithDefault[str](
        "choice",
        "What becomes of processes that outlive the command: they are ended, or the job lasts as long as they do.",
        default="stop",
        more="`stop` gives them `stop_grace`, ends them and names them. `wait` is for a script that starts its "
        "training in tmux (in a tmux server that it starts itself).",
        choices=("stop", "wait"),
        program=FILES,
    )
    transfer = Single[str](
        "choice",
        "The program that transfers files.",
        unset="the best that both sides have",
        choices=("rsync", "tar", "scp"),
    )
    compress = Single[bool]("boolean", "Whether files are compressed in transfer.", unset="where it pays")


class ConnectionSettings:
    """The keys of `connection`, which describe the host that is used where no `--host` is given."""

    hostname = Single[str](
        "host name",
        "The host, as a name, an address or a `Host` of the ssh config.",
        unset="none: `--host` is needed then",
        example="gpu1.example.org",
        rank="`HostName` in the ssh config for the HOST of `--host`, `--host`, this",
    )
    port = Single[int](
        "port",
        "The server's port.",
        unset="22",
        example=2222,
        rank="`--port`, `--host HOST:PORT`, the ssh config for HOST, this",
    )
    username = Single[str](
        "user name",
        "The account on the host.",
        unset="the local user's name",
        example="joe",
        rank="`--host USER@HOST`, the ssh config for HOST, this",
    )
    key_filename = Single[str](
        "key file",
        "The private key to log in with.",
        unset="those that ssh tries",
        example="~/.ssh/id_gpu1",
        rank="`-i`, the ssh config for HOST, this",
    )


class UserFileSettings(JobSettings):
    """What the user file alone may set: a directory that was cloned must not choose whom we log in to."""

    config_path = Single[str](
        "ssh config",
        "The ssh config to use instead of the user's own.",
        unset="`~/.ssh/config`",
        example="~/.ssh/config",
    )
    connection = Group(
        "connection",
        "How to reach the host that is used where no `--host` is given.",
        declared(ConnectionSettings),
        more="Without `--host` its `port`, `username` and `key_filename` override the ssh config.",
        mltk=True,
    )


class OutsideSettings:
    """The top level of the user file, beside `ssh`."""

    model_paths = Items(
        "directories",
        "Directories in which a model is searched for after the current one.",
        example=["~/models"],
        mltk=True,
    )


JOB = declared(JobSettings)
USER_FILE = declared(UserFileSettings)
KEYS = tuple(setting.key for setting in JOB)
USER_KEYS = tuple(setting.key for setting in USER_FILE)
LISTS = tuple(setting.key for setting in JOB if isinstance(setting, Items))
MLTK_KEYS = tuple(setting.key for setting in JOB if setting.mltk)

# What mltk and the paramiko library behind it know, and what does the same in sshrun.
UNUSED_KEYS = {"sync_local_mltk": "send files with upload_files, and install them with startup_cmds"}
_SSH_CONFIG = "write {} in ~/.ssh/config"
UNUSED_CONNECTION_KEYS = {
    "password": "log in with a key: sshrun ssh-keygen NAME",
    "pkey": "name the key's file with key_filename",
    "passphrase": "let ssh-agent hold the key: ssh-add FILE",
    "timeout": _SSH_CONFIG.format("ConnectTimeout"),
    "banner_timeout": _SSH_CONFIG.format("ConnectTimeout"),
    "auth_timeout": _SSH_CONFIG.format("ConnectTimeout"),
    "channel_timeout": _SSH_CONFIG.format("ConnectTimeout"),
    "allow_agent": _SSH_CONFIG.format("IdentityAgent"),
    "look_for_keys": _SSH_CONFIG.format("IdentitiesOnly"),
    "compress": _SSH_CONFIG.format("Compression"),
    "sock": _SSH_CONFIG.format("ProxyJump or ProxyCommand"),
    "gss_auth": _SSH_CONFIG.format("GSSAPIAuthentication"),
    "gss_kex": _SSH_CONFIG.format("GSSAPIKeyExchange"),
    "gss_deleg_creds": _SSH_CONFIG.format("GSSAPIDelegateCredentials"),
    "gss_host": _SSH_CONFIG.format("GSSAPIServerIdentity"),
    "gss_trust_dns": _SSH_CONFIG.format("GSSAPITrustDns"),
    "disabled_algorithms": _SSH_CONFIG.format("HostKeyAlgorithms or PubkeyAcceptedAlgorithms"),
    "auth_strategy": _SSH_CONFIG.format("PreferredAuthentications"),
    "transport_factory": "remove it",
}
