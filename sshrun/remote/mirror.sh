# What a client has sent of a directory of its own, noted in the working directory that it was sent to:
#
#   .sshrun/mirrors/ID/   ID stands for a directory of a client
#     names                what was sent, also by an upload that was cut off, each ending with NUL
#     state                what stat said of each of them, once all were in place
#     digest               of what the client had then
#
# "digest" goes before anything is changed and comes back last.

# "same" where all that the client has is here, and nobody has changed any of it since; else the names that were sent.
serve_mirror() { # ID DIGEST
  mirror_of "$1"
  file_format
  first_line "$mirror_directory/digest"
  if [ "$line" = "$2" ] && mirror_state <"$mirror_directory/names" | cmp -s - "$mirror_directory/state"; then
    reply mirror same
  else
    reply mirror other
    cat "$mirror_directory/names" 2>/dev/null
    reply mirrored
  fi
}

mirror_of() { mirror_directory=.sshrun/mirrors/$1; } # ID -> $mirror_directory

mirror_state() { # names on stdin
  LC_ALL=C xargs -0 stat "$stat_option" "$stat_format" 2>/dev/null
}

# Before an upload: what it may bring is noted; what an earlier one brought and is gone on the client is removed, and so
# are directories that are empty then. Nothing else ever is.
serve_mirror_begin() { # ID ADDED GONE EMPTY: so many bytes of names follow, of each kind
  mirror_of "$1"
  refuse_late
  (umask "$session_umask" && mkdir -p "$mirror_directory" && rm -f "$mirror_directory/digest") 2>/dev/null ||
    refuse directory "$place"
  mirror_begin_error=$(
    take_all_of "$2" mirror_add
    take_all_of "$3" mirror_remove -f 'rm -f --'
  )
  take_all_of "$4" mirror_remove -d 'rmdir --' >/dev/null
  [ -z "$mirror_begin_error" ] || refuse_put "${mirror_begin_error%%"$newline"*}"
  reply begun
}

take_all_of() { # BYTES FUNCTION ARGUMENT...: the first line of what it complains of
  take_all_of=$1
  shift
  take "$take_all_of" | {
    first_error "$@" 4>/dev/null
    cat >/dev/null # what it has left
  }
}

mirror_add() {
  umask "$session_umask"
  cat >>"$mirror_directory/names"
}

# Names on stdin. What is beneath a link by now, or is one, or of another type, was never sent.
mirror_remove() { # TYPE PROGRAM: "-f" or "-d" of test(1)
  # shellcheck disable=SC2016 # that shell's own
  xargs -0 -n 200 sh -c '
    program=$1
    shift
    for name; do
      shift
      directory=${name%/*}
      while [ "$directory" != . ] && [ ! -h "$directory" ]; do directory=${directory%/*}; done
      [ "$directory" = . ] && [ ! -h "$name" ] && [ "$0" "$name" ] && set -- "$@" "$name"
    done
    [ $# -eq 0 ] || $program "$@"' "$1" "$2"
}

# After it: names of BYTES follow, all that the client has.
serve_mirror_end() { # ID DIGEST BYTES
  mirror_of "$1"
  refuse_late
  umask "$session_umask"
  mirror_end_error=$(take_all_of "$3" mirror_note "$2")
  umask 077
  [ -z "$mirror_end_error" ] || refuse_put "$mirror_end_error"
  reply mirrored
}

mirror_note() { # DIGEST
  write "$mirror_directory/names" && mirror_state <"$mirror_directory/names" | write "$mirror_directory/state" &&
    printf '%s\n' "$1" | write "$mirror_directory/digest"
}
