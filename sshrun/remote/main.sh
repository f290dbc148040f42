# The program's start: a session that carries out a client's requests, or one of the parts that run detached.

main() {
  newline='
'
  case ${1-} in
  supervise | explain | end_leftovers) "$@" ;;
  job | shutdown)
    # A profile may leave options that are meant for a person's typing: under noclobber no file is ever written twice.
    # Under xtrace or verbose, or with a trap for each command, the values of the environment would be in the log.
    set +aCefuvx
    # shellcheck disable=SC3041,SC3044,SC3047 # bash alone
    [ -z "${BASH_VERSION-}" ] || { trap - DEBUG && set +ET && shopt -u extdebug; }
    IFS=$(printf ' \t')$newline
    "$@"
    ;;
  *)
    set_aside
    serve ;;
  esac
}

# What somebody has exported for their own typing, and our programs would obey: a file that tar was told to leave out
# would silently be missed. TMOUT and what SHELLOPTS says are gone by now, see BOOTSTRAP. A job has them again.
set_aside() { # -> $aside, text that exports them as they were
  aside=
  for aside_name in CDPATH GREP_OPTIONS GZIP TAR_OPTIONS; do
    eval "aside_value=\${$aside_name-}"
    [ -n "$aside_value" ] || continue
    eval "aside_$aside_name=\$aside_value"
    aside="$aside $aside_name=\"\$aside_$aside_name\""
    unset "$aside_name"
  done
  # Functions that bash has exported, under names of ours.
  unset -f awk cat cd chmod cmp cp cut date dd df find grep gzip head ln ls mkdir mkfifo mv ps rm rmdir rsync sed sleep sort \
    stat sync tail tar touch tr uname wc xargs 2>/dev/null
}

# A request is a line "VERB COUNT" and COUNT lines of one value each. The nonce tells the client our lines from
# whatever else the host prints.
serve() {
  IFS= read -r nonce || exit 1
  session_umask=$(umask)
  umask 077
  trap '' HUP # the end of stdin is what ends a session
  state_directory || refuse state "$state_problem"
  accept_version
  reply ready
  while IFS=' ' read -r verb count; do
    set --
    while [ "${count:-0}" -gt 0 ]; do
      IFS= read -r value || exit 1
      decode "$value"
      set -- "$@" "$decoded"
      count=$((count - 1))
    done
    "serve_$verb" "$@"
  done
}

# A sign of life every few seconds, on stderr and no part of any reply, for a client that has no other. It ends with the
# session; "sleep" holds none of the session's streams, or ssh would wait for it.
serve_heartbeat() { # SECONDS
  while printf '\000' >&2 && sleep "$1" <&- >/dev/null 2>&1 && kill -0 $$; do :; done >/dev/null &
  # shellcheck disable=SC2064 # now
  trap "kill $! 2>/dev/null" EXIT
}

main "$@"
