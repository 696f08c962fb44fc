# SPDX-License-Identifier: BSD-2-Clause
"""libvirt's daemon, unchanged, with its driver for Xen, on an installed Debian that Umbra runs (installed.py).

libvirt lists the domains that it made, and Domain-0, on Xen as well; the other tools see all of them."""

import re
import unittest
import xml.etree.ElementTree as ElementTree

import installed
from labtest import long_one

VIRSH = "virsh -c xen:///system"
NAME = "virt"
CONFIG = f"""\
<domain type='xen'>
  <name>{NAME}</name>
  <memory unit='MiB'>128</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='xenpv'>linux</type>
    <kernel>{installed.KERNEL}</kernel>
    <initrd>{installed.INITRD}</initrd>
    <cmdline>console=hvc0 loglevel=4</cmdline>
  </os>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <disk type='block' device='disk'>
      <driver name='phy' type='raw'/>
      <source dev='/dev/vdb'/>
      <target dev='xvda' bus='xen'/>
      <readonly/>
    </disk>
    <console type='pty'>
      <target type='xen'/>
    </console>
  </devices>
</domain>
"""


@long_one
class Libvirt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if installed.missing():
            raise unittest.SkipTest(installed.missing())
        cls.host = installed.Host()
        cls.addClassCleanup(cls.host.close)
        cls.host.boot()
        cls.host.ok("grub-install /dev/vda 2>&1", 600)
        cls.host.install()
        cls.host.restart()
        cls.host.ok("systemctl start libvirtd 2>&1", 600)
        cls.host.machine.put("/run/virt.xml", CONFIG.encode())

    def tearDown(self):
        if self.host.machine.is_usable():
            self.host.machine.run(f"xl destroy {NAME}")
            self.wait_gone()

    # --- helpers --------------------------------------------------------------------------------------------------

    def virsh(self, command):
        return self.host.ok(f"{VIRSH} {command} 2>&1")

    def names(self, command):
        """Of the domains in a list whose lines begin, maybe after a number, with the name; Domain-0 is not counted."""
        return re.findall(r"(?m)^ *(?:\d+ +)?([a-z]\w*) ", self.host.ok(command))

    def lists(self):
        return {tool: NAME in self.names(f"{command} list") for tool, command in
                (("virsh", VIRSH), ("umbra", "umbra"), ("xl", "xl"))}

    def wait_until(self, condition, what):
        for _ in range(60):
            if condition():
                return
            self.host.ok("sleep 1")
        self.fail(f"{what}: {self.lists()}\n{self.host.ok('journalctl --no-pager -n 30 -u libvirtd')}")

    def wait_gone(self):
        self.wait_until(lambda: not any(self.lists().values()), "the domain is still there")

    def create(self):
        """Until it has said that it is up."""
        log = f"/var/log/xen/console/guest-{NAME}.log"
        self.host.ok(f"rm -f {log}")
        self.virsh("create /run/virt.xml")
        self.wait_until(lambda: "umbra-guest: up, 2 cpus" in self.host.ok(f"cat {log} 2>/dev/null; true"), "not up")
        self.assertEqual(self.lists(), {"virsh": True, "umbra": True, "xl": True})

    def state(self):
        return re.search(rf"(?m)^{NAME} +\d+ +\d+ +\d+ +(\S+)", self.host.ok("umbra list")).group(1)

    # --- tests ----------------------------------------------------------------------------------------------------

    def test_host(self):
        """What the daemon asks the hypervisor for itself."""
        self.assertIn("Xen 4.17", self.virsh("version"))
        self.assertRegex(self.virsh("list"), r"(?m)^ *0 +Domain-0 +running")
        self.assertRegex(self.virsh("nodeinfo"), r"CPU\(s\): +2")
        guests = ElementTree.fromstring(self.virsh("capabilities")).findall("guest")
        kinds = [(guest.findtext("os_type"), guest.find("arch").get("name")) for guest in guests]
        self.assertIn(("xen", "x86_64"), kinds)

    def test_shown(self):
        self.create()
        self.assertRegex(self.virsh(f"domblklist {NAME}"), r"xvda +/dev/vdb")
        domain = ElementTree.fromstring(self.virsh(f"dumpxml {NAME}"))
        self.assertEqual((domain.get("type"), domain.findtext("name"), domain.findtext("vcpu")), ("xen", NAME, "2"))
        number = self.host.ok(f"umbra domid {NAME}").strip()
        self.assertEqual(domain.get("id"), number)
        self.assertEqual(self.virsh(f"domid {NAME}").strip(), number)
        self.assertRegex(self.host.ok(f"xl block-list {number}"), r"(?m)^51712 ")

    def test_suspended(self):
        """As virsh calls a domain that is paused."""
        self.create()
        self.virsh(f"suspend {NAME}")
        self.assertEqual(self.state()[2], "p")
        self.virsh(f"resume {NAME}")
        self.assertNotEqual(self.state()[2], "p")

    def test_shutdown(self):
        self.create()
        self.virsh(f"shutdown {NAME}")
        self.wait_gone()

    def test_destroy(self):
        self.create()
        self.virsh(f"destroy {NAME}")
        self.wait_gone()

    def test_handled_by_others(self):
        """The daemon notices that its domain was shut down by umbra, and that the next one was destroyed by xl."""
        self.create()
        self.host.ok(f"umbra shutdown {NAME}")
        self.wait_gone()
        self.create()
        self.host.ok(f"xl destroy {NAME}")
        self.wait_gone()


if __name__ == "__main__":
    unittest.main()
