# Files, in both directions. Lists of names travel as NUL-separated bytes, since a name may hold anything else, and each
# name begins with "./", so that none is taken for an option.

# A directory that files go to: made if it is not there; what a transfer that was cut off left in it goes.
serve_directory() { # DIRECTORY
  file_path "$1"
  refuse_late
  directory_path=$(umask "$session_umask" && mkdir -p -- "$file_path" && cd "$file_path" && [ -w . ] && real_path) ||
    refuse directory "$1"
  directory_path=${directory_path%.}
  sweep_parts "$directory_path"
  encode "$directory_path"
  reply directory "$(free_kilobytes "$directory_path")" "$encoded"
}

file_path() { # DIRECTORY -> $file_path, absolute: the shell stands in $place
  case $1 in
  \~ | \~/*) file_path=$HOME${1#\~} ;;
  /*) file_path=$1 ;;
  *) file_path=$place/$1 ;;
  esac
}

# Half of a file is never seen under its own name: what arrives stays in here until it is whole. Each session has its
# own, since two clients may upload into one directory at the same moment, and machines may share it.
file_part() { # DIRECTORY -> $file_part
  session_name
  file_part=$1/.sshrun-part-$this_name.$session_name
}

session_name() { # -> $session_name: PID.START of this session; no other one on this machine has it
  [ -n "${session_name-}" ] || { birth $$ && session_name=$$.$birth; } || session_name=$$.
}

# Of anything that is not such a name, nobody here can tell.
session_ended() { # PID.START
  case $1 in *.*) ;; *) return 1 ;; esac
  case ${1%%.*} in '' | *[!0-9]*) return 1 ;; esac
  this_machine
  ! alive "${1%%.*}" "${1#*.}" "$this_boot" "$this_name"
}

# What a session that has ended left in a directory; what a live one is filling is never touched.
sweep_parts() { # DIRECTORY
  for sweep_part in "$1/.sshrun-part-$this_name"*; do
    [ -d "$sweep_part" ] || continue
    sweep_owner=${sweep_part#"$1/.sshrun-part-$this_name"}
    sweep_owner=${sweep_owner%.rsync}
    # A name without a session is of a version that had one directory for all.
    [ -z "$sweep_owner" ] || { [ "$sweep_owner" != "${sweep_owner#.}" ] && session_ended "${sweep_owner#.}"; } || continue
    case $sweep_part in *.rsync) await_rsync "$sweep_part" ;; esac
    rm -rf -- "$sweep_part"
  done
}

# An rsync whose client has just been cut off may be about to put away what it has, for the next one to go on with.
await_rsync() { # DIRECTORY
  for await_try in 1 2 3 4 5 6 7 8 9 10; do
    rmdir -- "$1" 2>/dev/null || [ ! -d "$1" ] && return
    [ "$await_try" -eq 10 ] || pause
  done
}

# A client whose claim was discarded meanwhile leaves the directory to the job that came in its place.
refuse_late() { ! is_late || refuse late "${job##*/}"; }

is_late() { [ -n "${job-}" ] && job_closed "$job"; }

# Runs a program with what is left of stdin; its output goes to fd 4 and the first line of its errors to stdout, which
# is empty if it went well. In one language, since a full disk is told by it.
first_error() { # PROGRAM ARGUMENT...
  first_text=$({ in_english "$@" 2>&1 >&4; echo "$?"; } | sed -n '1p;$p')
  [ "${first_text##*"$newline"}" = 0 ] || printf '%s\n' "${first_text%%"$newline"*}"
}

in_english() { # PROGRAM ARGUMENT..., a function too; of a subshell, since it stays so
  export LC_ALL=C
  "$@"
}

# What stat calls its formats: mode in hex, size, time with what the file system keeps of it, device, inode, time of the
# last change, blocks of 512 bytes, name. With LC_ALL=C, since GNU's writes a fraction with the decimal comma of whoever
# logs in.
file_format() { # -> $stat_option, $stat_format; and $stat_content, where all that no copy has is 0
  [ -z "${stat_option-}" ] || return 0
  stat_option=-c
  case $(LC_ALL=C stat -c %.9Y . 2>/dev/null) in
  *[0-9].[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9])
    stat_content="%f %s %.9Y 0 0 0 0 %n" stat_format="%f %s %.9Y %d %i %.9Z %b %n" ;;
  '') stat_option=-f stat_content="%Xp %z %Fm 0 0 0 0 %N" stat_format="%Xp %z %Fm %d %i %Fc %b %N" ;; # BSD, macOS
  *) stat_content="%f %s %Y 0 0 0 0 %n" stat_format="%f %s %Y %d %i %Z %b %n" ;;                     # busybox
  esac
}

# What there is beneath a directory, as far as a pattern may reach. Each record begins with MARK, which no name holds;
# after "=" a link stands for itself, after ">" for what it leads to. Links are not followed: the client asks for the
# directories behind them, since it knows which it has seen.
serve_list() { # MARK DIRECTORY NAME DEPTH HIDDEN PRUNED...
  list_directory "$2"
  reply list "$encoded"
  file_format
  list_mark=$1
  shift 2
  # Of the complaints only those about directories that may not be read: stat finds links to nothing, which is known.
  {
    list_denied=$({ list_tree "$list_mark" '' "$@"; } 2>&1 >&4 | grep '^find: .*denied' | head -n 1)
  } 4>&1
  encode "$list_denied"
  reply listed "$encoded"
}

list_directory() { # DIRECTORY -> $file_path, its real name, and that $encoded
  file_path "$1"
  file_path=$(cd "$file_path" 2>/dev/null && real_path)
  file_path=${file_path%.}
  encode "$file_path"
}

# The records. With LAST only files of such a name; DEPTH 0 is all the way down; names with a leading dot if HIDDEN is 1;
# nothing beneath the top of a name, for find(1), that is PRUNED. Of a subshell, since it ends it.
list_tree() { # MARK LAST NAME DEPTH HIDDEN PRUNED...
  cd "${file_path:?}" || exit
  export LC_ALL=C
  list_same="$1=$stat_format" list_behind="$1>$stat_format"
  # find -H follows a link that it is given by name, and does not say so.
  [ ! -h "$3" ] || stat -L "$stat_option" "$list_behind" "$3" 2>/dev/null
  if [ ! -d "$3" ] && [ -e "$3" ]; then
    exec stat "$stat_option" "$list_same" "$3"
  fi
  list_last=$2 list_name=$3 list_depth=$4 list_hidden=$5
  shift 5
  for list_pruned; do
    shift
    set -- "$@" -name "$list_pruned" -prune -o
  done
  set -- "$@" -name '.sshrun-part*' -prune -o
  # These two come first: find(1).
  [ "$list_depth" -eq 0 ] || set -- -maxdepth "$list_depth" "$@"
  set -- -H "$list_name" "$@"
  [ "$list_hidden" -eq 1 ] || set -- "$@" -name '.?*' -prune -o
  [ -z "$list_last" ] || set -- "$@" ! -type d -name "$list_last"
  exec find "$@" -exec stat "$stat_option" "$list_same" {} + \
    -type l -exec stat -L "$stat_option" "$list_behind" {} +
}

# What there is of the files in a list; those that are missing are left out.
serve_compare() { # MARK DIRECTORY BYTES, then the names
  reply list
  file_path "$2"
  file_format
  take "$3" | {
    cd "$file_path" && LC_ALL=C xargs -0 stat "$stat_option" "$1=$stat_content" 2>/dev/null
    cat >/dev/null
  }
  reply listed
}

# Files in a tar archive of BYTES that follows: all of them are unpacked beside their places, then each gets its name.
serve_put() { # DIRECTORY BYTES FILTER: "gzip" or nothing
  has tar || refuse notar
  file_path "$1"
  file_part "$file_path"
  sweep_parts "$file_path"
  put_error=$({ rm -rf -- "$file_part" && in_english mkdir -- "$file_part"; } 2>&1) || refuse_put "${put_error%%"$newline"*}"
  put_error=$(
    take "$2" | {
      first_error put_unpack "$3" 4>&1
      cat >/dev/null
    }
  )
  move_into_unless "$put_error"
  reply put
}

# Whether an archive may leave out the holes of files.
serve_holes() {
  if is_gnu tar; then reply holes yes; else reply holes no; fi
}

put_unpack() { # FILTER
  cd "$file_part" || return
  umask "$session_umask" # for directories that the archive does not mention
  # Modes as they were sent; owners not, also for root.
  case $1 in
  gzip) gzip -dc | tar -xpof - ;;
  *) tar -xpof - ;;
  esac
}

# Everything in FROM moves to the same place in TO: a directory that is not there yet by a single rename, files into one
# that is by few. A link in the way is replaced, never followed.
move_into() ( # FROM TO
  cd "$1" || exit
  find . ! -name . -prune ! -type d -exec sh -c 'mv -f -- "$@" "$0/"' "$2" {} + || exit
  for move_into_name in ./* ./.[!.]* ./..?*; do
    [ -d "$move_into_name" ] || continue
    if [ -d "$2/$move_into_name" ] && [ ! -h "$2/$move_into_name" ]; then
      move_into_directory "$move_into_name" "$2/$move_into_name" || exit
    else
      # Into its parent, not to its name: where another client has just made that, mv would move this one into it.
      rm -f -- "$2/$move_into_name" && {
        mv -- "$move_into_name" "$2/" ||
          { [ -d "$2/$move_into_name" ] && move_into_directory "$move_into_name" "$2/$move_into_name"; }
      } || exit
    fi
  done
)

move_into_directory() { # FROM TO
  if [ "$(file_system "$1")" = "$(file_system "$2")" ]; then
    move_into "$PWD/$1" "$2"
  else
    # Another disk is mounted there: a rename cannot reach it, so the files are copied beside their places first.
    file_part "$2"
    rm -rf -- "$file_part" && mv -- "$1" "$file_part" && move_into "$file_part" "$2" && rm -rf -- "$file_part"
  fi
}

file_system() { # DIRECTORY
  stat -c %d -- "$1" 2>/dev/null || stat -f %d -- "$1"
}

# The files of a list as a tar archive, or several behind one another. xargs reads its list with every tar there is,
# while only some tars can read one themselves.
serve_get() { # DIRECTORY BYTES FILTER, then the names
  reply archive
  file_path "$1"
  { get_error=$(take "$2" | first_error get_pack "$3"); } 4>&1
  encode "$get_error"
  reply sent "$encoded"
}

get_pack() { # FILTER
  cd "$file_path" || return
  pack_filter=$1
  set -- tar
  # GNU tar takes a backslash in a name for the beginning of an escape; and it alone leaves holes out, in a format that is
  # read here.
  is_gnu tar && set -- tar --no-unquote --format=gnu -S
  case $pack_filter in
  gzip) xargs -0 "$@" -chf - | gzip -1 ;;
  *) xargs -0 "$@" -chf - ;;
  esac
}

# A digest for each file of a list, in its order.
serve_digest() { # DIRECTORY BYTES, then the names
  file_path "$1"
  if has sha256sum; then
    digest_program=sha256sum
  elif has shasum; then
    digest_program='shasum -a 256'
  else
    refuse nodigest
  fi
  reply digests
  # shellcheck disable=SC2086 # a program and its options
  take "$2" | { cd "$file_path" && xargs -0 $digest_program 2>/dev/null; }
  reply digested
}

# rsync writes into a directory of this session's before it renames; what is cut off it keeps in .sshrun-part beside
# the file.

serve_rsync() { # DIRECTORY -> the directory for its temporary files
  file_path "$1"
  refuse_late
  sweep_parts "$file_path"
  file_part "$file_path"
  mkdir -p -- "$file_part.rsync" || refuse directory "$1"
  encode "$file_part.rsync"
  reply rsync "$encoded"
}

serve_tidy() { # DIRECTORY KEEP: unless KEEP is 1, what was cut off goes as well
  file_path "$1"
  file_part "$file_path"
  rm -rf -- "$file_part.rsync"
  [ "$2" = 1 ] || find "$file_path/." -name .sshrun-part -prune -exec rm -rf -- {} +
  reply tidy
}

serve_ping() { reply pong; } # what a client asks when another program of its own says that nobody is

# For scp, under names that no shell and no glob can mistake, in a directory of the state's, which each session has its
# own of.

serve_scp_begin() { # -> a path as scp takes it
  for scp_old in "$state/scp" "$state"/scp.*; do
    [ "$scp_old" != "$state/scp" ] && ! session_ended "${scp_old#"$state/scp."}" || rm -rf -- "$scp_old"
  done
  session_name
  scp_directory=$state/scp.$session_name
  rm -rf -- "$scp_directory"
  mkdir -- "$scp_directory" || refuse state "$state cannot be written"
  case $scp_directory in
  "$HOME"/*) reply directory "${scp_directory#"$HOME"/}" ;;
  *) reply directory "$scp_directory" ;;
  esac
}

serve_scp_take() { # DIRECTORY FIRST NAME...: the file FIRST in the directory for scp becomes the first NAME, and so on
  file_path "$1"
  file_part "$file_path"
  scp_take_number=$2
  shift 2
  move_into_all take_all "$@"
  reply moved
}

# What a function puts into $file_part gets its place in $file_path.
move_into_all() { # FUNCTION ARGUMENT...
  sweep_parts "$file_path"
  move_into_unless "$(first_error "$@" 4>&1)"
}

move_into_unless() { # WHY_NOT: the first error of what came before, if there was one
  move_into_error=$1
  [ -n "$move_into_error" ] || is_late || move_into_error=$(first_error move_into "$file_part" "$file_path" 4>&1)
  rm -rf -- "$file_part"
  refuse_late
  [ -z "$move_into_error" ] || refuse_put "$move_into_error"
}

refuse_put() { # WHY
  encode "$1"
  refuse put "$encoded"
}

take_all() { # NAME..., from $scp_take_number on
  mkdir -- "$file_part" || return
  umask "$session_umask"
  for take_name; do
    take_path=$file_part/$take_name
    mkdir -p -- "${take_path%/*}" && mv -f -- "$scp_directory/$scp_take_number" "$take_path" || return
    scp_take_number=$((scp_take_number + 1))
  done
}

serve_scp_link() { # DIRECTORY FIRST NAME...: the first NAME can be fetched from the directory for scp as FIRST, and so on
  file_path "$1"
  scp_link_number=$2
  shift 2
  for scp_link_name; do
    ln -s "$file_path/$scp_link_name" "$scp_directory/$scp_link_number" || refuse state "$state cannot be written"
    scp_link_number=$((scp_link_number + 1))
  done
  reply linked
}

serve_directories() { # DIRECTORY NAME...: empty ones
  file_path "$1"
  file_part "$file_path"
  shift
  move_into_all make_all "$@"
  reply directories
}

# Links, when all that they lead to is in place: each relative, to something else that was sent. What leads there already
# stays, and a directory with something in it is nobody's to remove.
serve_links() { # DIRECTORY NAME TARGET...
  file_path "$1"
  file_part "$file_path"
  shift
  move_into_all make_links "$@"
  reply links
}

make_links() { # NAME TARGET...
  mkdir -- "$file_part" || return
  umask "$session_umask"
  while [ $# -gt 0 ]; do
    make_path=$file_path/./$1
    # shellcheck disable=SC3013 # where "-ef" is not known, the link is made anew
    if [ ! -h "$make_path" ] || [ ! "$make_path" -ef "${make_path%/*}/$2" ]; then
      if [ -d "$make_path" ] && [ ! -h "$make_path" ] && ! rmdir -- "$make_path" 2>/dev/null; then
        printf '%s\n' "$1 is a directory on the host and a link on the client: move it away"
        return 1
      fi
      make_path=$file_part/./$1
      mkdir -p -- "${make_path%/*}" && ln -s -- "$2" "$make_path" || return
    fi
    shift 2
  done
}

make_all() { # NAME...
  mkdir -- "$file_part" || return
  umask "$session_umask"
  for make_name; do
    mkdir -p -- "$file_part/$make_name" || return
  done
}

serve_scp_end() {
  rm -rf -- "$scp_directory"
  reply ended
}
