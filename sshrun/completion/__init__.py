"""What a shell completes the command line with: a script for each shell asks, candidates.py answers."""
