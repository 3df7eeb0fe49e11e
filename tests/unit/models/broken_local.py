"""A local model's module as the catalogue expects it, with a bug."""

from callboard_services.models.provider import Emit, Prompt, Reply


class Broken:
    def __init__(self, name: str) -> None:
        self.name = name

    async def complete(self, request: Prompt, emit: Emit) -> Reply:
        emit(f"{self.name} is asked for {request.model}")
        raise ZeroDivisionError

    async def aclose(self) -> None: ...


def open_provider(name: str, _data: object = None) -> Broken:
    return Broken(name)
