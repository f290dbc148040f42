#!/bin/sh
# What ssh takes for the person's shell while it logs in: it runs a ProxyCommand, and the ssh of a ProxyJump, by
# `$SHELL -c COMMAND`, with standard error on /dev/null wherever ControlPersist is set (ssh_proxy_connect() of
# sshconnect.c). With this shell it goes to a file that sshrun reads; all else is as it would be without us.
exec 2>>"$SSHRUN_PROXY_LOG"
SHELL=$SSHRUN_PROXY_SHELL
export SHELL
unset SSHRUN_PROXY_LOG SSHRUN_PROXY_SHELL
exec "$SHELL" "$@"
