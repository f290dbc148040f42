"""A session that is there when it is needed: made anew, by itself, when the connection was lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from typing import TypeVar

from sshrun import scripts
from sshrun.errors import AnswerNeeded, ConnectionFailed, Refused, SettingsError, Unreachable
from sshrun.host import Login
from sshrun.job import Event, LoggingIn, Phase, Said, Warned
from sshrun.prompt import somebody_to_ask
from sshrun.scripts import Refusal, Session
from sshrun.ssh import Connection

PAUSE = 1.0  # seconds between tries where nobody answers
PATIENCE = 5  # seconds more than the login took at first, for the first try; so many more for each that follows
PAUSE_LIMIT = 30  # where the server answers and hangs up: it may count us (PerSourcePenalties, MaxStartups)

Result = TypeVar("Result")
Steps = Generator[Event, None, Result]


class Link:
    """The way to a host. Nothing waits on the network before the first `persist`."""

    def __init__(self, login: Login) -> None:
        self.connection = Connection(login)
        self.host = self.connection.host
        self._begun = time.monotonic()
        self._took: int | None = None  # seconds for the first login, if it was in this run
        try:
            self.connection.open()
        except BaseException:  # nobody has us yet who could close us
            self.connection.close()
            raise
        self._session: Session | None = None
        self._proven = False
        self._told = False
        self._logged_in = False
        self._entrusted = False
        self._pause = PAUSE

    def session(self) -> Session:
        """The session, begun if there is none."""
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
            if self._took is None:
                self._took = int(time.monotonic() - self._begun)
            self._session = scripts.begin(self.connection)
            if self.connection.shared:
                self._session.patience = scripts.PATIENCE  # also before: a master may have been dead for hours
            yield Phase("answer", f"waiting for {self.host} to answer")

    def persist(self, step: Callable[[Session], Steps[Result]]) -> Steps[Result]:
        """Carries a step through: after a lost connection it is done again, on a new one, for as long as that takes.

        A step asks for what is left to do, so that doing it twice does nothing twice. Raises Refused where a new
        connection is refused for good, and whatever the first connection ever fails with.
        """
        while True:
            try:
                yield from self._log_in()
                session = self.session()
                if self.connection.alone and not self._told:
                    self._told = True
                    yield Warned(f"each session logs in by itself, since none can be shared: {self.connection.alone}")
                result = yield from step(session)
                self._proven = True
                return result
            except (Refused, Refusal):
                self.forget()
                raise
            except ConnectionFailed as failure:
                lost, shared = self._session, self.connection.shared
                ready = lost is not None and lost.ready
                # A login that is gone with its first session was lost; one that still stands was given no session.
                cut = lost is not None and not shared and not self.connection.alive()
                self._proven = self._proven or ready or cut
                self.forget()
                if self._proven:
                    yield Said("lost", f"{failure.message}; trying again by itself, the job goes on meanwhile")
                    if ready:
                        self._pause = PAUSE
                    else:
                        self._wait_longer()
                    yield from self._reconnect()
                elif shared:
                    yield Warned(f"the open connection to {self.host} does not answer; opening one of our own")
                    self.connection.leave_shared()
                else:
                    raise

    def _reconnect(self) -> Steps[None]:
        lost = time.monotonic()
        limit = self.connection.answer_limit()
        patience = min(PATIENCE + (self._took or 0), limit)
        ask = False
        trying = Phase("lost", f"trying to reach {self.host} again")
        yield trying
        while True:
            try:
                if ask:
                    yield LoggingIn(self.host)
                    yield from self.connection.login_with_answers()
                else:
                    # A proxy that has said something may have asked for what takes a person minutes.
                    yield from self.connection.login_again(limit if self.connection.proxy_spoke else patience)
                break
            except AnswerNeeded as needed:
                if not somebody_to_ask():
                    raise
                yield Said("login", needed.message)
                ask = True
                continue
            except Refused:
                raise
            except Unreachable:
                patience = min(patience + PATIENCE, limit)
                time.sleep(PAUSE)
            except (ConnectionFailed, SettingsError):  # somebody may be editing the ssh config at this moment
                self._wait_longer()
            if ask:
                ask = False
                yield trying
        yield Said("back", f"connected to {self.host} again after {time.monotonic() - lost:.0f} s")

    def _wait_longer(self) -> None:
        """Before a server is asked again that has just hung up: each time about twice as long."""
        time.sleep(self._pause * (0.5 + os.urandom(1)[0] / 255))
        self._pause = min(self._pause * 2, PAUSE_LIMIT)

    def forget(self) -> None:
        """Drops the session, without a word to the host."""
        if self._session is not None:
            session, self._session = self._session, None
            session.abandon()

    def entrust(self, verb: str, *values: str) -> None:
        """A last request, whose answer nobody waits for: it arrives after we have left, or not at all.

        Raises ConnectionFailed, Refused where there is no session and none can be had.
        """
        session = self.session()
        session.request(verb, *values)
        session.flush()
        session.leave()
        self._session = None
        self._entrusted = True

    def close(self) -> None:
        """Leaves without waiting: the host's side of a session ends by itself at the end of its input."""
        self.forget()
        if self._entrusted:
            self.connection.leave()
        else:
            self.connection.close()
