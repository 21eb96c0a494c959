"""Opening a connection as `ssh` would: the user's configuration, agent, keys and known hosts.

In: the address that a spec or the command line gives. Out: a connection, or `DeviceError` with a stable code and what
to do: `not_found`, `host_key_unknown`, `host_key_changed`, `permission_denied`, `key_locked`, `bad_ssh_config`.
Guarantee: a host whose key is not known is never talked to.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import asyncssh
from mobench_targets.linux.transport import KEEPALIVE_COUNT, KEEPALIVE_S, SshTransport

from mobench_lang.ir import Entity
from mobench_lang.plugins import DeviceError

CONNECT_S = 15.0
FAST_CIPHERS = "^aes128-gcm@openssh.com"
"""Tried before the others: with it a model is over in two thirds of the time."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a board is: host name, address or alias of ~/.ssh/config; None leaves a part to that file."""

    host: str
    user: str | None = None
    port: int | None = None
    config: str | None = None

    @property
    def words(self) -> str:
        """As `ssh` takes it."""
        port = f"-p {self.port} " if self.port else ""
        config = f"-F {self.config} " if self.config else ""
        return f"{config}{port}{f'{self.user}@' if self.user else ''}{self.host}"


def address(device: Entity) -> Address:
    """The address of a device; `--device NAME=[USER@]HOST[:PORT]` goes before its attributes. Raises DeviceError."""
    given = device.get("serial")
    if given is not None:
        return parse(str(given))
    host = device.get("host")
    if host is None:
        raise DeviceError(
            "no_address", f"{device.name} has no `host`; give it one, or say --device {device.name}=[USER@]HOST[:PORT]"
        )
    user, port, config = device.get("user"), device.get("port"), device.get("ssh_config")
    return Address(
        str(host),
        None if user is None else str(user),
        port if isinstance(port, int) else None,
        None if config is None else str(config),
    )


def parse(text: str) -> Address:
    """An address as people write it: [USER@]HOST[:PORT]. Raises DeviceError."""
    user, at, rest = text.rpartition("@")
    host, colon, port = rest.rpartition(":")
    if rest.startswith("[") and "]" in rest:  # an IPv6 address
        host, _, after = rest[1:].partition("]")
        colon, port = after[:1], after[1:]
    elif not colon or ":" in host:
        host, colon, port = rest, "", ""
    if not host or (colon and not port.isdigit()):
        raise DeviceError("bad_address", f"{text!r} is no address; it is [USER@]HOST[:PORT]")
    return Address(host, user if at else None, int(port) if colon else None)


async def connect(where: Address) -> SshTransport:
    """Open a connection. Raises DeviceError."""
    options: dict[str, Any] = {"keepalive_interval": KEEPALIVE_S, "keepalive_count_max": KEEPALIVE_COUNT}
    if where.user:
        options["username"] = where.user
    if where.port:
        options["port"] = where.port
    if where.config:
        options["config"] = [where.config]
    try:
        if _usual_ciphers(where, options):
            options["encryption_algs"] = FAST_CIPHERS
        async with asyncio.timeout(CONNECT_S):
            connection = await asyncssh.connect(where.host, **options)
    except asyncssh.HostKeyNotVerifiable as error:
        raise _host_key(where, options, str(error)) from error
    except asyncssh.PermissionDenied as error:
        raise DeviceError(
            "permission_denied",
            f"{where.host} refuses every key that this host offers; `ssh-copy-id {where.words}` brings one there, and "
            "`ssh-add` unlocks one that has a passphrase",
        ) from error
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        raise DeviceError(
            "key_locked", f"a key cannot be read ({error}); `ssh-add` unlocks it for this session"
        ) from error
    except asyncssh.ConfigParseError as error:
        raise DeviceError("bad_ssh_config", f"the configuration of ssh is wrong: {error}") from error
    except TimeoutError as error:
        raise DeviceError("not_found", f"{where.host} does not answer; is it on, and on this network?") from error
    except socket.gaierror as error:
        raise DeviceError("not_found", f"nobody knows a host {where.host!r}; check the name") from error
    except (OSError, asyncssh.Error) as error:
        raise DeviceError(
            "not_found", f"{where.host} cannot be reached: {error}; try `ssh {where.words} true`"
        ) from error
    return SshTransport(connection, where.host)


def _host_key(where: Address, options: dict[str, Any], said: str) -> DeviceError:
    """Whether the host is new, or shows another key than before."""
    if _knows(where, options):
        return DeviceError(
            "host_key_changed",
            f"{where.host} shows another host key than before: it was set up anew, or somebody stands in between. If "
            f"you know that it is right: `ssh-keygen -R {_shown(where, options)}`, then `ssh {where.words}` once",
        )
    return DeviceError(
        "host_key_unknown",
        f"this host does not know the key of {where.host} ({said}); `ssh {where.words}` once shows it and asks",
    )


def _usual_ciphers(where: Address, options: dict[str, Any]) -> bool:
    """Whether the user's configuration leaves the choice of ciphers to us."""
    usual = asyncssh.SSHClientConnectionOptions(host=where.host, config=None)
    found = asyncssh.SSHClientConnectionOptions(host=where.host, **options)
    return bool(found.encryption_algs == usual.encryption_algs)


def _knows(where: Address, options: dict[str, Any]) -> bool:
    """Whether the known hosts of the user's configuration have a key for the host."""
    try:
        found = asyncssh.SSHClientConnectionOptions(host=where.host, **options)
        name = found.host_key_alias or found.host
        return any(asyncssh.match_known_hosts(found.known_hosts, name, "", found.port)[:1][0])
    except (OSError, ValueError, asyncssh.Error):
        return False


def _shown(where: Address, options: dict[str, Any]) -> str:
    """The host as known_hosts writes it, quoted for a shell, with the file that has it where that is not the usual."""
    found = asyncssh.SSHClientConnectionOptions(host=where.host, **options)
    name = quote(found.host if found.port == 22 else f"[{found.host}]:{found.port}")
    files = found.known_hosts if isinstance(found.known_hosts, list) else []
    usual = str(Path.home() / ".ssh" / "known_hosts")
    return f"{name} -f {quote(str(files[0]))}" if files and str(files[0]) != usual else name
