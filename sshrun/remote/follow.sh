# The log from a byte on, as it grows, until the job ends. The host pushes; the client never asks.

# Raw bytes between "log OFFSET" and the marker "end SIZE". The client's open stdin is its sign of life: when it ends,
# so does this; the word "interrupt" on it is a Ctrl+C for the job, and the log goes on to its end.
serve_follow() { # ID OFFSET ARCHIVE BYTES: the name of an archive that comes along, and the most that it may have
  follow_directory=$state/jobs/$1
  [ -e "$follow_directory/log" ] && [ -p "$follow_directory/alive" ] || refuse nothing "$1"
  exec 5<"$follow_directory/log"
  # Opened for both, then for reading, so that it neither waits for a writer nor misses that there is none any more.
  # shellcheck disable=SC2094 # a FIFO
  exec 6<>"$follow_directory/alive" 7<"$follow_directory/alive" 6>&-
  # shellcheck disable=SC2094
  [ ! -p "$follow_directory/working" ] || exec 6<>"$follow_directory/working" 4<"$follow_directory/working" 6>&-
  follow_size=$(log_size "$follow_directory")
  [ "$follow_size" -ge "$2" ] || refuse truncated "$follow_size"
  reply log "$2"
  exec 9<&0
  follow_watch=
  case $1 in
  */shutdown) ;;
  *)
    tell_phase "$follow_directory" none
    case $tell_now in
    leftovers*) ;;
    *)
      watch_phase "$follow_directory" >/dev/null 5<&- 9<&- &
      follow_watch=$!
      ;;
    esac
    ;;
  esac
  # Only now, and nothing is written before the reader is there to end it: to write to a client that is gone ends this.
  cat <&7 >/dev/null 2>&1 5<&- 9<&- & # ends when the supervisor does
  follow_job=$!
  if is_gnu tail; then
    # It looks at the process every 50 ms, and whenever one of its files is written to: "wake", which stays empty, is
    # for that (truncating it counts: inotify(7)).
    flag "$follow_directory/wake"
    tail --pid="$follow_job" -s 0.05 -q -f -c "+$(($2 + 1))" "$follow_directory/log" "$follow_directory/wake" \
      4<&- 5<&- 7<&- 9<&- 2>/dev/null &
    follow_tail=$!
    # shellcheck disable=SC2086 # one or none
    follow_control "$1" "$follow_tail" "$follow_job" $follow_watch &
    follow_reader=$!
    wait "$follow_job"
    follow_size=$(log_size "$follow_directory")
    flag "$follow_directory/wake"
    wait "$follow_tail"
  else
    dd bs=1 skip="$2" count=0 <&5 2>/dev/null # a seek: fd 5 keeps its place
    # shellcheck disable=SC2086 # one or none
    follow_control "$1" "$follow_job" $follow_watch &
    follow_reader=$!
    follow_over=
    while [ -z "$follow_over" ]; do
      # Looked at first and drained after, so that nothing written before the end is left.
      kill -0 "$follow_job" 2>/dev/null || follow_over=1 follow_size=$(log_size "$follow_directory")
      cat <&5 || exit 1
      [ -n "$follow_over" ] || pause
    done
  fi
  kill "$follow_reader" 2>/dev/null
  wait "$follow_reader" 2>/dev/null
  # A watcher that has seen the command run ends with the job, and its number may be anybody's by now.
  if [ -n "$follow_watch" ] && job_phase "$follow_directory" && [ "$job_phase" != running ]; then
    kill "$follow_watch"
    wait "$follow_watch" 2>/dev/null
  fi
  # What outlived the command is still to be ended: the reader may have been at it.
  [ ! -e "$follow_directory/stopped" ] || stop_job "$follow_directory" >/dev/null
  exec 4<&- 5<&- 7<&- 9<&-
  reply end "$follow_size"
  tell_notes "$follow_directory"
  describe "$1"
  [ -n "${3-}" ] || return 0
  # Whoever reads a log slowly comes here late: "new" makes the client ask, and hear whose slot it is.
  if [ ! -e "$follow_directory/forced" ] && holds_slot "$1" && enter_directory "$1"; then
    serve_archive "$3" "$4"
  else
    reply archive new
  fi
}

# What is done before the command runs, as it changes: a look a second. While it runs none: "working" ends when what it
# has left running is to be ended. Then this lasts as long as the job, so that its number is nobody else's until then.
watch_phase() { # DIRECTORY; fd 4 is "working", where the job has that, and fd 7 "alive"
  until [ "$job_phase" = running ]; do
    sleep 1 4<&- 7<&- <&- >/dev/null 2>&1 && kill -0 $$ 2>/dev/null || return
    ! tell_phase "$1" "$tell_now" || break
  done
  { IFS= read -r watch_line <&4; } 2>/dev/null # nobody ever writes to it
  if [ -e "$1/outlived" ]; then tell_phase "$1" "$tell_now"; fi
  # shellcheck disable=SC2034 # only its end counts
  IFS= read -r watch_line <&7
}

# An aside: a line of its own among the session's errors, of which nothing is part of the log. It is short, so that it
# is written as a whole (PIPE_BUF of POSIX).
tell_phase() { # DIRECTORY BEFORE -> $tell_now, told where it is not BEFORE; 0 once the command runs
  job_phase "$1"
  tell_now=$job_phase
  case $job_phase in
  environment)
    if first_line "$1/step"; then tell_now="environment $line"; fi
    [ ! -s "$1/packages" ] || tell_now="$tell_now $(tail -n 1 "$1/packages")"
    ;;
  startup*) tell_now="$job_phase $(sed -n '$=' "$1/startup") $(sed -n "${job_phase#* }p" "$1/startup")" ;;
  esac
  if [ -e "$1/outlived" ]; then job_ending "$1" && tell_now="leftovers ${policy:-stop}"; fi
  [ "$tell_now" = "$2" ] || printf '\n%s phase %.400s\n' "$nonce" "$tell_now" >&2
  [ "$job_phase" = running ]
}

# What the job's preparation has to say to the person: it is no part of the log.
tell_notes() { # DIRECTORY
  [ ! -e "$1/notes" ] || while IFS= read -r tell_line; do
    encode "$tell_line"
    reply note "$encoded"
  done <"$1/notes"
}

# Runs beside the log. Its standard output is not the log's: an "interrupt" must print nothing between the bytes.
follow_control() { # ID PROCESS...: what to end with the client
  exec >/dev/null 2>&1
  follow_id=$1
  shift
  while IFS= read -r follow_word <&9; do
    [ "$follow_word" != interrupt ] || interrupt_job "$state/jobs/$follow_id"
  done
  kill "$@" $$
}
