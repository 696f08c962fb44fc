# SPDX-License-Identifier: BSD-2-Clause
"""The reader of figures is as strict as it says; needs no machine."""

import unittest

import exposition

GOOD = '# HELP a_total What.\n# TYPE a_total counter\na_total{x="1\\"\\\\\\n",y=""} 2.5\na_total 7\n'


class Reader(unittest.TestCase):
    def test_good(self):
        self.assertEqual(exposition.parse(GOOD),
                         {"a_total": ("counter", {(("x", '1"\\\n'), ("y", "")): 2.5, (): 7.0})})

    def test_bad(self):
        for old, new in (("# HELP a_total What.\n", ""), ("# TYPE a_total counter\n", ""), ("counter", "number"),
                         ("counter", "gauge"), ("2.5", "2,5"), ("2.5", "-1"), ("2.5", "nan"), (" 7", "  7"),
                         ('y=""', 'x=""'), ('y=""', 'y=""",'), ('y=""', 'y="",'), ('y=""', "y="), ("1\\\"", '1"'),
                         ("1\\\"", "1\\x"), ("a_total 7", "b_total 7"), ("a_total 7", "a_total{} 7\na_total 7"),
                         (GOOD[-2:], "7"), ("\na_total 7", "\n\na_total 7"), ("a_total 7", GOOD)):
            with self.subTest(old=old, new=new), self.assertRaises(ValueError):
                exposition.parse(GOOD.replace(old, new))
