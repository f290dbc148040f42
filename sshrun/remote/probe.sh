# What the host has and what stands on it, in one reply: lines of "key value".

serve_probe() { # DIRECTORY: where the job would run
  fact system "$(uname -s)" "$(uname -m)"
  fact name "$this_name"
  fact user "$(id -u)" "$(id -un 2>/dev/null)"
  fact home "$HOME"
  fact state "$state"
  probe_tools=
  for probe_tool in bash setsid perl python3 uv rsync tar gzip zstd scp sha256sum shasum openssl cksum md5sum find xargs systemd-run nvidia-smi; do
    has "$probe_tool" && probe_tools="$probe_tools $probe_tool"
  done
  # shellcheck disable=SC2086 # one word a tool
  fact tools $probe_tools
  has rsync && fact rsync "$(rsync --version 2>/dev/null | head -n 1)"
  fact free "$(free_kilobytes "$1")"
  describe_owner
  reply "done"
}

fact() { reply fact "$@"; }

# Of the file system where DIRECTORY is, or will be.
free_kilobytes() { # DIRECTORY
  free_directory=$1
  while [ -n "$free_directory" ] && [ ! -d "$free_directory" ]; do
    case $free_directory in */*) free_directory=${free_directory%/*} ;; *) free_directory=. ;; esac
  done
  df -Pk -- "${free_directory:-/}" 2>/dev/null | awk 'NR == 2 { print $4 }'
}

# The job whose slot it is, if it is not closed; and one under another name of a shared home.
describe_owner() {
  top_slot
  [ -z "$owner" ] || [ ! -d "$state/jobs/$owner" ] || describe "$owner"
  for owner_other in "${state%/*}"/*; do
    [ "$owner_other" != "$state" ] && [ -d "$owner_other/jobs" ] && (
      state=$owner_other
      top_slot
      [ -z "$owner" ] || job_closed "$state/jobs/$owner" || fact other "${state##*/}"
    )
  done
}
