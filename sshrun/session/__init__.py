"""A session with the host's program: requests, replies, and a new one when the connection was lost."""
