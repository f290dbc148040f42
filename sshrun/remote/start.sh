# From a claim to a running job. Every request may be sent again after a lost connection: the job's id, chosen by the
# client, makes the second one find what the first one did.

serve_claim() { # ID KEEP: takes the slot, or says who has it; KEEP old jobs stay
  claim_slot "$1" refuse_busy "$2"
}

serve_force() { # ID KEEP WHO: takes the slot from whoever has it; every process of the old job ends
  encode "$3"
  discard_who=$encoded
  claim_slot "$1" discard "$2"
}

claim_slot() { # ID WHAT_IF_BUSY KEEP
  birth $$ || refuse blind "$this_name" # neither /proc nor ps: nobody could tell whether a job lives
  job=$state/jobs/$1
  { [ -d "$job" ] || mkdir -p "$job"; } && identity $$ >"$job/claim.$$" && mv -f "$job/claim.$$" "$job/claim" ||
    refuse state "$job cannot be written"
  while top_slot && [ "$owner" != "$1" ]; do
    # Another force was faster; to go on would be to take slots for ever.
    job_closed "$job" && refuse closed "$1"
    if [ -z "$owner" ] || job_closed "$state/jobs/$owner" || claim_is_stale "$state/jobs/$owner"; then
      take_slot "$1" && prune "$3"
    else
      "$2" "$1"
    fi
  done
  job_closed "$job" && refuse closed "$1"
  reply claimed "$1"
}

claim_is_stale() { # DIRECTORY
  job_state "$1"
  [ "$job_state" = claimed ] && void_stale_claim "$1"
}

# A first try of the same client may have taken the slot meanwhile: its job, if it has begun, is nobody's to remove.
refuse_busy() { # ID
  describe "$owner"
  ! void_claim "$state/jobs/$1" || rm -rf -- "$state/jobs/$1"
  refuse busy
}

discard() { # ID
  discard_directory=$state/jobs/$owner
  job_state "$discard_directory"
  [ "$job_state" = claimed ] && void_claim "$discard_directory" && return
  describe "$owner" # whose it is
  # By whom, for the client that it is taken from. On a full disk that one hears of it without a name.
  printf '%s %s\n' "$(date +%s)" "$discard_who" 2>/dev/null | write "$discard_directory/discarded_by" 2>/dev/null
  # Known before its end is: who follows it must not take its place for that of the job that comes.
  flag "$discard_directory/forced" || refuse state "$discard_directory cannot be written"
  stop_job "$discard_directory" || {
    rm -f "$discard_directory/forced" "$discard_directory/discarded_by"
    refuse stop "$owner" "$stop_left"
  }
  flag "$discard_directory/discarded" || refuse state "$discard_directory cannot be written"
  reply discarded "$owner"
}

# The directory where the job runs: made if it is not there, with the user's own umask.
serve_place() { # DIRECTORY
  case $1 in
  \~) place=$HOME ;;
  \~/*) place=$HOME/${1#\~/} ;;
  '' | '.') place=. ;;
  /*) place=$1 ;;
  *) place=./$1 ;; # a leading dash is no option
  esac
  [ -d "$place" ] || (umask "$session_umask" && mkdir -p "$place") 2>/dev/null
  cd "$place" 2>/dev/null && [ -w . ] || refuse directory "$1"
  place=$(real_path)
  place=${place%.}
  encode "$place"
  reply placed "$encoded"
}

# What the job needs to know, each value on a line as it came: decoded when it is used. A start that was cut off in the
# middle of this is sent again from its beginning, and once the job has begun nothing is changed any more. It may begin
# this very moment, by the first try: hence "<>", which writes the same over the same, and never leaves a file empty.
serve_keep() { # NAME VALUE...
  [ ! -e "$job/id" ] || return 0
  keep_name=$1
  shift
  if [ $# -gt 0 ]; then printf '%s\n' "$@"; fi 2>/dev/null 1<>"$job/$keep_name" || refuse state "$job cannot be written"
}

serve_clean() { # ARCHIVE: of an earlier run, or nothing; once the job has begun it may be its own
  [ -z "$1" ] || [ -e "$job/id" ] || rm -f -- "./$1"
}

# A module of ours that the job may import, at the end of its PYTHONPATH.
serve_module() { # NAME TEXT
  mkdir -p "$job/lib" && printf '%s\n' "$2" | write "$job/lib/$1.py" || refuse state "$job cannot be written"
}

# What stands on the host before the job, as far as a pattern of its results reaches: what is the same afterwards is none
# of them. What the first try of a start noted counts, since a later one may find what the job has made already. Where it
# takes too long nothing is noted, and the client judges by time.
serve_before() { # KEY MARK DIRECTORY LAST NAME DEPTH HIDDEN PRUNED...: from LAST on as for "list_tree"
  before_file=$job/before.$1
  [ ! -e "$job/id" ] && [ ! -e "$before_file" ] && [ -z "${before_late-}" ] || return 0
  list_directory "$3"
  file_format
  {
    before_mark=$2
    shift 3
    printf '%s\n' "$before_mark" >"$before_file.$$" || refuse state "$job cannot be written"
    if [ ! -e "$file_path/$2" ] && [ ! -h "$file_path/$2" ]; then
      :
    elif [ ! -d "$file_path/$2" ]; then
      (list_tree "$before_mark" "$@") >>"$before_file.$$"
    else
      within 10 list_tree "$before_mark" "$@" >>"$before_file.$$" || before_late=1
    fi
    [ -n "${before_late-}" ] || publish "$before_file.$$" "$before_file"
    rm -f "$before_file.$$"
  } 2>/dev/null
}

within() { # SECONDS FUNCTION ARGUMENT...; 1 if that took longer, and was ended
  within_seconds=$1
  shift
  "$@" &
  within_process=$!
  (
    trap 'kill $!; exit' TERM
    sleep "$within_seconds" &
    wait $! && kill "$within_process"
  ) >/dev/null 2>&1 </dev/null &
  within_watch=$!
  wait "$within_process"
  within_status=$?
  kill "$within_watch"
  wait "$within_watch"
  [ "$within_status" -lt 128 ]
}

serve_start() { # ARCHIVE: its name or nothing; starts the job that was claimed here, in the directory that was placed
  if [ ! -e "$job/id" ]; then
    encode "$place"
    {
      printf '%s\n' "$session_umask" 1<>"$job/umask" && printf '%s\n' "$encoded" 1<>"$job/directory" &&
        if [ -n "$1" ] && [ ! -e "$job/archive.before" ]; then stamp "./$1" | write "$job/archive.before"; fi &&
        printf '%s\n' "$program" | write "$job/sshrun.sh"
    } 2>/dev/null || refuse state "$job cannot be written"
  fi
  launch "$job" job "${job##*/}"
  case $supervisor in
  '')
    job_closed "$job" && refuse late "${job##*/}"
    refuse start "$(head -n 1 "$launch_errors" 2>/dev/null)" ;;
  void) refuse late "${job##*/}" ;;
  esac
  [ -z "$launch_warning" ] || reply note "$launch_warning"
  has bash || reply fact shell sh
  reply started "$supervisor"
}

# Size, times and inode tell whether a file is still the one that was there.
stamp() { # FILE
  [ -e "$1" ] || { echo none && return; }
  stat -L -c '%s %y %i %z' -- "$1" 2>/dev/null || stat -L -f '%z %Fm %i %Fc' -- "$1" 2>/dev/null || echo none
}
