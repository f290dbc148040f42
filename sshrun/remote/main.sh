# The program's start: a session that carries out a client's requests, or one of the parts that run detached.

main() {
  newline='
'
  case ${1-} in
  supervise | explain | end_leftovers) "$@" ;;
  job | shutdown)
    # A profile may leave options that are meant for a person's typing: under noclobber no file is ever written twice.
    set +aCefu
    IFS=$(printf ' \t')$newline
    "$@"
    ;;
  *) serve ;;
  esac
}

# A request is a line "VERB COUNT" and COUNT lines of one value each. The nonce tells the client our lines from
# whatever else the host prints.
serve() {
  IFS= read -r nonce || exit 1
  session_umask=$(umask)
  umask 077
  trap '' HUP # the end of stdin is what ends a session
  state_folder || refuse state "$state_problem"
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
serve_beat() { # SECONDS
  while printf '\000' >&2 && sleep "$1" <&- >/dev/null 2>&1 && kill -0 $$; do :; done >/dev/null &
  # shellcheck disable=SC2064 # now
  trap "kill $! 2>/dev/null" EXIT
}

main "$@"
