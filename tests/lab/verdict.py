# SPDX-License-Identifier: BSD-2-Clause
"""What became of a machine, read from its serial log and its emulator; and the exit statuses of the lab.

A command's own status is passed through, so a lab status may coincide with one; the lab's last line on stderr starts
with "lab: " whenever the status is the lab's."""

import re

NO_POWEROFF = 119    # the command succeeded, but the machine did not power off when told to
RESET = 120          # the machine stopped or reset without a word (a triple fault looks like this)
CONTROL_PANIC = 121  # the control domain's kernel panicked, or the hypervisor crashed the control domain
HANG = 124           # no end within the time given
LAB_ERROR = 125      # the lab itself could not do its work
HYPERVISOR_PANIC = 126

_PANICS = (
    (HYPERVISOR_PANIC, "hypervisor panic", re.compile(r"^\(XEN\) (?:\[[^\]]*\] )?Panic on CPU", re.M)),
    (CONTROL_PANIC, "control domain kernel panic", re.compile(r"^\[ *\d+\.\d+\] Kernel panic - not syncing", re.M)),
    (CONTROL_PANIC, "control domain crashed",
     re.compile(r"^\(XEN\) (?:\[[^\]]*\] )?(?:Domain 0 \(.*crashed|Hardware Dom0 crashed)", re.M)),
)


class MachineEnded(Exception):
    """The machine is no more, or must not be talked to any more. status is one of the constants above."""

    def __init__(self, status, what):
        super().__init__(what)
        self.status = status


class LabError(Exception):
    status = LAB_ERROR


def find_panic(log):
    """(status, text) of the first panic in the log, None if there is none. An early match beats a later one: the
    hypervisor's panic is often the consequence of what the control domain said before, and the other way round."""
    found = []
    for status, text, pattern in _PANICS:
        match = pattern.search(log)
        if match:
            found.append((match.start(), status, text))
    return min(found)[1:] if found else None


def tail(log, lines=40):
    """The last lines of a serial log, fit for a terminal: no control characters."""
    clean = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", log)
    clean = "".join(c if c in "\n\t" or c.isprintable() else "" for c in clean)
    return "\n".join(clean.rstrip("\n").split("\n")[-lines:])
