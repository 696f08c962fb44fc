# SPDX-License-Identifier: BSD-2-Clause
"""The Debian packages of BUILD/deb in a minimal Debian 12 of their own: installed, looked at, removed without a trace.

Real are dpkg, apt, the dependencies, GRUB's scripts and systemd-analyze. Made up are the kernel in /boot, which only
has to be found, what /sys says under Umbra, and grub-probe, since there is no disk. No service starts: policy-rc.d
forbids it. Takes some minutes and the network; make check-deb runs it, as root."""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import tasks

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("UMBRA_BUILD", os.path.join(TOP, "build"))
PACKAGES = ("umbra-doc", "umbra-hypervisor", "umbra-tools")
KERNEL = "6.1.0-99-amd64"
UUID = "0123-4567"

# The answers for a root file system in the first partition of a disk.
GRUB_PROBE = f"""#!/bin/sh
case $* in
*--target=device*) echo /dev/sda1 ;;
*partuuid*) exit 0 ;;
*fs_uuid*) echo {UUID} ;;
*partmap*) echo msdos ;;
*abstraction*) ;;
*=fs*) echo ext2 ;;
*compatibility_hint*) echo hd0,msdos1 ;;
esac
"""
# What changes whenever packages are installed or a menu is made; not the packages' own.
CHANGING = ("var/lib/dpkg/", "var/lib/apt/", "var/cache/", "var/log/dpkg.log", "var/log/apt/",
            "var/log/alternatives.log", "tmp/", "proc/", "run/systemd/")


def changes(path):
    return path.startswith(CHANGING)


class System:
    """A Debian below a directory. Commands run in a process tree and with mounts of their own, which end with them."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="umbra-deb-")

    def path(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def write(self, path, text="", mode=0o644):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(path), mode)

    def read(self, path):
        with open(self.path(path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def run(self, command):
        """(status, output) of a shell command line in it."""
        enter = 'mount -t proc proc "$0/proc" && exec chroot "$0" sh -c "$1"'
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", enter, self.root, command],
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout

    def ok(self, command):
        status, output = self.run(command)
        if status:
            raise AssertionError(f"{command}: status {status}\n{output[-6000:]}")
        return output

    def files(self):
        found = set()
        for where, directories, names in os.walk(self.root):
            found |= {os.path.relpath(os.path.join(where, name), self.root) for name in names + directories}
        return {path for path in found if not changes(path)}

    def remove(self):
        shutil.rmtree(self.root)


def bootstrap(system):
    done = subprocess.run(["debootstrap", "--variant=minbase", "--include=grub2-common,systemd-sysv,logrotate",
                           "bookworm", system.root], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode:
        raise AssertionError("debootstrap:\n" + done.stdout[-4000:])


def prepare(system):
    """Everything that the packages find when they come, what they depend on as well."""
    system.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    system.write(f"/boot/vmlinuz-{KERNEL}")
    system.write(f"/boot/initrd.img-{KERNEL}")
    system.write(f"/boot/config-{KERNEL}", "CONFIG_XEN_DOM0=y\n")
    system.write(f"/dev/disk/by-uuid/{UUID}")
    for name, text in (("type", "xen"), ("version/major", "4"), ("version/minor", "17"),
                       ("version/extra", ".umbra-0.1")):
        system.write(f"/sys/hypervisor/{name}", text + "\n")
    system.write("/etc/default/grub", 'GRUB_DEFAULT=0\nGRUB_DISTRIBUTOR=Debian\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\n')
    os.makedirs(system.path("/boot/grub"), exist_ok=True)
    system.ok("grub-editenv /boot/grub/grubenv create")
    system.ok("dpkg-divert --local --rename --add /usr/sbin/grub-probe")
    system.write("/usr/sbin/grub-probe", GRUB_PROBE, 0o755)
    os.mkdir(system.path("/packages"))
    for deb in glob.glob(os.path.join(BUILD, "deb", "*.deb")):
        if "dbgsym" not in deb:
            shutil.copy(deb, system.path("/packages"))
    sources = system.read("/etc/apt/sources.list")
    security = re.sub(r"(\S+) bookworm ", r"\1-security bookworm-security ", sources)
    system.write("/etc/apt/sources.list", sources + security)
    system.ok("apt-get -q update")


def planned(system, options=""):
    """The packages that apt would install with ours."""
    return re.findall(r"^Inst (\S+)", system.ok(f"apt-get -s {options} install /packages/*.deb"), re.M)


@unittest.skipUnless(os.geteuid() == 0, "root is needed for chroot")
@unittest.skipUnless(shutil.which("debootstrap"), "debootstrap is not installed")
class Packages(unittest.TestCase):
    """The tests are stages: each leaves the system to the next, in the order of their names."""

    @classmethod
    def setUpClass(cls):
        if len(glob.glob(os.path.join(BUILD, "deb", "umbra-*.deb"))) < len(PACKAGES):
            raise unittest.SkipTest("no packages in build/deb: make deb")
        cls.system = System()
        cls.addClassCleanup(cls.system.remove)
        bootstrap(cls.system)
        prepare(cls.system)
        cls.with_recommended = planned(cls.system)
        needed = [name for name in planned(cls.system, "--no-install-recommends") if name not in PACKAGES]
        cls.system.ok("apt-get -qy --no-install-recommends install " + " ".join(needed))
        cls.system.ok("update-grub")
        cls.before = cls.system.files()
        cls.menu_before = cls.system.read("/boot/grub/grub.cfg")
        cls.installed = cls.system.run("dpkg -i /packages/*.deb")

    def test_1_installed(self):
        self.assertEqual(self.installed[0], 0, self.installed[1])
        self.assertIn("Found Umbra image: /boot/umbra-", self.installed[1])
        self.assertEqual(self.system.ok("dpkg --audit"), "")
        self.assertEqual(self.system.ok(f"dpkg --verify {' '.join(PACKAGES)}"), "")

    def test_1_apt_does_not_bring_xen(self):
        self.assertTrue(set(PACKAGES) <= set(self.with_recommended))
        self.assertEqual([name for name in self.with_recommended if name.startswith("xen-hypervisor")], [])

    def test_2_menu(self):
        """All that was in the menu is there as it was; ours is behind it."""
        menu = self.system.read("/boot/grub/grub.cfg")
        begin, end = "### BEGIN /etc/grub.d/45_umbra ###", "### END /etc/grub.d/45_umbra ###"
        self.assertEqual((menu.count(begin), menu.count(end)), (1, 1))
        ours = menu[menu.index(begin):menu.index(end)]
        self.assertEqual(menu.replace(f"\n{ours}{end}\n", ""), self.menu_before)
        self.assertIn(f"/boot/vmlinuz-{KERNEL} ", self.menu_before)
        self.assertNotIn("menuentry ", menu[menu.index(end):])
        self.assertRegex(ours, r"menuentry 'Debian GNU/Linux, with Umbra hypervisor' .* 'umbra' \{")
        self.assertRegex(ours, r"multiboot2 /boot/umbra-[\d.]+\.gz\n")
        self.assertRegex(ours.split("submenu")[1], r"multiboot2 /boot/umbra-[\d.]+-debug\.gz\n")
        self.assertRegex(ours, rf"module2 /boot/vmlinuz-{KERNEL} root=UUID={UUID} ro +quiet\n")
        self.assertIn(f"module2 --nounzip /boot/initrd.img-{KERNEL}\n", ours)
        self.system.ok("grub-script-check /boot/grub/grub.cfg")

    def test_2_settings(self):
        """They come into the menu, and a second installation leaves them alone."""
        settings = 'UMBRA_CMDLINE="dom0_mem=1G"\nUMBRA_CMDLINE_LINUX="console=hvc0"\n'
        original = self.system.read("/etc/default/umbra")
        self.system.write("/etc/default/umbra", settings)
        self.system.ok("dpkg -i /packages/*.deb")
        self.assertEqual(self.system.read("/etc/default/umbra"), settings)
        menu = self.system.read("/boot/grub/grub.cfg")
        self.assertRegex(menu, r"multiboot2 /boot/umbra-[\d.]+\.gz dom0_mem=1G\n")
        self.assertRegex(menu, r"quiet console=hvc0\n")
        self.system.write("/etc/default/umbra", original)

    def test_2_chosen_once(self):
        self.system.ok("grub-reboot umbra")
        self.assertIn("next_entry=umbra\n", self.system.ok("grub-editenv - list"))
        self.system.ok("grub-editenv - unset next_entry")

    def test_2_task_page(self):
        """What docs/tasks/install.md says about settings, the menu and the next start, to the letter."""
        original = self.system.read("/etc/default/umbra")
        for block in tasks.read("install"):
            if block.kind == "deb":
                self.system.ok("set -e\n" + block.text)
        self.assertRegex(self.system.read("/boot/grub/grub.cfg"), r"multiboot2 /boot/umbra-[\d.]+\.gz dom0_mem=2G\n")
        self.assertIn("next_entry=umbra\n", self.system.ok("grub-editenv - list"))
        self.system.write("/etc/default/umbra", original)
        self.system.ok("grub-editenv - unset next_entry && update-grub")

    def test_2_services(self):
        for name in ("autostart", "guests", "supervisor"):
            self.assertTrue(os.path.islink(self.system.path(
                f"/etc/systemd/system/multi-user.target.wants/umbra-{name}.service")), name)
        self.assertTrue(glob.glob(self.system.path("/etc/rc2.d/S*xen")), "Xen's daemons do not start at boot")
        names = ("autostart", "console-log", "daemons", "guests", "supervisor")
        units = " ".join(f"/lib/systemd/system/umbra-{name}.service" for name in names)
        self.assertEqual(self.system.ok(f"systemd-analyze verify --man=no {units}"), "")

    def test_2_daemons(self):
        """What the daemons are told names files that Xen's packages have."""
        self.system.ok("/usr/lib/umbra/daemon-options")
        words = dict(re.findall(r'^(\w+)="(.*)"$', self.system.read("/run/umbra/daemons.env"), re.M))
        self.assertEqual(words["XENSTORED"], "/usr/lib/xen-4.17/bin/xenstored")
        self.assertTrue(os.access(self.system.path(words["XENSTORED"]), os.X_OK))
        self.assertIn("--log=guest", words["XENCONSOLED_ARGS"])

    def test_2_logs(self):
        self.assertNotIn("error:", self.system.ok("logrotate -d /etc/logrotate.d/umbra"))

    def test_2_tool(self):
        """It runs with the libraries that the package depends on, and its schema is the one that is installed."""
        self.assertEqual(self.system.ok("umbra config schema"),
                         self.system.read("/usr/share/umbra/schema/guest-1.schema.json"))
        self.assertIn("create", self.system.ok("umbra help"))
        status, output = self.system.run("umbra config validate /usr/share/doc/umbra/examples/guest1.json")
        self.assertEqual(status, 2)
        self.assertIn('kernel: "/boot/guest/vmlinuz" cannot be read', output)

    def test_2_report(self):
        """What reportbug puts into a report: the script's words on descriptor 3, and the other packages' states."""
        self.assertIn("==== versions\numbra ", self.system.ok("/usr/share/bug/umbra-tools/script 3>&1 >/dev/null"))
        self.assertIn("umbra-hypervisor", self.system.read("/usr/share/bug/umbra-tools/control"))
        self.assertEqual(self.system.read("/usr/share/bug/umbra-hypervisor/control"), "report-with: umbra-tools\n")

    def test_2_completion(self):
        self.assertEqual(self.system.read("/usr/share/bash-completion/completions/umbra"),
                         self.system.ok("umbra completion bash"))
        self.assertEqual(self.system.read("/usr/share/zsh/vendor-completions/_umbra"),
                         self.system.ok("umbra completion zsh"))

    def test_2_not_removed_under_guests(self):
        """One of umbra's and one of another tool's are there: only the first one holds it."""
        rows = '[{"name": "web1",\n  "config": {"vcpus": 1}\n},\n{"name": "other",\n  "config": null\n}]'
        self.system.ok("mv /usr/bin/umbra /usr/bin/umbra.aside")
        self.system.write("/usr/bin/umbra", f"#!/bin/sh\necho '{rows}'\n", 0o755)
        status, output = self.system.run("dpkg -r umbra-tools")
        self.system.ok("mv /usr/bin/umbra.aside /usr/bin/umbra")
        self.assertNotEqual(status, 0)
        self.assertIn("shut down with the host any more: 1\n", output)
        self.assertRegex(self.system.ok("dpkg-query -W -f '${Status}' umbra-tools"), " ok installed$")
        self.assertEqual(self.system.ok("dpkg --audit; dpkg --verify umbra-tools"), "")

    def version(self, version):
        """The hypervisor's package as that version of it would be; installed."""
        self.system.ok(f"""set -e; rm -rf /tmp/new; dpkg-deb -R /packages/umbra-hypervisor_*.deb /tmp/new; cd /tmp/new
            old=$(sed -n 's/^Version: //p' DEBIAN/control); sed -i 's/^Version: .*/Version: {version}/' DEBIAN/control
            sed -i "s,boot/umbra-$old,boot/umbra-{version}," DEBIAN/md5sums
            for file in boot/umbra-$old*; do mv $file boot/umbra-{version}${{file#boot/umbra-$old}}; done
            dpkg-deb -b . /tmp/new.deb; dpkg -i /tmp/new.deb; rm -r /tmp/new /tmp/new.deb""")

    def images(self):
        found = self.system.ok("cd /boot; ls umbra-*").split()
        menu = self.system.read("/boot/grub/grub.cfg")
        self.assertEqual([name for name in found if f" /boot/{name}" not in menu], [])
        return found

    def main_image(self):
        """What the menu's entry `umbra` starts."""
        return re.search(r"'umbra' \{[^}]*multiboot2 /boot/(\S+)", self.system.read("/boot/grub/grub.cfg")).group(1)

    def test_2_upgrade_keeps_the_last(self):
        """The image that was replaced, and no other, until the package is removed. The menu has it, but the entry
        `umbra` is the installed version's, be it an older one."""
        first = self.images()
        old = [name for name in first if "debug" not in name]
        for version, images in (("8.8", [*old, "umbra-8.8-debug.gz", "umbra-8.8.gz"]),
                                ("8.8", [*old, "umbra-8.8-debug.gz", "umbra-8.8.gz"]),
                                ("9.9", ["umbra-8.8.gz", "umbra-9.9-debug.gz", "umbra-9.9.gz"]),
                                ("8.8", ["umbra-8.8-debug.gz", "umbra-8.8.gz", "umbra-9.9.gz"])):
            self.version(version)
            self.assertEqual(self.images(), images)
            self.assertEqual(self.main_image(), f"umbra-{version}.gz")
        self.assertEqual(self.system.ok("cat /var/lib/umbra-hypervisor/kept"), "/boot/umbra-9.9.gz\n")

    def test_2_links(self):
        for page in glob.glob(self.system.path("/usr/share/doc/umbra/**/*.md"), recursive=True):
            with open(page, encoding="utf-8") as file:
                for link in re.findall(r"\]\(([^)#:]+)\)", file.read()):
                    self.assertTrue(os.path.exists(os.path.join(os.path.dirname(page), link)), f"{page}: {link}")

    def test_3_removed(self):
        """The settings stay until they are purged, and make no menu."""
        self.system.ok(f"dpkg -r {' '.join(PACKAGES)}")
        self.assertEqual(self.system.read("/boot/grub/grub.cfg").replace(
            "\n### BEGIN /etc/grub.d/45_umbra ###\n### END /etc/grub.d/45_umbra ###\n", ""), self.menu_before)
        self.assertTrue(os.path.exists(self.system.path("/etc/default/umbra")))

    def test_4_purged(self):
        self.system.ok(f"dpkg -P {' '.join(PACKAGES)}")
        self.assertEqual(self.system.read("/boot/grub/grub.cfg"), self.menu_before)
        after = self.system.files()
        self.assertEqual((sorted(after - self.before), sorted(self.before - after)), ([], []))
        self.assertEqual(self.system.ok("dpkg-query -W -f '${Package}\\n' 'umbra*' 2>/dev/null || true"), "")


if __name__ == "__main__":
    unittest.main()
