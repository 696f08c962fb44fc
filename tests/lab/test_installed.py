# SPDX-License-Identifier: BSD-2-Clause
"""Umbra's packages on a Debian 12 that starts from its own disk (installed.py): installed beside its Linux, started
once by its menu entry, with guests that come and go with the host; then plain Linux again, and no trace.

Everything on the disk is real: GRUB and its menu, systemd, apt, Xen's daemons. Four boots of some minutes each;
make check-installed makes the disk and the packages before it runs this."""

import json
import re
import unittest

import installed
from labtest import long_one

LOGS = "/var/log/xen/console"
UNITS = ("xen", "umbra-console-log", "umbra-daemons", "umbra-supervisor", "umbra-autostart", "umbra-guests")
OURS = UNITS[1:]
# What goes on by itself, or is the administrator's or other packages': not what ours may leave.
CHANGING = ("boot/grub/grubenv", "tmp/", "var/cache/", "var/lib/apt/", "var/lib/dpkg/", "var/lib/systemd/",
            "var/lib/xen/", "var/log/", "var/tmp/")
CMDLINE = "console=hvc0 loglevel=4 umbra.test=often"
GUESTS = {"web1": "shutdown", "kept": "save"}  # and what becomes of each with the host's end


class Stages:
    """Which stage did not pass: those behind it have nothing to begin with."""

    stopped = None


def stage(test):
    def run(self):
        if Stages.stopped:
            self.skipTest(f"{Stages.stopped} did not pass")
        Stages.stopped = test.__name__
        test(self)
        Stages.stopped = None
    run.__doc__ = test.__doc__
    return run


@long_one
class Installed(unittest.TestCase):
    """The tests are stages: each leaves the machine to the next, in the order of their names."""

    @classmethod
    def setUpClass(cls):
        if installed.missing():
            raise unittest.SkipTest(installed.missing())
        cls.host = installed.Host()
        cls.addClassCleanup(cls.host.close)

    # --- helpers --------------------------------------------------------------------------------------------------

    def ok(self, command, timeout=300):
        return self.host.ok(command, timeout)

    def menu(self):
        return self.ok("cat /boot/grub/grub.cfg")

    def files(self):
        return {path for path in self.host.files_on_disk() if not path.startswith(CHANGING)}

    def console(self, name):
        return self.ok(f"cat {LOGS}/guest-{name}.log").replace("\r", "")

    def wait_console(self, name, text, seconds=300):
        log = f"{LOGS}/guest-{name}.log"
        self.ok(f"for i in $(seq {seconds}); do grep -q '{text}' {log} 2>/dev/null && exit 0; sleep 1; done; "
                f"tail -n 20 {log}; umbra list; journalctl --no-pager -u 'umbra-*'; exit 1",
                seconds + 60)

    def wait_lives(self, name, lives):
        log = f"{LOGS}/guest-{name}.log"
        self.ok(f"for i in $(seq 300); do [ $(grep -c 'umbra-guest: up' {log}) = {lives} ] && exit 0; sleep 1; done; "
                f"cat {log}; exit 1", 360)

    def ticks(self, name):
        return [int(number) for number in re.findall(r"(?m)^umbra-guest: tick (\d+)$", self.console(name))]

    def put_guests(self):
        """As an administrator does: a file for each, and its name to autostart."""
        for name, end in GUESTS.items():
            config = {"name": name, "type": "pv", "memory": 128, "vcpus": 1, "kernel": installed.KERNEL,
                      "ramdisk": installed.INITRD, "cmdline": CMDLINE, "on_host_shutdown": end}
            self.host.machine.put(f"/etc/umbra/{name}.json", json.dumps(config, indent=4).encode())
            self.ok(f"umbra autostart enable /etc/umbra/{name}.json")

    def check_plain(self):
        self.assertEqual(self.ok("cat /sys/hypervisor/type 2>/dev/null; true"), "")
        self.assertEqual(self.host.failed_units(), "")

    def check_umbra(self):
        """Umbra runs this Debian, and all that comes with the host has come."""
        self.assertRegex(self.ok("cat /sys/hypervisor/version/extra"), "umbra")
        self.assertEqual(self.host.failed_units(), "")
        self.assertEqual(self.ok(f"systemctl is-active {' '.join(UNITS)}").split(), ["active"] * len(UNITS))
        daemons = self.ok("ps -eo args")
        self.assertRegex(daemons, r"(?m)^/usr/lib/xen-4\.17/bin/xenstored ")
        self.assertRegex(daemons, r"(?m)^/usr/lib/xen-4\.17/bin/xenconsoled --log=guest ")
        self.assertRegex(daemons, r"(?m)^/usr/bin/umbra supervise$")

    def check_guests(self):
        names = re.findall(r"(?m)^(\S+)", self.ok("umbra list"))[2:]
        self.assertEqual(sorted(names), sorted(GUESTS))
        self.assertEqual(*[[line.split()[:4] for line in self.ok(f"{tool} list").splitlines()]
                           for tool in ("umbra", "xl")])

    def check_log(self):
        """In the journal by the guest's name, and in the file, which a report has."""
        self.ok("umbra reboot --wait web1")
        self.wait_lives("web1", 2)
        journal = self.ok("journalctl -q --no-pager -o cat -u umbra-supervisor DOMAIN=web1")
        self.assertRegex(journal, r"(?m)^web1: started again as domain \d+$")
        self.assertEqual(self.ok("journalctl -q --no-pager -o cat -u umbra-supervisor DOMAIN=kept"), "")
        self.assertRegex(self.ok("umbra bug-info"), r"(?m)Z web1: started again as domain \d+$")
        _, status, _ = installed.blocks("install", "disk")
        self.host.do(status)
        (journal,) = installed.blocks("no-boot", "disk")
        self.assertRegex(self.host.do(journal), r"web1: started again as domain \d+\n")

    # --- stages ---------------------------------------------------------------------------------------------------

    @stage
    def test_1_installed(self):
        """The menu has one entry more, behind all others; the default is what it was."""
        host = type(self).host
        host.boot()
        self.check_plain()
        self.ok("grub-install /dev/vda 2>&1 && update-grub 2>&1", 600)
        type(self).menu_before, type(self).files_before = self.menu(), self.files()
        host.install()
        self.assertEqual(self.ok("dpkg --audit"), "")
        self.assertEqual(self.host.failed_units(), "")
        menu = self.menu()
        begin, end = "### BEGIN /etc/grub.d/45_umbra ###", "### END /etc/grub.d/45_umbra ###"
        ours = menu[menu.index(begin):menu.index(end)]
        self.assertEqual(menu.replace(f"\n{ours}{end}\n", ""), self.menu_before)
        self.assertIn("menuentry 'Debian GNU/Linux, with Umbra hypervisor'", ours)
        self.assertIn('set default="0"', self.menu_before)
        self.assertIn("next_entry=umbra\n", self.ok("grub-editenv - list"))
        self.put_guests()

    @stage
    def test_2_umbra(self):
        """The next start is Umbra's, with the daemons and the guests."""
        self.host.restart()
        self.check_umbra()
        self.assertNotIn("next_entry=umbra", self.ok("grub-editenv - list"))
        for name in GUESTS:
            self.wait_console(name, "umbra-guest: tick 5")
        self.check_guests()
        self.check_log()

    @stage
    def test_3_next_time(self):
        """One guest was saved when the host went down and goes on; the other one was shut down, and starts anew."""
        self.host.choose_umbra()
        self.host.restart()
        self.check_umbra()
        self.wait_console("kept", f"umbra-guest: tick {self.ticks('kept')[-1] + 5}")
        self.assertEqual(self.console("kept").count("umbra-guest: up"), 1)
        ticks = self.ticks("kept")
        self.assertEqual(ticks, sorted(set(ticks)))
        self.wait_lives("web1", 3)
        self.check_guests()
        self.assertIn("umbra-guest: poweroff", self.console("web1"))
        self.assertEqual(self.ok("ls /var/lib/umbra/save"), "")
        self.assertEqual(self.ok("ls -A /var/lib/xen/save 2>/dev/null; true"), "")

    @stage
    def test_4_plain(self):
        """Nothing was chosen for this start: it is plain Linux's."""
        for name in GUESTS:
            self.ok(f"umbra shutdown --wait {name} && umbra autostart disable {name}")
        self.host.restart()
        self.check_plain()
        units = self.ok(f"systemctl is-active {' '.join(OURS)}; true")
        self.assertEqual(units.split(), ["inactive"] * len(OURS))

    @stage
    def test_5_purged(self):
        """The menu is what it was; left are the files of the administrator's."""
        *_, purge = installed.blocks("install", "disk")
        self.host.do(purge)
        self.assertEqual(self.menu(), self.menu_before)
        after = self.files()
        self.assertEqual(sorted(after - self.files_before),
                         ["etc/umbra", *sorted(f"etc/umbra/{name}.json" for name in GUESTS)])
        self.assertEqual(sorted(self.files_before - after), [])
        self.assertEqual(self.ok("ls -d /var/log/umbra /run/umbra /var/lib/umbra 2>/dev/null; true"), "")
        self.host.poweroff()


if __name__ == "__main__":
    unittest.main()
