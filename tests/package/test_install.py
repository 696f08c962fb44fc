# SPDX-License-Identifier: BSD-2-Clause
"""What make install puts where, and the menu entries that the script for GRUB makes of a made-up /boot."""

import contextlib
import gzip
import json
import os
import pty
import re
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("UMBRA_BUILD", os.path.join(TOP, "build"))
SCRIPT = os.path.join(TOP, "tools", "package", "grub.d")
GRUB_LIBRARY = "/usr/share/grub/grub-mkconfig_lib"
VERSION = re.search(r"^VERSION := (\S+)", open(os.path.join(TOP, "Config.mk"), encoding="utf-8").read(), re.M).group(1)

# Path below the prefix or the root, mode; the pages of the documentation are compared with the tree.
FILES = {
    f"boot/umbra-{VERSION}.gz": 0o644,
    "etc/default/umbra": 0o644,
    "etc/grub.d/45_umbra": 0o755,
    "etc/logrotate.d/umbra": 0o644,
    "etc/umbra/umbra.conf": 0o644,
    "usr/bin/umbra": 0o755,
    "usr/bin/umbra-tls": 0o755,
    "usr/bin/umbra-xml": 0o755,
    "usr/lib/systemd/system/umbra-autostart.service": 0o644,
    "usr/lib/systemd/system/umbra-console-log.service": 0o644,
    "usr/lib/systemd/system/umbra-daemons.service": 0o644,
    "usr/lib/systemd/system/umbra-guests.service": 0o644,
    "usr/lib/systemd/system/umbra-supervisor.service": 0o644,
    "usr/lib/systemd/system/xen.service.d/umbra.conf": 0o644,
    "usr/lib/umbra/daemon-options": 0o755,
    "usr/lib/umbra/keep-daemons": 0o755,
    "usr/share/bash-completion/completions/umbra": 0o644,
    "usr/share/man/man1/umbra.1": 0o644,
    "usr/share/man/man5/umbra.conf.5": 0o644,
    "usr/share/man/man5/umbra.json.5": 0o644,
    "usr/share/man/man7/umbra-hypervisor.7": 0o644,
    "usr/share/umbra/schema/guest-1.schema.json": 0o644,
    "usr/share/zsh/site-functions/_umbra": 0o644,
}
DOCS = "usr/share/doc/umbra/"


def install(root, **variables):
    """make install as of the tree's build, with variables of its own command line only."""
    words = [f"{name}={value}" for name, value in variables.items()]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "--no-print-directory", "install", f"BUILD={os.path.relpath(BUILD, TOP)}"] + words,
                          cwd=TOP, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode:
        raise AssertionError(done.stdout[-4000:])
    return files_below(root)


def files_below(root):
    found = {}
    for where, _, names in os.walk(root):
        for name in names:
            path = os.path.join(where, name)
            found[os.path.relpath(path, root)] = stat.S_IMODE(os.lstat(path).st_mode)
    return found


def pages():
    found = {"README.md", "CONTRIBUTING.md", "LICENSE", "tests/README.md"}
    for folder, suffix in (("docs", ".md"), ("docs/decisions", ".md"), ("docs/tasks", ".md"),
                           ("examples", ".json")):
        found |= {f"{folder}/{n}" for n in os.listdir(os.path.join(TOP, folder)) if n.endswith(suffix)}
    return found


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not all(os.path.exists(os.path.join(BUILD, name)) for name in ("umbra", "umbra.gz")):
            raise unittest.SkipTest("umbra and umbra.gz are not built")
        cls.root = tempfile.mkdtemp(prefix="umbra-install-")
        cls.found = install(cls.root, DESTDIR=cls.root, PREFIX="/usr")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def read(self, path):
        with open(os.path.join(self.root, path), "rb") as file:
            return file.read()

    def test_files_and_modes(self):
        wanted = dict(FILES, **{DOCS + page: 0o644 for page in pages()})
        self.assertEqual(self.found, wanted)
        self.assertTrue(os.path.isdir(os.path.join(self.root, "etc/umbra/auto")))

    def test_directories_are_for_all(self):
        for where, _, _ in os.walk(self.root):
            if where != self.root:
                self.assertEqual(stat.S_IMODE(os.stat(where).st_mode), 0o755, where)

    def test_nothing_names_where_it_was_built(self):
        for path in self.found:
            text = self.read(path)
            if path.endswith(".gz"):
                text = gzip.decompress(text)
            for place in (TOP, os.path.abspath(BUILD), self.root):
                self.assertNotIn(place.encode(), text, path)
            if not path.startswith(DOCS) and b"\0" not in text:  # in a program any bytes may stand
                self.assertIsNone(re.search(rb"@[A-Z]+@", text), path)

    def test_program_is_stripped_and_runs(self):
        sections = subprocess.run(["readelf", "-SW", os.path.join(self.root, "usr/bin/umbra")], capture_output=True,
                                  text=True, check=True).stdout
        self.assertIn(" .text ", sections)
        self.assertNotIn(".debug_info", sections)
        said = subprocess.run([os.path.join(self.root, "usr/bin/umbra"), "config", "schema"], capture_output=True,
                              check=True).stdout
        self.assertEqual(said, self.read("usr/share/umbra/schema/guest-1.schema.json"))

    def config(self, *words):
        return subprocess.run([os.path.join(self.root, "usr/bin/umbra"), "config", *words], capture_output=True,
                              text=True, check=False)

    def test_xml_there_and_back(self):
        """By the program beside umbra, whose output, reports and exit codes are umbra's."""
        example = os.path.join(TOP, "examples", "guest1.json")
        there = self.config("export-xml", example)
        self.assertEqual((there.returncode, there.stderr), (0, ""))
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(there.stdout)
            file.flush()
            back = self.config("import-xml", "--strict", file.name)
            self.assertEqual((back.returncode, back.stderr), (0, ""))
            file.seek(0)
            file.write(there.stdout.replace("<devices>", "<devices><emulator>/usr/bin/qemu</emulator>"))
            file.flush()
            dropped, strict = self.config("import-xml", file.name), self.config("import-xml", "--strict", file.name)
            reported = self.config("--json", "import-xml", file.name)
        self.assertEqual(json.loads(back.stdout)["name"], json.loads(self.config("get", example).stdout)["name"])
        self.assertEqual((dropped.returncode, dropped.stdout), (0, back.stdout))
        self.assertIn("warning: domain/devices/emulator: not carried over", dropped.stderr)
        self.assertEqual((strict.returncode, strict.stdout), (2, ""))
        self.assertEqual(json.loads(reported.stderr)["diagnostics"][0]["pointer"], "/domain/devices/emulator")

    def test_xml_does_not_start(self):
        """What umbra says where umbra-xml is missing, cannot be loaded, or dies."""
        with tempfile.TemporaryDirectory(prefix="umbra-install-") as root:
            shutil.copy(os.path.join(self.root, "usr/bin/umbra"), root)
            beside = os.path.join(root, "umbra-xml")
            for script, said in ((None, "umbra-xml is not installed"), ("kill -9 $$", "it was killed"),
                                 ("exit 127", "a library that it needs is missing"), ("exit 2", None)):
                if script:
                    with open(beside, "w", encoding="utf-8") as file:
                        file.write(f"#!/bin/sh\n{script}\n")
                    os.chmod(beside, 0o755)
                done = subprocess.run([os.path.join(root, "umbra"), "config", "import-xml", "a.xml"],
                                      capture_output=True, text=True, check=False)
                self.assertEqual((done.returncode, done.stdout), (1 if said else 2, ""))
                self.assertIn(said or "", done.stderr)

    def test_xml_is_not_umbra_s_own(self):
        """A control domain without libxml2 has all the rest of the tool."""
        needs = {name: subprocess.run(["readelf", "-d", os.path.join(self.root, "usr/bin", name)], capture_output=True,
                                      text=True, check=True).stdout for name in ("umbra", "umbra-xml")}
        self.assertNotIn("libxml2", needs["umbra"])
        self.assertIn("libxml2", needs["umbra-xml"])

    def test_settings_say_nothing(self):
        self.assertEqual([key for key in json.loads(self.read("etc/umbra/umbra.conf")) if not key.startswith("x-")], [])

    def test_hypervisor_is_what_grub_loads(self):
        image = os.path.join(self.root, "boot", f"umbra-{VERSION}")
        with open(image, "wb") as file:
            subprocess.run(["gzip", "-dc", image + ".gz"], stdout=file, check=True)
        self.addCleanup(os.unlink, image)
        done = subprocess.run(["grub-file", "--is-x86-multiboot2", image], check=False)
        self.assertEqual(done.returncode, 0)

    def test_settings_stay(self):
        """A second installation, into the same place, and with paths of another prefix."""
        with tempfile.TemporaryDirectory(prefix="umbra-install-") as root:
            os.makedirs(os.path.join(root, "etc/default"))
            os.makedirs(os.path.join(root, "etc/umbra"))
            for path in ("etc/default/umbra", "etc/umbra/umbra.conf"):
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write("UMBRA_CMDLINE=mine\n")
            found = install(root, DESTDIR=root)
            self.assertIn("usr/local/bin/umbra", found)
            self.assertIn("etc/grub.d/45_umbra", found)
            for path in ("etc/default/umbra", "etc/umbra/umbra.conf"):
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    self.assertEqual(file.read(), "UMBRA_CMDLINE=mine\n")
            unit = "usr/local/lib/systemd/system/umbra-supervisor.service"
            with open(os.path.join(root, unit), encoding="utf-8") as file:
                self.assertIn("ExecStart=/usr/local/bin/umbra supervise\n", file.read())

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze here")
    def test_units(self):
        """Installed where the paths in them are true, so that the programs they name are looked for as well."""
        with tempfile.TemporaryDirectory(prefix="umbra-install-") as root:
            install(root, PREFIX=f"{root}/usr", BOOTDIR=f"{root}/boot", SYSCONFDIR=f"{root}/etc")
            folder = os.path.join(root, "usr/lib/systemd/system")
            units = sorted(os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".service"))
            self.assertEqual(len(units), 5)
            done = subprocess.run(["systemd-analyze", "verify", "--man=no"] + units, capture_output=True, text=True,
                                  check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


# What it lists is all that completion asks it for.
PROGRAM = r"""#!/bin/sh
printf 'Name ID\nDomain-0 0\nweb1 3\nmail 4\n'
echo '$(touch${IFS}run) 5'; echo '`touch${IFS}run` 6'
"""
ZSH = r"""
PS1=; unsetopt zle_bracketed_paste; fpath=({functions} $fpath); autoload -U compinit; compinit -D -u
show() {{ print -r -- "<$BUFFER>"; BUFFER= }}
zle -N show; bindkey '^G' show; bindkey '^I' complete-word; print ready
"""


class Completion(unittest.TestCase):
    """The files that make install puts where shells look for them, in shells that find them there."""

    LINES = (("umbra paus", "umbra pause "), ("umbra --json mem-s", "umbra --json mem-set "),
             ("umbra pause w", "umbra pause web1 "), ("umbra shutdown web1 m", "umbra shutdown web1 mail "),
             ("umbra shutdown --w", "umbra shutdown --wait "), ("umbra migrate -o f", "umbra migrate -o force "),
             ("umbra autostart di", "umbra autostart disable "), ("umbra completion z", "umbra completion zsh "),
             ("umbra create plai", "umbra create plain.json "), ("umbra rename web1 m", "umbra rename web1 m"))

    def setUp(self):
        if not os.path.exists(os.path.join(BUILD, "umbra")):
            self.skipTest("umbra is not built")
        directory = tempfile.TemporaryDirectory(prefix="umbra-completion-")
        self.addCleanup(directory.cleanup)
        self.top = directory.name
        install(self.top, DESTDIR=self.top, PREFIX="/usr")
        for name, text, mode in (("umbra", PROGRAM, 0o755), ("plain.json", "{}", 0o644)):
            with open(os.path.join(self.top, name), "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(os.path.join(self.top, name), mode)

    def shell(self, *words):
        """An interactive one on a terminal of its own."""
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.top)
            os.execvpe(words[0], words, {"PATH": f"{self.top}:{os.environ['PATH']}", "TERM": "dumb", "HOME": self.top})
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        self.addCleanup(os.close, fd)
        return fd

    def read_to(self, fd, pattern):
        said, deadline = "", time.monotonic() + 60
        while not re.search(pattern, said):
            ready = select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]
            self.assertTrue(ready, said)
            said += os.read(fd, 4096).decode(errors="replace")
        return re.search(pattern, said).group(1)

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh(self):
        functions = os.path.join(self.top, "usr/share/zsh/site-functions")
        subprocess.run(["zsh", "-n", os.path.join(functions, "_umbra")], check=True)
        for line, completed in self.LINES:
            with self.subTest(line=line):
                fd = self.shell("zsh", "-f", "-i")
                os.write(fd, ZSH.format(functions=functions).encode())
                self.read_to(fd, "\n(ready)\r")
                os.write(fd, f"{line}\t\a".encode())
                self.assertEqual(self.read_to(fd, "<(umbra [^>]*)>").rstrip(), completed.rstrip())
                os.write(fd, f"{line}\t\a".encode())  # and once more: now it is loaded
                self.assertEqual(self.read_to(fd, "<(umbra [^>]*)>").rstrip(), completed.rstrip())
        self.assertFalse(os.path.exists(os.path.join(self.top, "run")))

    def test_bash(self):
        """As bash-completion does: it reads the file of the command's name when that is first completed."""
        script = os.path.join(self.top, "usr/share/bash-completion/completions/umbra")
        for line, completed in self.LINES:
            words = ". \"$0\"; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _umbra; echo ${COMPREPLY[@]-}"
            done = subprocess.run(["bash", "-c", words, script, line], capture_output=True, text=True, check=True,
                                  cwd=self.top, env={**os.environ, "PATH": f"{self.top}:{os.environ['PATH']}"})
            wanted = completed.split()[-1] if line != completed else ""
            self.assertEqual((done.stdout.strip(), done.stderr), (wanted, ""), line)
        registered = subprocess.run(["bash", "-c", '. "$0"; complete -p umbra', script], capture_output=True, text=True,
                                    check=True).stdout
        self.assertEqual(registered, "complete -F _umbra umbra\n")


# In the place of the init script: starts what does not run.
START = """
cd {top}
start() {{
    kill -0 "$(cat $1.pid 2>/dev/null)" 2>/dev/null && return
    ./$2 1000 >/dev/null 2>&1 &
    until grep -q $2 /proc/$!/comm; do sleep 0.05; done # daemons write their numbers themselves
    echo $! >$1.pid
    echo $2 >>started
}}
start xenstore xenstored
start xenconsoled xenconsoled
"""


class Keeper(unittest.TestCase):
    """keep-daemons, with programs that only have the daemons' names."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="umbra-keep-")
        self.addCleanup(directory.cleanup)
        self.top = directory.name
        for name in ("xenstored", "xenconsoled"):
            shutil.copy("/bin/sleep", os.path.join(self.top, name))
        with open(os.path.join(self.top, "start"), "w", encoding="utf-8") as file:
            file.write(START.format(top=self.top))
        self.addCleanup(self.end_daemons)
        environment = {**os.environ, "KEEP_RUN": self.top, "KEEP_SECONDS": "0.1", "KEEP_START": f"sh {self.top}/start"}
        self.keeper = subprocess.Popen(["sh", os.path.join(TOP, "tools", "package", "keep-daemons")], env=environment,
                                       stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.keeper.stderr.close)
        self.addCleanup(self.keeper.wait)
        self.addCleanup(self.keeper.kill)

    def read(self, name):
        try:
            with open(os.path.join(self.top, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def end(self, name, pid):
        """If that is still its process."""
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read().strip() == name:
                    os.kill(pid, signal.SIGKILL)

    def end_daemons(self):
        for file, name in (("xenstore", "xenstored"), ("xenconsoled", "xenconsoled")):
            self.end(name, int(self.read(f"{file}.pid") or "0"))

    def wait_started(self, *names):
        deadline = time.monotonic() + 120
        while self.read("started").split() != list(names):
            self.assertLess(time.monotonic(), deadline, self.read("started"))
            time.sleep(0.05)

    def test_each(self):
        both = ["xenstored", "xenconsoled"]
        self.wait_started(*both)
        os.kill(int(self.read("xenconsoled.pid")), signal.SIGKILL)
        self.wait_started(*both, "xenconsoled")
        os.kill(int(self.read("xenstore.pid")), signal.SIGKILL)
        self.wait_started(*both, "xenconsoled", *both)
        time.sleep(0.5)
        self.wait_started(*both, "xenconsoled", *both)
        self.keeper.kill()
        said = self.keeper.stderr.read()
        self.assertEqual(said.count("xenstored has ended and is started again: guests"), 2, said)
        self.assertEqual(said.count("the console daemon has ended and is started again"), 1, said)

    def test_number_of_another(self):
        """A number that is now another process's is no daemon."""
        self.wait_started("xenstored", "xenconsoled")
        first = int(self.read("xenconsoled.pid"))
        with open(os.path.join(self.top, "xenconsoled.pid"), "w", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        self.addCleanup(self.end, "xenconsoled", first)
        deadline = time.monotonic() + 60
        while "console daemon" not in self.keeper.stderr.readline():
            self.assertLess(time.monotonic(), deadline)


STUB = r"""#!/bin/sh
case $* in
*--target=partmap*) echo msdos ;;
*--target=abstraction*) case $* in *mapper*) echo lvm ;; esac ;;
*--target=fs_uuid*) echo 11-22 ;;
*--target=fs*) echo ext2 ;;
*--target=compatibility_hint*) echo hd0,msdos1 ;;
esac
"""


@unittest.skipUnless(os.path.exists(GRUB_LIBRARY), "no grub-mkconfig_lib here")
class Menu(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="umbra-boot-")
        self.addCleanup(temporary.cleanup)
        self.top = temporary.name
        self.boot = os.path.join(self.top, "boot")
        os.mkdir(self.boot)
        self.write("grub-probe", STUB, 0o755)

    def write(self, name, text="", mode=0o644):
        path = os.path.join(self.top, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def kernel(self, version, config="CONFIG_XEN_DOM0=y\n", initrd=True):
        self.write(f"boot/vmlinuz-{version}")
        self.write(f"boot/config-{version}", config)
        if initrd:
            self.write(f"boot/initrd.img-{version}")

    def menu(self, settings="", **variables):
        """What the script prints, with grub-mkconfig's variables; grub-probe, which wants a disk, is made up."""
        self.write("settings", settings)
        environment = {"PATH": os.environ["PATH"], "UMBRA_BOOT": self.boot,
                       "UMBRA_KEPT": os.path.join(self.top, "kept"),
                       "UMBRA_SETTINGS": os.path.join(self.top, "settings"),
                       "grub_probe": os.path.join(self.top, "grub-probe"), "GRUB_DISTRIBUTOR": "Debian",
                       "GRUB_DEVICE": "/dev/sda1", "GRUB_DEVICE_BOOT": "/dev/sda1", "GRUB_FS": "ext2",
                       "GRUB_CMDLINE_LINUX": "splash", "GRUB_CMDLINE_LINUX_DEFAULT": "quiet"}
        done = subprocess.run(["sh", SCRIPT], env=dict(environment, **variables), capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        if done.stdout:
            checked = subprocess.run(["grub-script-check"], input=done.stdout, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual((checked.returncode, checked.stdout), (0, ""), done.stdout)
        self.errors = done.stderr
        return done.stdout

    def lines(self, text, word):
        return [line.strip() for line in text.split("\n") if line.strip().startswith(word)]

    def test_nothing_to_start(self):
        self.assertEqual(self.menu(), "")
        self.kernel("6.1.0-9-amd64")
        self.assertEqual(self.menu(), "")
        os.unlink(os.path.join(self.boot, "vmlinuz-6.1.0-9-amd64"))
        self.write("boot/umbra-0.1.gz")
        self.assertEqual(self.menu(), "")

    def test_entries(self):
        """Newest first, as versions go; kernels that cannot be it, other hypervisors and leftovers are left out."""
        self.kernel("6.1.0-9-amd64")
        self.kernel("6.1.0-31-amd64")
        self.kernel("6.1.0-40-cloud", config="# CONFIG_XEN_DOM0 is not set\n")
        self.write("boot/vmlinuz-6.9")
        for name in ("umbra-0.9.gz", "umbra-0.10.gz", "umbra-0.10-debug.gz", "umbra-0.11.gz.dpkg-new", "umbra-0.12",
                     "xen-4.17-amd64.gz"):
            self.write("boot/" + name)
        text = self.menu()
        titles = [re.match(r"(?:menuentry|submenu) '([^']*)'.* \$menuentry_id_option '([^']*)' \{$", line).groups()
                  for line in self.lines(text, "menuentry") + self.lines(text, "submenu")]
        self.assertEqual(titles, [
            ("Debian GNU/Linux, with Umbra hypervisor", "umbra"),
            ("Debian GNU/Linux, with Umbra 0.10-debug and Linux 6.1.0-31-amd64", "umbra-0.10-debug-6.1.0-31-amd64"),
            ("Debian GNU/Linux, with Umbra 0.10-debug and Linux 6.1.0-9-amd64", "umbra-0.10-debug-6.1.0-9-amd64"),
            ("Debian GNU/Linux, with Umbra 0.10 and Linux 6.1.0-31-amd64", "umbra-0.10-6.1.0-31-amd64"),
            ("Debian GNU/Linux, with Umbra 0.10 and Linux 6.1.0-9-amd64", "umbra-0.10-6.1.0-9-amd64"),
            ("Debian GNU/Linux, with Umbra 0.9 and Linux 6.1.0-31-amd64", "umbra-0.9-6.1.0-31-amd64"),
            ("Debian GNU/Linux, with Umbra 0.9 and Linux 6.1.0-9-amd64", "umbra-0.9-6.1.0-9-amd64"),
            ("Advanced options for Debian GNU/Linux (with Umbra hypervisor)", "umbra-advanced")])
        self.assertEqual(self.lines(text.split("submenu")[0], "multiboot2"), [f"multiboot2 {self.boot}/umbra-0.10.gz"])
        self.assertEqual(self.errors.count("Found Umbra image"), 3)
        self.assertEqual(len(re.findall(r"^(?:menuentry|submenu)", text, re.M)), 2)

    def test_only_with_assertions(self):
        self.kernel("6.1.0-9-amd64")
        self.write("boot/umbra-0.1-debug.gz")
        self.assertEqual(self.lines(self.menu().split("submenu")[0], "multiboot2"),
                         [f"multiboot2 {self.boot}/umbra-0.1-debug.gz"])

    def test_replaced(self):
        """What the package has kept of the version before is not the main entry's, unless there is no other."""
        self.kernel("6.1.0-9-amd64")
        for version in ("0.1", "0.2", "0.2-debug"):
            self.write(f"boot/umbra-{version}.gz")
        self.write("kept", "/boot/umbra-0.2.gz\n")
        first, more = self.menu().split("submenu")
        self.assertEqual(self.lines(first, "multiboot2"), [f"multiboot2 {self.boot}/umbra-0.1.gz"])
        self.assertIn(f"multiboot2 {self.boot}/umbra-0.2.gz", more)
        os.unlink(os.path.join(self.boot, "umbra-0.1.gz"))
        self.assertEqual(self.lines(self.menu().split("submenu")[0], "multiboot2"),
                         [f"multiboot2 {self.boot}/umbra-0.2.gz"])

    def test_commands(self):
        self.kernel("6.1.0-9-amd64")
        self.write("boot/umbra-0.1.gz")
        text = self.menu('UMBRA_CMDLINE="com1=115200,8n1 dom0_mem=2G"\nUMBRA_CMDLINE_LINUX=console=hvc0\n')
        first = text.split("submenu")[0]
        self.assertEqual(self.lines(first, "multiboot2"),
                         [f"multiboot2 {self.boot}/umbra-0.1.gz com1=115200,8n1 dom0_mem=2G"])
        self.assertEqual(self.lines(first, "module2"),
                         [f"module2 {self.boot}/vmlinuz-6.1.0-9-amd64 root=/dev/sda1 ro splash quiet console=hvc0",
                          f"module2 --nounzip {self.boot}/initrd.img-6.1.0-9-amd64"])
        self.assertEqual(self.lines(first, "insmod"), ["insmod part_msdos", "insmod ext2", "insmod gzio"])
        self.assertNotIn("savedefault", text)
        self.assertIn("savedefault", self.menu(GRUB_SAVEDEFAULT="true"))

    def root_of(self, **variables):
        return re.search(r"root=(.*) splash", self.menu(**variables)).group(1)

    def test_root(self):
        """By device here: the UUID is taken where there is such a disk, which test_deb makes one think."""
        self.write("boot/umbra-0.1.gz")
        self.kernel("6.1.0-9-amd64")
        self.assertEqual(self.root_of(GRUB_DEVICE_UUID="no-such-uuid"), "/dev/sda1 ro")
        self.assertRegex(self.root_of(GRUB_FS="btrfs"), r"^/dev/sda1 ro( rootflags=subvol=\S+)?$")
        self.assertEqual(self.menu(GRUB_FS="zfs"), "")
        self.assertIn("ZFS", self.errors)

    def test_without_initrd(self):
        self.write("boot/umbra-0.1.gz")
        self.kernel("6.1.0-9-amd64", initrd=False)
        text = self.menu()
        self.assertEqual(len(self.lines(text, "module2")), 2)
        self.assertNotIn("--nounzip", text)

    def test_quotes(self):
        self.write("boot/umbra-0.1.gz")
        self.kernel("6.1.0-9-amd64")
        self.assertIn(r"menuentry 'Dan'\''s GNU/Linux, with Umbra hypervisor'", self.menu(GRUB_DISTRIBUTOR="Dan's"))


if __name__ == "__main__":
    unittest.main()
