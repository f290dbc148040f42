# Words that every other part uses: values on a line, replies, and who a process is.

# One value of a request or a reply stands on one line: a backslash as \\, a newline as \n, which is what %b undoes.
# The dot keeps a trailing newline from $(...), which would strip it.
decode() { # VALUE -> $decoded
  decoded=$1
  case $decoded in *\\*) decoded=$(printf '%b.' "$1") && decoded=${decoded%.} ;; esac
}

encode() { # VALUE -> $encoded
  encoded=$1
  case $1 in
  *\\* | *"$newline"*) encoded=$(printf '%s\n' "$1" | sed -e 's/\\/\\\\/g' -e '$!s/$/\\n/' | tr -d '\n') ;;
  esac
}

# The directory that the shell stands in, and a dot, which keeps a newline at the end of its name from $(...).
real_path() (
  real_path=$(pwd -P && echo .)
  printf '%s.' "${real_path%"$newline".}"
)

reply() { # WORD VALUE... as one line; values that may hold blanks, backslashes or newlines come last, encoded
  printf '%s %s\n' "$nonce" "$*"
}

refuse() { # WORD VALUE...: the last reply of a session, so that requests sent ahead of it are never carried out
  reply "refused $*"
  exit 1
}

is_gnu() { case $("$1" --version 2>/dev/null) in *GNU*) ;; *) return 1 ;; esac; }

has() { command -v "$1" >/dev/null 2>&1; }

# What ended by signal N is 128+N to most shells, 256+N to ksh93 and 384+N to yash.
exit_code() { # STATUS -> $exit_code
  exit_code=$1
  if [ "$1" -gt 384 ]; then
    exit_code=$(($1 - 256))
  elif [ "$1" -gt 256 ]; then
    exit_code=$(($1 - 128))
  fi
}

pause() { sleep 0.1 2>/dev/null || sleep 1; } # POSIX sleep takes whole seconds only

# Exactly COUNT bytes of stdin to stdout. GNU head asks for no byte too many; busybox head does, and so may any other.
# dd wants as much memory as "bs" says, and takes whatever one read brings for a block where it knows no "fullblock".
take() { # COUNT
  if is_gnu head; then
    head -c "$1"
  elif dd if=/dev/null iflag=fullblock 2>/dev/null; then
    take_blocks=$(($1 / 1048576)) take_rest=$(($1 % 1048576))
    [ "$take_blocks" -eq 0 ] || dd bs=1048576 count="$take_blocks" iflag=fullblock 2>/dev/null
    [ "$take_rest" -eq 0 ] || dd bs="$take_rest" count=1 iflag=fullblock 2>/dev/null
  else
    dd bs=1 count="$1" 2>/dev/null
  fi
}

# Asked once: each program that is started is time that somebody waits.
this_machine() { # -> $this_name; $this_boot, which a restart changes, so that no pid of before counts as one of now
  [ -z "${this_boot-}" ] || return 0
  this_name=$(uname -n)
  { IFS= read -r this_boot </proc/sys/kernel/random/boot_id; } 2>/dev/null ||
    this_boot=$({ sysctl -n kern.bootsessionuuid || sysctl -n kern.boottime; } 2>/dev/null | tr ' ' _)
  this_boot=${this_boot:-unknown}
}

# Field 22 of stat is the start in clock ticks since boot (proc(5)); wall clock would move when the clock is set.
# The command name before it may hold blanks and brackets, hence the cut at the last ") ".
birth() { # PID -> $birth, $process_state, $process_group, $process_session; 1 if there is no such process
  if [ -r /proc/self/stat ]; then
    { IFS= read -r birth </proc/"$1"/stat; } 2>/dev/null || return 1
    set -f
    # shellcheck disable=SC2086 # split at blanks
    set -- ${birth##*") "}
    set +f
    process_state=$1 process_group=$3 process_session=$4 birth=${20}
  else
    birth=$(LC_ALL=C TZ=UTC ps -o state= -o pgid= -o lstart= -p "$1" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # split at blanks
    set -- $birth
    [ $# -gt 2 ] || return 1
    process_state=$1 process_group=$2 process_session=$2
    shift 2
    birth=$(printf '%s_' "$@")
  fi
}

identity() { # PID -> one line that no other process has, here or elsewhere, now or later
  birth "$1" || return 1
  this_machine
  printf '%s %s %s %s\n' "$1" "$birth" "$this_boot" "$this_name"
}

alive() { # PID BIRTH BOOT HOST: does that very process live? A zombie does not.
  this_machine
  [ $# -eq 4 ] && [ "$3" = "$this_boot" ] && [ "$4" = "$this_name" ] || return 1
  birth "$1" || return 1
  case $process_state in Z* | X*) return 1 ;; esac
  [ "$birth" = "$2" ]
}

# Gives SOURCE the name TARGET unless somebody was first: atomic and exclusive, content included, also on NFS.
# Where the file system knows no hard links, mkdir decides who was first.
publish() { # SOURCE TARGET
  ln "$1" "$2" 2>/dev/null && return 0
  # NFS may lose the reply to a link that was made, and asks again: then our own is in the way.
  [ "$(cat "$1")" = "$(cat "$2" 2>/dev/null)" ] && return 0
  [ ! -e "$2" ] && [ ! -e "$1.links" ] && [ ! -d "$2.taken" ] && ln "$1" "$1.links" 2>/dev/null && {
    rm -f "$1.links" # links work here: somebody was first, just now
    return 1
  }
  [ ! -e "$2" ] && mkdir "$2.taken" 2>/dev/null && mv "$1" "$2"
}

write() { # FILE, content on stdin: never seen half-written
  cat >"$1.$$" && mv -f "$1.$$" "$1" && return
  rm -f "$1.$$"
  return 1
}

first_line() { # FILE -> $line; 1 if there is none
  line=
  { IFS= read -r line <"$1"; } 2>/dev/null
}

# An empty file. Not by ":", since a redirection of a special builtin that fails ends the whole shell.
flag() { # FILE
  { printf '' >"$1"; } 2>/dev/null
}
