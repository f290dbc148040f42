# The launcher "direct": the supervisor is a process of this machine, in a session of its own. What a launcher has to
# have is in launcher.sh.

# The second setsid finds itself leading a group, therefore forks, and returns here. "&" would leave SIGINT and SIGQUIT
# ignored in the job for good.
direct_start() { # DIRECTORY MODE ID -> $supervisor, $launch_warning, $launch_errors
  launch_errors=$1/launch.err
  set -- sh "$1/sshrun.sh" supervise "$@"
  if has setsid; then
    set -- setsid setsid "$@"
  elif has perl; then
    set -- perl -e 'use POSIX; fork && exit 0; POSIX::setsid(); exec @ARGV' "$@"
  elif has python3; then
    set -- python3 -c 'import os, sys
if os.fork(): os._exit(0)
os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])' "$@"
  else
    set -- direct_plain "$@"
  fi
  launch_warning=
  if logind_kills; then
    if lingers; then
      set -- systemd-run --user --scope --quiet -- "$@"
    else
      launch_warning="logind ends all jobs at logout (KillUserProcesses=yes); as root: loginctl enable-linger $(id -un)"
    fi
  fi
  # ksh93 waits for the program that it started and not for the end of what is printed; cat does the latter.
  supervisor=$(
    [ -z "$aside" ] || eval "export $aside"
    "$@" </dev/null 2>"$launch_errors" | cat
  )
}

direct_plain() { "$@" & }

# logind with KillUserProcesses=yes ends all processes of a login session, setsid or not. A scope under the user's own
# manager is outside the session, and lingering keeps that manager alive; either alone does not help.
logind_kills() {
  in_session_scope && has systemd-run && has busctl &&
    [ "$(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager \
      KillUserProcesses 2>/dev/null)" = "b true" ]
}

in_session_scope() { # read here, since a program that is started is time that somebody waits
  while IFS= read -r scope_line; do
    case $scope_line in */session-*.scope*) return 0 ;; esac
  done 2>/dev/null </proc/self/cgroup
  return 1
}

# Asked for first, since root may have enabled it for an account that may not do so itself.
lingers() {
  [ "$(loginctl show-user "$(id -un)" --property=Linger --value 2>/dev/null)" = yes ] ||
    loginctl --no-ask-password enable-linger 2>/dev/null
}

direct_lives() { alive "$@"; } # PID BIRTH BOOT HOST

direct_stop() { # DIRECTORY; 1 with $stop_left if something is still there
  stop_whom "$1" || return 0
  job_ending "$1"
  flag "$1/stopped"
  end_members "$1" || return
  # The supervisor writes the exit code when its child has ended: a matter of moments. One that stood between two of its
  # programs when all were looked for may only now begin the command.
  stop_round=0
  # shellcheck disable=SC2086 # four words
  while alive $stop_line; do
    [ "$stop_round" -lt 50 ] || { stop_left=$stop_supervisor && return 1; }
    stop_round=$((stop_round + 1))
    ! members "$1" || kill -KILL $members 2>/dev/null
    pause
  done
}

# As Ctrl+C in a terminal: INT to the process group that the command was started in. Once a job, since a second one
# would interrupt what the first one has set going; who asks again waits as long, and then a stop takes its course.
direct_interrupt() { # DIRECTORY; 1 with $stop_left if something is still there
  # Where the command has ended there is nothing to interrupt.
  if stop_whom "$1" && [ "$stop_session" = ours ] && [ ! -e "$1/outlived" ]; then
    job_ending "$1"
    [ -e "$1/interrupted" ] || {
      flag "$1/interrupted" # first: it keeps the next startup command from beginning
      interrupt_command "$1"
    }
    await_end "$1" "$grace"
  fi
  direct_stop "$1"
}

# The supervisor, which leads the group, has a trap for it. Without a group of its own (no setsid, perl or python3
# there) what can be told from others is each process of the job.
interrupt_command() { # DIRECTORY
  if [ -n "$stop_leader" ]; then
    kill -INT "-$stop_supervisor" 2>/dev/null
  elif members "$1"; then
    # shellcheck disable=SC2086 # one word a process
    kill -INT $members 2>/dev/null
  fi
}

direct_usage() { # DIRECTORY, of a job whose supervisor lives
  stop_whom "$1" && members "$1" || return 0
  if [ -e "$1/outlived" ]; then
    name_members
    reply use leftovers "$member_names"
  fi
  # shellcheck disable=SC2086 # one word a process
  reply use processes "$(echo $members | wc -w | tr -d ' ')"
  reply use cpu "$(ps -o pcpu= -p "$(echo "$members" | tr -s ' ' ',' | sed 's/^,//; s/,$//')" 2>/dev/null |
    awk '{ sum += $1 } END { printf "%.0f %%", sum }')"
  reply use memory "$(ps -o rss= -p "$(echo "$members" | tr -s ' ' ',' | sed 's/^,//; s/,$//')" 2>/dev/null |
    awk '{ sum += $1 } END { printf "%.0f MB", sum / 1024 }')"
  has nvidia-smi || return 0
  nvidia-smi --query-gpu=index,name,utilization.gpu,memory.used,memory.total --format=csv,noheader 2>/dev/null |
    while IFS= read -r direct_gpu; do reply use gpu "$direct_gpu"; done
}
