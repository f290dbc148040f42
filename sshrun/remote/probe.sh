# What the host has and what stands on it, in one reply: lines of "key value".

serve_probe() { # FOLDER: where the job would run
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
  describe_holder
  reply "done"
}

fact() { reply fact "$@"; }

# Of the file system where FOLDER is, or will be.
free_kilobytes() { # FOLDER
  free_folder=$1
  while [ -n "$free_folder" ] && [ ! -d "$free_folder" ]; do
    case $free_folder in */*) free_folder=${free_folder%/*} ;; *) free_folder=. ;; esac
  done
  df -Pk -- "${free_folder:-/}" 2>/dev/null | awk 'NR == 2 { print $4 }'
}

# The job whose turn it is, if it is not closed; and one under another name of a shared home.
describe_holder() {
  top_slot
  [ -z "$holder" ] || [ ! -d "$state/jobs/$holder" ] || describe "$holder"
  for holder_other in "${state%/*}"/*; do
    [ "$holder_other" != "$state" ] && [ -d "$holder_other/jobs" ] && (
      state=$holder_other
      top_slot
      [ -z "$holder" ] || job_closed "$state/jobs/$holder" || fact other "${state##*/}"
    )
  done
}
