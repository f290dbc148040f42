# Why a command cannot start, and what to do: a shell's own words for it would name our script and a line of it.

# A process of its own, with the environment of the command: the job's shell has none of our functions any more.
explain() { # PROGRAM ARG...; 127 or 126, as of a shell, where it cannot start
  case $1 in
  */*)
    PATH=$PATH:/usr/bin:/bin # for our own programs: a startup command may have spoilt it, and that is what is to be told
    explain_file "$1"
    ;;
  *)
    on_path "$1" && return
    PATH=$PATH:/usr/bin:/bin
    explain_name "$1"
    ;;
  esac
}

on_path() ( # NAME
  set -f
  IFS=:
  for on_path in $PATH; do
    [ ! -f "${on_path:-.}/$1" ] || [ ! -x "${on_path:-.}/$1" ] || exit 0
  done
  # One that prefers its own programs to those on PATH.
  { busybox --list | grep -qxF -e "$1"; } 2>/dev/null
)

explain_file() { # PATH
  explain_name=${1##*/}
  case $1 in *.py) explain_by="python $1" ;; *) explain_by="bash $1" ;; esac
  explain_first=
  if [ -d "$1" ]; then
    explain_say 126 "$1 is a directory"
  elif [ ! -e "$1" ]; then
    case $1 in
    /*) explain_say 127 "$1: there is no such file on $(uname -n)" ;;
    *) explain_say 127 "$1: there is no such file in $PWD (upload_files: [${1#./}] sends it)" ;;
    esac
  elif [ ! -x "$1" ]; then
    explain_say 126 "$1 may not be executed (chmod +x $explain_name before it is sent, or say what runs it: $explain_by)"
  elif [ ! -s "$1" ]; then
    explain_say 126 "$1 is empty, there is nothing to run (see what made it)"
  else
    explain_binary "$1"
    first_line "$1"
    explain_first=$line
  fi
  case $explain_first in
  '#!'*"$(printf '\r')") explain_say 127 "$1 has the line ends of Windows (convert them: dos2unix $explain_name)" ;;
  '#!'*)
    # shellcheck disable=SC2086 # the interpreter is the first word
    set -f && set -- "$1" ${explain_first#'#!'} && set +f
    [ -z "${2-}" ] || [ -x "$2" ] ||
      explain_say 127 "$1 asks for $2, which is not on $(uname -n) (change its first line, or say what runs it: $explain_by)"
    ;;
  esac
}

# A program that was built elsewhere and sent along: for another system or processor, or with a loader that is not there.
explain_binary() { # PATH
  explain_bytes=$(explain_header "$1")
  case $explain_bytes in
  cffaedfe* | cefaedfe* | cafebabe*)
    [ "$(uname -s)" = Darwin ] || explain_say 126 "$1 is a program for macOS, which $(uname -n) is not (build it there, in startup_cmds)" ;;
  7f454c46*) ;;
  *) return 0 ;;
  esac
  # ELF-64 Object File Format: bytes 18 and 19 are the machine. One of 64 bits runs what its kind of 32 bits runs.
  explain_machine=${explain_bytes#????????????????????????????????????}
  explain_own=$(explain_header /bin/sh)
  case $explain_machine:$explain_own in
  *:7f454c46*"$explain_machine" | 0300:*3e00 | 2800:*b700) ;;
  *:7f454c46*)
    grep -qs '^magic 7f454c46' /proc/sys/fs/binfmt_misc/* || # an emulator that the kernel knows
      explain_say 126 "$1 is a program for another kind of machine than $(uname -n), which is $(uname -m) (build it there, in startup_cmds)"
    ;;
  esac
  # Its name is in the file, near the beginning, where linkers put it.
  explain_loader=$(dd bs=4096 count=1 <"$1" 2>/dev/null | LC_ALL=C tr '\000' '\n' | LC_ALL=C sed -n '/^\/[!-~]*\/ld[!-~]*$/p' 2>/dev/null | head -n 1)
  [ -z "$explain_loader" ] || [ -e "$explain_loader" ] ||
    explain_say 127 "$1 asks for $explain_loader, which is not on $(uname -n) (it was built for another system: build it there, in startup_cmds)"
}

explain_header() { # PATH: its first 20 bytes, in hex
  od -An -v -tx1 -N20 <"$1" 2>/dev/null | tr -d ' \n'
}

explain_name() { # NAME
  case $1 in
  . | source | cd | export | set | ulimit | alias | eval | exec)
    explain_say 127 "$1 is a word of the shell and no program (write: sh -c '$1 ...')" ;;
  conda | mamba | micromamba)
    conda_program
    if [ -n "$conda_block" ]; then
      explain_say 127 "$1: command not found: only a shell at a terminal gets to conda's block in ~/.bashrc (first of startup_cmds: $conda_hook)"
    else
      explain_say 127 "$1: command not found on $(uname -n) (first of startup_cmds: $conda_hook)"
    fi
    ;;
  *) explain_say 127 "$1: command not found on $(uname -n) (install it there, or say where it is, in startup_cmds: export PATH=DIRECTORY:\$PATH)" ;;
  esac
}

explain_say() { # CODE TEXT
  printf 'sshrun: %s\n' "$2"
  exit "$1"
}

# "conda init" writes its block at the end of ~/.bashrc, below the line that ends it for shells without a terminal.
conda_program() { # -> $conda_block, the program that the block names or nothing; $conda_hook, the line that does the same
  conda_block=$(sed -n "s/^__conda_setup=\"\$('\(.*\)' 'shell\..*/\1/p" ~/.bashrc 2>/dev/null | tail -n 1)
  for conda_found in "$conda_block" ~/miniconda3/bin/conda ~/anaconda3/bin/conda ~/miniforge3/bin/conda \
    ~/mambaforge/bin/conda /opt/conda/bin/conda /opt/miniconda3/bin/conda; do
    [ ! -x "$conda_found" ] || break
  done
  [ -x "$conda_found" ] || conda_found='PATH/TO/conda'
  conda_hook="eval \"\$($conda_found shell.bash hook)\""
}
