"""What `sshrun doctor` found, as its --json tells."""

from __future__ import annotations

import json
from dataclasses import dataclass

from support.installed import Sshrun


@dataclass(frozen=True)
class Finding:
    verdict: str
    text: str
    fix: str


@dataclass(frozen=True)
class Examination:
    status: int
    findings: dict[str, Finding]

    def __getitem__(self, check: str) -> Finding:
        """The worst that was found of it."""
        return self.findings[check]

    def failures(self) -> set[str]:
        return {check for check, finding in self.findings.items() if finding.verdict == "failure"}


def examine(sshrun: Sshrun, *words: str) -> Examination:
    ended = sshrun("--json", "doctor", *words)
    order = ("ok", "warning", "failure")
    worst: dict[str, Finding] = {}
    for line in ended.stdout.splitlines():
        told = json.loads(line)
        if told["event"] == "finding":
            finding = Finding(told["verdict"], told["text"], told["fix"])
            before = worst.get(told["check"], finding)
            worst[told["check"]] = max(before, finding, key=lambda finding: order.index(finding.verdict))
    assert worst, ended.stderr + ended.stdout.decode()
    return Examination(ended.status, worst)
