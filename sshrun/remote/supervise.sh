# The job's supervisor: leads a session of its own, outlives every connection, and writes down how the job ended.
# What it and all others write is in PROTOCOL.md, "The state on the host".

# Prints the identity of whoever supervises this job: itself, or one that was first (a start that was tried again).
# $(...) of the starter ends when this moves its stdout away: a handshake without polling.
supervise() { # DIRECTORY MODE ID
  cd "$1" || exit 1
  umask 077
  # Ignored signals are inherited, handled ones are not: the job sees HUP ignored, as under nohup, the rest as usual.
  trap '' HUP
  trap : TERM INT QUIT USR1 USR2
  # "alive" comes last: where it is there, both are, whoever made them.
  [ -p alive ] || mkfifo working alive 2>/dev/null || [ -p alive ] || exit 1
  exec 7<>working 8<>alive || exit 1
  : >>log && : >>phase && : >>rc.pending || exit 1
  identity $$ >"id.$$" || exit 1
  publish "id.$$" id
  first_line id || exit 1
  printf '%s\n' "$line"
  # shellcheck disable=SC2086 # four words
  [ "${line%% *}" = $$ ] && alive $line || exit 0
  exec >/dev/null 2>&1 </dev/null # from here the starter goes on; and the shell's own "Terminated" is not for the log
  rm -f "id.$$"
  date +%s >started
  echo yes >unbegun # emptied when the command begins, which a full disk does not prevent
  forget_connection
  # By its whole name: a profile may have gone to another directory by the time that bash looks for it.
  login_shell "$1/sshrun.sh" "$2" "$1" "$3" 3>>log 7>&- 8>&-
  exit_code $?
  supervise_code=$exit_code
  [ "$supervise_code" -ne 0 ] || [ ! -s unbegun ] || {
    supervise_code=1
    note_unbegun "$1"
  }
  [ "$2" != job ] || supervise_leftovers "$1" "$supervise_code" # a shutdown command may leave what it wants
  # A stop that comes now may take a program of ours for one of the job's, and end it: then it is started once more.
  for _ in 1 2 3 4 5 6 7 8 9; do date +%s >ended && break; done
  # Made beforehand, so that on a full disk a rename is all that is needed.
  for _ in 1 2 3 4 5 6 7 8 9; do
    mv rc.pending "rc.$supervise_code"
    [ -e rc.pending ] || break
  done
}

# A shell that ended well before the command began has run no job: that is no success. A start file or a startup command
# ran "exit 0", or made another program of the shell ("exec").
note_unbegun() { # DIRECTORY
  job_directory=$1
  job_phase "$1"
  case $job_phase in
  startup*) note_who="startup command ${job_phase#startup }" ;;
  *) note_who="a start file of the login shell" ;;
  esac
  note "$note_who ended the shell (exit 0) before the command began: that is a failure, exit 1"
}

# The sockets and the terminal that sshd names end with the connection, and the job goes on. Before the login shell:
# a start file may name an agent that lasts. What only says how somebody logged in stays for the start files.
forget_connection() { unset DISPLAY XAUTHORITY WAYLAND_DISPLAY SSH_AUTH_SOCK SSH_TTY SSH_USER_AUTH; }

# bash as login shell, so that profile, conda and modules are there as after a login; sh where there is no bash.
login_shell() {
  if has bash; then bash -l "$@"; else sh -l "$@"; fi
}

# By way of a file: a profile may print, and leave programs behind that hold what it prints to.
login_path() { # -> $login_path, where a job finds its programs; 1 if a profile ends the shell, or makes it another
  login_file=$state/path.$$
  # In a subshell of its own: ksh93 loses the output of a $(...) that calls a function whose output goes elsewhere.
  # shellcheck disable=SC2016 # that shell's own
  (login_shell -c 'printf "%s\n" "$PATH" >"$1"; (exit 7)' login "$login_file") </dev/null >/dev/null 2>&1
  login_status=$?
  first_line "$login_file"
  login_path=${line:-$PATH} # a full disk keeps none
  rm -f "$login_file"
  [ "$login_status" -eq 7 ]
}
