"""What is planted in each generated mail, so that a leak of it can be found."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

#: What `otel-autopilot trace` has to make of a mail; "any" where either is honest.
Expected = Literal["success", "failed", "any"]

_STARTS = (
    "Bren Corv Dalm Elsk Farn Gild Harv Ivel Jorn Kest Lorv Mask Norl Olt Pelv Quar Rusk Stev Torv Ulm Varn Wesk Yelt Zorn".split()
)
_ENDS = "ado agen amer arin ebo eling endra erin idas igo ilane imar ovan olt onne orik udel ugen umar unde".split()
_TOPICS = (
    "Quarterly figures for", "Minutes of the meeting with", "Your booking at", "Renewal of the contract with", "Open questions about",
    "Change of address of", "Travel plans to", "Complaint concerning", "Offer for the house of", "Appointment at",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Somebody who isn't."""

    name: str
    address: str

    @property
    def mailbox(self) -> str:
        """As a header has it (RFC 5322 section 3.4)."""
        return f"{self.name} <{self.address}>"


@dataclass(frozen=True)
class Sample:
    """One generated mail, what is planted in it, and what must become of it."""

    kind: str
    content: bytes
    expected: Expected
    secrets: tuple[str, ...]


class Plant:
    """Distinct personal data for one mail, and the source of all its randomness.

    Every value carries the mail's number, so no two mails of a corpus share one.
    """

    def __init__(self, seed: int, number: int) -> None:
        self.random = random.Random(f"{seed}/{number}")
        self.number = number
        self.sender = self.person()
        self.recipient = self.person()
        self.other = self.person()
        self.phone = f"+49 30 {self.random.randrange(1000, 9999)} {number:05}"
        self.token = f"tok-{self.random.randbytes(10).hex()}{number:05x}"
        self.subject = f"{self.random.choice(_TOPICS)} {self.word()} {self.word()} no. {self.random.randrange(100, 999)}{number:05}"
        self.message_id = f"<{self.random.randbytes(8).hex()}.{number}@{self.sender.address.partition('@')[2]}>"
        self.link = f"https://{self.word().lower()}.example/open?u={self.token}"

    def word(self) -> str:
        """A name that is in no dictionary."""
        return self.random.choice(_STARTS) + self.random.choice(_ENDS)

    def person(self) -> Person:
        """Another person, with an address that says who it is; the mail's number is in the name too."""
        own = _STARTS[self.number // len(_ENDS) % len(_STARTS)] + _ENDS[self.number % len(_ENDS)]
        first, last = self.word(), f"{self.word()}-{own}"
        return Person(
            f"{first} {last}", f"{first}.{last}{self.random.randrange(10, 99)}{self.number:05}@{self.word()}.example".lower()
        )

    def sample(self, kind: str, content: bytes, expected: Expected = "success", *more: str) -> Sample:
        """The finished mail; ``more`` are secrets besides those that every mail carries."""
        people = (self.sender, self.recipient, self.other)
        secrets = [self.subject, self.phone, self.token, self.message_id.strip("<>"), *more]
        secrets += [value for person in people for value in (person.name, person.address)]
        return Sample(kind, content, expected, tuple(secrets))
