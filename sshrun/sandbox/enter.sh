#!/bin/sh
# What every session in a sandbox runs instead of its command (sshd_config(5), ForceCommand): sshd has started the
# account's shell in the account's own home, this goes to the sandbox's one and on with what was asked for. It is meant
# for exec, rsync, scp and sftp alike, so it neither reads nor writes a byte.
cd "$HOME" || exit
[ -n "${SSH_ORIGINAL_COMMAND+set}" ] || exec "$SHELL" -l
command=$SSH_ORIGINAL_COMMAND
unset SSH_ORIGINAL_COMMAND
# bash reads ~/.bashrc when by SHLVL it is the first shell under sshd; it has done so on the way.
SHLVL=1 exec "$SHELL" -c "$command"
