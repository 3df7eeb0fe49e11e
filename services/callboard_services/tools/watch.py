"""What a registrar has seen, poll by poll, and what it therefore writes. Pure.

A process is gone after three polls without it when the broker knows nobody under its name either. One that is there
and does not answer is busy, as a process is whose author blocks its loop; after twenty polls it is gone as well.

News that a registrar saw itself is written at once; where the registry merely says something else, another registrar
may know better, and this one waits three polls before it corrects that. So two registrars come to the same entries and
neither undoes what the other wrote.
"""

from collections.abc import Container, Iterable, Mapping

import msgspec

from callboard_contracts.tool import Entry
from callboard_services.tools import admission
from callboard_services.tools.admission import Instance

PATIENCE = 3
"""Polls without a process until it is gone, and with a wrong entry until it is corrected."""
LONG_PATIENCE = 20
"""Polls without a process that is still connected."""


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen so far."""

    alive: dict[str, Instance] = {}
    """By the process's id."""
    missed: dict[str, int] = {}
    """For how many polls each of them was not seen."""
    wanted: dict[str, Entry] = {}
    """What the registry should say, by token."""
    news: frozenset[str] = frozenset()
    """The tokens of which the last poll told something new."""
    doubts: dict[str, int] = {}
    """For how many polls the registry has said something else, by token."""
    polls: int = 0


def silent(watch: Watch, answers: Iterable[Instance]) -> tuple[Instance, ...]:
    """Return the processes that were there and did not answer this time."""
    seen = {answer.id for answer in answers}
    return tuple(instance for id_, instance in watch.alive.items() if id_ not in seen)


def observe(
    watch: Watch, answers: Iterable[Instance], known: Mapping[str, Entry], *, unreachable: Container[str] = ()
) -> Watch:
    """Return the watch after one more poll. `known` is what the registry says, by token; `unreachable` holds ids."""
    seen = {answer.id: answer for answer in answers}
    missed = {id_: watch.missed.get(id_, 0) + 1 for id_ in watch.alive if id_ not in seen}
    kept = {
        id_: instance
        for id_, instance in watch.alive.items()
        if missed.get(id_, 0) < (PATIENCE if id_ in unreachable else LONG_PATIENCE)
    }
    wanted = _wanted(watch, kept | seen, known)
    return Watch(
        alive=kept | seen,
        missed={id_: count for id_, count in missed.items() if id_ in kept},
        wanted=wanted,
        news=frozenset(token for token, entry in wanted.items() if watch.wanted.get(token) != entry),
        doubts={t: watch.doubts.get(t, 0) + 1 for t, entry in wanted.items() if known.get(t) != entry},
        polls=watch.polls + 1,
    )


def _wanted(watch: Watch, alive: Mapping[str, Instance], known: Mapping[str, Entry]) -> dict[str, Entry]:
    by_token: dict[str, list[Instance]] = {}
    for instance in alive.values():
        by_token.setdefault(instance.token, []).append(instance)
    gone = {**known, **watch.wanted}
    return {token: msgspec.structs.replace(entry, instances=0) for token, entry in gone.items()} | {
        token: admission.entry_of(instances) for token, instances in by_token.items()
    }


def to_write(watch: Watch, known: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the entries to write now, by token: only what differs from what the registry says."""
    return {token: watch.wanted[token] for token in watch.doubts if _is_sure(watch, token, known.get(token))}


def _is_sure(watch: Watch, token: str, known: Entry | None) -> bool:
    if watch.doubts[token] >= PATIENCE:
        return True
    fewer = known is not None and watch.wanted[token].instances < known.instances
    return token in watch.news and not (fewer and watch.polls < PATIENCE)


def disagreements(watch: Watch) -> dict[str, str]:
    """Return, by token, where the news is that processes of one version describe themselves differently."""
    found: dict[str, str] = {}
    for token in watch.news:
        instances = [i for i in watch.alive.values() if i.token == token]
        if problem := admission.disagreement(instances):
            found[token] = problem
    return found
