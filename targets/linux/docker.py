"""The instrument in a container of the board's own docker.

In: the image that a spec names. Out: the words before the instrument's command, the command that ends the container,
and whether the board can do it. Guarantee: nothing is pulled, so that what runs is the image that is there; the
container has mobench's folder under its own name, no network, and is ended by its name whatever became of the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from mobench_targets.shell.transport import Transport

from mobench_lang.plugins import DeviceError

_NO_DOCKER, _DENIED, _NO_RUNTIME, _NO_IMAGE = 3, 4, 5, 6
_CHECK = """command -v docker >/dev/null 2>&1 || exit 3
said=$(docker info --format '{{{{json .Runtimes}}}}' 2>&1) || {{ echo "$said" >&2; exit 4; }}
[ -z {runtime} ] || case $said in *'"'{runtime}'"'*) ;; *) exit 5 ;; esac
docker image inspect --format '{{{{.Id}}}}' {image} 2>/dev/null || exit 6
"""


@dataclass(frozen=True, slots=True)
class Docker:
    """How launches of one device are contained. `runtime` is docker's runtime, empty for the usual one."""

    image: str
    runtime: str = ""

    def words(self, name: str, root: str, environment: Mapping[str, str]) -> list[str]:
        """What stands before the instrument's argument vector."""
        runtime = ["--runtime", self.runtime] if self.runtime else []
        told = [word for key, value in environment.items() for word in ("-e", f"{key}={value}")]
        return [
            "docker", "run", "--rm", "--name", name, *runtime, "--network", "none", "-e", "MOBENCH_LAUNCH", *told,
            "-v", f"{root}:{root}", "--entrypoint", "", self.image,
        ]  # fmt: skip

    def after(self, name: str) -> str:
        """The command that ends the container, if it is still there."""
        return f"docker kill {quote(name)}\n"

    async def check(self, link: Transport) -> str:
        """The id of the image. Raises DeviceError with what to do."""
        script = _CHECK.format(runtime=quote(self.runtime), image=quote(self.image))
        ran = await link.run("sh", stdin=script.encode())
        if ran.rc == _NO_DOCKER:
            raise DeviceError(
                "no_docker", "the board has no docker; sudo apt-get install docker.io there, or leave `image` out"
            )
        if ran.rc == _DENIED:
            raise DeviceError(
                "docker_denied",
                f"docker refuses this user: {ran.fault}; `sudo usermod -aG docker $USER` there, then log in anew",
            )
        if ran.rc == _NO_RUNTIME:
            raise DeviceError(
                "no_runtime",
                f"the board's docker has no runtime {self.runtime}; sudo apt-get install nvidia-container there, then "
                "`sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker`",
            )
        if ran.rc != 0:
            raise DeviceError(
                "no_image",
                f"the board has no image {self.image}; `docker pull {quote(self.image)}` there. mobench pulls nothing, "
                "so that what is measured is what you chose",
            )
        return ran.text
