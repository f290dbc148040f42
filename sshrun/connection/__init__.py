"""The system's ssh: whom to log in to, with which configuration and keys, over one shared connection."""
