"""What every program may read: the system's programs, libraries, and a few of its settings.

Theory of operation: of /etc only what a program needs to find its libraries, its users, its time
zone, and with a network its certificates and name servers; nothing there that holds secrets. Of
/proc and /dev only what belongs to the program itself, or to nobody.
"""

from collections.abc import Iterator
from pathlib import Path

ROOTS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Folders that are symlinks into /usr on most systems."""
_PROGRAMS = ("/usr", "/nix/store", "/gnu/store", "/run/current-system")
_SETTINGS = (
    "alternatives", "bash.bashrc", "crypto-policies", "fonts", "gai.conf", "group", "host.conf",
    "hosts", "inputrc", "java", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld-musl-x86_64.path",
    "locale.alias", "localtime", "magic", "mime.types", "nsswitch.conf", "os-release", "passwd",
    "profile", "protocols", "services", "ssl/openssl.cnf", "terminfo", "timezone",
)  # fmt: skip
_NETWORK = ("ca-certificates", "pki/ca-trust", "pki/tls/certs", "resolv.conf", "ssl/cert.pem",
            "ssl/certs")  # fmt: skip
PROCESSORS = "/sys/devices/system/cpu"
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
FACTS = (
    "cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "sys/kernel/osrelease",
    "sys/kernel/random", "sys/net/core/somaxconn", "sys/vm/overcommit_memory", "uptime", "version",
)  # fmt: skip
"""Of /proc, what is about no process."""


def readable(*, network: bool) -> Iterator[str]:
    """Yield the absolute paths that are there. `network`: it may reach other machines."""
    yield from (path for path in _PROGRAMS if Path(path).exists())
    names = (*_SETTINGS, *_NETWORK) if network else _SETTINGS
    yield from (path for name in names if Path(path := f"/etc/{name}").exists())
    if Path(PROCESSORS).is_dir():
        yield PROCESSORS


def links() -> Iterator[tuple[str, str]]:
    """Yield each of ROOTS that is a symlink, with its target."""
    for root in ROOTS:
        if Path(root).is_symlink():
            yield root, str(Path(root).readlink())


def folders() -> Iterator[str]:
    """Yield each of ROOTS that is a folder of its own."""
    for root in ROOTS:
        if not Path(root).is_symlink() and Path(root).is_dir():
            yield root
