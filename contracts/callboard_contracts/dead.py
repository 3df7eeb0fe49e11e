"""A dead letter: what a service could not handle, with its reason."""

import msgspec


class Letter(msgspec.Struct, tag="dead.letter.v1", frozen=True, kw_only=True, omit_defaults=True):
    """One message that was set aside. Nothing of it is lost: `body` is as it came, in base64 when not text."""

    service: str
    subject: str
    code: str
    reason: str
    stream: str = ""
    seq: int = 0
    id: str = ""
    body: str = ""
    base64: bool = False
