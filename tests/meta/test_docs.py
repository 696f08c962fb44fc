# SPDX-License-Identifier: BSD-2-Clause
"""The pages of docs/ name only what exists: files, functions, links; lists that the code also has are complete."""

import os
import re
import unittest

import tree

PAGES = [path for path in tree.files("docs") if path.endswith(".md")]
PAGES += ["README.md", "CONTRIBUTING.md", "tests/README.md"]
MECHANISMS = {"T": 4, "M": 5, "K": 14, "X": 15, "C": 6, "N": 7}
DECISION_LINES = 25
ROOTS = ("", "hypervisor", "hypervisor/include", "hypervisor/mm/pv", "docs", "tests")


def exists(path):
    return any(os.path.exists(os.path.join(tree.TOP, root, path)) for root in ROOTS)


def code():
    """The text of all sources but the checks, so that a name found in a check alone does not count."""
    texts = [tree.read(path) for path in tree.sources() if not path.startswith("tests/meta/")]
    texts += [tree.read(path) for path in tree.files("tools/image", "examples")]
    return "\n".join(texts)


class Docs(unittest.TestCase):
    def none(self, findings):
        if findings:
            self.fail("\n" + "\n".join(sorted(set(findings))))

    def test_links(self):
        findings = []
        for page in PAGES:
            for link in re.findall(r"\]\(([^)#:]+)\)", tree.read(page)):
                if not os.path.exists(os.path.join(tree.TOP, os.path.dirname(page), link)):
                    findings.append(f"{page}: {link}")
        self.none(findings)

    def test_every_page_is_linked(self):
        linked = set()
        for page in ("README.md", "docs/README.md"):
            for link in re.findall(r"\]\(([^)#:]+)\)", tree.read(page)):
                linked.add(os.path.normpath(os.path.join(os.path.dirname(page), link)))
        self.none([page for page in PAGES if page not in linked | {"README.md"}])

    def test_files_named(self):
        pattern = r"(?<![\w./*<-])((?:[\w-]+/)+[\w-]+\.(?:c|h|S|md|py|sh|def|lds|json|txt|cfg))\b"
        findings = []
        for page in PAGES:
            for path in re.findall(pattern, tree.read(page)):
                if not exists(path):
                    findings.append(f"{page}: {path}")
        self.none(findings)

    def test_functions_named(self):
        """Names in backquotes that can only be code: name_name or name(), all in lower case."""
        pattern = r"`(?:\w+->)?([a-z0-9]+(?:_[a-z0-9]+)+|[a-z]\w+(?=\(\)))(?:\(\))?`"
        text = code()
        findings = []
        for page in PAGES:
            for name in re.findall(pattern, tree.read(page)):
                if not name.startswith("ffff8") and not re.search(rf"\b{name}\b", text):
                    findings.append(f"{page}: {name}")
        self.none(findings)

    def test_mechanisms(self):
        ids = re.findall(r"^\| ([A-Z]\d+) \|", tree.read("docs/mechanisms.md"), re.M)
        self.assertEqual(ids, [f"{letter}{n}" for letter, count in MECHANISMS.items() for n in range(1, count + 1)])

    def test_mechanisms_that_count_have_a_test(self):
        """done: a test is named, or it is said that there is none."""
        tests = {os.path.splitext(os.path.basename(path))[0]
                 for path in tree.sources("tests/unit", "tests/model", "tests/lab", "tests/package", "tests/meta")}
        source = code()
        for line in tree.read("docs/mechanisms.md").split("\n"):
            if "| done |" in line:
                self.assertRegex(line, r"tests/|No test", line)
            for name in re.findall(r"\btest_\w+", line):
                self.assertTrue(name in tests or re.search(rf"\b{name}\(", source), f"{name}: {line}")

    def test_ranks(self):
        ranks = re.findall(r"^    (RANK_\w+)", tree.read("hypervisor/include/hv/spinlock.h"), re.M)
        self.assertEqual(re.findall(r"^\| (RANK_\w+) \|", tree.read("docs/locking.md"), re.M), ranks)

    def test_debug_keys(self):
        keys = set(re.findall(r"register_debug_key\('(\w)'", code()))
        said = set(re.findall(r"`(\w)`", tree.read("docs/debugging.md").split("| Key |")[1].split("\n\n")[0]))
        self.assertEqual(said, keys)

    def test_decisions_are_short(self):
        self.none([page for page in PAGES if page.startswith("docs/decisions/")
                   and tree.read(page).count("\n") > DECISION_LINES])


if __name__ == "__main__":
    unittest.main()
