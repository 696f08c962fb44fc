# SPDX-License-Identifier: BSD-2-Clause
"""What cannot be created is refused with a reason, before anything exists; nothing is left behind."""

import json

from labtest import HOME, LabTest, STOCK_KERNEL


class Refused(LabTest):
    """All of them are compared with the state before the first: what one leaves behind fails the next as well."""

    measured = before = None

    def setUp(self):
        super().setUp()
        if self.measured is not self.machine:
            type(self).before = self.footprint()
            type(self).measured = self.machine

    def refused(self, status, *words, overrides="", **keys):
        path = self.guest_file("wrong", **keys)
        text = self.fails(f"umbra create {path} {overrides}", status, *words)
        self.assertNotIn("wrong", self.guests())
        self.wait_footprint(self.before)
        return text

    def test_no_such_file(self):
        self.fails(f"umbra create {HOME}/none.json", 2, "none.json")

    def test_syntax_error_has_a_place(self):
        self.machine.put(f"{HOME}/bad.json", b'{\n  "name": "wrong",\n  "memory": 128,,\n}\n')
        self.fails(f"umbra create {HOME}/bad.json", 2, "bad.json:3:")

    def test_all_errors_of_a_file_at_once(self):
        path = self.guest_file("wrong", memroy=5, vcpus="many", kernel="/none", ramdisk=7)
        text = self.fails(f"umbra create {path}", 2, "memroy", "memory", "vcpus", "/none", "ramdisk")
        self.assertGreaterEqual(text.count("error:"), 4)
        self.fails(f"umbra config validate {path}", 2, "memroy")

    def test_validate_good_file(self):
        self.ok(f"umbra config validate {HOME}/examples/guest1.json {HOME}/examples/guest2.json")

    def test_kernel_missing(self):
        self.refused(2, "kernel", "/none", kernel="/none")

    def test_kernel_is_garbage(self):
        self.ok("head -c 3000000 /dev/urandom > /tmp/garbage")
        self.refused(2, "kernel", kernel="/tmp/garbage")

    def test_kernel_is_empty(self):
        self.ok(": > /tmp/empty")
        self.refused(2, "kernel", kernel="/tmp/empty")

    def test_kernel_is_cut_short(self):
        self.ok(f"head -c 4000000 {STOCK_KERNEL} > /tmp/short")
        self.refused(2, "kernel", kernel="/tmp/short")

    def test_kernel_payload_is_garbage(self):
        """The headers are in order, what they describe is not."""
        self.ok(f"cp {STOCK_KERNEL} /tmp/spoiled && "
                "dd if=/dev/urandom of=/tmp/spoiled bs=4096 seek=200 count=200 conv=notrunc 2>/dev/null")
        self.refused((1, 2), "kernel", kernel="/tmp/spoiled")

    def test_kernel_is_a_directory(self):
        self.refused(2, "kernel", kernel="/boot")

    def test_kernel_without_notes(self):
        self.refused(2, "kernel", kernel="/bin/busybox")

    def test_too_little_memory_for_the_kernel(self):
        self.refused((1, 2), "memory", memory=16)

    def test_more_memory_than_the_host_has(self):
        self.refused(1, "memory", "need 100", "overhead of", "free", "claimed of them", memory=100000)

    def test_name_taken(self):
        domid = self.create("wrong")
        path = self.guest_file("wrong")
        self.fails(f"umbra create {path}", (1, 2), "wrong")
        self.assertEqual(self.guests()["wrong"][0], domid)
        self.ok("umbra destroy wrong")
        self.wait_footprint(self.before)

    def test_name_of_the_control_domain(self):
        path = self.guest_file("wrong", name="Domain-0")
        self.fails(f"umbra create {path}", (1, 2), "domain-0")

    def test_bad_override(self):
        self.refused(2, "vcpus", overrides="vcpus=0")

    def test_other_types(self):
        self.refused(2, "hvm", type="hvm")

    def test_json_error(self):
        path = self.guest_file("wrong", kernel="/none")
        result = self.run_in(f"umbra --json create {path}")
        self.assertEqual(result.status, 2)
        self.assertTrue(json.loads(result.err)["diagnostics"])

    def test_tool_killed_while_it_builds(self):
        """No half-built domain stays for ever without a name to destroy it by: it can be found and destroyed."""
        path = self.guest_file("wrong", memory=256)
        for delay in ("0.3", "0.8", "1.5"):
            self.run_in(f"umbra create {path} & sleep {delay}; kill -9 $!; wait")
            for line in self.ok("umbra list").strip().split("\n")[2:]:
                self.ok(f"umbra destroy {line.split()[1]}")
        self.assertEqual(self.guests(), {})
