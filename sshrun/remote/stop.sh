# The end of a job: by a stop, and of what outlives its command.

serve_stop() { # ID
  stop_job "$state/jobs/$1" || refuse stop "$1" "$stop_left"
  describe "$1"
  reply stopped "$1"
}

serve_interrupt() { :; } # meant for a follow that has just ended

# What outlives the command, in the supervisor: workers, servers, whatever a startup command left in the background.
# A job of which nothing is left pays one look for it.
supervise_leftovers() { # DIRECTORY CODE
  stop_whom "$1" && members "$1" 7>&- 8>&- || return 0
  pause 7>&- 8>&- # the last of a pipe, a helper of Python's: most are gone by then
  members "$1" 7>&- 8>&- || return 0
  printf '%s\n' "$2" >outlived
  exec 7>&- # tells all followers of it, see watch_phase
  # A program of its own in a session of its own: what it starts is no part of the job, and it can stop the job's groups.
  for _ in 1 2 3; do
    apart sh "$1/sshrun.sh" end_leftovers "$1" 8>&- && break
  done
}

apart() { # PROGRAM ARG...: runs it as the leader of a new session, where that can be had
  if has setsid; then
    setsid "$@"
  elif has perl; then
    perl -e 'use POSIX; POSIX::setsid(); exec @ARGV' "$@"
  elif has python3; then
    python3 -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])' "$@"
  else
    "$@"
  fi
}

# They get as long to finish as anything that is asked to end; or, by the settings, as long as they take.
end_leftovers() { # DIRECTORY
  job_directory=$1
  stop_whom "$1" || return 0
  job_ending "$1"
  if [ "$policy" = wait ]; then
    # shellcheck disable=SC2086 # four words
    while members "$1" && alive $stop_line; do sleep 1; done
    return 0
  fi
  await_end "$1" "$grace" && return 0
  # shellcheck disable=SC2086 # four words
  alive $stop_line || return 0 # lost: whoever finds that out ends what is left
  name_members
  if end_members "$1"; then
    note "what outlived the command was ended after $grace s: $member_names (leftovers: wait lets a job last as long as that)"
  else
    note "what outlived the command could not be ended: $member_names; log in and see what it waits for"
  fi
}
