# What the supervisor runs, in one login shell: environment, virtual environment, startup commands, and then, in the
# shell's place, the command itself, so that its exit code and its signals are nobody else's.

job() { # DIRECTORY ID
  tag_job "$2"
  exec >&3 2>&1 3>&- # what the profile printed before this is no part of the log
  # A function of ours must not stand before a program of that name once the user's commands begin.
  job_functions=
  if [ -s "$1/startup" ]; then
    job_functions=$(sed -n 's/^\([a-z_]*\)() .*/\1/p' "$1/sshrun.sh" | tr '\n' ' ')
    # In a file that is read by ".", so that a "return" ends the one command that says it, and not the function around.
    # shellcheck disable=SC2016 # that file's own
    (umask 077 && echo 'eval "$job_line"' >"$1/startup.sh")
  fi
  enter_job "$1"
  phase environment
  prepare_environment "$1" || exit
  start_directory || {
    note "the command cannot start in $decoded: there is no such directory in $PWD on $(uname -n) (upload_files: [$decoded] sends it)"
    exit 1
  }
  set --
  while IFS= read -r job_word; do
    decode "$job_word"
    set -- "$@" "$decoded"
  done <"$job_directory/command"
  job_startup
  # A startup command may have set PYTHONPATH without a thought of what was in it.
  if [ -d "$job_directory/lib" ]; then
    case :${PYTHONPATH-}: in
    *":$job_directory/lib:"*) ;;
    *) PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}$job_directory/lib && export PYTHONPATH ;;
    esac
  fi
  # Many hosts have no "python" outside of a virtual environment. Only now: a startup command may have brought one.
  if [ "$1" = python ] && ! command -v python >/dev/null 2>&1; then
    shift
    set -- python3 "$@"
  elif [ "$1" = bash ] && ! command -v bash >/dev/null 2>&1; then
    shift
    set -- sh "$@"
  fi
  # What is plainly a program of the host's is started; anything else is looked at first, and a file of one's own.
  job_first=
  case $1 in */*) job_program= ;; *) job_program=$(unset -f "$1" && command -v "$1") || job_program= ;; esac 2>/dev/null
  [ -f "$job_program" ] && [ -x "$job_program" ] && { IFS= read -r job_first <"$job_program"; } 2>/dev/null || job_first='#!'
  case $job_first in '#!'*) /bin/sh "$job_directory/sshrun.sh" explain "$@" || exit ;; esac
  exec "$@"
}

# Printed with builtins only: by the time of the second command there are no functions left.
job_startup() {
  set --
  while IFS= read -r job_line; do
    decode "$job_line"
    set -- "$@" "$decoded"
  done <"$job_directory/startup"
  eval "unset -f $job_functions" # split here and not by IFS, which is the user's
  job_number=0
  # Called by bash in place of its own message, which would name our script: bash(1), COMMAND EXECUTION.
  # shellcheck disable=SC2317 # by bash
  command -v command_not_found_handle >/dev/null ||
    command_not_found_handle() { /bin/sh "$job_directory/sshrun.sh" explain "$@" && return 127; }
  for job_line; do
    set -- # "." without arguments would pass ours on to what it reads
    job_number=$((job_number + 1))
    [ ! -e "$job_directory/interrupted" ] || exit 130 # a command that ends well on a Ctrl+C is not followed by the next
    printf 'startup %s\n' "$job_number" >>"$job_directory/phase"
    # Shell text of the user's own; what it exports stays. No "||" behind it, under which "set -e" does nothing.
    # shellcheck disable=SC1091 # made above
    . "$job_directory/startup.sh" </dev/null
    job_status=$?
    [ "$job_status" -eq 0 ] || exit "$job_status"
  done
  if [ -e "$job_directory/variable" ]; then
    # Asked of a program that is started like the command: what is not exported is not in its environment.
    IFS= read -r job_line <"$job_directory/variable"
    /bin/sh -c "printf '%s\n' \"\${$job_line-}\"" >>"$job_directory/variable"
  fi
  [ ! -e "$job_directory/interrupted" ] || exit 130
  printf 'running\n' >>"$job_directory/phase"
  printf '' >|"$job_directory/unbegun" # also under a noclobber of a startup command's
}

# How a stop knows what belongs to the job. Only now: what a start file has left, such as an agent that other logins
# share, is not the job's.
tag_job() { # ID
  SSHRUN_JOB=$1
  export SSHRUN_JOB
}

phase() { printf '%s\n' "$*" >>"$job_directory/phase"; }

# What the job, and later the shutdown commands, find around them.
enter_job() { # DIRECTORY -> $job_directory
  job_directory=$1
  set --
  while IFS= read -r enter_line; do
    decode "$enter_line"
    set -- "$@" "$decoded"
  done <"$job_directory/environment"
  job_place "$job_directory" || exit
  cd -- "$decoded" || exit
  first_line "$job_directory/umask"
  umask "$line"
  unset SSH_CONNECTION SSH_CLIENT SSH_ORIGINAL_COMMAND # of a login that is over while the job runs
  # Exported after everything was read, since a PATH or IFS of the user's would change what the rest means.
  for enter_line; do
    # shellcheck disable=SC2163 # "NAME=value", with the value as it is
    export "$enter_line"
  done
  export_defaults
  if [ -d "$job_directory/lib" ]; then
    PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}$job_directory/lib
    export PYTHONPATH
  fi
}

# Beneath the working directory, which holds the virtual environment and what is relative for sshrun.
start_directory() { # -> $decoded, its name; 1 if it cannot be entered
  [ -s "$job_directory/start" ] || return 0
  first_line "$job_directory/start"
  decode "$line"
  cd -- "./$decoded" 2>/dev/null || return 1
}

# What the client gives to a job where nothing else says it: sshd, a start file, the person. An empty value says it too.
# A startup command comes later, and wins by that.
export_defaults() {
  [ -e "$job_directory/defaults" ] || return 0
  while IFS= read -r export_line; do
    export_name=${export_line%%=*}
    case $export_name in '' | *[!A-Z]*) continue ;; esac # a name, before "eval" sees it
    # shellcheck disable=SC2163 # "NAME=value"
    eval "[ -n \"\${$export_name+set}\" ]" || export "$export_line"
  done <"$job_directory/defaults"
}

# The shutdown commands, detached like the job itself: a laptop that closes between two of them stops none.
shutdown() { # DIRECTORY/shutdown ID
  tag_job "$2"
  flag "$1/unbegun"
  exec >&3 2>&1 3>&-
  enter_job "${1%/*}"
  activate_environment
  start_directory || : # they run all the same, where the job has removed it: they may stop what is paid for
  SSHRUN_EXIT_CODE=$(cat "$1/exit_code")
  export SSHRUN_EXIT_CODE
  shutdown_number=0
  while IFS= read -r shutdown_line; do
    shutdown_number=$((shutdown_number + 1))
    # The mark comes first: each starts at most once, whatever happens after.
    mkdir "$1/began.$shutdown_number" 2>/dev/null || continue
    decode "$shutdown_line"
    shutdown_one "$decoded" "$1/code.$shutdown_number"
  done <"$1/commands"
}

# In a subshell, so that an "exit" in one command is not the end of the others.
shutdown_one() { # COMMAND CODE_FILE
  (
    shutdown_command=$1
    # shellcheck disable=SC2046 # one word a function
    unset -f $(sed -n 's/^\([a-z_]*\)() .*/\1/p' "$job_directory/sshrun.sh" | tr '\n' ' ')
    # shellcheck disable=SC2317 # by bash
    command_not_found_handle() { /bin/sh "$job_directory/sshrun.sh" explain "$@" && return 127; }
    eval "$shutdown_command"
  ) </dev/null
  exit_code $?
  echo "$exit_code" >"$2"
}
