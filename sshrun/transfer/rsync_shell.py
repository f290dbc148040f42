"""The remote shell of rsync on a host whose shell prints before it obeys: passes on what comes after a line NONCE.

python -m sshrun.transfer.rsync_shell NONCE ssh OPTION… HOST COMMAND…
"""

from __future__ import annotations

import os
import sys

from sshrun.process import PIPE, spawn

NOISE_LIMIT = 1 << 20
PROTOCOL_ERROR = 12  # "error in rsync protocol data stream" (rsync(1)), as rsync would report the noise


def main(nonce: str, *command: str) -> int:
    for descriptor in (0, 1):
        os.set_blocking(descriptor, True)  # rsync hands over its own, which are not
    child = spawn(command, stdin=0, stdout=PIPE)
    os.close(0)
    assert child.stdout is not None
    mark = nonce.encode() + b"\n"
    noise = b""
    while mark not in noise:
        data = os.read(child.stdout, 1 << 16)
        if not data:
            return _status(child.wait())
        noise += data
        if len(noise) > NOISE_LIMIT:
            child.kill()
            return PROTOCOL_ERROR
    data = noise.split(mark, 1)[1] or os.read(child.stdout, 1 << 18)
    while data:
        while data:
            data = data[os.write(1, data) :]
        data = os.read(child.stdout, 1 << 18)
    return _status(child.wait())


def _status(status: int) -> int:
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
