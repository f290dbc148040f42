# Ends every process of a job: TERM, ten seconds, then KILL until none is left.

# A process belongs to the job if its environment carries the job's id, which it inherits through any number of forks
# and new sessions, or if it is in the supervisor's session (which "env -i" does not leave). Session numbers are
# process numbers and come again: the session counts only while it is known to be the job's.
members() { # FOLDER -> $members; their process groups are added to $stop_groups
  members=
  if [ -r /proc/self/stat ]; then
    # Not -F: with it, busybox's grep looks no further than the first NUL.
    members_marked=" $(cd /proc && grep -ls "SSHRUN_JOB=${1##*/}" [0-9]*/environ 2>/dev/null | sed 's|/environ||' | tr '\n' ' ')"
    members_seen=
    for member in $(cd /proc && echo [0-9]*); do
      [ "$member" != "$stop_supervisor" ] && [ "$member" != $$ ] && birth "$member" || continue
      case $process_state in Z* | X*) continue ;; esac
      case $members_marked in
      *" $member "*) [ "$process_session" != "$stop_supervisor" ] || stop_session=ours ;;
      *) [ "$process_session" = "$stop_supervisor" ] || continue
        members_seen="$members_seen $member"
        continue ;;
      esac
      members="$members $member"
      add_group
    done
    if [ "$stop_session" = ours ]; then members=$members$members_seen; fi
  else
    members=$(ps -A -o pid= -o pgid= | awk -v group="$stop_supervisor" '$2 == group && $1 != group { print $1 }' | tr '\n' ' ')
  fi
  [ -n "${members# }" ] && return
  birth "$stop_supervisor" && [ "$birth" = "$stop_birth" ] || stop_session=unknown
  return 1
}

add_group() { # of the process that "birth" has just looked at
  case "$stop_groups " in
  *" -$process_group "*) ;;
  *) [ "$process_group" = "$stop_own_group" ] || stop_groups="$stop_groups -$process_group" ;;
  esac
}

signal_groups() { # NAME
  # shellcheck disable=SC2086 # one word a group
  [ -z "$stop_groups" ] || kill "-$1" $stop_groups 2>/dev/null
  return 0
}

stop_job() { # FOLDER; 1 with $stop_left if something is still there
  # Released: what carries the job's id now are its shutdown commands, for which the machine's meter waits.
  [ ! -e "$1/shutdown/commands" ] || return 0
  stop_supervisor=0 stop_birth='' stop_session=unknown stop_groups='' stop_left=
  { IFS= read -r stop_line <"$1/id"; } 2>/dev/null || return 0
  # shellcheck disable=SC2086 # four words
  set -- "$1" $stop_line
  [ "$2" != void ] || return 0
  # A job of another boot has no process left, and its numbers may be anybody's by now.
  this_machine
  [ "${4-}" = "$this_boot" ] || return 0
  stop_supervisor=$2 stop_birth=$3
  birth $$
  stop_own_group=$process_group
  if alive "$2" "$3" "$4" "$5"; then
    stop_session=ours
    [ "$process_group" != "$2" ] || add_group
  fi
  mark "$1/stopped"
  # CONT after TERM, since a stopped process would see it only when it goes on.
  if members "$1"; then
    # shellcheck disable=SC2086 # one word a process
    kill -TERM $members 2>/dev/null
    # shellcheck disable=SC2086
    kill -CONT $members 2>/dev/null
  fi
  stop_until=$(($(date +%s) + 10))
  while members "$1" && [ "$(date +%s)" -lt "$stop_until" ]; do pause; done
  # Groups are stopped as a whole, the supervisor's too, before anybody is looked for: a loop of forks can neither run
  # ahead of the list nor be missed between two of its lives. It is over when nobody is found while all stand still.
  stop_round=0
  signal_groups STOP
  stop_until=$(($(date +%s) + 20)) # what holds much memory, or a GPU, takes its time to die
  while members "$1" && { [ "$stop_round" -lt 20 ] || [ "$(date +%s)" -lt "$stop_until" ]; }; do
    stop_round=$((stop_round + 1))
    # shellcheck disable=SC2086
    kill -KILL $members 2>/dev/null
    signal_groups STOP # with those of the last look
    [ "$stop_round" -lt 20 ] || pause
  done
  signal_groups CONT
  [ -z "${members# }" ] || { stop_left=$members && return 1; }
  # The supervisor writes the exit code when its child has ended: a matter of moments. One that stood between two of its
  # programs when all were looked for may only now begin the command.
  stop_round=0
  while alive "$2" "$3" "$4" "$5"; do
    [ "$stop_round" -lt 50 ] || { stop_left=$2 && return 1; }
    stop_round=$((stop_round + 1))
    # shellcheck disable=SC2086
    ! members "$1" || kill -KILL $members 2>/dev/null
    pause
  done
}

serve_stop() { # ID
  stop_job "$state/jobs/$1" || refuse stop "$1" "$stop_left"
  describe "$1"
  reply stopped "$1"
}

serve_interrupt() { :; } # meant for a follow that has just ended
