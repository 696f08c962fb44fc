# SPDX-License-Identifier: BSD-2-Clause
"""Two machines joined by a cable: hosts that know each other by name, and whose control domains log in to each other by
keys made for this run.

    with Pair(lambda host: Machine(build="build", host=host)) as pair:
        pair.boot()
        pair.east.run("ssh west umbra info")

The cable is a pair of sockets that the two emulators inherit: nothing else is on that network, and when one emulator
ends its end of the cable is loose. Each machine is the other's companion: what ends one of them ends whatever waits for
the other, with the logs of both."""

import contextlib
import dataclasses
import os
import socket
import stat
import subprocess
import tempfile

from verdict import LabError, MachineEnded

ADDRESSES = {"east": "10.0.0.1", "west": "10.0.0.2"}
PREFIX = 24
SECRET, PUBLIC = stat.S_IFREG | 0o600, stat.S_IFREG | 0o644

# Asks another host for its clock, twice: the second time the connection is there.
ASK = b"""coproc there { ssh "$1" 'while read -r _; do bash -c "echo \\$EPOCHREALTIME"; done'; }
ask() { before=$EPOCHREALTIME; echo >&"${there[1]}"; read -r told <&"${there[0]}"; after=$EPOCHREALTIME; }
ask; ask
echo $before $told $after
"""
# Tells another host the time, when a second begins. Twice likewise.
TELL = b"""coproc there { ssh "$1" 'while read -r now; do date -s "@$now"; done'; }
tell() {
    now=$((EPOCHSECONDS + 1))
    while [ $EPOCHSECONDS -lt $now ]; do :; done
    echo $now >&"${there[1]}" && read -r _ <&"${there[0]}"
}
tell && tell
"""


@dataclasses.dataclass
class Host:
    name: str
    mac: str
    cable: socket.socket
    files: dict  # for its control domain: {path: (mode, data)}


def _make_key(directory, name):
    """(private, public), each as the content of its file."""
    path = os.path.join(directory, name)
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise LabError(f"ssh-keygen: {error} (run make deps)") from error
    parts = []
    for each in (path, path + ".pub"):
        with open(each, "rb") as file:
            parts.append(file.read())
    return parts


def _make_keys():
    """{name: (private, public)}: one for root on both hosts, and one for each host."""
    with tempfile.TemporaryDirectory(prefix="umbra-lab-") as directory:
        return {name: _make_key(directory, name) for name in ("root", *ADDRESSES)}


def _host_files(name, keys):
    names = "127.0.0.1 localhost\n" + "".join(f"{address} {host}\n" for host, address in ADDRESSES.items())
    known = b"".join(f"{host},{address} ".encode() + keys[host][1] for host, address in ADDRESSES.items())
    return {"etc/hostname": (PUBLIC, name.encode() + b"\n"),
            "etc/hosts": (PUBLIC, names.encode()),
            "etc/address": (PUBLIC, f"{ADDRESSES[name]}/{PREFIX}\n".encode()),
            "etc/ssh/host_key": (SECRET, keys[name][0]),
            "etc/ssh/id_ed25519": (SECRET, keys["root"][0]),
            "etc/ssh/authorized_keys": (SECRET, keys["root"][1]),
            "etc/ssh/ssh_known_hosts": (PUBLIC, known)}


def make_hosts():
    """One for each address."""
    keys = _make_keys()
    return [Host(name, f"52:54:00:00:00:{number:02x}", cable, _host_files(name, keys))
            for number, (name, cable) in enumerate(zip(ADDRESSES, socket.socketpair()), 1)]


def log_of(path, host):
    """Where the log of a host goes if that of both is to go to path."""
    return path if host.name == next(iter(ADDRESSES)) else f"{path}.{host.name}"


def set_clock(machine, other):
    """The other host's clock is this machine's from now on. An emulated clock begins with a whole second, and a guest
    that moves goes by that of the host where it is."""
    machine.put("/run/clocks", TELL)
    machine.check(f"bash /run/clocks {other}")


def clock_ahead(machine, other):
    """How many seconds the clock of the other host is ahead of this machine's."""
    machine.put("/run/clocks", ASK)
    before, told, after = map(float, machine.check(f"bash /run/clocks {other}").split())
    return told - (before + after) / 2


class Pair:
    """make gives the machine of a host; the two are called east and west."""

    def __init__(self, make):
        self.machines = [make(host) for host in make_hosts()]
        self.east, self.west = self.machines
        self.east.companions, self.west.companions = [self.west], [self.east]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def boot(self, timeout=180):
        """Both at once."""
        for machine in self.machines:
            machine.launch(machine.prepare(seconds=int(timeout)))
        self.let_go_of_cable()
        for machine in self.machines:
            machine.wait_ready(timeout)

    def let_go_of_cable(self):
        """Once both emulators have their ends: of an emulator that dies the other one is to notice it."""
        for machine in self.machines:
            machine.host.cable.close()

    def part(self):
        """From now on the end of one machine, which the caller is about to bring about, is not the other's."""
        for machine in self.machines:
            machine.companions = []

    def is_usable(self):
        return all(machine.companions and machine.is_usable() for machine in self.machines)

    def serial_log(self):
        return "".join(machine.serial_log() for machine in self.machines)

    def serial_tail(self):
        return self.east.serial_tail()

    def poweroff(self, timeout=60):
        """True if both powered themselves off."""
        self.part()
        done = []
        for machine in self.machines:
            with contextlib.suppress(MachineEnded):
                done.append(machine.poweroff(timeout))
        return done == [True, True]

    def close(self):
        self.let_go_of_cable()
        for machine in self.machines:
            machine.close()
