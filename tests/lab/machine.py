# SPDX-License-Identifier: BSD-2-Clause
"""A machine under the emulator, from power-on to power-off.

    with Machine(build="build") as machine:
        machine.boot()
        result = machine.run("umbra list")

Flow: boot() makes the ISO, starts the emulator with its sockets (serial console, agent's channel, QEMU's monitor) and
waits for the agent; run() sends a command and waits for its end; poweroff() asks and watches it go. One thread drains
the sockets, so the machine never blocks on a full pipe while a test thinks. Timeouts are those of QEMU: on a slower
emulator each is multiplied by the machine's patience.

Invariant: after close(), and when this process dies in whatever way, no emulator and no temporary file is left."""

import base64
import collections
import contextlib
import gzip
import json
import os
import secrets
import selectors
import shlex
import shutil
import tempfile
import threading
import time

import channel as framing
import emulators
import image
import machines
import verdict
from verdict import LabError, MachineEnded

Result = collections.namedtuple("Result", "status out err")
PIECE = 2048  # of a file, within one command
GRUB_MARK = image.GRUB_MARK.encode()
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Machine:
    def __init__(self, build=None, name=machines.DEFAULT, hypervisor=None, append=(), kernel_append=(), smp=None,
                 memory=None, overlays=(), disks=(), channel="serial", drivers=False, log=None, image_dir=None,
                 host=None, turns=False, counted=False):
        if name not in machines.MACHINES:
            raise LabError(f"no machine {name}; there are: {', '.join(machines.MACHINES)}")
        self.build = build or os.path.join(TOP, "build")
        self.image = image_dir or os.path.join(self.build, "image")
        self.description = machines.MACHINES[name]
        self.patience = self.description.patience
        self.emulator = emulators.make(self.build, self.description)
        self.host = host
        self.companions = []  # machines without which this one is of no use: their end is its own
        self.hardware = emulators.Hardware(self.description, smp, memory, disks, host, turns, counted)
        self.hypervisor = hypervisor or os.path.join(self.build, "umbra.gz")
        self.append = list(append)
        self.kernel_append = [*self.description.kernel.split(), *kernel_append]
        self.overlays, self.channel, self.drivers = list(overlays), channel, drivers or bool(disks)
        self.log_path = log
        self.token = secrets.token_hex(8)
        self.started = None
        self._changed = threading.Condition()
        self._log = bytearray()
        self._log_times = []
        self._events = collections.deque()
        self._reader = framing.READERS[channel](self.token)
        self._reader_error = None
        self._lost = False
        self._boots = 0  # marks of GRUB in the log when outlive_reset() was called; UEFI repeats it on the screen
        self._sockets, self._pump, self._directory = {}, None, None
        self._open = set()  # the sockets that have not come to their end

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- start ----------------------------------------------------------------------------------------------------

    def prepare(self, command=None, seconds=600, interactive=False):
        """Makes the temporary directory and the ISO; the agent's orders travel in the overlay."""
        self._directory = tempfile.mkdtemp(prefix="umbra-lab-")
        members = {}
        for overlay in self.overlays:
            members.update(image.read_overlay(overlay))
        if self.host:
            members.update(self.host.files)
        if not interactive:
            members.update(self._agent_files(command, seconds))
        archives = [os.path.join(self.build, "image", "network.zst")] if self.host else []
        return image.make_iso(self._directory, self.image, self.hypervisor, members, self.append, self.kernel_append,
                              archives, self.description.uefi)

    def _agent_files(self, command, seconds):
        config = f"token={self.token}\nchannel={self.channel}\ndrivers={'yes' if self.drivers else ''}\n"
        files = {"lab/config": (0o100644, config.encode())}
        if command is not None:
            files["lab/command"] = (0o100644, framing.request_line(command, seconds))
        return files

    def boot(self, timeout=180, command=None, on_start=None):
        """Returns when the agent is ready; with a command the agent runs it at once, see finish_command(). on_start is
        called when the emulator runs, to watch the boot."""
        self.launch(self.prepare(command, int(timeout)))
        if on_start:
            on_start()
        if command is None:
            self.wait_ready(timeout)

    def wait_ready(self, timeout=180):
        self._wait(lambda: self._take("ready"), timeout, "the control domain did not come up")

    def launch(self, iso):
        self._sockets = self.emulator.start(self._directory, iso, self.hardware)
        self._open = set(self._sockets)
        self.started = time.monotonic()
        self._pump = threading.Thread(target=self._pump_sockets, daemon=True)
        self._pump.start()

    @property
    def _process(self):
        return self.emulator.process

    # --- the thread that reads ------------------------------------------------------------------------------------

    def _pump_sockets(self):
        selector = selectors.DefaultSelector()
        for name, sock in self._sockets.items():
            selector.register(sock, selectors.EVENT_READ, name)
        while selector.get_map():
            for key, _ in selector.select():
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    selector.unregister(key.fileobj)
                with self._changed:
                    self._receive(key.data, data)
                    if not data:
                        self._open.discard(key.data)
                    self._changed.notify_all()

    def _receive(self, name, data):
        if name == "qmp":
            self.emulator.receive_qmp(data)
        if name == "console":
            self._log_times.append((len(self._log), time.monotonic() - self.started))
            self._log += data
        if name == ("agent" if self.channel == "serial" else "console"):
            try:
                self._events.extend(self._reader.feed(data))
            except LabError as error:
                self._reader_error = error

    # --- waiting --------------------------------------------------------------------------------------------------

    def _take(self, kind):
        """The next event if it is of this kind; called with the lock held."""
        if self._events and self._events[0][0] == kind:
            return self._events.popleft()
        return None

    def _wait(self, take, timeout, what):
        """Waits until take() gives something. Ends early, by exception, with the machine."""
        timeout *= self.patience
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                taken = take()
                if taken is not None:
                    return taken
                if self._reader_error:
                    raise self._reader_error
                self._check_alive()
                if time.monotonic() >= deadline:
                    self._lost = True
                    raise MachineEnded(verdict.HANG, f"{what} within {timeout:g} s")
                self._changed.wait(min(0.5, max(0.01, deadline - time.monotonic())))

    def _check_alive(self):
        for machine in (self, *self.companions):
            status, what = machine.ended(self._changed) or (None, None)
            if what:
                raise MachineEnded(status, f"{machine.host.name}: {what}" if machine.host else what)

    def ended(self, changed):
        """(status, what) if the machine is no more, else None. Whoever asks holds the lock of changed, its own: what
        this machine still has to say may take a moment."""
        panic = verdict.find_panic(self.serial_log())
        if panic:
            # The registers and the backtrace follow the first line.
            changed.wait_for(lambda: self._process.poll() is not None, 2)
            return panic
        if self._process.poll() is not None:
            changed.wait_for(lambda: not self._open, 5)  # the reason may still be on its way
            reason = self.emulator.reason()
            if not reason:
                return verdict.LAB_ERROR, f"the emulator failed: {self.emulator.last_words()}"
            return verdict.RESET, f"the machine ended by itself ({reason})"
        if self.emulator.is_reset():
            self._process.kill()
        return None

    # --- commands -------------------------------------------------------------------------------------------------

    def run(self, command, timeout=60, on_output=None):
        """Runs a shell command in the control domain. A command that outlives the timeout is killed: status 143."""
        self._send(b"run " + framing.request_line(command, int(timeout * self.patience)))
        return self.finish_command(timeout + 15, on_output)

    def check(self, command, timeout=60):
        """Like run(), but the command must succeed; returns its output as text."""
        result = self.run(command, timeout)
        if result.status:
            raise AssertionError(f"{command}: status {result.status}\n{result.out}{result.err}")
        return result.out

    def finish_command(self, timeout, on_output=None):
        parts = {"out": [], "err": []}
        deadline = time.monotonic() + timeout * self.patience
        while True:
            event = self._wait(lambda: self._events.popleft() if self._events else None,
                               (deadline - time.monotonic()) / self.patience, "the command did not end")
            if event[0] == "end":
                return Result(event[1], *(b"".join(parts[k]).decode(errors="replace") for k in ("out", "err")))
            if event[0] in parts:
                parts[event[0]].append(event[1])
                if on_output:
                    on_output(*event)

    def put(self, path, data, first="true", mode=None):
        """Writes a file in the control domain, after a command; what needs several pieces travels compressed."""
        quoted = shlex.quote(path)
        packed = len(data) > PIECE
        sent = gzip.compress(data) if packed else data
        begin, last = f"{first} && mkdir -p {shlex.quote(os.path.dirname(path) or '.')} && ", ""
        if packed:
            last += f" && gunzip -c /run/lab.put >{quoted}"
        if mode is not None:
            last += f" && chmod {mode:o} {quoted}"
        target, to = "/run/lab.put" if packed else quoted, ">"
        for start in range(0, max(len(sent), 1), PIECE):
            piece = base64.b64encode(sent[start:start + PIECE]).decode()
            end = last if start + PIECE >= len(sent) else ""
            self.check(f"{begin}echo {piece} | base64 -d {to}{target}{end}")
            begin, to = "", ">>"

    def _send(self, data):
        try:
            self._sockets["agent" if self.channel == "serial" else "console"].sendall(data)
        except OSError:
            pass  # The wait that follows finds out why the machine went away.

    def press(self, keys, seconds=20):
        """Debug keys on the serial line, which need no control domain; waits until what they print ends."""
        try:
            self._sockets["console"].sendall(b"\x01\x01\x01" + keys.encode() + b"\x01\x01\x01")
        except OSError:
            return
        before, deadline = -1, time.monotonic() + seconds * self.patience
        while len(self._log) != before and time.monotonic() < deadline:
            before = len(self._log)
            time.sleep(2 * self.patience)

    def set_link(self, up):
        """Pulls the cable out of the network card, or puts it back."""
        self._order("set_link", name="net0", up=up)

    def outlive_reset(self):
        """At its next reset the machine boots again, for wait_again(); without this a reset is its end."""
        self._boots = self._log.count(GRUB_MARK)
        self._order("set-action", reboot="reset")

    def restart(self, command):
        """Runs a command that restarts the machine; returns when that is ready again."""
        self.outlive_reset()
        self._send(b"run " + framing.request_line(command, 60))
        self.wait_again()

    def wait_again(self, timeout=180):
        """Waits until the machine has restarted, whatever it says before, and is ready. Its log begins anew."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._log.count(GRUB_MARK) > self._boots, timeout * self.patience):
                raise MachineEnded(verdict.HANG, "the machine did not restart")
            del self._log[:self._log.rindex(GRUB_MARK)]
            self._log_times = [(0, time.monotonic() - self.started)]
            self._events.clear()
            self._reader = framing.READERS[self.channel](self.token)
        self._order("set-action", reboot="shutdown")
        try:
            self.wait_ready(timeout)
        except MachineEnded as ended:  # its log is nowhere else
            raise MachineEnded(ended.status, f"{ended}\n{self.serial_tail()}") from ended

    def stand_still(self):
        """The processors stop, and with them the machine's time."""
        self._order("stop")

    def go_on(self):
        """Takes back a stand_still(), if there was one."""
        self._order("cont")

    def registers(self, seconds=10):
        """Of all processors, as the emulator has them; empty if it cannot tell."""
        answers = getattr(self.emulator, "answers", None)
        if answers is None:
            return ""
        before, deadline = len(answers), time.monotonic() + seconds
        self._order("human-monitor-command", **{"command-line": "info registers -a"})
        while len(answers) == before and time.monotonic() < deadline:
            time.sleep(0.1)
        return "".join(answers[before:])

    def _order(self, name, /, **arguments):
        """To QEMU's monitor; other emulators have none. What has gone away is found out as with _send()."""
        if "qmp" in self._sockets:
            with contextlib.suppress(OSError):
                self._sockets["qmp"].sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")

    def is_usable(self):
        """False once a command timed out, the machine ended, or a panic was seen."""
        return bool(self._process) and self._process.poll() is None and not self._lost \
            and not verdict.find_panic(self.serial_log())

    # --- log ------------------------------------------------------------------------------------------------------

    def serial_log(self):
        return self._log.decode(errors="replace").replace("\r", "")

    def serial_tail(self):
        """Of this machine and of its companions."""
        parts = []
        for machine in (self, *self.companions):
            of = f" of {machine.host.name}" if machine.host else ""
            parts.append(f"--- tail of the serial log{of}\n{verdict.tail(machine.serial_log())}\n---")
        return "\n".join(parts)

    def wait_log(self, text, timeout):
        """Waits for a text on the serial console."""
        return self._wait(lambda: True if text in self.serial_log() else None, timeout, f"'{text}' did not appear")

    def log_time(self, text):
        """Seconds from the emulator's start to the arrival of a text on the serial console; None if it is not there."""
        at = bytes(self._log).find(text.encode())
        if at < 0:
            return None
        return [seconds for offset, seconds in self._log_times if offset <= at + len(text) - 1][-1]

    # --- end ------------------------------------------------------------------------------------------------------

    def poweroff(self, timeout=60):
        """Asks the agent to end. True if the machine powered itself off."""
        self.go_on()
        self._send(b"end\n")
        return self.wait_off(timeout)

    def wait_off(self, timeout=60):
        return self.wait_end(timeout) == "guest-shutdown"

    def wait_end(self, timeout=60):
        """Waits for the machine's own end; its reason: guest-shutdown, guest-reset, ... or None."""
        deadline = time.monotonic() + timeout * self.patience
        while self._process.poll() is None and not self.emulator.is_reset():
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)
        self._pump.join(5 if self._process.poll() is not None else 0)
        return self.emulator.reason()

    def close(self):
        self.emulator.stop()
        if self._pump:
            self._pump.join(5)
        for sock in self._sockets.values():
            sock.close()
        self._sockets = {}
        if self.log_path and self._directory:
            with open(self.log_path, "wb") as file:
                file.write(self._log)
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None
