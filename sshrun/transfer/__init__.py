"""Files between this machine and a host: what the other side lacks is sent, whole or not at all.

upload, download and inline are what jobs use; choice assigns files to engines (rsync, tar, scp).

rsync takes the large files where both sides have it; tar, through the session that is open anyway, all the others; scp
is for a host that has neither. What is unchanged (size and time) is found out for all files at once, and not sent.
"""
