"""What `sshrun COMMAND MODEL` means: the specification found and read, and the task that a host is given."""
