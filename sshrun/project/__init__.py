"""What of a person's project goes along to the host: its root, its files, their limits, and hints for what is missing.

Only local files are read, and git is asked: nothing here connects.
"""
