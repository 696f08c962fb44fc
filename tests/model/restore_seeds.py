# SPDX-License-Identifier: BSD-2-Clause
"""Inputs for the restorer's fuzzer (tests/unit/fuzz_restore.c) to begin with: a whole PV guest and a whole PVH guest,
and the end of one behind the beginning of the other. Usage: restore_seeds.py DIRECTORY."""

import os
import struct
import sys

SHAPED, HVM = 32, 64
END, PAGE_DATA, PV_INFO, P2M_FRAMES, VCPU_BASIC, SHARED_INFO, HVM_CONTEXT, HVM_PARAMS, STATIC_END = \
    0, 1, 2, 3, 4, 7, 9, 10, 16
CONSOLE_PFN, STORE_PFN = 17, 1
CONTEXT_SIZE, RDX = 5168, 616  # of struct vcpu_guest_context: the frame of start_info
CONTEXT = bytes(8 + RDX) + bytes([1]) + bytes(CONTEXT_SIZE - RDX - 1)


def record(kind, body=b""):
    return bytes([kind]) + struct.pack("<H", len(body)) + body


# The last record is of the layer around.
PAGES = record(SHAPED | PAGE_DATA, bytes([3, 0, 0, 0xe0, 0xf0]))  # two with contents, one allocated, one not there
PVH = [record(HVM | STATIC_END), PAGES,
       record(SHAPED | HVM_PARAMS, bytes([STORE_PFN, 0, CONSOLE_PFN, 1])),
       record(HVM_CONTEXT, bytes(16)), record(END), record(END)]
PV = [record(PV_INFO, bytes([8, 4, 0, 0, 0, 0, 0, 0])), record(STATIC_END), record(SHAPED | P2M_FRAMES, bytes([3])),
      PAGES, record(SHARED_INFO, bytes(4096)), record(VCPU_BASIC, CONTEXT), record(END), record(END)]


def write(directory):
    os.makedirs(directory, exist_ok=True)
    seeds = {"pvh": PVH, "pv": PV, "pvh-in-pv": PV[:4] + PVH[2:], "pv-in-pvh": PVH[:2] + PV[4:]}
    for name, records in seeds.items():
        with open(os.path.join(directory, name), "wb") as file:
            file.write(b"".join(records))


if __name__ == "__main__":
    write(sys.argv[1])
