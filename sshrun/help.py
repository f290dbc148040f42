"""What --help prints. A text of its own, since no parser is loaded for it."""

TEXT = """\
Train a model, or run any long job, on another machine over plain SSH; the results come home as if it had run here.

  sshrun [OPTIONS] COMMAND MODEL [ARG ...]    a model's command:   sshrun train my_model --epochs 3
  sshrun [OPTIONS] run SCRIPT [ARG ...]       a plain script:      sshrun run fit.py --lr 0.1
  sshrun [OPTIONS] -- PROGRAM [ARG ...]       anything:            sshrun -h gpu1 -- ./long.sh

  sshrun status                               what the host is doing
  sshrun logs [-f] [-n LINES] [ID]            a job's log; -f follows it
  sshrun stop                                 end every process of the job
  sshrun retrieve [--all]                     download what the job made; --all: also what it left as it was
  sshrun jobs                                 the last jobs, here and on the host
  sshrun doctor [HOST]                        what the host has, and what it lacks
  sshrun sandbox                              a throwaway SSH server on this machine, to try things
  sshrun ssh-keygen NAME [-t TYPE] [-b BITS] [-o FOLDER] [--passphrase]
                                              a key for a host

  -h, --host [USER@]HOST[:PORT][/PATH]        a name, an address (IPv6 in brackets), or a Host of the ssh config;
                                              PATH, the working directory, is relative to the login directory,
                                              //PATH is absolute
  -p, --port N                                the server's port
  -i, --identity_file F, --identity-file F    the private key to log in with
      --wait (default), --no-wait             follow the job to its end, or leave once the host holds it
      --resume                                attach to the job that is there
      --force                                 stop and discard the job that is there, then start
      --env NAME                              pass a variable of the local environment on to the job; repeatable
      --clean                                 remove the model's old archive and logs here, once the job is there
      --sandbox                               use a throwaway SSH server on this machine
      --dry-run                               say what would be done; connect to nothing
      --import-spec                           import the model's file here, with all its modules, for settings that it
                                              computes and that cannot be learned without them
      --json                                  one JSON object a line
  -v, --verbose    -q, --quiet                say more, say only what is wrong
      --help, --version                       -h is the host

Options stand before COMMAND, or behind MODEL, where what is not ours goes to the command (behind `--` all of it does).
After `run SCRIPT` and after `--` every word goes to the program. Ctrl+C stops the job; Ctrl+\\ leaves it running.
Settings are read from ~/.sshrun/user_settings.yaml, [tool.sshrun] of pyproject.toml, and the model's own file.
The exit status is the job's own; or 2 usage, settings, nothing there; 70 a bug in sshrun; 75 another job is there,
or it still runs; 76 the job was lost; 130 Ctrl+C; 255 connection, transfer or retrieving failed.
"""

# The same for one verb, `sshrun VERB --help`, where there is more to say than above.
OF_VERBS = {
    "ssh-keygen": """\
sshrun ssh-keygen NAME [OPTIONS]        make a key for a host: ~/.ssh/id_NAME, and id_NAME.pub for the host to know

  -t, --type TYPE                       ed25519 (default) or rsa
  -b BITS, -l BITS, --length BITS       how long an rsa key is, 2048 to 16384; default 3072
  -o, --output DIRECTORY                where it goes instead of ~/.ssh
      --passphrase                      ask for a passphrase; without it there is none

Nothing is overwritten. The public half is printed; ssh-copy-id -i ~/.ssh/id_NAME.pub USER@HOST sends it to the host.
""",
}


def text_of(verb: str) -> str:
    return OF_VERBS.get(verb, TEXT)
