# The virtual environment in the working directory: made once, brought up to date when what it should hold has changed,
# and otherwise only looked at, without starting a single program but "uname".
#
#   .venv/sshrun/          it is one of ours; anybody else's is used as it is and never touched
#     ready                it is whole: interpreter, directory, machine, the Python that was asked for, requirements
#     lock.N               who builds it; the highest N counts. Machines may share the directory
#     requirements         for pip; it may hold the password of an index
#
# "ready" goes before anything is changed and comes back last, so a build that was cut off at any moment is seen and
# made anew: in place, since a virtual environment holds its own path.

# In the job, in its working directory. What it says to the person goes to "notes", which are told when the job is over;
# what pip says, and what is waited for, goes to the log.
prepare_environment() { # DIRECTORY; the exit code of what failed
  venv_asked "$1" || return 0
  unset PYTHONHOME # no virtual environment works with it, not even its making
  if venv_ours; then
    venv_ready || venv_prepare || return
  elif [ -x .venv/bin/python ]; then
    note ".venv in $PWD was not made by sshrun: used as it is, nothing is installed into it"
  else
    note ".venv in $PWD was not made by sshrun and has no bin/python: left alone and not used"
  fi
  activate_environment
}

# Nothing of "activate" but what programs look at: it also renames the prompt and leaves functions behind.
activate_environment() {
  venv_asked "$job_directory" && [ -x .venv/bin/python ] || return 0
  VIRTUAL_ENV=$PWD/.venv
  PATH=$VIRTUAL_ENV/bin:$PATH
  export VIRTUAL_ENV PATH
  unset PYTHONHOME
}

note() { # TEXT: a line that the client shows
  (umask 077 && printf '%s\n' "$*" >>"$job_directory/notes")
}

step() { # WORD...: what it is at, for whoever follows
  { printf '%s\n' "$*" >"$job_directory/step"; } 2>/dev/null
}

# What the client kept: "venv" holds the Python and, where the host has no index, the directory of wheels; it is empty
# where no virtual environment is wanted.
venv_asked() { # DIRECTORY -> $venv_python, $venv_wheels, $venv_wanted; 1 if none is wanted
  [ -s "$1/venv" ] || return 1
  venv_wheels=
  {
    IFS= read -r venv_wanted
    decode "$venv_wanted"
    venv_named "$decoded"
    ! IFS= read -r venv_asked_line || { decode "$venv_asked_line" && venv_wheels=$decoded; }
  } <"$1/venv"
  while IFS= read -r venv_asked_line; do
    venv_wanted=$venv_wanted$newline$venv_asked_line
  done <"$1/requirements"
}

# "~/conda/bin/python" and "3.11" are what people write: no shell sees the former, and only uv knows the latter.
venv_named() { # PYTHON -> $venv_python
  venv_python=$1
  case $1 in
  \~/*) venv_python=$HOME${1#\~} ;;
  [0-9]*) has uv || ! has "python$1" || venv_python=python$1 ;;
  esac
}

venv_ours() { # or nobody's
  [ -d .venv/sshrun ] && return
  [ ! -e .venv ] && [ ! -h .venv ] && return
  [ -d .venv ] && [ -z "$(ls -A .venv)" ] # somebody began one: it was us, and our directory comes first
}

# -ef is not POSIX, but dash, bash, busybox and the BSDs have it, and it starts no program.
# shellcheck disable=SC3013
venv_sound() { # -> $venv_held; 1 if it is not whole, or not of this directory, this machine and a Python that is there
  [ -e .venv/sshrun/ready ] || return 1
  {
    IFS= read -r venv_sound_line
    decode "$venv_sound_line"
    venv_sound_interpreter=$decoded
    IFS= read -r venv_sound_line
    decode "$venv_sound_line"
    venv_directory=$decoded
    IFS= read -r venv_machine
    IFS= read -r venv_held || return 1
    while IFS= read -r venv_sound_line; do
      venv_held=$venv_held$newline$venv_sound_line
    done
  } <.venv/sshrun/ready
  [ -x .venv/bin/python ] && [ .venv/bin/python -ef "$venv_sound_interpreter" ] && [ .venv -ef "$venv_directory" ] &&
    [ "$venv_machine" = "$(uname -m)" ]
}

venv_ready() { venv_sound && [ "$venv_held" = "$venv_wanted" ]; }

venv_prepare() { # the exit code of what failed
  { mkdir -p .venv/sshrun && venv_lock; } || {
    note ".venv cannot be made or changed in $PWD"
    return 1
  }
  if venv_ready; then # whoever had the lock made it
    venv_prepare_code=0
  else
    birth $$
    SSHRUN_BUILD=$$-$birth # whoever follows a builder that died knows by it what that one left at work
    export SSHRUN_BUILD
    if venv_sound && venv_same_python; then
      rm -f .venv/sshrun/ready
      venv_install
    else
      venv_make && venv_install
    fi
  fi
  venv_prepare_code=$?
  unset SSHRUN_BUILD
  venv_unlock
  return "$venv_prepare_code"
}

# Without a word about Python the one that it was made with is as good as any.
venv_same_python() {
  [ -n "$venv_python" ] || return 0
  venv_same_program=$venv_python
  has "$venv_python" || venv_same_program=$(uv python find --no-project "$venv_python" 2>/dev/null) || return 1
  [ "$(python_base "$venv_same_program")" = "$(python_base .venv/bin/python)" ]
}

# sys._base_executable: where Python itself is, seen from within a virtual environment too.
python_base() { # PROGRAM
  "$1" -c 'import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))' 2>/dev/null
}

# An empty environment in place of the one that is there, which may have taken an hour to fill: it goes only when it is
# known that another can come.
venv_make() {
  step making
  this_machine
  venv_make_program=${venv_python:-python3}
  if has uv; then
    [ -n "$venv_python" ] || has python3 || venv_make_program=3 # uv fetches one
    uv venv -q --allow-existing --python "$venv_make_program" .venv/sshrun/trial && venv_clear && {
      # --seed: startup commands may say "pip". Fetching it is all that can fail where there is no index.
      uv venv -q --allow-existing --seed --python "$venv_make_program" .venv 2>/dev/null ||
        uv venv -q --allow-existing --python "$venv_make_program" .venv
    } || {
      venv_make_code=$?
      note ".venv could not be made with uv and the Python \"$venv_make_program\": the output of uv is in the log"
      return "$venv_make_code"
    }
    return
  fi
  has "$venv_make_program" || {
    note "no \"$venv_make_program\" on $this_name: install Python there, or set create_venv: false"
    return 127
  }
  venv_version=$("$venv_make_program" -c 'import sys; print("%d.%d" % sys.version_info[:2]); import venv, ensurepip' 2>/dev/null) || {
    venv_package=python3-venv
    [ -z "$venv_python" ] || venv_package=python${venv_version:-3}-venv
    note "$venv_make_program on $this_name cannot make virtual environments (it lacks ensurepip): apt install $venv_package there, or set create_venv: false"
    return 1
  }
  venv_clear
  # By its own name: where .venv is a link, to a larger disk for instance, Python's venv refuses.
  "$venv_make_program" -m venv "$(cd .venv && pwd -P)" || {
    venv_make_code=$?
    note ".venv could not be made with $venv_make_program: its output is in the log"
    return "$venv_make_code"
  }
}

venv_clear() { # everything but our own directory
  rm -f .venv/sshrun/ready
  for venv_clear_entry in .venv/sshrun/trial .venv/* .venv/.[!.]* .venv/..?*; do
    [ "$venv_clear_entry" = .venv/sshrun ] || rm -rf -- "$venv_clear_entry"
  done
}

# Ends with the marker. Where pip failed of its own accord the environment is whole, if not what was wanted: it holds
# no requirements then, and the next job brings it up to date.
venv_install() {
  venv_held=$venv_wanted venv_install_code=0
  case $venv_wanted in
  *"$newline"*)
    venv_fill || {
      venv_install_code=$?
      venv_held="?"
      note "$venv_what could not be installed into .venv: the output of $venv_tool is in the log"
    }
    ;;
  esac
  venv_install_interpreter=$(.venv/bin/python -c 'import os, sys; print(os.path.realpath(sys.executable))') || return 1
  encode "$venv_install_interpreter"
  venv_install_interpreter=$encoded
  encode "$PWD/.venv"
  printf '%s\n' "$venv_install_interpreter" "$encoded" "$(uname -m)" "$venv_held" | (umask 077 && write .venv/sshrun/ready) || {
    note ".venv in $PWD cannot be written"
    return 1
  }
  return "$venv_install_code"
}

# What a file of the project says, and what further lines for pip do. Variables are given by "env", to these programs
# alone; no subshell is needed for them, which could outlive this builder and start another program.
venv_fill() { # -> $venv_what and $venv_tool, for the person where it fails
  venv_project
  venv_what="the requirements" venv_tool=pip venv_uv='' venv_variables=''
  (
    umask 077
    decode "${venv_wanted#*"$newline"}"
    printf '%s\n' "$decoded" | write .venv/sshrun/requirements
  ) || return
  if [ -n "$venv_kind" ]; then
    venv_what="what $venv_kind says"
    step installing "$venv_kind"
  else
    step installing "$(venv_count)"
  fi
  ! has uv || venv_uv=uv
  set --
  case $venv_kind in
  uv.lock | pyproject.toml)
    for venv_word in $venv_options; do
      case $venv_word in
      any) ;;
      uv) venv_get_uv || return ;;
      [A-Z]*=*) venv_variables="$venv_variables $venv_word" ;;
      *) set -- "$@" "$venv_word" ;;
      esac
    done
    ;;
  requirements.txt) set -- -r "$venv_options" ;;
  esac
  if [ "$venv_kind" = uv.lock ]; then
    venv_get_uv && venv_sync "$@" || return
    [ -n "$venv_further" ] || return 0
    set --
  elif [ "$venv_kind" = pyproject.toml ] && [ -z "$venv_uv" ]; then
    set -- # they are uv's
  fi
  set -- "$@" -r .venv/sshrun/requirements
  [ -z "$venv_wheels" ] || set -- --no-index --find-links "$venv_wheels" "$@"
  if [ -z "$venv_uv" ]; then
    venv_pip "$@"
    return
  fi
  venv_tool=uv
  # pip looks for the best version in every index that such a file names, uv by itself in the first that has any.
  [ "$venv_kind" != requirements.txt ] ||
    venv_variables="$venv_variables UV_INDEX_STRATEGY=${UV_INDEX_STRATEGY:-unsafe-best-match}"
  # shellcheck disable=SC2086 # one word a variable
  env $venv_variables "$venv_uv" pip install -q --python .venv/bin/python "$@"
}

# The client's first line, a comment to pip. KEY changes with what is to be installed, and makes this line another one.
#   # uv.lock KEY WORD...               for "uv sync"
#   # pyproject.toml KEY any WORD...    the lines that follow say it all; the words are uv's
#   # pyproject.toml KEY uv WORD...     only uv knows what it says
#   # requirements.txt KEY FILE         FILE may hold blanks
# A word NAME=VALUE is a variable for the build.
venv_project() { # -> $venv_kind, empty without one; $venv_options; $venv_further, not empty where other lines follow
  venv_kind='' venv_options='' venv_further=1
  venv_project_line=${venv_wanted#*"$newline"}
  case $venv_project_line in *"$newline"*) ;; *) venv_further='' ;; esac
  decode "${venv_project_line%%"$newline"*}"
  case $decoded in
  '# uv.lock '* | '# pyproject.toml '* | '# requirements.txt '*)
    venv_kind=${decoded#'# '}
    venv_options=${venv_kind#* }
    venv_kind=${venv_kind%% *}
    case $venv_options in *' '*) venv_options=${venv_options#* } ;; *) venv_options='' ;; esac
    ;;
  esac
}

venv_get_uv() { # -> $venv_uv: the host's, else one in the environment itself
  [ -z "$venv_uv" ] || return 0
  venv_uv=.venv/bin/uv
  [ -x .venv/bin/uv ] || venv_pip uv || {
    venv_get_uv_code=$?
    venv_what="uv, which $venv_kind needs,"
    return "$venv_get_uv_code"
  }
}

# What is there beside it stays: pip, our own directory, what a startup command has installed.
venv_sync() { # ARGUMENT...
  venv_tool=uv
  # shellcheck disable=SC2086 # one word a variable
  env $venv_variables "VIRTUAL_ENV=$PWD/.venv" "UV_PROJECT_ENVIRONMENT=$PWD/.venv" \
    "$venv_uv" sync -q --locked --inexact --python .venv/bin/python "$@"
}

# Errors go to the log; what it is at goes where a follower looks for it.
venv_pip() { # ARGUMENT...
  venv_news=$job_directory/packages
  (umask 077 && flag "$venv_news") || venv_news=/dev/null
  # A pip.conf or a variable that says "--user" would make pip refuse; and the others lead to another place.
  # shellcheck disable=SC2086 # one word a variable
  env $venv_variables PIP_USER=0 PIP_PREFIX= PIP_TARGET= \
    .venv/bin/python -m pip install --disable-pip-version-check --no-input "$@" >"$venv_news"
  venv_pip_code=$?
  rm -f "$job_directory/packages"
  return "$venv_pip_code"
}

venv_count() { # how many packages are asked for, 0 where a file says which
  venv_count_number=0
  while IFS= read -r venv_count_line; do
    case $venv_count_line in
    -r* | --requirement*) echo 0 && return ;;
    -* | '') ;;
    *) venv_count_number=$((venv_count_number + 1)) ;;
    esac
  done <"$job_directory/requirements"
  echo "$venv_count_number"
}

# Generations, as with slots: only the highest counts, and it is never removed, so that two who see the same dead owner
# cannot both follow it. A owner on another machine that shares the directory cannot be judged from here.
venv_lock() { # -> $venv_turn, ours
  venv_claim=.venv/sshrun/claim.$$
  identity $$ >"$venv_claim" || return
  venv_lock_told=
  while :; do
    venv_top
    if venv_held_by_other; then
      [ -n "$venv_lock_told" ] || step waiting
      [ -n "$venv_lock_told" ] ||
        echo "waiting for the job on ${venv_owner##* } that builds .venv in $PWD (if there is none: rm -r $PWD/.venv)"
      venv_lock_told=1
      pause
    else
      venv_turn=$((venv_top + 1)) venv_before=$venv_owner
      if publish "$venv_claim" ".venv/sshrun/lock.$venv_turn"; then
        venv_top
        [ "$venv_top" -ne "$venv_turn" ] || break
        rm -f ".venv/sshrun/lock.$venv_turn" # a number that others have long passed
      fi
    fi
  done
  rm -f "$venv_claim"
  # shellcheck disable=SC2086 # four words
  [ "$venv_before" = free ] || venv_end_builders $venv_before
  for venv_lock_entry in .venv/sshrun/lock.*; do
    [ "${venv_lock_entry##*.}" -ge $((venv_turn - 8)) ] 2>/dev/null || rm -f "$venv_lock_entry"
  done
}

venv_top() { # -> $venv_top, the highest number (0: none), and $venv_owner
  venv_top=0 venv_owner=free
  for venv_top_entry in .venv/sshrun/lock.*; do
    venv_top_number=${venv_top_entry##*.}
    case $venv_top_number in '' | *[!0-9]*) continue ;; esac
    [ "$venv_top_number" -le "$venv_top" ] || venv_top=$venv_top_number
  done
  [ "$venv_top" -eq 0 ] || { IFS= read -r venv_owner <".venv/sshrun/lock.$venv_top"; } 2>/dev/null ||
    venv_owner=free # lost with the power, or just now removed by one with a higher number
}

# A pip that outlived its builder would write into what comes next.
venv_end_builders() { # PID BIRTH BOOT HOST: of the builder that is dead
  while :; do
    venv_left=$(cd /proc && grep -ls "SSHRUN_BUILD=$1-$2" [0-9]*/environ 2>/dev/null | sed 's|/environ||')
    [ -n "$venv_left" ] || return 0
    # shellcheck disable=SC2086 # one word a process
    kill -KILL $venv_left 2>/dev/null
    pause
  done
}

venv_held_by_other() {
  [ "$venv_owner" != free ] || return 1
  this_machine
  [ "${venv_owner##* }" = "$this_name" ] || return 0
  # shellcheck disable=SC2086 # four words
  alive $venv_owner
}

venv_unlock() { # a job's process goes on as the command, so it would look like a builder to the end of the job
  echo free | write ".venv/sshrun/lock.$venv_turn"
}

# Asked before the start, where wheels are to come from the client: what they must fit, unless nothing has changed.
serve_wheels() { # PYTHON REQUIREMENT...
  venv_wanted=
  for wheels_line; do
    encode "$wheels_line"
    venv_wanted=$venv_wanted$newline$encoded
  done
  venv_wanted=${venv_wanted#"$newline"}
  if venv_ours && venv_ready; then
    reply wheels ready
    return
  fi
  wheels_line=$(describe_python "$1")
  encode "${state%/hosts/*}/wheels"
  reply wheels "${wheels_line:-none}"
  reply directory "$encoded"
}

# Asked before the start, where the script says which it requires. One that uv would fetch is not reported.
serve_python() { # PYTHON
  reply python "$(ask_python "$1" 'import platform; print(platform.python_version())')"
}

# Asked where that one does not fit: which others there are that can make an environment.
serve_pythons() {
  reply pythons "$(other_pythons)"
}

other_pythons() ( # `3.13 3.11 uv`, the newest first; uv fetches any
  login_path
  PATH=$login_path
  set --
  other_minor=30
  while [ "$other_minor" -ge 8 ]; do
    ! has "python3.$other_minor" || ! "python3.$other_minor" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
      set -- "$@" "3.$other_minor"
    other_minor=$((other_minor - 1))
  done
  ! has uv || set -- "$@" uv
  echo "$*"
)

describe_python() { # PYTHON
  ask_python "$1" 'import platform, sys, sysconfig
print(sys.implementation.name, "%d.%d" % sys.version_info[:2], sysconfig.get_platform(), *platform.libc_ver())'
}

ask_python() ( # PYTHON PROGRAM: of the one that a job would find, which a profile may bring
  login_path
  PATH=$login_path
  venv_named "$1"
  ask_program=${venv_python:-python3}
  has "$ask_program" || ask_program=$(uv python find --no-project "${venv_python:-3}" 2>/dev/null)
  if [ -z "$venv_python" ] && venv_sound; then ask_program=.venv/bin/python; fi
  "$ask_program" -c "$2" 2>/dev/null
)
