"""Small packages, and an index (PEP 503) that takes its time: it sends a file only after some seconds."""

from __future__ import annotations

import http.server
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def wheel(folder: Path, name: str, version: str, *, code: str = "") -> None:
    """A package of one module, as small as they come."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n{code}")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


@contextmanager
def slow_index(wheels: Path, seconds: float) -> Iterator[str]:
    """Serves a directory of wheels on 127.0.0.1; yields the address of the index."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").rpartition("/")[2]
            file = wheels / name
            if name.endswith(".whl") and file.exists():
                time.sleep(seconds)
                self._answer(file.read_bytes(), "application/octet-stream")
            else:
                found = sorted(wheels.glob(f"{name}-*.whl"))
                links = "".join(f'<a href="/files/{file.name}">{file.name}</a>' for file in found)
                self._answer(links.encode(), "text/html")

        def _answer(self, data: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815 (uv asks for the size first)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/"
        finally:
            server.shutdown()
            thread.join()
