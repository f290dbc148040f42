"""Every option and every verb of the command line, each declared once.

The parser (arguments.py), the texts of --help (cli/help.py), "did you mean" and the completion in shells are made from
these tables. Nothing is imported by this module: shells ask for help and completion again and again.
"""

from __future__ import annotations


class Option:
    """An option that sets the field `key` of Arguments: to the value that follows, where one does, else to `state`.

    `value` is what --help calls the value; "" where none follows. `completes` names what a shell completes the value
    with: a kind of candidates.py, or the values themselves. `scope` is where the option means something: RUN, MODEL,
    HOST or ANY. One that is `last` stands in the place of the verb's words: all behind its value is the program's.
    """

    def __init__(
        self,
        *names: str,
        key: str,
        text: str,
        scope: str = "",
        value: str = "",
        state: bool = True,
        repeatable: bool = False,
        completes: str | tuple[str, ...] = "",
        last: bool = False,
    ) -> None:
        self.names = names
        self.key = key
        self.text = text
        self.scope = scope
        self.value = value
        self.state = state
        self.repeatable = repeatable
        self.completes = completes
        self.last = last


class Verb:
    """A verb of sshrun's own. Its function is that of its name in commands/, in the module of the same name.

    `words` is what --help calls the words that it takes; "" where it takes none. `scopes` are those of the options that
    mean something to it, beside `options`, which are its own. `details` are for its own --help, one paragraph a line.
    """

    def __init__(
        self,
        name: str,
        text: str,
        *options: Option,
        scopes: tuple[str, ...],
        words: str = "",
        completes: str | tuple[str, ...] = "",
        details: str = "",
    ) -> None:
        self.name = name
        self.text = text
        self.options = options
        self.scopes = scopes
        self.words = words
        self.completes = completes
        self.details = details


RUN = "run"  # what starts a job or attaches to one
MODEL = "model"  # COMMAND MODEL alone
HOST = "host"  # whatever connects to a host
ANY = "any"

OPTIONS = (
    Option(
        "-h", "--host", key="host", scope=HOST, value="[USER@]HOST[:PORT][/PATH]", completes="hosts",
        text="a name, an address (IPv6 in brackets), or a Host of the ssh config; PATH, the working directory, is "
        "relative to the login directory, //PATH is absolute",
    ),
    Option("-p", "--port", key="port", scope=HOST, value="N", text="the server's port"),
    Option(
        "-i", "--identity_file", "--identity-file", key="identity", scope=HOST, value="F", completes="files",
        text="the private key to log in with",
    ),
    Option("--wait", key="wait", scope=RUN, text="follow the job to its end and download its results; the default"),
    Option("--no-wait", key="wait", state=False, scope=RUN, text="return once the host holds the job"),
    Option("--resume", key="resume", scope=RUN, text="attach to the job on the host instead of starting one"),
    Option("--force", key="force", scope=RUN, text="stop and discard the job on the host, then start"),
    Option(
        "--project", key="project", scope=RUN,
        text="send the whole project of the script or of the current directory, and download all that is new",
    ),
    Option("--no-project", key="project", state=False, scope=RUN, text="send only what is named"),
    Option(
        "--env", key="env", scope=RUN, value="NAME", repeatable=True, completes="variables",
        text="pass a variable of the local environment on to the job; repeatable",
    ),
    Option(
        "--clean", key="clean", scope=RUN,
        text="remove the model's old archive and logs on this machine, once the host holds the new job",
    ),
    Option("--sandbox", key="sandbox", scope=HOST, text="use a throwaway SSH server on this machine as the host"),
    Option(
        "--dry-run", key="dry_run", scope=RUN,
        text="print what would be uploaded, run and downloaded; connect to nothing",
    ),
    Option(
        "--import-spec", key="import_spec", scope=MODEL,
        text="import the model's file locally, with all its modules, for settings that it computes and that cannot be "
        "learned without them",
    ),
    Option("--json", key="json", scope=ANY, text="one JSON object a line"),
    Option("-v", "--verbose", key="verbose", scope=ANY, text="more messages"),
    Option("-q", "--quiet", key="quiet", scope=ANY, text="only messages about what is wrong"),
    Option("--help", key="help", scope=ANY, text="this text; of one verb: sshrun VERB --help (-h is the host)"),
    Option("--version", key="version", scope="", text="the version of sshrun"),
)  # fmt: skip

SHELLS = ("bash", "zsh", "fish")

VERBS = (
    Verb(
        "run", "run a plain script, a notebook or a module on the host",
        Option("-m", key="module", value="MODULE", completes="modules", last=True,
               text="run a module of the current directory, as python -m does"),
        scopes=(RUN, HOST, ANY), words="SCRIPT|-m MODULE [ARG ...]", completes="scripts",
        details="""\
SCRIPT.py is run by Python, SCRIPT.sh by bash. SCRIPT.ipynb is executed; it comes back with its outputs, also after a \
failure, and what it was before is SCRIPT.ipynb.orig.
Every word after SCRIPT or MODULE goes to the program, also what looks like an option of sshrun.""",
    ),
    Verb("status", "what the host is doing", scopes=(HOST, ANY)),
    Verb(
        "logs", "a job's log; -f follows it",
        Option("-f", key="follow", text="go on with what the job prints, until it ends"),
        Option("-n", key="lines", value="LINES", text="no more than the last LINES"),
        scopes=(HOST, ANY), words="[ID]", completes="jobs",
        details="ID, or a part of it, names one of the last jobs (sshrun jobs); without it, it is the last one. "
        "Where the host does not answer, the copy on this machine is shown.",
    ),
    Verb("stop", "end every process of the job", scopes=(HOST, ANY)),
    Verb(
        "retrieve", "download the job's results",
        Option("--all", key="everything",
               text="also what the job left as it was, which is no result of it, and what is over results_limit"),
        scopes=(HOST, ANY), words="[FILE ...]",
        details="""\
Results go to the current directory; in project mode, to the project's.
Of a job that still runs, what exists by now is downloaded, and nothing else changes; one that is over is then done \
with, as by --resume.
With FILE, a path in the job's working directory or a glob in quotes, that is downloaded and nothing else happens.""",
    ),
    Verb("jobs", "the last jobs, on this machine and on the host", scopes=(HOST, ANY)),
    Verb(
        "doctor", "what the host has, and what it lacks", scopes=(HOST, ANY), words="[HOST]", completes="hosts",
        details="The exit status is 0 if a job could start now, 75 if the host has another job, otherwise 255.",
    ),
    Verb(
        "sandbox", "a throwaway SSH server on this machine, to try things", scopes=(ANY,),
        details="It runs until Ctrl+C. Meanwhile, in another terminal, --sandbox makes it the host of any command.",
    ),
    Verb(
        "ssh-keygen", "a key for a host",
        Option("-t", "--type", key="key_type", value="TYPE", completes=("ed25519", "rsa"),
               text="ed25519 (the default) or rsa"),
        Option("-b", "-l", "--length", key="key_bits", value="BITS",
               text="the length of an rsa key, 2048 to 16384; 3072 by default"),
        Option("-o", "--output", key="key_directory", value="DIRECTORY", completes="directories",
               text="where it goes instead of ~/.ssh"),
        Option("--passphrase", key="passphrase", text="ask for a passphrase; otherwise there is none"),
        scopes=(ANY,), words="NAME", completes="hosts",
        details="The key is ~/.ssh/id_NAME, and id_NAME.pub the public half for the host to know, which is printed. "
        "Nothing is overwritten. ssh-copy-id -i ~/.ssh/id_NAME.pub USER@HOST sends it to the host.",
    ),
    Verb(
        "completion", "what has a shell complete verbs, options, hosts, models and job ids", scopes=(ANY,),
        words="|".join(SHELLS), completes=SHELLS,
        details="""\
bash, in ~/.bashrc:              eval "$(sshrun completion bash)"
zsh, in ~/.zshrc after compinit: eval "$(sshrun completion zsh)"
fish, once:                      sshrun completion fish >~/.config/fish/completions/sshrun.fish""",
    ),
)  # fmt: skip

# Options of `mltk ssh` that are not ours, and what does the same.
REFUSED = {"--password": "log in with a key: sshrun ssh-keygen NAME"}
# Options of many commands, MLTK's among them, that look like one of ours and are not.
OF_COMMANDS = ("--test", "--post", "--list")


def verb_named(name: str) -> Verb | None:
    return next((verb for verb in VERBS if verb.name == name), None)


def options_of(verb: Verb) -> tuple[Option, ...]:
    """What its --help lists: its own options first."""
    return (*verb.options, *(option for option in OPTIONS if option.scope in verb.scopes))
