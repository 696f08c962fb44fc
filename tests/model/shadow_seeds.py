# SPDX-License-Identifier: BSD-2-Clause
"""Where the fuzzer of shadow paging begins: an input for each kind of domain, with bytes that choose at random what
happens there. It finds others from these; without them it has to learn first what a first byte is for.

    shadow_seeds.py FOLDER"""

import hashlib
import os
import sys

KINDS = 42  # first bytes: pools, vCPUs, sizes of entries, disturbances, the reference mode among them
LENGTH = 1024


def write(folder):
    os.makedirs(folder, exist_ok=True)
    for kind in range(KINDS):
        first = bytes([kind])
        with open(os.path.join(folder, f"kind-{kind:02}"), "wb") as file:
            file.write(first + hashlib.shake_128(first).digest(LENGTH - 1))


if __name__ == "__main__":
    write(sys.argv[1])
