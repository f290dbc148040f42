# What a doctor asks: could a job live here? Nothing of it stays.

serve_examine() { # DIRECTORY PYTHON TMPDIR: where a job would run, and with what
  fact clock "$(date +%s 2>/dev/null)"
  fact shell "${SHELL:-unknown}"
  examine_directory home "${HOME:-/nonexistent}"
  examine_directory temporary "${3:-${TMPDIR:-/tmp}}"
  case $1 in
  '' | .) examine_work=$HOME ;;
  /*) examine_work=$1 ;;
  *) examine_work=$HOME/$1 ;;
  esac
  examine_directory work "$examine_work"
  login_path && fact profile good
  (
    PATH=$login_path
    venv_named "$2"
    examine_python=${venv_python:-python3}
    has "$examine_python" && fact python "$("$examine_python" --version 2>&1 | head -n 1)"
    has "$examine_python" && "$examine_python" -c 'import ensurepip, venv' 2>/dev/null && fact venv yes
    has uv && fact uv "$(uv --version 2>/dev/null | head -n 1)"
    conda_program
    [ -z "$conda_block" ] || has conda || fact conda "$conda_hook"
  )
  has nvidia-smi && fact gpu "$(nvidia-smi --query-gpu=name,memory.total --format=csv,noheader 2>&1 | tr '\n' ';')"
  has loginctl && fact linger "$(loginctl show-user "$(id -un)" --property=Linger --value 2>/dev/null)"
  has busctl && fact kills "$(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 \
    org.freedesktop.login1.Manager KillUserProcesses 2>/dev/null)"
  reply "done"
}

# A directory that is not there is judged by the one that it would be made in.
examine_directory() { # NAME DIRECTORY -> a fact: state, free kilobytes, directory
  examine_path=$2
  while [ ! -e "$examine_path" ] && [ -n "$examine_path" ]; do
    case $examine_path in */*) examine_path=${examine_path%/*} ;; *) examine_path=. ;; esac
  done
  examine_path=${examine_path:-/}
  examine_file=$examine_path/.sshrun-doctor.$$
  examine_state=good
  if [ "$1" = home ] && [ "$examine_path" != "$2" ]; then
    examine_state=missing
  elif ! [ -d "$examine_path" ] || ! [ -w "$examine_path" ] || ! [ -x "$examine_path" ]; then
    examine_state=closed
  elif ! dd if=/dev/zero of="$examine_file" bs=65536 count=1 2>/dev/null; then
    examine_state=full # or without a free inode
  elif ! { printf '#!/bin/sh\nexit 0\n' >"$examine_file" && chmod 700 "$examine_file" && "$examine_file"; } 2>/dev/null; then
    examine_state=noexec
  fi
  rm -f "$examine_file" 2>/dev/null
  examine_free=$(free_kilobytes "$examine_path")
  encode "$2"
  fact directory "$1 $examine_state ${examine_free:--} $encoded"
}

# A job that does nothing, started in the way of every job, to see if it outlives the connection. It ends by itself.
serve_canary() { # ID
  for canary_old in "$state"/doctor.*; do
    [ ! -d "$canary_old" ] || alive_in "$canary_old" || rm -rf -- "$canary_old"
  done
  canary=$state/doctor.$1
  { mkdir -p "$canary" && flag "$canary/environment" && flag "$canary/startup" && echo / >"$canary/directory" &&
    echo 077 >"$canary/umask" && printf '%s\n' sleep 60 >"$canary/command" &&
    printf '%s\n' "$program" >"$canary/sshrun.sh"; } 2>/dev/null || refuse state "$canary cannot be written"
  launch "$canary" job "${canary##*/}"
  [ -n "$supervisor" ] || refuse start "$(head -n 1 "$launch_errors" 2>/dev/null)"
  reply canary "$1"
}

# Watched for a while, since who ends jobs at logout may be slow on a busy machine.
serve_canary_check() { # ID
  canary_check=$state/doctor.$1
  canary_check_count=20
  while alive_in "$canary_check" && [ $((canary_check_count -= 1)) -gt 0 ]; do pause; done
  if alive_in "$canary_check"; then reply canary alive; else reply canary dead; fi
  stop_job "$canary_check" >/dev/null
  rm -rf -- "$canary_check"
}

alive_in() { # DIRECTORY
  # shellcheck disable=SC2086 # four words
  first_line "$1/id" && alive $line
}
