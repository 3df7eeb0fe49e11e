"""A durable pull consumer in memory: standing pulls, deliveries, acknowledgements, redelivery after the ack wait."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulation.routing import matches
from tests.simulation.streams import Stored, Stream

if TYPE_CHECKING:
    from tests.simulation.broker import Broker

_EXPIRED = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: %d\r\nNats-Pending-Bytes: 0\r\n\r\n"
_NO_GROUP = b"NATS/1.0 400 Bad Request - Priority Group missing\r\n\r\n"


class Pull(msgspec.Struct):
    """A standing request for messages."""

    inbox: str
    left: int
    until: float
    group: str = ""
    priority: int = 0


class Consumer:
    """One durable. Messages go out in stream order, those to be delivered again first."""

    def __init__(self, broker: "Broker", stream: Stream, config: dict[str, Any]) -> None:
        self.name: str = config["durable_name"]
        self.stream = stream
        self._broker = broker
        filters = config.get("filter_subjects") or [config.get("filter_subject", ">")]
        self._filters = [pattern.split(".") for pattern in filters]
        self._ack_wait_s = config["ack_wait"] / 1e9
        self._max_pending = config["max_ack_pending"]
        self.pulls: deque[Pull] = deque()
        self.fresh: deque[int] = deque()
        """What fits and was never delivered."""
        self.again: dict[int, None] = {}
        """What is to be delivered again."""
        self.pending: dict[int, float] = {}
        """What was delivered and not acknowledged, and when it is delivered again."""
        self._counts: dict[int, int] = {}
        self._acked: dict[int, None] = {}
        """What is acknowledged, above the floor."""
        self._above: deque[int] = deque()
        """What fits, from the first that is not acknowledged on."""
        self._deliveries = 0
        self._watch: float = 0.0
        self._groups = config.get("priority_groups")
        if config.get("deliver_policy") != "new":
            self.fresh.extend(seq for seq, stored in stream.messages.items() if self.fits(stored))
            self._above.extend(self.fresh)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and everything is acknowledged."""
        return not (self.fresh or self.pending or self.again)

    def fits(self, stored: Stored) -> bool:
        """Tell whether a message is for this consumer."""
        return any(matches(pattern, stored.tokens) for pattern in self._filters)

    def offer(self, stored: Stored) -> None:
        """Take note of a new message."""
        if self.fits(stored):
            self.fresh.append(stored.seq)
            self._above.append(stored.seq)
            self.pump()

    def pull(self, pull: Pull) -> None:
        """Take a request; what is left of it when it expires is answered with 408."""
        if self._groups and not pull.group:
            self._broker.respond(pull.inbox, b"", _NO_GROUP)
            return
        place = len(self.pulls)
        while place and self.pulls[place - 1].priority > pull.priority:
            place -= 1
        self.pulls.insert(place, pull)
        self._broker.at(pull.until, self._expire, pull)
        self.pump()

    def _expire(self, pull: Pull) -> None:
        if pull in self.pulls:
            self.pulls.remove(pull)
            self._broker.respond(pull.inbox, b"", _EXPIRED % pull.left)

    def forget_pulls(self, gone: Callable[[str], bool]) -> None:
        """Drop the requests of connections that ended."""
        self.pulls = deque(pull for pull in self.pulls if not gone(pull.inbox))

    def pump(self) -> None:
        """Deliver what there is to whom it was promised, in the order they asked."""
        while self.pulls and len(self.pending) < self._max_pending:
            pull = self.pulls[0]
            if not self._broker.listens(pull.inbox):
                self.pulls.popleft()
                continue
            stored = self._next()
            if stored is None:
                return
            self._deliver(stored, pull)
            pull.left -= 1
            if not pull.left:
                self.pulls.popleft()

    def _next(self) -> Stored | None:
        while self.again or self.fresh:
            if self.again:
                seq = next(iter(self.again))
                del self.again[seq]
            else:
                seq = self.fresh.popleft()
            stored = self.stream.messages.get(seq)
            if stored is not None:
                return stored
            self.pending.pop(seq, None)
        return None

    def _deliver(self, stored: Stored, pull: Pull) -> None:
        seq, now = stored.seq, self._broker.now()
        self._deliveries += 1
        count = self._counts[seq] = self._counts.get(seq, 0) + 1
        self.pending[seq] = now + self._ack_wait_s
        self._wake_at(self.pending[seq])
        numbers = f"{count}.{seq}.{self._deliveries}.{stored.time_ns}.{len(self.fresh)}"
        reply = f"$JS.ACK.{self.stream.name}.{self.name}.{numbers}"
        self._broker.respond(pull.inbox, stored.body, stored.block, subject=stored.subject, reply=reply)

    def _wake_at(self, when: float) -> None:
        if self._watch <= self._broker.now() or when < self._watch:
            self._watch = when
            self._broker.at(when, self._redeliver)

    def _redeliver(self) -> None:
        now = self._broker.now()
        late = [seq for seq, until in self.pending.items() if until <= now and seq not in self.again]
        self.again.update(dict.fromkeys(late))
        self.pump()
        waiting = [until for seq, until in self.pending.items() if seq not in self.again]
        if waiting:
            self._watch = 0.0
            self._wake_at(max(min(waiting), now + 1e-6))

    def acknowledge(self, seq: int, word: bytes) -> None:
        """Take an acknowledgement: nothing or `+ACK`, `-NAK {"delay": ns}`, `+WPI`, `+TERM`."""
        if seq not in self.pending:
            return
        if word.startswith(b"-NAK"):
            self._refused(seq, word[4:].strip())
        elif word == b"+WPI":
            self.pending[seq] = self._broker.now() + self._ack_wait_s
        else:
            self._done(seq)
        self.pump()

    def _refused(self, seq: int, options: bytes) -> None:
        delay_s = msgspec.json.decode(options).get("delay", 0) / 1e9 if options else 0.0
        self.again.pop(seq, None)
        self.pending[seq] = self._broker.now() + delay_s
        if delay_s:
            self._wake_at(self.pending[seq])
        else:
            self.again[seq] = None

    def _done(self, seq: int) -> None:
        self.pending.pop(seq, None)
        self.again.pop(seq, None)
        self._counts.pop(seq, None)
        self._acked[seq] = None
        while self._above and self._above[0] in self._acked:
            del self._acked[self._above.popleft()]
        if self.stream.work_queue:
            self.stream.remove(seq)

    def deliver_again(self, seq: int) -> None:
        """Deliver a message that is being worked on to somebody once more."""
        if seq in self.pending:
            self.again[seq] = None
            self.pump()

    def reset(self) -> None:
        """Go back to the first message that is not acknowledged: what follows it comes again, as if never sent."""
        self.pending.clear()
        self.again.clear()
        self._counts.clear()
        self._acked.clear()
        self._deliveries = 0
        self.fresh = deque(seq for seq in self._above if seq in self.stream.messages)
        self.pump()

    def lose_state(self, acks: int) -> None:
        """Forget the last acknowledgements and all counts, as after `kill -9`: the state is written behind."""
        forgotten = [seq for seq in range(self.stream.last_seq, 0, -1) if self._is_acked(seq)][:acks]
        for seq in forgotten:
            self._acked.pop(seq, None)
        below = [seq for seq in reversed(forgotten) if not self._above or seq < self._above[0]]
        self._above.extendleft(reversed(below))
        back = {*forgotten, *self.pending, *self.fresh}
        self.pending.clear()
        self.again.clear()
        self._counts.clear()
        self.fresh = deque(sorted(seq for seq in back if seq in self.stream.messages))

    def _is_acked(self, seq: int) -> bool:
        stored = self.stream.messages.get(seq)
        if stored is None or not self.fits(stored) or seq in self._counts or seq in self.fresh:
            return False
        return seq in self._acked or not self._above or seq < self._above[0]
