"""What can go wrong with a provider: one exception, whose code of the catalogue says what happens next.

    rate_limited        429: cost nothing, tried again within the call's time
    provider_auth       the key is not accepted: correct it
    provider_error      it failed (5xx), could not be reached (cost nothing), or refused the request
    provider_timeout    no answer in time
    provider_malformed  an answer that cannot be read: cut off, not JSON, HTML
    provider_empty      an answer that holds nothing
    context_overflow    the prompt does not fit the model's window
    unknown_model       the provider has no model of that name
    script_exhausted    a scripted model has no step left

`free` is the promise that it cost nothing; anything else is charged as reserved unless `tokens` tells better.
"""

from callboard_contracts.errors import CATALOGUE
from callboard_services.models.provider import Tokens

MESSAGE_CHARS = 600
"""Longer words of a provider are cut: they end in a record."""


class ProviderError(Exception):
    """A provider gave no answer. Retry when `retryable`; within the same grant only when it was also `free`.

    :param code: a code of the catalogue. :param retryable: the same prompt may succeed later; by default what the
        catalogue says. :param free: it is certain that it cost nothing. :param retry_after_s: what the provider
        asked to wait. :param tokens: what it used all the same, when known.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool | None = None,
        free: bool = False,
        retry_after_s: float = 0.0,
        tokens: Tokens | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = CATALOGUE[code].then == "retry" if retryable is None else retryable
        self.free = free
        self.retry_after_s = retry_after_s
        self.tokens = tokens

    @property
    def message(self) -> str:
        """What happened, in bounded words."""
        whole = str(self)
        return whole if len(whole) <= MESSAGE_CHARS else whole[:MESSAGE_CHARS] + "…"

    def without(self, secret: str) -> "ProviderError":
        """Return the same error with a secret struck from its words."""
        return ProviderError(
            self.code,
            str(self).replace(secret, "***") if secret else str(self),
            retryable=self.retryable,
            free=self.free,
            retry_after_s=self.retry_after_s,
            tokens=self.tokens,
        )
