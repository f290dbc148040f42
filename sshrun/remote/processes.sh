# The processes of a job on this machine: which they are, and how all of them are ended: TERM, a grace that the job's
# settings name, then KILL until none is left.

# A process belongs to the job if its environment carries the job's id, which it inherits through any number of forks
# and new sessions, or if it is in the supervisor's session (which "env -i" does not leave). Session numbers are
# process numbers and come again: the session counts only while it is known to be the job's.
members() { # DIRECTORY -> $members; their process groups are added to $stop_groups
  members=
  if [ -r /proc/self/stat ]; then
    members_seen=
    for member in $(members_listed "${1##*/}"); do
      members_mark=${member#*/} member=${member%/*}
      [ "$member" != "$stop_supervisor" ] && [ "$member" != $$ ] && birth "$member" || continue
      case $process_state in Z* | X*) continue ;; esac
      case "$members_mark$members " in
      environ*) [ "$process_session" != "$stop_supervisor" ] || stop_session=ours ;;
      *" $member "*) continue ;;
      *) [ "$process_session" = "$stop_supervisor" ] || continue
        members_seen="$members_seen $member"
        continue ;;
      esac
      members="$members $member"
      add_group
    done
    if [ "$stop_session" = ours ]; then members=$members$members_seen; fi
  else
    for member in $(ps -A -o pid= -o pgid= -o state= |
      awk -v group="$stop_supervisor" '$2 == group && $1 != group && $3 !~ /^[ZX]/ { print $1 }'); do
      # Those that looked for the others are in the group too, where the supervisor looks; by now they are gone.
      [ "$member" = $$ ] || ! kill -0 "$member" 2>/dev/null || members="$members $member"
    done
  fi
  [ -n "${members# }" ] && return
  birth "$stop_supervisor" && [ "$birth" = "$stop_birth" ] || stop_session=unknown
  return 1
}

# One program looks at all processes, since that is what every job waits for at its end: "PID/environ" of those that
# carry the job's id, and "PID/stat" of those in the session. Fields of stat: proc(5).
members_listed() { # ID
  # Not -F: with it, busybox's grep looks no further than the first NUL.
  (cd /proc && exec grep -ls -e "SSHRUN_JOB=$1" -e "^[0-9]* (.*) [^ZX] [0-9]* [0-9]* $stop_supervisor " \
    [0-9]*/environ [0-9]*/stat 2>/dev/null)
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

# A sign of life for a client that waits: how long a stop takes is the job's to say. In a subshell: where nobody listens
# any more, SIGPIPE must not end us between a STOP and its CONT.
stop_sign() { # -> $stop_now, in seconds
  stop_now=$(date +%s)
  [ "$stop_now" = "${stop_told-}" ] || (reply stopping) 2>/dev/null
  stop_told=$stop_now
}

# Waits until no process of the job is left, but no longer than so many seconds, rounded up.
await_end() { # DIRECTORY SECONDS; 1 if some are still there
  stop_sign
  await_until=$((stop_now + $2))
  while members "$1"; do
    stop_sign
    [ "$stop_now" -le "$await_until" ] || return 1
    pause
  done
}

# What the settings of a job say of its end.
job_ending() { # DIRECTORY -> $grace in seconds, and $policy for what outlives the command: "stop" or "wait"
  first_line "$1/ending"
  grace=${line%% *} policy=${line##* }
  case $grace in '' | *[!0-9]*) grace=10 ;; esac
}

# Looks up whom it is about: the supervisor, and whether its session is known to be the job's.
stop_whom() { # DIRECTORY -> $stop_supervisor, $stop_birth, $stop_session, $stop_groups, $stop_left, $stop_leader; 1 if no process of the job can be left
  stop_supervisor=0 stop_birth='' stop_session=unknown stop_groups='' stop_left='' stop_leader=
  # Released: what carries the job's id now are its shutdown commands, for which the machine's meter waits.
  [ ! -e "$1/shutdown/commands" ] || return 1
  { IFS= read -r stop_line <"$1/id"; } 2>/dev/null || return 1
  # shellcheck disable=SC2086 # four words
  set -- $stop_line
  [ "$1" != void ] || return 1
  # A job of another boot has no process left, and its numbers may be anybody's by now.
  this_machine
  [ "${3-}" = "$this_boot" ] || return 1
  stop_supervisor=$1 stop_birth=$2
  birth $$
  stop_own_group=$process_group
  if alive "$@"; then
    stop_session=ours
    [ "$process_group" != "$1" ] || { stop_leader=yes && add_group; }
  fi
}

end_members() { # DIRECTORY; 1 with $stop_left if something is still there
  # CONT after TERM, since a stopped process would see it only when it goes on.
  if members "$1"; then
    # shellcheck disable=SC2086 # one word a process
    kill -TERM $members 2>/dev/null
    # shellcheck disable=SC2086
    kill -CONT $members 2>/dev/null
  fi
  await_end "$1" "$grace"
  # Groups are stopped as a whole, the supervisor's too, before anybody is looked for: a loop of forks can neither run
  # ahead of the list nor be missed between two of its lives. It is over when nobody is found while all stand still.
  end_round=0
  signal_groups STOP
  end_until=$(($(date +%s) + 20)) # what holds much memory, or a GPU, takes its time to die
  while members "$1" && { [ "$end_round" -lt 20 ] || [ "$stop_now" -lt "$end_until" ]; }; do
    end_round=$((end_round + 1))
    # shellcheck disable=SC2086
    kill -KILL $members 2>/dev/null
    signal_groups STOP # with those of the last look
    stop_sign
    [ "$end_round" -lt 20 ] || pause
  done
  signal_groups CONT
  [ -z "${members# }" ] || { stop_left=$members && return 1; }
}

name_members() { # -> $member_names, of those in $members: five, and how many more
  member_names='' name_count=0
  for name_member in $members; do
    name_count=$((name_count + 1))
    [ "$name_count" -le 5 ] || continue
    first_line "/proc/$name_member/comm" || line=$(ps -o comm= -p "$name_member" 2>/dev/null)
    member_names="$member_names, ${line##*/} (pid $name_member)"
  done
  member_names=${member_names#, }
  [ "$name_count" -le 5 ] || member_names="$member_names and $((name_count - 5)) more"
}
