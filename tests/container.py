"""The same server in a container: an image built from nothing but the static binary of the wheel.

Wanted with CALLBOARD_TEST_BROKER=container. Needs a Docker engine, and no registry.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from callboard.server import find_server

_TAG = "callboard-test-nats:latest"
_DOCKERFILE = """\
FROM scratch
COPY nats-server /nats-server
EXPOSE 4222
ENTRYPOINT ["/nats-server", "--addr", "0.0.0.0", "--jetstream", "--store_dir", "/data"]
"""


def engine_answers() -> bool:
    """Tell whether there is a Docker engine. The client for Python is not asked: it leaves its socket open if not."""
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


@cache
def _image() -> str:
    from testcontainers.core.image import DockerImage

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(find_server().path, Path(folder) / "nats-server")
        (Path(folder) / "Dockerfile").write_text(_DOCKERFILE)
        with DockerImage(path=folder, tag=_TAG, clean_up=False) as image:  # which closes its client
            return str(image)


@contextmanager
def server_container() -> Iterator[str]:
    """Run the server in a container and yield its URL."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    ready = LogMessageWaitStrategy("Server is ready").with_startup_timeout(30)
    with DockerContainer(_image()).with_exposed_ports(4222).waiting_for(ready) as container:
        yield f"nats://{container.get_container_host_ip()}:{container.get_exposed_port(4222)}"
