# Results before goodbye: what the job made goes to the client, and only then do the shutdown commands run.

# The current job, as far as the client needs to know before it does anything.
serve_attach() {
  describe_owner
  reply "done"
}

# What has become of jobs whose results a client still waits for: the others say nothing.
serve_fates() { # ID...
  for fates_id; do
    [ ! -e "$state/jobs/$fates_id/discarded" ] || ! first_line "$state/jobs/$fates_id/discarded_by" ||
      reply fate "$fates_id" "$line"
  done
}

# A session that did not start the job: from here on it stands in the job's working directory.
serve_enter() { # ID
  job_place "$state/jobs/$1" || refuse nothing "$1"
  refuse_passed "$1"
  enter_directory "$1" || {
    [ -d "$place" ] || refuse gone "$place"
    refuse directory "$place"
  }
  encode "$place"
  reply placed "$encoded"
}

# The directory may be another job's by now: what lies in it is not to be taken for this one's results.
refuse_passed() { # ID
  refuse_discarded "$1"
  holds_slot "$1" || refuse passed "$1" "$owner"
}

refuse_discarded() { # ID
  [ ! -e "$state/jobs/$1/forced" ] || {
    first_line "$state/jobs/$1/discarded_by"
    refuse discarded "$1" "$line"
  }
}

# A client that was away for long may come back when another one has retrieved this job, and begun a new one.
holds_slot() { # ID
  top_slot
  [ "$owner" = "$1" ]
}

enter_directory() { # ID
  job=$state/jobs/$1
  job_place "$job" || return
  place=$decoded
  cd "$place" 2>/dev/null || return
}

# An archive that is as it was before the job belongs to an earlier one. What most jobs leave is small, and comes along:
# raw bytes between "archive here" and "sent".
serve_archive() { # NAME BYTES: the most that comes along
  archive_stamp=$(stamp "./$1")
  if [ "$archive_stamp" = none ]; then
    reply archive none
  elif first_line "$job/archive.before" && is_stamp "$archive_stamp" "$line"; then
    reply archive same
  elif [ ! -f "./$1" ] || [ "${archive_stamp%% *}" -gt "$2" ]; then
    reply archive new
  else
    file_format
    reply archive here "=$(LC_ALL=C stat -L "$stat_option" "${stat_content% *} ." "./$1")"
    head -c "$2" "./$1"
    reply sent
  fi
}

# A job of before the time of the last change was noted has a shorter one.
is_stamp() { # NOW BEFORE
  case $1 in "$2" | "$2 "*) ;; *) return 1 ;; esac
}

# What "before" noted under a key: the mark of its records, and the records; no mark where it noted nothing.
serve_noted() { # KEY
  line=
  [ ! -e "$job/before.$1" ] || first_line "$job/before.$1"
  reply noted "$line"
  [ -z "$line" ] || tail -n +2 "$job/before.$1"
  reply "done"
}

# What the job's runner writes down itself, as far as it is there. Before the command began, only earlier jobs can have
# left anything. What the job's variable held stands under its name: a PATH is below that directory, or else below CACHE;
# one that begins with "/", "~" or "./" is below neither.
serve_runner_logs() { # CACHE PATH...
  logs_cache=$(sed 1d "$job/variable" 2>/dev/null)
  logs_cache=${logs_cache:-$1}
  shift
  job_phase "$job"
  for logs_path; do
    case $logs_path in
    /* | \~* | ./*) ;;
    *) logs_path=$logs_cache/$logs_path ;;
    esac
    file_path "$logs_path"
    encoded=
    [ "$job_phase" != running ] || [ ! -e "$file_path" ] || encode "$file_path"
    reply log "$encoded"
  done
  reply logs
}

# Something that was asked for is not there: the shutdown commands wait for another retrieval.
serve_hold() { # ID
  flag "$state/jobs/$1/held" || refuse state "$state/jobs/$1 cannot be written"
  reply held "$1"
}

# All results are downloaded. The commands of the first release count; they run detached, like the job itself, and never
# on a machine that is another job's by now.
serve_release() { # ID COMMAND...
  release_id=$1
  release_directory=$state/jobs/$1
  refuse_discarded "$1"
  shift
  if [ $# -gt 0 ] && holds_slot "$release_id" && [ ! -e "$release_directory/shutdown/commands" ]; then
    job_state "$release_directory"
    {
      mkdir -p "$release_directory/shutdown" &&
        printf '%s\n' "${job_code:-lost}" | write "$release_directory/shutdown/exit_code" &&
        write "$release_directory/shutdown/sshrun.sh" <"$release_directory/sshrun.sh" &&
        printf '%s\n' "$@" >"$release_directory/commands.$$" &&
        publish "$release_directory/commands.$$" "$release_directory/shutdown/commands"
    } 2>/dev/null || [ -e "$release_directory/shutdown/commands" ] || {
      rm -f "$release_directory/commands.$$"
      refuse state "$release_directory cannot be written"
    }
    rm -f "$release_directory/commands.$$"
    # A force that began meanwhile would start its job on a machine that these end.
    [ ! -e "$release_directory/forced" ] || rm -f "$release_directory/shutdown/commands"
    refuse_discarded "$release_id"
  fi
  flag "$release_directory/retrieved" || refuse state "$release_directory cannot be written"
  # Replied first: what a shutdown command leaves of the connection is not ours to count on. In a subshell: where nobody
  # listens any more, SIGPIPE must not end us before they have begun. ksh93 makes no process of it, hence the trap.
  (trap '' PIPE && reply released "$release_id") 2>/dev/null
  [ -e "$release_directory/shutdown/commands" ] && holds_slot "$release_id" || return 0
  launch "$release_directory/shutdown" shutdown "$release_id"
}

# What each shutdown command ended with.
serve_codes() { # ID
  for codes_file in "$state/jobs/$1/shutdown"/code.*; do
    [ ! -e "$codes_file" ] || reply code "${codes_file##*.}" "$(cat "$codes_file")"
  done
  reply "done"
}
