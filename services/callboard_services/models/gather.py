"""Everything that a question to a model needs, gathered from the journal and the registry. Effects only."""

from functools import partial

import msgspec

from callboard.bus import Bus
from callboard.bus.registry import Registry
from callboard_contracts import call, ids, model, subjects
from callboard_services.models import evidence, history
from callboard_services.models.catalogue import Catalogue
from callboard_services.models.job import Job, usable_bytes
from callboard_services.models.patience import patiently
from callboard_services.models.transcript import Transcripts


class Gatherer:
    """Reads runs back for the calls that ask models. What it keeps can be forgotten at any time."""

    def __init__(self, bus: Bus, groups: int, registry: Registry, catalogue: Catalogue) -> None:
        self.bus = bus
        self.groups = groups
        self.catalogue = catalogue
        self._registry = registry
        self._transcripts = Transcripts(bus, groups)

    async def job(self, tenant: str, made: call.Call, source: int) -> Job:
        """Return a call with all it needs.

        :param source: the sequence of the run's record that asked for it.
        :raises LookupError: the journal lacks a record, or has another run's in its place.
        :raises msgspec.ValidationError: the call's arguments are no question to a model.
        """
        request = msgspec.convert(made.arguments, model.Request)
        address = subjects.Address.of_run(tenant, ids.run_of(made.id))
        most = usable_bytes(request, self.catalogue)
        read = partial(self._transcripts.read, address, source, most, request.summary)
        entries = await patiently(read, "reading the run")
        facts, digest = self._registry.facts, history.accepted(entries).skill_digest
        return Job(
            call=made,
            history=entries,
            outputs=partial(evidence.outputs, self.bus, self.groups, address, source),
            offered=tuple(spec for tool in request.tools if (spec := facts.spec(tool))),
            skill=facts.versions.get(digest) if digest else None,
        )
