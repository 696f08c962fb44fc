// SPDX-License-Identifier: BSD-2-Clause
/* Verbs for disks and network interfaces over a libctl that is a stand-in. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli_run.h"
#include "fake_ctl.h"

/* In several operands, each of which is read as a string of its own. */
static void operands(void)
{
    static const struct {
        const char *line, *target;
        bool readonly;
    } cases[] = {
        {"block-attach web1 target=/x vdev=xvdb", "/x", false},
        {"block-attach web1 target=/x,y access=ro vdev=xvdb", "/x,y", true},
        {"block-attach web1 /x,raw xvdb r", "/x", true},
        {"block-attach web1 phy:/x,xvdb access=r", "/x", true},
        {"block-attach web1 vdev=xvdb,access=ro target=/x", "/x", true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(umbra(cases[i].line), 0);
        assert_string_equal(out, "web1: disk xvdb attached\n");
        assert_string_equal(fake->devices[0].device.target, cases[i].target);
        assert_int_equal(fake->devices[0].device.readonly, cases[i].readonly);
        assert_int_equal(umbra("block-detach web1 xvdb"), 0);
    }
    assert_int_equal(umbra("block-attach web1 target=/x vdev=xvdb vdev=xvdc"), 2);
    assert_non_null(strstr(err, "vdev"));
    assert_int_equal(umbra("network-attach web1 bridge=br7,mtu=1500 mac=00:16:3e:00:00:07 mtu=9000"), 2);
    assert_non_null(strstr(err, "mtu"));
    assert_int_equal(umbra("network-attach web1 bridge=br7,mtu=1500 mac=00:16:3e:00:00:07"), 0);
    assert_string_equal(fake->devices[0].device.bridge, "br7");
    assert_string_equal(fake->devices[0].device.mac, "00:16:3e:00:00:07");
    assert_int_equal(umbra("network-detach web1 0"), 0);
}

static void disks(void)
{
    assert_int_equal(umbra("block-attach web1 phy:/dev/x,xvda,w"), 0);
    assert_string_equal(out, "web1: disk xvda attached\n");
    assert_int_equal(umbra("--json block-attach web1 vdev=xvdb access=r target=/dev/y"), 0);
    assert_string_equal(out, "{\n  \"schema\": \"umbra.device/1\",\n  \"domid\": 3,\n  \"devid\": 51728,\n"
                             "  \"vdev\": \"xvdb\"\n}\n");
    assert_int_equal(umbra("block-list web1"), 0);
    assert_string_equal(out, "Vdev  BE  handle state evt-ch ring-ref BE-path                       \n"
                             "51712 0   3      4     -1     -1       /back/vbd/3/51712             \n"
                             "51728 0   3      4     -1     -1       /back/vbd/3/51728             \n");
    assert_int_equal(umbra("--json block-list web1"), 0);
    assert_non_null(strstr(out, "\"target\": \"/dev/y\",\n    \"readonly\": true,"));
    assert_non_null(strstr(out, "\"event_channel\": null,"));
    assert_int_equal(umbra("block-attach web1 /dev/z,,xvda"), 1);
    assert_non_null(strstr(err, "such a device already"));
    assert_int_equal(umbra("block-attach web1 /dev/z,qcow2,xvdc,backendtype=phy"), 2);
    assert_non_null(strstr(err, "backendtype: phy has disks of format raw only; leave it out"));
    assert_null(strstr(out, "\"process\""));
    assert_int_equal(umbra("block-attach web1 /z.img,qcow2,xvdc"), 0);
    assert_int_equal(umbra("--json block-list web1"), 0);
    assert_non_null(strstr(out, "\"format\": \"qcow2\",\n    \"backendtype\": \"qdisk\",\n    \"process\": 1234,"));
    assert_int_equal(umbra("block-detach web1 xvdc"), 0);
    assert_int_equal(umbra("block-attach web1 /dev/z"), 2);
    assert_non_null(strstr(err, "vdev: it is missing"));
    assert_int_equal(umbra("block-attach nobody /dev/z,,xvdc"), 1);
    assert_int_equal(umbra("block-attach 0 /dev/z,,xvdc"), 1);
    fake->attach_fails = -EIO;
    assert_int_equal(umbra("block-attach web1 /dev/z,,xvdc"), 1);
    assert_non_null(strstr(err, "the script says no"));
    fake->detach_fails = -EBUSY;
    assert_int_equal(umbra("block-detach web1 xvda"), 1);
    assert_non_null(strstr(err, "still uses it"));
    assert_int_equal(umbra("block-detach -f web1 xvda"), 0);
    fake->detach_fails = 0;
    assert_int_equal(umbra("block-detach web1 51728"), 0);
    assert_int_equal(fake->n_devices, 0);
    assert_int_equal(umbra("block-detach web1 xvda"), 1);
    assert_non_null(strstr(err, "the guest has no disk xvda"));
    assert_int_equal(umbra("block-list nobody"), 1);
}

static void network(void)
{
    assert_int_equal(umbra("network-attach web1"), 0);
    assert_memory_equal(out, "web1: network interface 0 attached, address 00:16:3e:", 53);
    assert_int_equal(umbra("network-attach web1 mac=00:16:3E:00:00:07 bridge=br7"), 0);
    assert_int_equal(fake->devices[1].device.devid, 1);
    assert_string_equal(fake->devices[0].device.bridge, "xenbr0");
    assert_string_equal(fake->devices[1].device.bridge, "br7");
    assert_int_equal(umbra("network-list web1"), 0);
    assert_non_null(strstr(out, "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path"));
    assert_non_null(strstr(out, "1   0  00:16:3e:00:00:07      1     4      9    10/11          /back/vif/3/1"));
    assert_int_equal(umbra("--json network-list web1"), 0);
    assert_non_null(strstr(out, "\"mac\": \"00:16:3e:00:00:07\",\n    \"bridge\": \"br7\",\n    \"vifname\": null,"));
    assert_int_equal(umbra("network-attach web1 bridge=br7 devid=1"), 1);
    assert_int_equal(umbra("network-attach web1 brige=br7"), 2);
    assert_non_null(strstr(err, "brige: unknown key of a vif"));
    assert_int_equal(umbra("network-detach web1 00:16:3e:00:00:07"), 0);
    assert_int_equal(umbra("network-detach web1 0"), 0);
    assert_int_equal(umbra("network-detach web1 0"), 1);
    assert_non_null(strstr(err, "no network interface 0"));
    assert_int_equal(umbra("network-attach web1"), 0);
    for (uint32_t i = 1; i < 256; i++) {
        fake->devices[i] = fake->devices[0];
        fake->devices[i].device.devid = i;
    }
    fake->n_devices = 255;
    assert_int_equal(umbra("network-attach web1"), 0);
    assert_int_equal(fake->devices[255].device.devid, 255);
    assert_int_equal(umbra("network-attach web1"), 1);
    assert_non_null(strstr(err, "the guest has 256 network interfaces"));
}

/* What is attached to a guest of ours is in its record; a guest that is gone has no devices. */
static void stays(void)
{
    assert_int_equal(umbra("create -e g.json vif=[{}]"), 0);
    assert_int_equal(fake->n_devices, 1);
    assert_int_equal(umbra("network-attach web2 bridge=br7"), 0);
    assert_int_equal(umbra("block-attach web2 /dev/z,,xvda,r"), 0);
    assert_int_equal(umbra("list -l web2"), 0);
    assert_non_null(strstr(out, "\"pdev_path\": \"/dev/z\",\n          \"vdev\": \"xvda\",\n          "
                                "\"backend\": \"phy\",\n          \"format\": \"raw\",\n          \"readwrite\": 0"));
    assert_non_null(strstr(out, "\"bridge\": \"br7\""));
    fake->detach_fails = -ECONNREFUSED;
    assert_int_equal(umbra("block-detach web2 xvda"), 1);
    assert_int_equal(umbra("list -l web2"), 0);
    assert_non_null(strstr(out, "\"pdev_path\": \"/dev/z\"")); /* it is still there */
    fake->detach_fails = 0;
    assert_int_equal(umbra("network-detach web2 0"), 0);
    assert_int_equal(umbra("block-detach web2 xvda"), 0);
    assert_int_equal(umbra("list -l web2"), 0);
    assert_null(strstr(out, "\"disks\""));
    assert_null(strstr(out, "\"devid\": 0"));
    assert_non_null(strstr(out, "\"devid\": 1"));
    fake->attach_fails = -EIO;
    assert_int_equal(umbra("block-attach web2 /dev/z,,xvda,r"), 1);
    assert_int_equal(umbra("list -l web2"), 0);
    assert_null(strstr(out, "\"disks\""));
    assert_int_equal(umbra("destroy web2"), 0);
    assert_int_equal(fake->n_devices, 0);
    assert_int_equal(umbra("create -e g.json vif=[{}]"), 1);
    assert_non_null(strstr(err, "the script says no"));
    assert_int_equal(fake->n, 2);
}

void test_device_verbs(void **state)
{
    operands();
    disks();
    cli_fresh(state);
    network();
    cli_fresh(state);
    stays();
}
