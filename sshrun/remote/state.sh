# What stands on the host: where it is kept, whose slot it is, and what has become of a job. Its files, and
# why a slot that was seen closed is closed for good, are in PROTOCOL.md.

state_directory() { # -> $state, made where it is not there; 1 with $state_problem
  this_machine
  state_base=${HOME:-/nonexistent}/.sshrun
  state=$state_base/hosts/$this_name
  [ -d "$state/jobs" ] && own "$state_base" && return 0
  state_user=$(id -u)
  set -- "$state_base" "/var/tmp/sshrun-$state_user" "${TMPDIR:-/tmp}/sshrun-$state_user"
  # A directory that is there is used even when it can't be written now (a full disk): elsewhere its job would be missed.
  for state_base; do
    state=$state_base/hosts/$this_name
    [ -d "$state/jobs" ] && own "$state_base" && return 0
  done
  for state_base; do
    state=$state_base/hosts/$this_name
    (umask 077 && mkdir -p "$state_base" && own "$state_base" && mkdir -p "$state/jobs") 2>/dev/null &&
      [ -w "$state/jobs" ] && return 0
  done
  state_problem="no directory for the job's state: none of $* can be made and is yours alone"
  return 1
}

# An older program would take what a newer one has written for something else. What is older is read.
version_ours=1

accept_version() { # -> $version_found, nothing where none was written yet
  first_line "$state/version"
  version_found=$line
  case $version_found in
  *[!0-9]*) refuse version "$version_found" "$version_ours" ;;
  ?*) [ "$version_found" -le "$version_ours" ] || refuse version "$version_found" "$version_ours" ;;
  esac
}

own() { [ -d "$1" ] && [ ! -h "$1" ] && [ -O "$1" ]; } # one that somebody planted in /tmp is not

top_slot() { # -> $slot, the highest number (0: none), and $owner, its job
  slot=0 owner=
  for top_file in "$state"/slot.*; do
    top_number=${top_file##*.}
    case $top_number in '' | *[!0-9]*) continue ;; esac
    [ "$top_number" -gt "$slot" ] && slot=$top_number
  done
  [ "$slot" -ne 0 ] || return 0
  # An empty one has lost its job with the power, and is nobody's.
  first_line "$state/slot.$slot" || [ ! -s "$state/slot.$slot" ] || refuse state "$state/slot.$slot cannot be read"
  owner=$line
}

# Takes the slot for job ID. The file is linked into place whole, so a slot is never seen empty.
# One who was slow may find a number free that others have long passed and pruned: that slot is given back.
take_slot() { # ID; 1 if somebody else was first
  [ "$version_found" = "$version_ours" ] || printf '%s\n' "$version_ours" 2>/dev/null >"$state/version" ||
    refuse state "$state cannot be written"
  printf '%s\n' "$1" >"$state/owner.$$" || refuse state "$state cannot be written"
  take_number=$((slot + 1))
  publish "$state/owner.$$" "$state/slot.$take_number"
  take_status=$?
  rm -f "$state/owner.$$"
  [ "$take_status" -eq 0 ] || return 1
  top_slot
  if [ "$slot" -ne "$take_number" ]; then
    rm -f "$state/slot.$take_number"
    return 1
  fi
  for take_old in "$state"/slot.*; do
    [ "${take_old##*.}" -ge $((slot - 8)) ] 2>/dev/null || rm -f "$take_old"
  done
}

# "rc.N" is looked for before and after the process: it appears just before the supervisor ends.
job_state() { # DIRECTORY -> $job_state: claimed, void, preparing, running, finished, lost; and $job_code
  job_code=
  if job_finished "$1"; then
    job_state=finished
  elif [ ! -e "$1/id" ]; then
    job_state=claimed
  else
    { IFS= read -r job_id_line <"$1/id"; } 2>/dev/null
    # shellcheck disable=SC2086 # the words of an identity
    if [ "$job_id_line" = void ]; then
      job_state=void
    elif job_lives "$1" $job_id_line; then
      job_state=preparing
      job_phase "$1"
      if [ "$job_phase" = running ] || [ -e "$1/outlived" ]; then job_state=running; fi
    elif job_finished "$1"; then
      job_state=finished
    else
      job_state=lost
    fi
  fi
}

job_finished() { # DIRECTORY -> $job_code
  for job_code_file in "$1"/rc.[0-9]*; do
    [ -e "$job_code_file" ] || return 1
    job_code=${job_code_file##*/rc.}
  done
}

job_phase() { # DIRECTORY -> $job_phase: environment, "startup N", running
  job_phase=
  [ -e "$1/phase" ] || return 0
  while IFS= read -r job_phase_line; do job_phase=$job_phase_line; done <"$1/phase"
}

# The directory that the job runs in; 0.1.0 called the file "folder".
job_place() { # DIRECTORY -> $decoded; 1 if the job was never given one
  first_line "$1/directory" || first_line "$1/folder" || return
  decode "$line"
}

job_closed() { # DIRECTORY
  [ ! -d "$1" ] || [ -e "$1/retrieved" ] || [ -e "$1/discarded" ] || { first_line "$1/id" && [ "$line" = void ]; }
}

# A claim whose session died before its job began holds nothing. "id" is published once: by the supervisor, or here
# as "void", so that a supervisor that was on its way at that moment finds itself late and starts nothing.
void_stale_claim() { # DIRECTORY; 0 if the job in it can no longer start
  ! claim_lives "$1" && void_claim "$1"
}

claim_lives() { # DIRECTORY
  { IFS= read -r claim_line <"$1/claim"; } 2>/dev/null || return 1
  # shellcheck disable=SC2086 # four words
  alive $claim_line
}

void_claim() { # DIRECTORY; 0 if the job in it can no longer start
  echo void >"$1/void.$$" && publish "$1/void.$$" "$1/id"
  rm -f "$1/void.$$"
  first_line "$1/id" && [ "$line" = void ]
}

describe() { # ID: the replies that describe a job
  describe_directory=$state/jobs/$1
  job_state "$describe_directory"
  [ "$job_state" != claimed ] || claim_lives "$describe_directory" || job_state=void # nothing came of it
  job_phase "$describe_directory"
  [ "$job_state" != running ] || [ ! -e "$describe_directory/outlived" ] || job_phase=leftovers
  describe_flags=
  for describe_flag in retrieved discarded held; do
    [ -e "$describe_directory/$describe_flag" ] && describe_flags=$describe_flags,$describe_flag
  done
  case $describe_flags, in *,discarded,*) first_line "$describe_directory/discarded_by" ;; *) line= ;; esac
  describe_discarded=$line
  first_line "$describe_directory/started"
  describe_started=$line
  first_line "$describe_directory/ended"
  describe_ended=$line
  reply "job $1 $job_state ${job_code:--} ${describe_started:--} ${describe_ended:--} $(log_size "$describe_directory") ${describe_flags:--} ${job_phase:--}"
  [ -z "$describe_discarded" ] || reply by "$describe_discarded"
  first_line "$describe_directory/manifest" || first_line "$describe_directory/facts" # so called by 0.1.0
  reply manifest "$line" # encoded when it came
}

log_size() { # DIRECTORY
  [ -e "$1/log" ] || { echo 0 && return; }
  # busybox's wc reads all of it.
  stat -L -c %s -- "$1/log" 2>/dev/null || stat -L -f %z -- "$1/log" 2>/dev/null || echo $(($(wc -c <"$1/log")))
}

prune() { # COUNT: the oldest jobs go, down to COUNT, never the one whose slot it is or one that is being claimed
  prune_keep=$1
  set -- "$state/jobs"/*
  [ $# -gt "$prune_keep" ] || return 0
  # Names begin with the time of their making, so their order is the order of age.
  for prune_directory in "$state/jobs"/*; do
    [ -d "$prune_directory" ] && [ "${prune_directory##*/}" != "$owner" ] && ! claim_lives "$prune_directory" &&
      printf '%s\n' "$prune_directory"
  done | sort -r | tail -n "+$((prune_keep + 1))" | while IFS= read -r prune_directory; do
    rm -rf -- "$prune_directory"
  done
}
