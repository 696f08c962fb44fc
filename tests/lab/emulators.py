# SPDX-License-Identifier: BSD-2-Clause
"""How each emulator is started, and how its end is read. The one place that knows their options.

An emulator has serial lines ("console" and "agent"), which it connects to sockets that the lab listens on before it
starts; QEMU also connects its monitor protocol ("qmp"). reason() is why the machine ended, in QEMU's words:
guest-shutdown, guest-reset, ... or None."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from verdict import LabError, tail

SNAPSHOT = "snapshot:"  # before a disk's file
TICKS_PER_INSTRUCTION = 8


def die_with_parent():
    """Runs in the child: the kernel kills the emulator if this process is killed without a chance to clean up."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Hardware:
    """What one run has: the description's values, or others. Its network card is at the emulator's own network, or,
    with a host (hosts.py), at the host's end of a cable. With turns no guest on hardware virtualisation will run. Where
    instructions are counted (counted), each takes TICKS_PER_INSTRUCTION of the time stamp counter, and they are all
    that time is made of."""

    def __init__(self, description, smp=None, memory=None, disks=(), host=None, turns=False, counted=False):
        self.cpu = description.cpu
        self.smp, self.memory, self.disks = smp or description.smp, memory or description.memory, list(disks)
        self.host, self.turns, self.counted = host, turns, counted

    def descriptors(self):
        """What the emulator has to inherit."""
        return (self.host.cable.fileno(),) if self.host else ()


class Emulator:
    lines = ("console", "agent")

    def __init__(self, build, description):
        self.build, self.description = build, description
        self.directory, self.process = None, None

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, directory, iso, hardware):
        """Starts the machine; returns its sockets."""
        self.directory = directory
        listeners = {name: self.listen(name) for name in self.lines}
        arguments = self.command(iso, hardware) + self.line_options(listeners)
        with open(self.path("stderr"), "wb") as output:
            try:
                self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                                env=self.environment(), preexec_fn=die_with_parent,
                                                pass_fds=hardware.descriptors(), start_new_session=True)
            except OSError as error:
                raise LabError(f"{arguments[0]}: {error.strerror} ({self.advice})") from error
        return {name: self._accept(listener) for name, listener in listeners.items()}

    def _accept(self, listener):
        deadline = time.monotonic() + 30
        listener.settimeout(0.2)
        with listener:
            while time.monotonic() < deadline and self.process.poll() is None:
                with contextlib.suppress(socket.timeout):
                    return listener.accept()[0]
        raise LabError("the emulator did not start: " + self.last_words())

    def environment(self):
        return None

    def is_reset(self):
        """For an emulator that would boot again: the machine has reset since it was started."""
        return False

    def last_words(self):
        """How the emulator's process ended, and what it said: the machine is not to blame when there is no reason()."""
        status = self.process.poll()
        ended = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
        with open(self.path("stderr"), "r", errors="replace", encoding="utf-8") as output:
            words = " | ".join(tail(output.read(), 5).split("\n"))
        return f"{ended}: {words or 'no message'}"

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()


class Qemu(Emulator):
    lines = ("console", "agent", "qmp")
    firmware = "/usr/share/seabios"
    uefi_code, uefi_variables = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"

    def __init__(self, build, description):
        super().__init__(build, description)
        self._reason = None
        self._received = b""
        self.answers = []  # of the monitor, to orders that are answered by a text
        self.root = os.path.join(build, description.root) if description.root else ""
        self.advice = "run make nightly-deps" if self.root else "run make deps"

    def binary(self):
        return os.path.join(self.root, "usr/bin/qemu-system-x86_64") if self.root else "qemu-system-x86_64"

    def missing(self):
        """Why this emulator cannot run here; None if it can."""
        if not shutil.which(self.binary()):
            return f"no {self.binary()} ({self.advice})"
        if self.description.uefi and not os.path.exists(self.uefi_code):
            return f"no {self.uefi_code} (run make deps)"
        return None

    def command(self, iso, hardware):
        """The argument list without serial lines and monitor. Without an ISO it boots from its first disk."""
        command = [self.binary(), "-nodefaults"]
        if self.root:
            command += ["-L", os.path.join(self.root, "usr/share/qemu"), "-L", self.firmware]
        command += ["-accel", self.acceleration(hardware), "-cpu", hardware.cpu, "-smp", str(hardware.smp),
                    "-m", str(hardware.memory), "-display", "none", "-vga", "std", "-no-reboot",
                    *(["-boot", "d", "-cdrom", iso] if iso else ["-boot", "c"]),
                    *self.network_options(hardware.host), *self.firmware_options(iso)]
        if hardware.counted:
            command += ["-icount", f"shift={TICKS_PER_INSTRUCTION.bit_length() - 1}"]
        for number, disk in enumerate(hardware.disks):
            command += self.disk_options(number, disk)
        return command

    def acceleration(self, hardware):
        """Debian 12's QEMU, 7.2, may translate code while another processor stores to it, and keep what it has read
        before: there the processors had better take turns in one thread. But then, with hardware virtualisation, it
        injects interrupts twice (docs/debugging.md). Newer ones have a thread for each."""
        return "tcg,thread=single" if hardware.turns and not self.root else "tcg"

    def firmware_options(self, iso):
        """UEFI's flash: its code, and beside the ISO this run's copy of its variables."""
        if not self.description.uefi:
            return []
        variables = os.path.join(os.path.dirname(iso), "variables.fd")
        try:
            shutil.copyfile(self.uefi_variables, variables)
        except OSError as error:
            raise LabError(f"{self.uefi_variables}: {error.strerror} (run make deps)") from error
        return ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={self.uefi_code}",
                "-drive", f"if=pflash,format=raw,unit=1,file={variables}"]

    @staticmethod
    def disk_options(number, disk):
        """Of a file, as it is; one whose name begins with "snapshot:" stays as it is, whatever the machine writes."""
        file = disk.removeprefix(SNAPSHOT)
        kind = "qcow2" if file.endswith(".qcow2") else "raw"
        keep = "" if file == disk else ",snapshot=on"
        return ["-drive", f"if=none,id=disk{number},format={kind}{keep},file={file.replace(',', ',,')}",
                "-device", f"virtio-blk-pci,drive=disk{number}"]

    @staticmethod
    def network_options(host):
        if not host:
            return ["-netdev", "user,id=net0", "-device", "e1000,netdev=net0,romfile="]
        return ["-netdev", f"socket,id=net0,fd={host.cable.fileno()}",
                "-device", f"virtio-net-pci,netdev=net0,mac={host.mac},romfile="]

    def listen(self, name):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path(name))
        listener.listen(1)
        return listener

    def line_options(self, _):
        options = []
        for name in self.lines:
            options += ["-chardev", f"socket,id={name},path={self.path(name)}"]
        return options + ["-serial", "chardev:console", "-serial", "chardev:agent", "-mon", "chardev=qmp,mode=control"]

    def start(self, directory, iso, hardware):
        sockets = super().start(directory, iso, hardware)
        sockets["qmp"].sendall(b'{"execute":"qmp_capabilities"}\n')
        return sockets

    def receive_qmp(self, data):
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if message.get("event") == "SHUTDOWN":
                self._reason = message["data"].get("reason")
            if isinstance(message.get("return"), str):
                self.answers.append(message["return"].replace("\r", ""))

    def reason(self):
        return self._reason


BOCHS_CONFIG = """\
config_interface: textconfig
display_library: x
cpu: model={cpu}, count={smp}, ips=50000000, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
clock: sync=none
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{console}
com2: enabled=1, mode=socket-client, dev=127.0.0.1:{agent}
sound: driver=dummy, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
log: {directory}/log
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
"""


class Bochs(Emulator):
    """Debian's build has the debugger in it and draws a window: it is told to continue, on a display of its own. Its
    serial lines are TCP clients. It has no option to end at a reset, but its log tells."""

    advice = "run make nightly-deps"

    def __init__(self, build, description):
        super().__init__(build, description)
        self._display, self._number = None, None

    def missing(self):
        for program in ("bochs-bin", "Xvfb"):
            if not shutil.which(program):
                return f"no {program} ({self.advice})"
        return None

    def command(self, iso, hardware):
        if hardware.disks or hardware.host:
            raise LabError("Bochs machines have neither disks nor a network here")
        self._hardware, self._iso = hardware, iso
        return ["bochs-bin", "-q", "-f", self.path("config"), "-rc", self.path("orders")]

    def listen(self, _):
        return socket.create_server(("127.0.0.1", 0), backlog=1)

    def line_options(self, listeners):
        ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
        with open(self.path("config"), "w", encoding="utf-8") as file:
            file.write(BOCHS_CONFIG.format(directory=self.directory, iso=self._iso, cpu=self._hardware.cpu,
                                           smp=self._hardware.smp, memory=self._hardware.memory, **ports))
        with open(self.path("orders"), "w", encoding="utf-8") as file:
            file.write("c\n")
        return []

    def environment(self):
        """Starts the display; Bochs finds it by its number."""
        reading, writing = os.pipe()
        try:
            self._display = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(writing,),
                preexec_fn=die_with_parent, start_new_session=True)
            os.close(writing)
            with os.fdopen(reading, "rb") as pipe:
                number = pipe.readline().strip()
        except OSError as error:
            raise LabError(f"Xvfb: {error.strerror} ({self.advice})") from error
        if not number:
            raise LabError("Xvfb did not start")
        return dict(os.environ, DISPLAY=":" + number.decode())

    def _log(self):
        try:
            with open(self.path("log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def is_reset(self):
        return self._log().count("Reset(HARDWARE)") > 1

    def reason(self):
        log = self._log()
        if "soft power off" in log:
            return "guest-shutdown"
        return "guest-reset" if "triple fault" in log or self.is_reset() else None

    def stop(self):
        super().stop()
        if self._display:
            self._display.terminate()  # politely: it removes its socket
            self._display.wait()


EMULATORS = {"qemu": Qemu, "bochs": Bochs}


def make(build, description):
    return EMULATORS[description.emulator](build, description)
