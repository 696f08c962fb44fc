/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli/device_spec.c and tools/libctl/vdev.c: every form of xl's strings, every fault, rates, numbers of disks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/device_spec.h"

static struct spec s;
static struct spec_fault fault;

static bool parse(const struct spec_table *t, const char *text)
{
    spec_free(&s);
    memset(&fault, 0, sizeof(fault));
    return spec_parse(t, text, &s, &fault) && spec_complete(t, &s, &fault);
}

static void good(const char *text, const char *target, const char *vdev, bool readonly)
{
    struct ctl_disk disk;

    if (!parse(&disk_table, text))
        fail_msg("%s: %s", text, fault.message);
    disk = spec_disk(&s);
    assert_string_equal(disk.target, target);
    assert_string_equal(disk.vdev, vdev);
    assert_int_equal(disk.readonly, readonly);
}

static void bad(const struct spec_table *t, const char *text, const char *code, const char *message)
{
    if (parse(t, text))
        fail_msg("%s: taken", text);
    assert_string_equal(fault.code, code);
    if (!strstr(fault.message, message))
        fail_msg("%s: %s", text, fault.message);
}

static void test_disks(void **state)
{
    (void)state;
    good("/dev/vg/guest-volume,,hda", "/dev/vg/guest-volume", "hda", false);
    good("/dev/vg/guest-volume,raw,hda,rw", "/dev/vg/guest-volume", "hda", false);
    good("format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume", "/dev/vg/guest-volume", "hda", false);
    good("raw:/dev/vg/guest-volume,hda,w", "/dev/vg/guest-volume", "hda", false);
    good("phy:/dev/x,xvda,r", "/dev/x", "xvda", true);
    good("file:/x.img,xvda1,ro", "/x.img", "xvda1", true);
    good("vg/x,,xvda", "/dev/vg/x", "xvda", false);
    good("phy:vg/x,xvda:disk,w", "/dev/vg/x", "xvda", false);
    good("vdev=xvda,/x,,r", "/x", "xvda", true); /* a position that is given by name is left out */
    good("/x,,xvda,", "/x", "xvda", false);
    good("/x,raw,xvda,rw,", "/x", "xvda", false);
    good("/x,,xvda,,discard", "/x", "xvda", false);
    good(",,xvda,r,target=/with,commas=and more ", "/with,commas=and more ", "xvda", true);
    good("/x=y,,xvda", "/x=y", "xvda", false);
    good("devtype=disk,backend=0,backendtype=phy,/x,,xvda", "/x", "xvda", false);
    good("script=block-iscsi,vdev=xvda,target=iqn=a:b,portal=c", "iqn=a:b,portal=c", "xvda", false);
    assert_string_equal(spec_disk(&s).script, "block-iscsi");
}

static void served(const char *text, enum ctl_disk_format format, bool qemu)
{
    struct ctl_disk disk;

    good(text, "/x", "xvda", false);
    disk = spec_disk(&s);
    assert_int_equal(disk.format, format);
    assert_int_equal(disk.qemu, qemu);
}

/* Who serves a disk follows from its format, or is said. */
static void test_formats(void **state)
{
    (void)state;
    served("/x,,xvda", CTL_RAW, false);
    served("/x,raw,xvda,backendtype=phy", CTL_RAW, false);
    served("/x,raw,xvda,backendtype=qdisk", CTL_RAW, true);
    served("format=qcow2,vdev=xvda,access=rw,target=/x", CTL_QCOW2, true);
    served("/x,qcow2,xvda,backendtype=qdisk", CTL_QCOW2, true);
    served("/x,qcow,xvda", CTL_QCOW, true);
    served("/x,vhd,xvda", CTL_VHD, true);
    served("/x,qed,xvda", CTL_QED, true);
    served("qcow2:/x,xvda", CTL_QCOW2, true);
    served("vhd:/x,xvda,w", CTL_VHD, true);
    served("raw:/x,xvda,w", CTL_RAW, false);
}

static void test_flags(void **state)
{
    (void)state;
    good("/x,,xvda", "/x", "xvda", false);
    assert_false(spec_disk(&s).no_discard || spec_disk(&s).direct_io_safe || spec_disk(&s).untrusted);
    good("no-discard,direct-io-safe,untrusted,/x,,xvda", "/x", "xvda", false);
    assert_true(spec_disk(&s).no_discard && spec_disk(&s).direct_io_safe && spec_disk(&s).untrusted);
    good("/x,,xvda,,discard,trusted", "/x", "xvda", false);
    assert_false(spec_disk(&s).no_discard || spec_disk(&s).untrusted);
    assert_true(parse(&vif_table, "untrusted"));
    assert_true(spec_vif(&s).untrusted);
}

static void test_bad_disks(void **state)
{
    char longest[320];

    (void)state;
    bad(&disk_table, "", "E_MISSING", "target");
    bad(&disk_table, "/x", "E_MISSING", "vdev");
    bad(&disk_table, ",,xvda", "E_MISSING", "target");
    bad(&disk_table, "/x,cow,xvda", "E_ENUM", "\"cow\" is not one of raw, qcow, qcow2, vhd, qed");
    bad(&disk_table, "/x,qcow2,xvda,backendtype=phy", "E_VALUE", "phy has disks of format raw only");
    bad(&disk_table, "/x,qcow2,xvda,script=block", "E_VALUE", "script: qemu");
    bad(&disk_table, "/x,,xvda,backendtype=qdisk,script=block", "E_VALUE", "script: qemu");
    bad(&disk_table, "/x,raw,xvda,x", "E_ENUM", "is not one of rw, w, ro, r");
    bad(&disk_table, "/x,,xvda,r,more", "E_SYNTAX", "already a target");
    bad(&disk_table, "/x,,xvda,cdrom", "E_UNSUPPORTED", "devtype: \"cdrom\"");
    bad(&disk_table, "/x,,xvda:cdrom", "E_UNSUPPORTED", "devtype: \"cdrom\"");
    bad(&disk_table, "/x,,xvda,backendtype=tap", "E_UNSUPPORTED", "tap");
    bad(&disk_table, "/x,,xvda,backend=storage", "E_ENUM", "is not one of 0, Domain-0");
    bad(&disk_table, "tap:aio:/x,xvda", "E_UNSUPPORTED", "\"tap:\"");
    bad(&disk_table, "cow:/x,xvda", "E_UNSUPPORTED", "\"cow:\"");
    bad(&disk_table, "qcow:/x,qcow2,xvda", "E_VALUE", "\"qcow2\" is not the name of a virtual disk");
    bad(&disk_table, "/x,,xvda,vdev=xvdb", "E_DUPLICATE", "vdev");
    bad(&disk_table, "/x,,xvda,target=/y", "E_DUPLICATE", "target");
    bad(&disk_table, "/x,,xvda,,discard,no-discard", "E_DUPLICATE", "discard");
    bad(&disk_table, "/x,,xvda,colo=1", "E_UNSUPPORTED", "colo");
    bad(&disk_table, "/x,,xvda,,colo", "E_UNSUPPORTED", "colo");
    bad(&disk_table, "no-colo,/x,,xvda", "E_UNSUPPORTED", "colo");
    bad(&disk_table, "/x,,xvda,hidden-disk=/y", "E_UNSUPPORTED", "hidden-disk");
    bad(&disk_table, "/x\xff,,xvda", "E_VALUE", "target: it is not UTF-8");
    bad(&disk_table, "/x\xc3,,xvda", "E_VALUE", "target: it is not UTF-8");
    good("/x\xc3\xa9,,xvda", "/x\xc3\xa9", "xvda", false);
    bad(&disk_table, "/x,,xvda,spede=1", "E_UNKNOWN", "spede: unknown key of a disk");
    bad(&disk_table, "/x,,xvda,discard=2", "E_VALUE", "neither 0 nor 1");
    bad(&disk_table, "/x,,xyz", "E_VALUE", "\"xyz\" is not the name of a virtual disk");
    bad(&disk_table, "/x\n,,xvda", "E_VALUE", "control character");
    snprintf(longest, sizeof(longest), "/%0280d,,xvda", 1);
    bad(&disk_table, longest, "E_VALUE", "longer than 255");
    snprintf(longest, sizeof(longest), "%0253d,,xvda", 1);
    bad(&disk_table, longest, "E_VALUE", "longer than 255");
}

static void test_vifs(void **state)
{
    struct ctl_vif vif;

    (void)state;
    assert_true(parse(&vif_table, ""));
    vif = spec_vif(&s);
    assert_string_equal(vif.bridge, "xenbr0");
    assert_true(!vif.script && !vif.ip && !vif.mtu && !vif.rate_bytes && !vif.untrusted && !vif.vifname);
    assert_true(parse(&vif_table, "mac=00:16:3E:74:3d:76, bridge=br-1.2, ip=10.0.0.1 10.0.0.2,script=vif-nat,"
                                  "vifname=web,mtu=9000,devid=3,netdev=eth0,type=vif,backend=Domain-0,"
                                  "rate=1MB/s@20ms"));
    vif = spec_vif(&s);
    assert_memory_equal(vif.mac, "\x00\x16\x3e\x74\x3d\x76", 6);
    assert_string_equal(vif.bridge, "br-1.2");
    assert_string_equal(vif.ip, "10.0.0.1 10.0.0.2");
    assert_string_equal(vif.script, "vif-nat");
    assert_string_equal(vif.vifname, "web");
    assert_string_equal(vif.gatewaydev, "eth0");
    assert_true(vif.mtu == 9000 && vif.devid == 3 && vif.rate_bytes == 20000 && vif.rate_usecs == 20000);
}

static void rate(const char *text, uint64_t bytes, uint32_t usecs)
{
    char spec[64];

    snprintf(spec, sizeof(spec), "rate=%s", text);
    assert_true(parse(&vif_table, spec));
    assert_int_equal(spec_vif(&s).rate_bytes, bytes);
    assert_int_equal(spec_vif(&s).rate_usecs, usecs);
}

static void test_rates(void **state)
{
    static const char *const wrong[] = {"10",          "10Mb",          "Mb/s",      "10Xb/s",   "10Mb/s@",
                                        "10Mb/s@5",    "0B/s",          "10Mb/s@0s", "10MB/s/s", "1b/s@1us",
                                        "-1MB/s",      "1.5MB/s",       "1 MB/s",    "10kb/s",   "99999999B/s",
                                        "9999999GB/s", "1GB/s@9999999s"};

    (void)state;
    rate("10Mb/s", 62500, 50000);
    rate("250KB/s", 12500, 50000);
    rate("1MB/s@20ms", 20000, 20000);
    rate("1GB/s@1s", 1000000000, 1000000);
    rate("800b/s@100ms", 10, 100000);
    rate("1000000B/s@1us", 1, 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char spec[64];

        snprintf(spec, sizeof(spec), "rate=%s", wrong[i]);
        bad(&vif_table, spec, "E_VALUE", "is not a rate");
    }
}

static void test_bad_vifs(void **state)
{
    (void)state;
    bad(&vif_table, "xenbr0", "E_SYNTAX", "\"xenbr0\" is not of the form key=value");
    bad(&vif_table, "mac=00:16:3e:00:00", "E_VALUE", "is no address");
    bad(&vif_table, "mac=00:16:3e:00:00:0g", "E_VALUE", "is no address");
    bad(&vif_table, "mac=01:16:3e:00:00:00", "E_VALUE", "is no address");
    bad(&vif_table, "mac=00:00:00:00:00:00", "E_VALUE", "is no address");
    bad(&vif_table, "mac=0:016:3e:00:00:00", "E_VALUE", "is no address");
    bad(&vif_table, "bridge=a/b", "E_VALUE", "is not the name of a network interface");
    bad(&vif_table, "vifname=0123456789abcdef", "E_VALUE", "is not the name");
    bad(&vif_table, "vifname=-x", "E_VALUE", "is not the name");
    bad(&vif_table, "type=ioemu", "E_UNSUPPORTED", "ioemu");
    bad(&vif_table, "model=e1000", "E_UNSUPPORTED", "model");
    bad(&vif_table, "forwarddev=eth1", "E_UNSUPPORTED", "forwarddev");
    bad(&vif_table, "ip=\xff", "E_VALUE", "ip: it is not UTF-8");
    bad(&vif_table, "mtu=67", "E_RANGE", "68 to 65535");
    bad(&vif_table, "mtu=big", "E_VALUE", "not a whole number");
    bad(&vif_table, "devid=256", "E_RANGE", "0 to 255");
    bad(&vif_table, "devid=99999999999", "E_RANGE", "out of range");
    bad(&vif_table, "mac=00:16:3e:00:00:01,mac=00:16:3e:00:00:01", "E_DUPLICATE", "mac");
    bad(&vif_table, "gatewaydev=eth0,netdev=eth0", "E_DUPLICATE", "gatewaydev");
    bad(&vif_table, "cdrom", "E_SYNTAX", "cdrom");
}

static void test_fill(void **state)
{
    struct spec copy;

    (void)state;
    assert_true(parse(&vif_table, ""));
    assert_int_equal(spec_vif_fill(&s, 5), 0);
    assert_int_equal(spec_vif(&s).devid, 5);
    assert_memory_equal(spec_vif(&s).mac, "\x00\x16\x3e", 3);
    assert_int_equal(spec_copy(&copy, &s), 0);
    assert_int_equal(spec_vif_fill(&s, 6), 0); /* what is said stays */
    assert_int_equal(spec_vif(&s).devid, 5);
    assert_string_equal(spec_get(&vif_table, &copy, "mac"), spec_get(&vif_table, &s, "mac"));
    spec_free(&copy);
}

/* Numbers of xen-vbd-interface(7). */
static void test_numbers(void **state)
{
    static const struct {
        const char *name;
        uint32_t number;
    } right[] = {
        {"xvda", 51712},
        {"xvda1", 51713},
        {"xvdb", 51728},
        {"xvdp15", 51967},
        {"xvdq", 1 << 28 | 16 << 8},
        {"xvda16", 1 << 28 | 16},
        {"xvdaa", 1 << 28 | 26 << 8},
        {"hda", 768},
        {"hdb1", 833},
        {"hdc", 5632},
        {"hdd63", 5759},
        {"sda", 2048},
        {"sdp15", 2303},
    };
    static const char *const wrong[] = {"",       "xvd", "xvda0", "xvda256",    "xvda01",
                                        "xvdA",   "hde", "hda64", "sdq",        "sda16",
                                        "xvda1x", "vda", "xvda ", "xvdaaaaaaa", "xvda99999"};
    uint32_t number;

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_int_equal(ctl_disk_number(right[i].name, &number), 0);
        assert_int_equal(number, right[i].number);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_true(ctl_disk_number(wrong[i], &number) < 0);
}

/* Whatever is in a string: no crash, and a fault or a whole device. */
static void test_mutations(void **state)
{
    static const char *const seeds[] = {"format=raw, vdev=hda, access=rw, target=/dev/vg/x", "phy:/dev/x,xvda:disk,r",
                                        "/x,,xvda,,no-discard", "mac=00:16:3e:74:3d:76,rate=10Mb/s@20ms,ip=1.2.3.4"};
    unsigned random = 1;

    (void)state;
    for (int i = 0; i < 40000; i++) {
        const struct spec_table *t = i & 1 ? &disk_table : &vif_table;
        char text[80];
        size_t n;

        snprintf(text, sizeof(text), "%s", seeds[i / 2 % 4]);
        n = strlen(text);
        for (int k = 0; k < 3; k++) {
            random = random * 1103515245 + 12345;
            text[random / 65536 % n] = ",=: :xvda\t/0"[random / 256 % 12];
        }
        if (parse(t, text))
            assert_null(fault.code);
        else
            assert_true(fault.code && *fault.message);
    }
}

static int teardown(void **state)
{
    (void)state;
    spec_free(&s);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disks),     cmocka_unit_test(test_formats), cmocka_unit_test(test_flags),
        cmocka_unit_test(test_bad_disks), cmocka_unit_test(test_vifs),    cmocka_unit_test(test_rates),
        cmocka_unit_test(test_bad_vifs),  cmocka_unit_test(test_fill),    cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
