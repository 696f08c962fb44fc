# SPDX-License-Identifier: BSD-2-Clause
"""Debian's own tools on the hypervisor: they speak the same interface and must say the same as ours."""

import re

import devices
from compiled import compiled
from labtest import CMDLINE, GUEST_INITRD, HOME, LabTest, STOCK_KERNEL, long_one

UUID = "0f5ebf4a-1a3f-4a2f-9c8f-4d5f8a1c2b3d"
XL_CONFIG = f"""
name = "xlguest"
uuid = "{UUID}"
type = "pv"
memory = 128
maxmem = 160
vcpus = 2
cpus = "0"
cpu_weight = 300
cap = 150
kernel = "{STOCK_KERNEL}"
ramdisk = "{GUEST_INITRD}"
extra = "{CMDLINE}"
on_crash = "preserve"
"""
SAME = {"uuid": UUID, "maxmem": 160, "vcpus": 2, "cpus": "0", "cpu_weight": 300, "cap": 150, "kernel": STOCK_KERNEL,
        "on_crash": "preserve"}
# What xl prints in list -l and umbra does not, or otherwise: where, and why.
LONG_DIFFERENCES = {"/on_soft_reset": "there is no soft reset: a guest that asks for one has ended"}


def leaves(value, path=""):
    """{path: value} of a JSON document; of lists and objects without anything in them, too."""
    if not value or not isinstance(value, (dict, list)):
        return {path: value}
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return {at: leaf for key, part in parts for at, leaf in leaves(part, f"{path}/{key}").items()}


def xl_create(host, ramdisk=GUEST_INITRD, more=""):
    config = (f'name = "xlguest"\ntype = "pv"\nmemory = 128\nvcpus = 2\nkernel = "{STOCK_KERNEL}"\n'
              f'ramdisk = "{ramdisk}"\nextra = "{CMDLINE}"\n{more}')
    host.machine.put(f"{HOME}/xlguest.cfg", config.encode())
    host.ok(f"rm -f /var/log/xen/console/guest-xlguest.log; xl create -q {HOME}/xlguest.cfg")


@long_one
class StockDevices(devices.DevicesTest):
    """Those that xl attaches, with the stock scripts: the guest has them, and ours lists them."""

    def left(self):
        return self.ok("losetup -a; ls /sys/class/net; xenstore-ls -f | grep -e /backend/v -e /device/v; true")

    def test_xl_create(self):
        before = self.left()
        was = self.ok("head -c 1048576 /dev/urandom >/run/xl.img; md5sum </run/xl.img").split()[0]
        xl_create(self, devices.INITRD, 'disk = ["/run/xl.img,raw,xvda,rw"]\nvif = ["bridge=xenbr0"]\n')
        self.wait_console("xlguest", "umbra-guest: up, with drivers")
        devices.has_disk(self, "xlguest", "xvda", True, "first")
        self.assertEqual(devices.ask(self, "xlguest", "s=$(md5sum </dev/xvda); echo read=${s%% *}", "read"), was)
        devices.reaches_host(self, "xlguest")
        self.assertEqual([(row["vdev"], row["target"], row["state"]) for row in
                          self.json("umbra --json block-list xlguest")], [("xvda", "/run/xl.img", "connected")])
        self.assertEqual([(row["devid"], row["bridge"], row["state"]) for row in
                          self.json("umbra --json network-list xlguest")], [(0, "xenbr0", "connected")])
        self.ok("xl destroy xlguest")
        self.wait_gone("xlguest")
        self.wait_left(before)


class StockTools(LabTest):
    def test_xl_list(self):
        self.ok(f"umbra create -p {self.guest_file('stock', vcpus=2)}")
        ours = [line.split()[:4] for line in self.ok("umbra list").strip().split("\n")]
        self.assertEqual([line.split()[:4] for line in self.ok("xl list").strip().split("\n")], ours)
        for words in ("list -v stock", "list -c stock", "list -n stock", "vm-list"):    # a paused guest uses no time
            self.assertEqual(self.ok(f"umbra {words}"), self.ok(f"xl {words}"), words)

    def test_xl_list_long(self):
        """A guest of the same configuration, made by either tool, is the same in either's long list."""
        self.machine.put(f"{HOME}/xlguest.cfg", XL_CONFIG.encode())
        self.ok(f"xl create -q -p {HOME}/xlguest.cfg")
        (theirs,) = self.json("xl list -l xlguest")
        self.ok("xl destroy xlguest")
        self.wait_gone("xlguest")
        self.ok(f"umbra create -q -p {self.guest_file('xlguest', **SAME)}")
        (ours,) = self.json("umbra list -l xlguest")
        theirs, ours = leaves(theirs["config"]), leaves(ours["config"])
        different = {path: (theirs.get(path, "nothing"), ours.get(path, "nothing"))
                     for path in {*theirs, *ours} if theirs.get(path, self) != ours.get(path, self)}
        self.assertEqual(set(different), set(LONG_DIFFERENCES), different)

    def test_xl_info(self):
        keys = ("nr_cpus", "total_memory", "free_memory", "xen_major", "xen_minor", "xen_extra", "xen_caps",
                "xen_pagesize", "virt_caps")
        infos = [dict(re.findall(r"^(\w+) *: ?(.*)$", self.ok(f"{tool} info"), re.M)) for tool in ("xl", "umbra")]
        self.assertEqual(*[{key: info[key].strip() for key in keys} for info in infos])
        for line in (r"^cpu:.*\n(?: +\d+: .*\n)+", r"^node:.*\n +0: +\d+"):
            self.assertEqual(*[re.findall(line, self.ok(f"{tool} info -n"), re.M) for tool in ("xl", "umbra")])

    def test_xl_vcpu_list(self):
        self.create("stock", vcpus=2)
        self.assertEqual(len(self.ok("xl vcpu-list stock").strip().split("\n")), 3)

    def test_xl_dmesg(self):
        self.assertEqual(self.ok("xl dmesg")[-200:], self.ok("umbra dmesg")[-200:])

    def test_xl_pause_unpause_destroy(self):
        self.create("stock")
        self.ok("xl pause stock")
        self.assertEqual(self.guests()["stock"][3][2], "p")
        self.ok("xl unpause stock && xl destroy stock")
        self.wait_gone("stock")

    def test_xentop(self):
        self.assertIn("Domain-0", self.ok("xentop -b -i 1"))

    def test_xenperf(self):
        """There are no counters, as there are none in Debian's Xen, and it says so."""
        for option, what in (("", "getting number of perf counters"), ("-f", "getting number of perf counters"),
                             ("-r", "resetting performance counters")):
            self.fails(f"xenperf {option}", 1, f"Error {what}: 38 (Function not implemented)")

    def test_xenhypfs(self):
        """The words of the command line, as xenhypfs shows and sets them."""
        tree = self.ok("xenhypfs tree").split()
        for name in ("buildinfo/", "compiler", "extra", "params/", "loglvl", "shadow_oos", "dom0_mem", "com1"):
            self.assertIn(name, tree)
        listed = self.ok("xenhypfs ls /params")
        for line in ("<string> +rw loglvl", "<bool> +rw shadow_oos", "<bool> +r- smap", "<string> +r- dom0_mem",
                     "<uint> +r- maxcpus"):
            self.assertRegex(listed, f"(?m)^{line}$")
        self.assertEqual(self.ok("xenhypfs cat /buildinfo/version/major").strip(), "4")
        self.assertIn("4.17" + self.ok("xenhypfs cat /buildinfo/version/extra").strip(), self.ok("umbra info"))
        before = self.ok("xenhypfs cat /params/guest_loglvl").strip()
        self.ok("xenhypfs write /params/guest_loglvl error/all")
        self.assertEqual(self.ok("xenhypfs cat /params/guest_loglvl").strip(), "error/debug")
        self.ok(f"xenhypfs write /params/guest_loglvl {before}")
        self.ok("xenhypfs write /params/shadow_shrink off")
        self.assertEqual(self.ok("xenhypfs cat /params/shadow_shrink").strip(), "0")
        self.ok("xenhypfs write /params/shadow_shrink on")
        self.assertIn("No such file", self.fails("xenhypfs cat /params/none", 3))
        self.assertIn("Permission denied", self.fails("xenhypfs write /params/dom0_mem 1G", 3))
        self.assertIn("Invalid argument", self.fails("xenhypfs write /params/loglvl loud", 3))

    def test_xl_set_parameters(self):
        """Either tool sets what the other one sees, and what is set acts."""
        level = self.ok("xenhypfs cat /params/loglvl").strip()
        self.ok("xl set-parameters 'loglvl=none/none shadow_oos=off'")
        self.assertEqual(self.ok("umbra set-parameters shadow_oos=off no-shadow_invlpg").split(),
                         ["shadow_oos=off", "shadow_invlpg=off"])
        self.assertEqual(self.ok("xenhypfs cat /params/loglvl; xenhypfs cat /params/shadow_invlpg").split(),
                         ["none/none", "0"])
        said = self.json(f"umbra --json set-parameters loglvl={level} 'shadow_oos shadow_invlpg=yes'")
        self.assertEqual(said["schema"], "umbra.parameters/1")
        self.assertEqual([(each["name"], each["value"]) for each in said["parameters"]],
                         [("loglvl", level), ("shadow_oos", "on"), ("shadow_invlpg", "on")])
        for words, text in (("lglvl=all", "lglvl: .*there is no such word"),
                            ("dom0_mem=1G", "dom0_mem: .*cannot be set while the machine runs"),
                            ("loglvl=loud", 'loglvl: .*does not take the value "loud"'),
                            ("shadow_oos=maybe", 'shadow_oos: .*does not take the value "maybe"'),
                            ("conswitch=long", 'conswitch: .*does not take the value "long"'),
                            ("no-loglvl", "loglvl: .*give a value"),
                            ("shadow_oos com1=auto", "com1: .*cannot be set")):
            self.assertRegex(self.fails(f"umbra set-parameters {words}", 1), text)
        self.fails("umbra set-parameters", 2)
        self.assertIn("Invalid argument", self.fails("xl set-parameters loglvl=loud", 1))
        self.assertEqual(self.ok("xenhypfs cat /params/loglvl").strip(), level)

    def test_lsevtchn(self):
        self.assertRegex(self.ok("lsevtchn 0"), "Virtual IRQ")

    def test_xl_create(self):
        """A guest of xl's from creation to its end, as seen by both tools."""
        xl_create(self)
        self.wait_console("xlguest", "umbra-guest: up, 2 cpus")
        self.assertEqual(self.guests()["xlguest"][1:3], (128, 2))
        self.ok("xl destroy xlguest")
        self.wait_gone("xlguest")

    # --- each other's guests ----------------------------------------------------------------------------------------

    def wait_memory(self, name, mib):
        """A balloon driver gives all but its last page or two."""
        for _ in range(120):
            if abs(self.guests()[name][1] - mib) <= 1:
                return
            self.ok("usleep 500000")
        self.fail(f"{name} does not come to {mib} MiB: {self.guests()[name]}")

    @long_one
    def test_xl_on_ours(self):
        self.create("stock")
        self.wait_console("stock", "umbra-guest: tick 1")
        self.ok("xl mem-set stock 112")
        self.wait_memory("stock", 112)
        self.machine.put("/run/typed", b"echo $((6 * 7))-seen\n")
        self.machine.put("/run/on_tty", compiled("on_tty.c"), mode=0o755)  # without a terminal it does not listen
        log = "/var/log/xen/console/guest-stock.log"
        self.ok("(sleep 1; cat /run/typed; "
                f"for i in $(seq 60); do grep -q 42-seen {log} && break; usleep 500000; done; "
                "printf '\\035') | timeout 60 /run/on_tty xl console stock")
        self.wait_console("stock", "42-seen", 0)
        self.ok("xl shutdown -w stock", 240)
        self.wait_gone("stock")
        self.assertNotRegex(self.ok("ls /var/lib/xen"), r"userdata-d\.[1-9]")

    @long_one
    def test_ours_on_xl(self):
        xl_create(self)
        self.wait_console("xlguest", "umbra-guest: tick 1")
        self.ok("umbra mem-set xlguest 112")
        self.wait_memory("xlguest", 112)
        self.type_in("xlguest", "echo $((6 * 7))-seen", "42-seen")
        self.ok("umbra shutdown -w xlguest", 240)
        self.wait_gone("xlguest")
