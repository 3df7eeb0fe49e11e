"""The files that a run can see: what its tree wrote or was given, then what came with its skill."""

import msgspec

from callboard.bus import Bus, layout, objects, reader
from callboard_contracts import wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.skill import File, Skill


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A file as a tool sees it."""

    path: str
    bytes: int
    digest: str
    source: str = "run"
    """`run`, or `skill` for a file that came with the skill."""


class Files:
    """The files of one run. A run's own file hides the skill's of the same path; a skill's are never changed."""

    def __init__(self, bus: Bus, tree: str, skill_digest: str = "") -> None:
        self._bus = bus
        self._tree = tree
        self._skill_digest = skill_digest
        self._skill: dict[str, File] | None = None

    async def list(self, prefix: str = "") -> list[Seen]:
        """Return every file whose path starts with `prefix`, by path.

        :raises NoAnswer: the broker does not answer.
        """
        seen = {path: _of_skill(file) for path, file in (await self._skills()).items()}
        for file in await objects.list_files(self._bus, self._tree):
            seen[file.path] = Seen(path=file.path, bytes=file.bytes, digest=file.digest)
        return [seen[path] for path in sorted(seen) if path.startswith(prefix)]

    async def read(self, path: str) -> bytes:
        """Return a file's content.

        :raises CallboardError: `not_found`, or `invalid_request` for a path that cannot be.
        """
        path = objects.clean_path(path)
        try:
            return await objects.get_file(self._bus, self._tree, path)
        except CallboardError as error:
            file = (await self._skills()).get(path) if error.code == "not_found" else None
            if file is None:
                raise
        return await objects.get_blob(self._bus, file.digest)

    async def write(self, path: str, data: bytes) -> Seen:
        """Write a file of the run, in place of one with the same path.

        :raises CallboardError: `invalid_request` for the path, `file_too_large`. :raises BusError: it was not stored.
        """
        file = await objects.put_file(self._bus, self._tree, path, data)
        return Seen(path=file.path, bytes=file.bytes, digest=file.digest)

    async def _skills(self) -> dict[str, File]:
        if self._skill is None:
            skill = await load_skill(self._bus, self._skill_digest) if self._skill_digest else None
            self._skill = {file.path: file for file in skill.files} if skill else {}
        return self._skill


def _of_skill(file: File) -> Seen:
    return Seen(path=file.path, bytes=file.bytes, digest=file.digest, source="skill")


async def load_skill(bus: Bus, digest: str) -> Skill | None:
    """Return a version of a skill, None when it is not deployed.

    :raises NoAnswer: the broker does not answer.
    """
    found = await reader.last(bus, f"KV_{layout.SKILLS}", f"$KV.{layout.SKILLS}.version.{digest}")
    return wire.decode(found.body, Skill) if found else None
