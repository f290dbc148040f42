"""A session that survives a lost connection: it logs in again by itself, and retries the step that was cut off."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from typing import TypeVar

from sshrun.connection.login import Login
from sshrun.connection.master import Connection
from sshrun.errors import AnswerNeeded, ConnectionFailed, Refused, SettingsError, Unreachable
from sshrun.events import Event, LoggingIn, Notice, Phase, WarningNotice
from sshrun.prompt import somebody_to_ask
from sshrun.session.protocol import Refusal
from sshrun.session.session import HEARTBEAT_TIMEOUT, Session, begin

PAUSE = 1.0  # seconds between attempts where nobody answers
PAUSE_LIMIT = 30  # seconds, where the server answers and hangs up: it may count us (PerSourcePenalties, MaxStartups)
TIMEOUT_STEP = 5  # seconds more than the first login took, for the first attempt; so many more for each that follows

Result = TypeVar("Result")
Steps = Generator[Event, None, Result]


class RetryingSession:
    """A connection to a host and a session over it. Nothing waits on the network before the first `retry`."""

    def __init__(self, login: Login) -> None:
        self.connection = Connection(login)
        self.host = self.connection.host
        self._started = time.monotonic()
        self._login_took: int | None = None  # seconds for the first login, if it was in this run
        try:
            self.connection.open()
        except BaseException:  # the caller has nothing yet that it could close
            self.connection.close()
            raise
        self._session: Session | None = None
        self._has_worked = False
        self._warned_not_shared = False
        self._logged_in = False
        self._detached = False
        self._pause = PAUSE

    def session(self) -> Session:
        """The session, opened if there is none."""
        for _ in self._log_in():
            pass
        assert self._session is not None
        return self._session

    def _log_in(self) -> Steps[None]:
        if self._session is None:
            if not self._logged_in and not self.connection.shared:
                yield LoggingIn(self.host)
            yield from self.connection.logging_in()
            self._logged_in = self._logged_in or not self.connection.shared
            if self._login_took is None:
                self._login_took = int(time.monotonic() - self._started)
            self._session = begin(self.connection)
            if self.connection.shared:
                # From the start: a master may have been dead for hours.
                self._session.heartbeat_timeout = HEARTBEAT_TIMEOUT
            yield Phase("answer", f"waiting for {self.host} to answer")

    def retry(self, step: Callable[[Session], Steps[Result]]) -> Steps[Result]:
        """Runs a step; after a lost connection it is run again on a new one, for as long as that takes.

        Steps are idempotent: each asks the host for what is left to do. Raises Refused where a new connection is
        refused for good, and any error of a first connection.
        """
        while True:
            try:
                yield from self._log_in()
                session = self.session()
                if self.connection.alone and not self._warned_not_shared:
                    self._warned_not_shared = True
                    yield WarningNotice(
                        f"each session logs in by itself, since none can be shared: {self.connection.alone}"
                    )
                result = yield from step(session)
                self._has_worked = True
                return result
            except (Refused, Refusal):
                self.kill_session()
                raise
            except ConnectionFailed as failure:
                lost, shared = self._session, self.connection.shared
                ready = lost is not None and lost.ready
                # A login that ended with its first session was lost; one that is still open was given no session.
                cut = lost is not None and not shared and not self.connection.alive()
                self._has_worked = self._has_worked or ready or cut
                self.kill_session()
                if self._has_worked:
                    yield Notice(
                        "connection-lost", f"{failure.message}; trying again by itself, the job goes on meanwhile"
                    )
                    if ready:
                        self._pause = PAUSE
                    else:
                        self._wait_longer()
                    yield from self._reconnect()
                elif shared:
                    yield WarningNotice(f"the open connection to {self.host} does not answer; opening one of our own")
                    self.connection.open_own()
                else:
                    raise

    def _reconnect(self) -> Steps[None]:
        lost_at = time.monotonic()
        limit = self.connection.answer_timeout()
        timeout = min(TIMEOUT_STEP + (self._login_took or 0), limit)
        ask = False
        reconnecting = Phase("lost", f"trying to reach {self.host} again")
        yield reconnecting
        while True:
            try:
                if ask:
                    yield LoggingIn(self.host)
                    yield from self.connection.login_with_answers()
                else:
                    # A proxy that has printed something may have asked for what takes a person minutes.
                    yield from self.connection.login_again(limit if self.connection.proxy_spoke else timeout)
                break
            except AnswerNeeded as needed:
                if not somebody_to_ask():
                    raise
                yield Notice("login", needed.message)
                ask = True
                continue
            except Refused:
                raise
            except Unreachable:
                timeout = min(timeout + TIMEOUT_STEP, limit)
                time.sleep(PAUSE)
            except (ConnectionFailed, SettingsError):  # somebody may be editing the ssh config at this moment
                self._wait_longer()
            if ask:
                ask = False
                yield reconnecting
        yield Notice("reconnected", f"connected to {self.host} again after {time.monotonic() - lost_at:.0f} s")

    def _wait_longer(self) -> None:
        """Backs off from a server that has just hung up: each time about twice as long."""
        time.sleep(self._pause * (0.5 + os.urandom(1)[0] / 255))
        self._pause = min(self._pause * 2, PAUSE_LIMIT)

    def kill_session(self) -> None:
        """Ends the session at once; the connection stays."""
        if self._session is not None:
            session, self._session = self._session, None
            session.kill()

    def send_without_reply(self, verb: str, *values: str) -> None:
        """Sends a last request whose reply nobody waits for: it may arrive after we have exited, or not at all.

        Raises ConnectionFailed, Refused where there is no session and none can be had.
        """
        session = self.session()
        session.request(verb, *values)
        session.flush()
        session.detach()
        self._session = None
        self._detached = True

    def close(self) -> None:
        """Closes without waiting: the host's side of a session ends by itself at the end of its input."""
        self.kill_session()
        if self._detached:
            self.connection.detach()
        else:
            self.connection.close()
