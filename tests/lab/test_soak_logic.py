# SPDX-License-Identifier: BSD-2-Clause
"""On the host: soak.py's model against a second one, which is a host of lists; and soak.py notices what is not as it
should be."""

import contextlib
import io
import json
import re
import types
import unittest
import unittest.mock

import machine
import soak

Result = machine.Result


class Host:
    """Takes the place of a machine and of the tool on it: just enough of either, and nothing that soak.Model has."""

    def __init__(self, kinds):
        self.kinds = kinds  # {first name: kind}
        self.domains = []   # {"name", "kind", "pauses", "disks": {vdev: file}, "vifs": [mac]}
        self.leak = 0

    def find(self, name):
        return next((domain for domain in self.domains if domain["name"] == name), None)

    def shell(self, line):
        """What soak.py has a shell do: the tool, and little else."""
        said = ""
        for part in re.split(r" && |; ", line):
            words = part.split()
            if words[:1] != ["umbra"]:
                continue
            status, out, err = self.umbra([word for word in words[1:] if word not in ("-q", "-w", "-p")])
            said += out
            if status:
                return Result(status, said, err)
        return Result(0, said, "")

    def umbra(self, words):
        verb, rest = words[0].replace("-", "_"), words[1:]
        forced, rest = "--force" in rest, [word for word in rest if word != "--force"]
        if verb in ("create", "restore"):
            return getattr(self, verb)(*rest)
        domain = self.find(rest[0])
        if not domain:
            return 1, "", f"{rest[0]}: no domain has that name"
        if verb.endswith("detach"):
            return self.detach(domain, verb, rest[1], forced)
        return getattr(self, verb, self.nothing)(domain, *rest[1:])

    @staticmethod
    def nothing(*_):
        return 0, "", ""

    def create(self, path, override=""):
        first = re.search(r"/([\w-]+)\.json", path).group(1)
        name = re.search(r'"(.*)"', override).group(1) if override else first
        if self.find(name):
            return 1, "", "a guest of this name exists"
        linux = self.kinds.get(first) == "linux"
        self.domains.append({"name": name, "kind": self.kinds.get(first, "tiny"), "pauses": 0,
                             "disks": {"xvda": f"/run/{first}-xvda.img"} if linux else {},
                             "vifs": [f"00:16:3e:50:{int(first[4:]):02x}:00"] if linux else []})
        return 0, "", ""

    def destroy(self, domain):
        self.domains.remove(domain)
        return 0, "", ""

    def request(self, domain, then):
        if domain["pauses"]:
            return 1, "", "it is paused and cannot take a request; unpause it first"
        if domain["kind"] == "tiny":
            return 1, "", "the guest did not take the request in time"
        return then(domain)

    def shutdown(self, domain):
        return self.request(domain, self.destroy)

    def reboot(self, domain):
        return self.request(domain, self.nothing)

    def save(self, domain, _):
        if not domain["pauses"] and domain["kind"] == "tiny":
            return 1, "", "it cannot suspend"
        self.saved = domain
        return self.request(domain, self.destroy)

    def restore(self, _):
        self.domains.append(self.saved)
        return 0, "", ""

    def pause(self, domain):
        domain["pauses"] += 1
        return 0, "", ""

    def unpause(self, domain):
        if not domain["pauses"]:
            return 1, "", "unpause: the hypervisor refused"
        domain["pauses"] -= 1
        return 0, "", ""

    def rename(self, domain, name):
        if self.find(name):
            return 1, "", "a guest of this name exists"
        domain["name"] = name
        return 0, "", ""

    def mem_set(self, domain, size):
        if size == "1g":
            return 1, "", "more than its maxmem"
        return 0, f"memory target {size} MiB", ""

    def vcpu_set(self, domain, count):
        return (1, "", "more than its maxvcpus") if count == "3" else (0, "", "")

    def block_attach(self, domain, spec):
        path, _, vdev, _ = spec.split(",")
        if vdev in domain["disks"]:
            return 1, "", "the domain has such a device already"
        if any(path in other["disks"].values() for other in self.domains):
            return 1, "", "is in use by domain 4"
        domain["disks"][vdev] = path
        return 0, "attached", ""

    def network_attach(self, domain, mac, _):
        if mac[4:] in domain["vifs"]:
            raise AssertionError(f"{mac} twice")
        domain["vifs"].append(mac[4:])
        return 0, "attached", ""

    def detach(self, domain, verb, which, forced):
        owned, kind = (domain["disks"], "disk") if verb[0] == "b" else (domain["vifs"], "network interface")
        if which not in owned:
            return 1, "", f"the guest has no {kind} {which}"
        if not forced and (domain["pauses"] or domain["kind"] == "tiny"):
            return 1, "", "still uses it"
        if kind == "disk":
            del owned[which]
        else:
            owned.remove(which)
        return 0, "", ""


class Test(unittest.TestCase):
    """Takes the place of a LabTest."""

    LINUX, TINY = 3, 2

    def setUp(self):
        self.machine = types.SimpleNamespace(patience=0.001)
        kinds = ["linux"] * self.LINUX + ["tiny"] * self.TINY
        self.host = Host({f"soak{number}": kind for number, kind in enumerate(kinds)})

    def run_in(self, command, _timeout=120):
        if "umbra console" in command and self.host.find(command.split()[-1]):
            number = re.search(r"grep -q (look-\d+)", command)
            return Result(0, number.group(1) if number else "", "")
        if "/umbra/supervisor" in command or "pidof xenconsoled" in command:
            return Result(0, "", "")
        return self.host.shell(command)

    def ok(self, command, _timeout=120):
        result = self.run_in(command)
        self.assertEqual(result.status, 0, f"{command}: {result.err}")
        return result.out

    def json(self, command):
        if command.endswith(" list"):
            return [{"name": "Domain-0", "domid": 0}] + [
                {"name": each["name"], "domid": 1, "state": "paused" if each["pauses"] else "blocked"}
                for each in self.host.domains]
        verb, name = command.split()[2:]
        domain = self.host.find(name)
        return json.loads(json.dumps([{"vdev": vdev} for vdev in domain["disks"]] if verb == "block-list"
                                     else [{"mac": mac} for mac in domain["vifs"]]))

    def guests(self):
        return {domain["name"]: domain for domain in self.host.domains}

    def wait_gone(self, name):
        self.assertNotIn(name, self.guests())

    def wait_console(self, name, *_):
        self.assertIn(name, self.guests())

    def model(self, seed=1, **more):
        return soak.Model(seed, linux=self.LINUX, tiny=self.TINY, **more)

    def go(self, model, count):
        with contextlib.redirect_stdout(io.StringIO()):
            return soak.run(self, model, count)

    def fails(self, word, model, count=200):
        with self.assertRaises(AssertionError) as caught:
            self.go(model, count)
        self.assertIn(word, str(caught.exception))


class Model(Test):
    def test_against_a_host(self):
        """Many seeds: what the model says comes is what comes; every verb comes, with success and without."""
        done = set()
        for seed in range(15):
            self.setUp()
            done |= set(self.go(self.model(seed), 400))
        both = {"create", "shutdown", "reboot", "save", "rename", "mem-set", "vcpu-set", "block-attach", "block-detach",
                "network-detach", "console", "destroy", "pause", "unpause"}
        self.assertEqual(done, {(verb, good) for verb in both for good in (True, False)} |
                         {("network-attach", True), ("kill", True)} |
                         {(verb, False) for verb in ("list", "domid", "block-list", "network-list", "vcpu-list")})

    def test_replay(self):
        """One seed, one run; another, another."""
        def steps(seed):
            model = self.model(seed)
            return [model.step() for _ in range(300)]
        self.assertEqual(steps(5), steps(5))
        self.assertNotEqual(steps(5), steps(6))

    def test_boots_are_bounded(self):
        for seed in range(30):
            model = self.model(seed, boots=2, slow=False)
            steps = [model.step() for _ in range(100)]
            self.assertLessEqual(sum(step.waits == "up" for step in steps), 2)
            self.assertFalse([step for step in steps if "did not take the request" in step.words])

    def test_all_guests_are_used(self):
        model = self.model()
        names = {re.sub(r"-\d+$", "", model.step().guest) for _ in range(400)}
        self.assertLessEqual({f"soak{number}" for number in range(self.LINUX + self.TINY)}, names)

    def test_seed(self):
        with unittest.mock.patch.dict("os.environ", UMBRA_SEED="0x10"):
            self.assertEqual(soak.first_seed(), 16)
        with unittest.mock.patch.dict("os.environ", UMBRA_SEED=""):
            self.assertGreaterEqual(soak.first_seed(), 0)


class Notices(Test):
    """A host that does something else than it should is found out, and the step is named."""

    def test_guest_lost(self):
        lost = self.host.pause
        self.host.pause = lambda domain: self.host.destroy(domain) and lost(domain)
        self.fails("pause", self.model())

    def test_refusal_that_does_not_come(self):
        self.host.mem_set = lambda *_: (0, "", "")
        self.fails("mem-set", self.model())

    def test_other_words(self):
        refuse = self.host.vcpu_set
        self.host.vcpu_set = lambda *words: refuse(*words) if words[1] != "3" else (1, "", "oops")
        self.fails("maxvcpus", self.model())

    def test_device_that_stays(self):
        self.host.detach = lambda *_: (0, "", "")
        self.fails("detach", self.model())

    def test_not_paused(self):
        self.host.pause = self.host.nothing
        self.fails("pause", self.model())

    def test_what_is_left(self):
        """Nothing is, then a channel, then memory, which counts only where tables have grown."""
        before = {"free_kib": 9, "channels": 3}
        now = dict(before)
        with unittest.mock.patch.object(soak, "everything", lambda test: dict(now)):
            soak.wait_back(self, before)
            now["free_kib"] = 8
            soak.wait_back(self, {**before, "free_kib": None})
            for compared in (before, {**before, "free_kib": None, "channels": 4}):
                with self.assertRaises(AssertionError):
                    soak.wait_back(self, compared)


if __name__ == "__main__":
    unittest.main()
