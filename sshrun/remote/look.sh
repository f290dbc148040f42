# What a person asks about jobs: which there are, what one is doing, what it printed.

serve_list_jobs() {
  for list_directory in "$state/jobs"/*; do
    [ ! -d "$list_directory" ] || describe "${list_directory##*/}"
  done
  reply "done"
}

# The current job, what its processes use, the last lines of its log.
serve_status() { # LINES
  describe_owner
  if [ -n "$owner" ] && [ -e "$state/jobs/$owner/log" ]; then
    case $job_state in preparing | running) job_usage "$state/jobs/$owner" ;; esac
    # A progress bar may draw all of a log as one line.
    tail -c 16384 "$state/jobs/$owner/log" | tail -n "$1" | while IFS= read -r look_line || [ -n "$look_line" ]; do
      encode "$look_line"
      reply line "$encoded"
    done
  fi
  reply "done"
}

# Raw bytes between "log ID" and "end SIZE", from where a follow would go on. An id may be given in part; without one it
# is the current job.
serve_log() { # ID LINES
  top_slot
  log_id=$owner
  if [ -n "$1" ]; then
    log_id=
    for log_directory in "$state/jobs"/*"$1"*; do
      [ ! -e "$log_directory/log" ] || log_id=${log_directory##*/}
    done
  fi
  [ -n "$log_id" ] && [ -e "$state/jobs/$log_id/log" ] || refuse nothing "${1:-of yours}"
  reply log "$log_id"
  log_end=$(log_size "$state/jobs/$log_id")
  head -c "$log_end" "$state/jobs/$log_id/log" | if [ -n "$2" ]; then tail -n "$2"; else cat; fi
  reply end "$log_end"
}
