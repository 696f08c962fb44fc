/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/xml: each mapping in both directions, what is reported and where, and what is refused. Random configurations
 * and hostile documents are test_xml_trips.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "xml/domain.h"
#include "xml_run.h"

#define DOMAIN(inner)  "<domain type='xen'>" inner "</domain>"
#define DEVICES(inner) DOMAIN("<devices>" inner "</devices>")
#define DISK(inner)    DEVICES("<disk type='file' device='disk'>" inner "</disk>")
#define SOURCE         "<source file='/srv/a'/><target dev='xvda' bus='xen'/>"
#define BRIDGE(inner)  DEVICES("<interface type='bridge'><source bridge='br0'/>" inner "</interface>")
#define LEAST(inner)   "{\"name\":\"a\",\"kernel\":\"/k\",\"memory\":64" inner "}"
#define CONSOLE        "<console type=\"pty\"><target type=\"xen\" port=\"0\"/></console>"

static void same(const char *is, const char *wanted, const char *of)
{
    if (!is || strcmp(is, wanted) != 0)
        fail_msg("of %s\nis     %s\nwanted %s", of, is ? is : "(refused)", wanted);
}

/* Without a word. */
static void imports(const char *xml, const char *json)
{
    struct outcome r = run_import(xml, true);

    same(r.reports, "", xml);
    same(r.text, json, xml);
    done(&r);
}

/* With these reports' first lines, of which each contains its text; in order. */
static void reports(struct outcome *r, const char *const lines[], const char *of)
{
    const char *at = r->reports;
    size_t n = 0;

    for (; lines[n]; n++) {
        at = strstr(at, lines[n]);
        if (!at)
            fail_msg("of %s\n%s\ndo not say %s", of, r->reports, lines[n]);
        at += at ? strlen(lines[n]) : 0;
    }
    if (r->n != n)
        fail_msg("of %s\n%s\nare %zu, not %zu", of, r->reports, r->n, n);
}

#define SAY(...)          \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

/* What is left out is told, and an error if that is asked for. */
static void drops(const char *xml, const char *json, const char *const lines[])
{
    struct outcome r = run_import(xml, false), s = run_import(xml, true);

    reports(&r, lines, xml);
    same(r.text, json, xml);
    assert_null(s.text);
    assert_non_null(strstr(s.reports, ": error: "));
    assert_null(strstr(r.reports, ": error: "));
    done(&r);
    done(&s);
}

static void refuses(const char *xml, const char *line)
{
    struct outcome r = run_import(xml, false);

    if (r.text || !strstr(r.reports, line))
        fail_msg("of %s\n%s\nis not refused with %s", xml, r.reports, line);
    done(&r);
}

/* --- in --- */

static void test_whole_domain(void **state)
{
    imports("<?xml version='1.0' encoding='UTF-8'?>\n"
            "<!-- as virsh prints it -->\n"
            "<domain type='xen'>\n"
            "  <name>web1</name>\n"
            "  <uuid>45b60f51-88a9-47a8-a3b3-5e66d71b2283</uuid>\n"
            "  <memory unit='KiB'>524288</memory>\n"
            "  <currentMemory unit='KiB'>262144</currentMemory>\n"
            "  <vcpu placement='static' cpuset='0-3,^1' current='2'>4</vcpu>\n"
            "  <cputune>\n"
            "    <shares>512</shares>\n"
            "    <global_period>50000</global_period>\n"
            "    <global_quota>75000</global_quota>\n"
            "  </cputune>\n"
            "  <os>\n"
            "    <type arch='x86_64' machine='xenpvh'>xenpvh</type>\n"
            "    <kernel>/boot/vmlinuz</kernel>\n"
            "    <initrd>/boot/initrd.img</initrd>\n"
            "    <cmdline>root=/dev/xvda1 &quot;a &amp; b&quot; &#228;</cmdline>\n"
            "  </os>\n"
            "  <features><hap state='off'/></features>\n"
            "  <clock offset='utc' adjustment='reset'/>\n"
            "  <on_poweroff>preserve</on_poweroff>\n"
            "  <on_reboot>rename-restart</on_reboot>\n"
            "  <on_crash>restart</on_crash>\n"
            "  <devices>\n"
            "    <disk type='block' device='disk'>\n"
            "      <driver name='phy' type='raw'/>\n"
            "      <source dev='/dev/vg/web1'/>\n"
            "      <target dev='xvda' bus='xen'/>\n"
            "    </disk>\n"
            "    <interface type='bridge'>\n"
            "      <mac address='00:16:3e:66:92:9c'/>\n"
            "      <source bridge='xenbr1'/>\n"
            "      <model type='netfront'/>\n"
            "    </interface>\n"
            "    <console type='pty'>\n"
            "      <target type='xen' port='0'/>\n"
            "    </console>\n"
            "    <memballoon model='xen'/>\n"
            "  </devices>\n"
            "</domain>\n",
            "{\"name\":\"web1\",\"uuid\":\"45b60f51-88a9-47a8-a3b3-5e66d71b2283\",\"type\":\"pvh\","
            "\"kernel\":\"/boot/vmlinuz\",\"ramdisk\":\"/boot/initrd.img\","
            "\"cmdline\":\"root=/dev/xvda1 \\\"a & b\\\" \xc3\xa4\",\"memory\":256,\"maxmem\":512,\"vcpus\":2,"
            "\"maxvcpus\":4,\"cpus\":\"0-3,^1\",\"cpu_weight\":512,\"cap\":150,\"hap\":false,"
            "\"on_poweroff\":\"preserve\",\"on_reboot\":\"rename-restart\",\"on_crash\":\"restart\","
            "\"disk\":[{\"target\":\"/dev/vg/web1\",\"vdev\":\"xvda\"}],"
            "\"vif\":[{\"mac\":\"00:16:3e:66:92:9c\",\"bridge\":\"xenbr1\"}]}\n");
}

static void test_types(void **state)
{
    imports(DOMAIN("<os><type>linux</type></os>"), "{\"type\":\"pv\"}\n");
    imports(DOMAIN("<os><type machine='xenpv'>xen</type></os>"), "{\"type\":\"pv\"}\n");
    imports(DOMAIN("<os><type machine='xenpvh'>linux</type></os>"), "{\"type\":\"pvh\"}\n");
    imports(DOMAIN("<os><type>xenpvh</type></os>"), "{\"type\":\"pvh\"}\n");
    drops(DOMAIN("<os><type machine='pc' arch='i686'>linux</type></os>"), "{\"type\":\"pv\"}\n",
          SAY("domain/os/type/@machine: not carried over", "domain/os/type/@arch: not carried over"));
    refuses(DOMAIN("<os><type>hvm</type></os>"), "g.xml:1:30: error: domain/os/type: hvm is not supported yet\n");
    refuses(DOMAIN("<os><type>exe</type></os>"), "error: domain/os/type: \"exe\" is not one of linux, xen, xenpvh\n");
    refuses(DOMAIN("<os><type machine='xenpv'>xenpvh</type></os>"),
            "error: domain/os/type/@machine: \"xenpv\" does not fit the type xenpvh\n");
}

static void test_memory(void **state)
{
    imports(DOMAIN("<memory>65536</memory>"), "{\"memory\":64}\n");
    imports(DOMAIN("<currentMemory>65536</currentMemory>"), "{\"memory\":64}\n");
    imports(DOMAIN("<memory> \n 0065540\t</memory>"), "{\"memory\":\"65540K\"}\n");
    imports(DOMAIN("<memory unit='bytes'>67108864</memory>"), "{\"memory\":64}\n");
    imports(DOMAIN("<memory unit='b'>67108864</memory>"), "{\"memory\":64}\n");
    imports(DOMAIN("<memory unit='KB'>4194304</memory>"), "{\"memory\":4000}\n");
    imports(DOMAIN("<memory unit='k'>65536</memory>"), "{\"memory\":64}\n");
    imports(DOMAIN("<memory unit='M'>64</memory>"), "{\"memory\":64}\n");
    imports(DOMAIN("<memory unit='mib'>64</memory>"), "{\"memory\":64}\n");
    imports(DOMAIN("<memory unit='GiB'>2</memory>"), "{\"memory\":2048}\n");
    imports(DOMAIN("<memory unit='T'>1</memory>"), "{\"memory\":1048576}\n");
    refuses(DOMAIN("<memory unit='zb'>1</memory>"),
            "g.xml:1:34: error: domain/memory/@unit: \"zb\" is not a unit; write b, KiB, ");
    refuses(DOMAIN("<memory unit=''>1</memory>"), "domain/memory/@unit: \"\" is not a unit");
    refuses(DOMAIN("<memory>1.5</memory>"), "g.xml:1:28: error: domain/memory: \"1.5\" is not a whole number\n");
    refuses(DOMAIN("<memory>-64</memory>"), "\"-64\" is not a whole number\n");
    refuses(DOMAIN("<memory/>"), "domain/memory: \"\" is not a whole number\n");
    refuses(DOMAIN("<memory unit='b'>67108865</memory>"), "\"67108865\" is not a multiple of 1 KiB\n");
    refuses(DOMAIN("<memory>65537</memory>"), "error: memory: 65537 is not a multiple of 4 KiB\n");
    refuses(DOMAIN("<memory>1024</memory>"), "error: memory: 1024 is out of range: 4 MiB to 4096 GiB\n");
    refuses(DOMAIN("<memory>99999999999999999999999999999999999</memory>"), " is out of range: 4 MiB to 4096 GiB\n");
    refuses(DOMAIN("<memory unit='TB'>18446744073709551615</memory>"), " is out of range: 4 MiB to 4096 GiB\n");
    refuses(DOMAIN("<memory>65536</memory><currentMemory>131072</currentMemory>"),
            "error: maxmem: 64 MiB is less than memory, 128 MiB\n");
    drops(DOMAIN("<memory dumpCore='off'>65536</memory>"), "{\"memory\":64}\n",
          SAY("g.xml:1:28: warning: domain/memory/@dumpCore: not carried over: a configuration has no place for it\n"));
}

static void test_vcpus(void **state)
{
    imports(DOMAIN("<vcpu>3</vcpu>"), "{\"vcpus\":3}\n");
    imports(DOMAIN("<vcpu current='1'>3</vcpu>"), "{\"vcpus\":1,\"maxvcpus\":3}\n");
    imports(DOMAIN("<vcpu cpuset=' 0, 2-3 '>1</vcpu>"), "{\"vcpus\":1,\"cpus\":\"0,2-3\"}\n");
    drops(DOMAIN("<vcpu placement='auto'>3</vcpu>"), "{\"vcpus\":3}\n",
          SAY("domain/vcpu/@placement: not carried over"));
    refuses(DOMAIN("<vcpu>two</vcpu>"), "domain/vcpu: \"two\" is not a whole number\n");
    refuses(DOMAIN("<vcpu>0</vcpu>"), "error: vcpus: 0 is out of range: 1 to 64\n");
    refuses(DOMAIN("<vcpu>65</vcpu>"), "error: vcpus: 65 is out of range: 1 to 64\n");
    refuses(DOMAIN("<vcpu current='x'>3</vcpu>"), "domain/vcpu/@current: \"x\" is not a whole number\n");
    refuses(DOMAIN("<vcpu current='4'>3</vcpu>"), "error: maxvcpus: 3 is less than vcpus, 4\n");
    refuses(DOMAIN("<vcpu cpuset='a'>3</vcpu>"), "error: cpus: a is not a list of host CPUs;");
}

#define PIN(vcpu, set) "<vcpupin vcpu='" vcpu "' cpuset='" set "'/>"
#define TUNE(inner)    "<cputune>" inner "</cputune>"

static void test_pins(void **state)
{
    imports(DOMAIN("<vcpu>2</vcpu>" TUNE(PIN("1", "0-1") PIN("0", "0,1"))), "{\"vcpus\":2,\"cpus\":\"0-1\"}\n");
    imports(DOMAIN(TUNE(PIN("0", "5"))), "{\"cpus\":\"5\"}\n");
    drops(DOMAIN("<vcpu cpuset='3'>1</vcpu>" TUNE(PIN("0", "5"))), "{\"vcpus\":1,\"cpus\":\"5\"}\n",
          SAY("domain/vcpu/@cpuset: not carried over: vcpupin goes before it"));
    drops(DOMAIN("<vcpu>2</vcpu>" TUNE(PIN("0", "0"))), "{\"vcpus\":2}\n",
          SAY("domain/cputune/vcpupin: not carried over: all virtual CPUs of a guest have the same host CPUs\n"));
    drops(DOMAIN("<vcpu>2</vcpu>" TUNE(PIN("0", "0") PIN("1", "1"))), "{\"vcpus\":2}\n",
          SAY("domain/cputune/vcpupin[1]: not", "domain/cputune/vcpupin[2]: not"));
    drops(DOMAIN("<vcpu>2</vcpu>" TUNE(PIN("0", "0") PIN("0", "0"))), "{\"vcpus\":2}\n",
          SAY("vcpupin[1]: not", "vcpupin[2]: not"));
    imports(DOMAIN("<vcpu>2</vcpu>" TUNE(PIN("0", " 0 - 3, ^1") PIN("1", "0,2-3"))),
            "{\"vcpus\":2,\"cpus\":\"0-3,^1\"}\n");
    drops(DOMAIN("<vcpu>1</vcpu>" TUNE(PIN("", "0"))), "{\"vcpus\":1}\n", SAY("vcpupin: not"));
    drops(DOMAIN("<vcpu>1</vcpu>" TUNE(PIN("0", "x"))), "{\"vcpus\":1}\n", SAY("vcpupin: not"));
    drops(DOMAIN("<vcpu>1</vcpu>" TUNE("<vcpupin vcpu='0'/>")), "{\"vcpus\":1}\n", SAY("vcpupin: not"));
}

static void test_tuning(void **state)
{
    imports(DOMAIN(TUNE("<global_quota>20000</global_quota>")), "{\"cap\":20}\n");
    imports(DOMAIN(TUNE("<global_quota>-1</global_quota><global_period>1000</global_period>")), "{}\n");
    drops(DOMAIN(TUNE("<global_quota>1</global_quota><global_period>1000</global_period>")), "{}\n",
          SAY("domain/cputune/global_quota: not carried over: it is not a whole percentage of one CPU\n",
              "domain/cputune/global_period: not"));
    drops(DOMAIN(TUNE("<global_period>1000</global_period>")), "{}\n", SAY("domain/cputune/global_period: not"));
    drops(DOMAIN(TUNE("<global_quota>5</global_quota><global_period>0</global_period>")), "{}\n",
          SAY("domain/cputune/global_quota: not", "domain/cputune/global_period: not"));
    drops(DOMAIN(TUNE("<quota>5</quota><emulatorpin cpuset='1'/>")), "{}\n",
          SAY("domain/cputune/quota: not", "domain/cputune/emulatorpin: not"));
    refuses(DOMAIN(TUNE("<shares>none</shares>")), "domain/cputune/shares: \"none\" is not a whole number\n");
    refuses(DOMAIN(TUNE("<shares>65536</shares>")), "error: cpu_weight: 65536 is out of range: 1 to 65535\n");
    refuses(DOMAIN(TUNE("<global_quota>x</global_quota>")), "global_quota: \"x\" is not a whole number\n");
    refuses(DOMAIN("<vcpu>1</vcpu>" TUNE("<global_quota>200000</global_quota>")),
            "error: cap: 200 is more than 100 for each of 1 virtual CPUs\n");
}

static void test_words(void **state)
{
    imports(DOMAIN("<features><hap/></features><os><type>xenpvh</type></os>"), "{\"type\":\"pvh\",\"hap\":true}\n");
    imports(DOMAIN("<os><kernel/><initrd></initrd><cmdline/></os><uuid/>"), "{\"cmdline\":\"\"}\n");
    imports(DOMAIN("<os><cmdline>a<![CDATA[ <b> & ]]>c<!-- d --> </cmdline></os>"), "{\"cmdline\":\"a <b> & c \"}\n");
    drops(DOMAIN("<features><hap/><acpi/></features>"), "{\"hap\":true}\n",
          SAY("hap: ignored because the type is not pvh", "domain/features/acpi: not carried over"));
    drops(DOMAIN("<clock offset='localtime' adjustment='reset'><timer name='tsc' mode='native'/></clock>"), "{}\n",
          SAY("domain/clock/@offset: not carried over: the clock of a guest is UTC", "domain/clock/@adjustment: not",
              "domain/clock/timer: not"));
    refuses(DOMAIN("<features><hap state='yes'/></features>"), "features/hap/@state: \"yes\" is not one of on, off\n");
    refuses(DOMAIN("<on_crash>explode</on_crash>"), "g.xml:1:30: error: on_crash: explode is not one of destroy,");
    refuses(DOMAIN("<on_crash>coredump-destroy</on_crash>"), "on_crash: coredump-destroy is not supported yet\n");
    refuses(DOMAIN("<name>a b</name>"), "g.xml:1:26: error: name: a b is not a legal name:");
    refuses(DOMAIN("<name/>"), "error: name: ");
    refuses(DOMAIN("<uuid>1</uuid>"), "error: uuid: 1 is not a uuid;");
}

static void test_disks(void **state)
{
    imports(DISK(SOURCE), "{\"disk\":[{\"target\":\"/srv/a\",\"vdev\":\"xvda\"}]}\n");
    imports(DISK("<driver name='file' type='raw' discard='unmap'/>" SOURCE "<readonly/>"),
            "{\"disk\":[{\"target\":\"/srv/a\",\"vdev\":\"xvda\",\"access\":\"ro\",\"discard\":true}]}\n");
    imports(DISK("<driver discard='ignore'/><source file='a&amp;#38;&lt;'/><target dev='hda' bus='ide'/>"
                 "<backenddomain name='Domain-0'/>"),
            "{\"disk\":[{\"target\":\"a&#38;<\",\"vdev\":\"hda\",\"discard\":false}]}\n");
    imports(DEVICES("<disk type='block'><source dev='/dev/a'/><target dev='sdb' bus='scsi'/></disk>"),
            "{\"disk\":[{\"target\":\"/dev/a\",\"vdev\":\"sdb\"}]}\n");
    imports(DISK("<driver name='qemu' type='qcow2' discard='ignore'/>" SOURCE),
            "{\"disk\":[{\"target\":\"/srv/a\",\"vdev\":\"xvda\",\"format\":\"qcow2\",\"discard\":false}]}\n");
    drops(DISK("<driver name='qemu' type='raw' cache='none'/><source file='/a' index='1'/>"
               "<target dev='xvda' bus='virtio'/><shareable/><boot order='1'/>"),
          "{\"disk\":[{\"target\":\"/a\",\"vdev\":\"xvda\"}]}\n",
          SAY("domain/devices/disk/driver/@name: not carried over: disks are served by the kernel's back end\n",
              "disk/driver/@cache: not", "disk/source/@index: not", "disk/target/@bus: not",
              "disk/shareable: not carried over: a disk that is written to has one guest\n", "disk/boot: not"));
    refuses(DEVICES("<disk type='file'>" SOURCE "</disk><disk type='file'>" SOURCE "</disk>"),
            "error: disk[1]: vdev: another disk has it\n");
    refuses(DISK("<source file='/a'/><source file='/b'/><target dev='xvda'/>"),
            "error: domain/devices/disk/source[2]: given before\n");
    refuses(DISK("<source file='/a&#9;b'/><target dev='xvda'/>"), "error: disk[0].target: it contains a control char");
}

/* A disk that would be another one, or worse, is left out whole, and the rest stays. */
static void test_disks_left_out(void **state)
{
    static const struct {
        const char *xml, *why;
    } cases[] = {
        {DISK("<driver name='qemu' type='qcow3'/>" SOURCE), ", with 3 elements in it: its format is none of raw, qcow"},
        {DISK("<driver name='phy' type='qcow2'/>" SOURCE), ", with 3 elements in it: what its driver serves is raw"},
        {DISK("<encryption format='luks'/>" SOURCE), "what the guest would see is not what its file contains"},
        {DISK("<source file='/a'><slices/></source><target dev='xvda'/>"), "is not what its file contains"},
        {DISK("<source file='/a'><encryption/></source><target dev='xvda'/>"), "is not what its file contains"},
        {DISK("<target dev='xvda'/>"), ", with 1 element in it: it has no source"},
        {DISK("<source file=''/><target dev='xvda'/>"), "it has no source"},
        {DISK("<source dev='/a'/><target dev='xvda'/>"), "it has no source"},
        {DISK("<source file='/a'/><target dev='vda' bus='virtio'/>"), "not the name of a disk of Xen's, as xvda is"},
        {DISK("<source file='/a'/>"), "not the name of a disk of Xen's, as xvda is"},
        {DISK(SOURCE "<backenddomain name='other'/>"), "its back end is another domain"},
        {DISK(SOURCE "<transient/>"), "what is written to it would not go when the guest ends"},
        {DEVICES("<disk type='file' device='cdrom'>" SOURCE "</disk>"), "guests have disks only"},
        {DEVICES("<disk type='network'><source name='a'/><target dev='xvda'/></disk>"),
         "what it is stored in is neither a file nor a block device"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        drops(cases[i].xml, "{}\n", SAY(cases[i].why));
}

static void test_interfaces(void **state)
{
    imports(BRIDGE(""), "{\"vif\":[{\"bridge\":\"br0\"}]}\n");
    imports(BRIDGE("<mac address='00:16:3e:00:00:01'/><script path='vif-nat'/><target dev='web1.0'/>"
                   "<ip address='10.0.0.1'/><ip address='10.0.0.2' family='ipv4' prefix='24'/>"
                   "<ip address='2000::1' family='ipv6'/><mtu size='1400'/><model type='netfront'/>"
                   "<bandwidth><outbound average='1250'/></bandwidth><backenddomain name='0'/>"),
            "{\"vif\":[{\"mac\":\"00:16:3e:00:00:01\",\"bridge\":\"br0\",\"script\":\"vif-nat\","
            "\"vifname\":\"web1.0\",\"ip\":\"10.0.0.1 10.0.0.2/24 2000::1\",\"rate\":\"1250KB/s\",\"mtu\":1400}]}\n");
    imports(DEVICES("<interface type='ethernet'/>"), "{\"vif\":[{}]}\n");
    imports(DEVICES("<interface type='ethernet'><script path='vif-route'/><mtu size='1400'/></interface>"),
            "{\"vif\":[{\"script\":\"vif-route\",\"mtu\":1400}]}\n");
    imports(BRIDGE("<bandwidth><outbound average='20000000'/></bandwidth>"),
            "{\"vif\":[{\"bridge\":\"br0\",\"rate\":\"20000MB/s\"}]}\n");
    drops(BRIDGE("<target dev='vif3.0'/><model type='e1000'/><ip address='x'/><ip address='::1'/>"
                 "<ip address='1.2.3.4' prefix='x' peer='1.2.3.5'/>"
                 "<bandwidth><inbound average='1'/><outbound peak='2'/></bandwidth><link state='up'/>"),
          "{\"vif\":[{\"bridge\":\"br0\"}]}\n",
          SAY("domain/devices/interface/target/@dev: not carried over: it is the name that a running domain's has\n",
              "interface/model/@type: not", "interface/ip[1]: not", "interface/ip[2]: not", "interface/ip[3]: not",
              "interface/bandwidth/inbound: not", "interface/bandwidth/outbound/@peak: not", "interface/link: not"));
    refuses(BRIDGE("<mac address='x'/>"), "error: vif[0].mac: \"x\" is no address of one station;");
    refuses(BRIDGE("<mtu size='x'/>"), "interface/mtu/@size: \"x\" is not a whole number\n");
    refuses(BRIDGE("<mtu size='1'/>"), "error: vif[0].mtu: 1 is out of range: 68 to 65535\n");
    refuses(BRIDGE("<bandwidth><outbound average='x'/></bandwidth>"), "outbound/@average: \"x\" is not a whole number");
    refuses(BRIDGE("<bandwidth><outbound average='0'/></bandwidth>"), "error: vif[0].rate: \"0KB/s\" is not a rate;");
}

static void test_interfaces_left_out(void **state)
{
    static const struct {
        const char *xml, *why;
    } cases[] = {
        {DEVICES("<interface type='network'><source network='default'/></interface>"),
         "domain/devices/interface: not carried over, with 1 element in it: network interfaces are connected to a "
         "bridge"},
        {DEVICES("<interface><source bridge='br0'/></interface>"), "are connected to a bridge"},
        {DEVICES("<interface type='bridge'/>"), "it names no bridge"},
        {DEVICES("<interface type='ethernet'><source bridge='br0'/></interface>"), "its source says something else"},
        {DEVICES("<interface type='ethernet'><source><ip address='10.0.0.1'/></source></interface>"),
         "its source says something else"},
        {DEVICES("<interface type='bridge'><source bridge=''/></interface>"), "it names no bridge"},
        {BRIDGE("<virtualport type='openvswitch'/>"), "without ports and VLANs"},
        {BRIDGE("<vlan><tag id='4'/></vlan>"), "without ports and VLANs"},
        {BRIDGE("<backenddomain name='net'/>"), "its back end is another domain"},
        {BRIDGE("<filterref filter='clean-traffic'/>"), "what it may send, and to whom, is not restricted here"},
        {BRIDGE("<port isolated='yes'/>"), "what it may send, and to whom, is not restricted here"},
        {BRIDGE("<link state='down'/>"), "its cable is out, and here it would be in"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        drops(cases[i].xml, "{}\n", SAY(cases[i].why));
}

/* --- what is left --- */

static void test_left(void **state)
{
    drops("<domain type='kvm' id='3' xmlns:q='urn:q'>stray<title>a</title>\n"
          "  <bootloader>/usr/bin/pygrub</bootloader>\n"
          "  <q:commandline><q:arg value='-x'/><q:arg/></q:commandline>\n"
          "  <name q:a='1'>a</name>\n"
          "  <devices>\n"
          "    <graphics type='vnc'>\n"
          "      <listen type='address'/>\n"
          "    </graphics>\n"
          "    <console type='pty'/><console type='pty' tty='x'/>\n"
          "    <console type='file'/>\n"
          "  </devices><devices2/>\n"
          "</domain>",
          "{\"name\":\"a\"}\n",
          SAY("g.xml:1:9: warning: domain/@type: not carried over: the guest is one of Xen's in any case\n",
              "g.xml:1:20: warning: domain/@id: not carried over: it is the number of a running domain\n",
              "g.xml:1:43: warning: domain: not carried over: the text in it says nothing\n",
              "g.xml:1:48: warning: domain/title: not carried over: a configuration has no place for it\n",
              "g.xml:2:3: warning: domain/bootloader: not carried over: guests have no boot loader: kernel",
              "g.xml:3:3: warning: domain/q:commandline: not carried over, with 2 elements in it: ",
              "g.xml:4:9: warning: domain/name/@q:a: not carried over: ",
              "g.xml:6:5: warning: domain/devices/graphics: not carried over, with 1 element in it: guests have no",
              "g.xml:9:26: warning: domain/devices/console[2]: not carried over: a guest has one console\n",
              "g.xml:10:5: warning: domain/devices/console[3]: not", "g.xml:11:13: warning: domain/devices2: not"));
}

/* The whole form of a report, to the byte; the place of an attribute in a tag that goes over lines. */
static void test_form(void **state)
{
    struct outcome r =
        run_import("<domain\n  type='xen'\n  id = \"4\" ><memory unit='KiB'\n\tdumpCore='o>n'>1</memory>\n"
                   "</domain>",
                   false);

    assert_string_equal(r.reports,
                        "g.xml:3:3: warning: domain/@id: not carried over: it is the number of a running domain\n"
                        "    3 |   id = \"4\" ><memory unit='KiB'\n"
                        "      |   ^~\n"
                        "g.xml:4:2: warning: domain/memory/@dumpCore: not carried over: a configuration has no place "
                        "for it\n"
                        "    4 | \tdumpCore='o>n'>1</memory>\n"
                        "      | \t^~~~~~~~\n"
                        "g.xml:4:17: error: memory: 1 is out of range: 4 MiB to 4096 GiB\n"
                        "    4 | \tdumpCore='o>n'>1</memory>\n"
                        "      | \t               ^\n");
    assert_null(r.text);
    done(&r);
}

static void test_duplicates(void **state)
{
    static const char *const once[] = {"name",     "uuid",  "memory",  "currentMemory", "vcpu",     "os",
                                       "features", "clock", "cputune", "on_poweroff",   "on_crash", "devices"};
    struct outcome r = run_import(DOMAIN("<name>a</name><name x='1'>b<c/></name>"), false);
    char xml[160], line[100];

    reports(&r, SAY("error: domain/name[2]: given before\n"), "a second name"); /* and no more is said of it */
    done(&r);
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        snprintf(xml, sizeof(xml), "<domain type='xen'>\n<%s/>\n<x/><%s>4</%s></domain>", once[i], once[i], once[i]);
        snprintf(line, sizeof(line), "g.xml:3:%zu: error: domain/%s[2]: given before\n", strlen(once[i]) + 7, once[i]);
        refuses(xml, line);
    }
    refuses(DOMAIN("<os><kernel>a</kernel><kernel>b</kernel></os>"), "error: domain/os/kernel[2]: given before\n");
}

/* --- what is no document, or goes too far --- */

static void test_refused(void **state)
{
    static const struct {
        const char *xml, *line;
    } cases[] = {
        {"", "g.xml:1:1: error: not well-formed XML: Document is empty"},
        {"{}", "g.xml:1:1: error: not well-formed XML: Start tag expected"},
        {"<domain>", "error: not well-formed XML: "},
        {"<domain></name>", "error: not well-formed XML: Opening and ending tag mismatch"},
        {"<domain/><domain/>", "g.xml:1:10: error: not well-formed XML: Extra content"},
        {"<domain a='1' a='2'/>", "error: not well-formed XML: Attribute a redefined"},
        {"<domain>&lol;</domain>", "error: not well-formed XML: Entity 'lol' not defined"},
        {"<domain a='&lol;'/>", "error: not well-formed XML: Entity 'lol' not defined"},
        {"<domain>&#0;</domain>", "error: not well-formed XML: "},
        {"<domain><name>\x01</name></domain>", "error: not well-formed XML: "},
        {"<q:domain/>", "g.xml:1:1: error: q:domain: is not a domain; "},
        {"<node/>", "g.xml:1:1: error: node: is not a domain; `virsh dumpxml --inactive NAME` prints one\n"},
        {"<domainsnapshot><domain/></domainsnapshot>", "error: domainsnapshot: is not a domain; "},
        {"<domain>\xff</domain>", "g.xml:1:9: error: not valid UTF-8\n"},
        {"\xef\xbb\xbf<domain/>", "g.xml:1:1: error: starts with a byte order mark\n"},
        {"<?xml version='1.0' encoding='ISO-8859-1'?><domain/>", "g.xml:1:1: error: its encoding is not UTF-8\n"},
        {"<?xml version='1.0' encoding='UTF-7'?><domain/>", "g.xml:1:"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuses(cases[i].xml, cases[i].line);
}

/* Nothing of a document type is looked at: neither what it declares, however little, nor what it names. */
static void test_document_types(void **state)
{
    static const char refused[] =
        "error: a document type is not read: it could declare entities, and name other files\n";
    static const char *const cases[] = {
        "<!DOCTYPE domain><domain/>",
        "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>",
        "<!DOCTYPE domain PUBLIC 'a' 'http://127.0.0.1:9/a.dtd'><domain/>",
        "<!DOCTYPE domain [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain><name>&a;</name></domain>",
        "<!DOCTYPE domain [<!ENTITY % a SYSTEM 'http://127.0.0.1:9/'> %a;]><domain/>",
        "<!DOCTYPE domain [<!ATTLIST domain type CDATA 'xen'>]><domain/>",
        "<!DOCTYPE domain [<!ENTITY a '0123456789'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
        "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
        "<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'><!ENTITY f '&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;'>"
        "<!ENTITY g '&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;'>]><domain><name>&g;&g;&g;</name></domain>",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuses(cases[i], refused);
    refuses("\n<!DOCTYPE domain>\n<domain/>", "g.xml:2:1: error: a document type is not read");
}

/* A document of `n` times a, then b, then n times c. */
static char *repeated(const char *a, const char *b, const char *c, size_t n)
{
    size_t len, i;
    char *text;
    FILE *f = open_memstream(&text, &len);

    for (i = 0; i < n; i++)
        fputs(a, f);
    fputs(b, f);
    for (i = 0; i < n; i++)
        fputs(c, f);
    fclose(f);
    return text;
}

static void refuses_repeated(const char *a, const char *b, const char *c, size_t n, const char *line)
{
    char *text = repeated(a, b, c, n);
    struct outcome r = run_import(text, false);

    assert_null(r.text);
    if (!strstr(r.reports, line))
        fail_msg("%zu times %s: %s", n, a, r.reports);
    done(&r);
    free(text);
}

static void test_limits(void **state)
{
    struct xml_problem bad;
    char *text = repeated("<a>", "", "</a>", XML_MAX_DEPTH);
    struct xml_element *root = xml_parse(text, strlen(text), &bad);

    assert_non_null(root);
    assert_int_equal(xml_count(root), XML_MAX_DEPTH - 1);
    xml_free(root);
    free(text);
    refuses_repeated("<a>", "", "</a>", XML_MAX_DEPTH + 1, "error: nested too deeply\n");
    refuses_repeated("<a>", "", "</a>", 30000, "error: nested too deeply\n");
    refuses_repeated("", "<domain>", "<a/>", XML_MAX_ITEMS, "error: more than 4096 elements and attributes\n");
    refuses_repeated("", "<domain><name>a</name>", "<a b='' c=''/>", 1366, "error: more than 4096 elements and attr");
    refuses_repeated("", "<domain>", " ", XML_MAX_SIZE - 7, "g.xml: error: larger than 256 KiB\n");
    refuses_repeated("", "<domain>", " ", XML_MAX_SIZE - 8, "error: not well-formed XML: ");
}

/* What is below the limits passes; libxml2 would see the end of a document in a NUL. */
static void test_largest(void **state)
{
    static const char nul[] = "<domain/>\0<evil/>";
    char *inner = repeated("<b/>", "", "", XML_MAX_ITEMS - 1), *text;
    struct xml_problem bad;
    struct xml_element *root;

    assert_true(asprintf(&text, "<a>%s</a>", inner) > 0);
    free(inner);
    root = xml_parse(text, strlen(text), &bad);
    assert_non_null(root);
    assert_int_equal(root->n_children, XML_MAX_ITEMS - 1);
    xml_free(root);
    free(text);
    assert_null(xml_parse(nul, sizeof(nul) - 1, &bad));
    assert_string_equal(bad.message, "contains a NUL character");
    assert_int_equal(bad.span.off, 9);
}

/* --- out --- */

#define PV "<os><type arch=\"x86_64\" machine=\"xenpv\">linux</type><kernel>/k</kernel>"

/* The XML without the line ends and blanks between its elements. */
static void exports(const char *json, const char *inner, const char *devices)
{
    struct outcome r = run_export(json, true);
    char wanted[2048], is[2048];
    size_t n = 0;

    same(r.reports, "", json);
    assert_non_null(r.text);
    for (const char *c = r.text; *c; c++) {
        if (*c == '\n')
            c += strspn(c + 1, " ");
        else
            is[n++] = *c;
    }
    is[n] = '\0';
    snprintf(wanted, sizeof(wanted), "<domain type=\"xen\"><name>a</name>%s<devices>%s" CONSOLE "</devices></domain>",
             inner, devices);
    same(is, wanted, json);
    done(&r);
}

#define KIB64 "<memory unit=\"KiB\">65536</memory>"
#define ONE   "<vcpu placement=\"static\">1</vcpu>"
#define UTC   "<clock offset=\"utc\"/>"

static void test_exported(void **state)
{
    exports(LEAST(""), KIB64 ONE PV "</os>" UTC, "");
    exports(LEAST(",\"$schema\":\"x\",\"version\":1,\"cpus\":\"all\",\"max_grant_version\":2,\"cap\":0,"
                  "\"on_watchdog\":\"destroy\",\"on_host_shutdown\":\"shutdown\",\"disk\":[],\"vif\":[]"),
            KIB64 ONE PV "</os>" UTC, "");
    exports(LEAST(",\"maxmem\":\"65540K\",\"vcpus\":2,\"maxvcpus\":3,\"cpus\":\"^4,all,^0-1\",\"cpu_weight\":256,"
                  "\"cap\":12,\"ramdisk\":\"/r\",\"root\":\"/dev/xvda1 ro\",\"extra\":\"quiet\","
                  "\"on_poweroff\":\"restart\",\"on_reboot\":\"destroy\",\"on_crash\":\"preserve\","
                  "\"uuid\":\"0A1b2c3d-0000-4000-8000-00000000ffff\""),
            "<uuid>0a1b2c3d-0000-4000-8000-00000000ffff</uuid><memory unit=\"KiB\">65540</memory>"
            "<currentMemory unit=\"KiB\">65536</currentMemory>"
            "<vcpu placement=\"static\" cpuset=\"2-1023\" current=\"2\">3</vcpu><cputune><shares>256</shares>"
            "<global_period>100000</global_period><global_quota>12000</global_quota></cputune>" PV
            "<initrd>/r</initrd><cmdline>root=/dev/xvda1 ro quiet</cmdline></os>" UTC
            "<on_poweroff>restart</on_poweroff><on_reboot>destroy</on_reboot><on_crash>preserve</on_crash>",
            "");
    exports(LEAST(",\"type\":\"pvh\",\"hap\":true,\"cmdline\":\"<&>\\r\""),
            KIB64 ONE "<os><type arch=\"x86_64\" machine=\"xenpvh\">xenpvh</type><kernel>/k</kernel>"
                      "<cmdline>&lt;&amp;&gt;&#13;</cmdline></os><features><hap state=\"on\"/></features>" UTC,
            "");
}

static void test_exported_devices(void **state)
{
    exports(LEAST(",\"disk\":[\"vg/a\\\",,xvda,w\",{\"target\":\"/srv/b\",\"vdev\":\"hdb\",\"access\":\"r\","
                  "\"format\":\"raw\",\"devtype\":\"disk\",\"backend\":\"0\",\"backendtype\":\"phy\","
                  "\"direct-io-safe\":false,\"trusted\":true,\"discard\":false},"
                  "\"/srv/c,qcow2,xvdc,backendtype=qdisk\"],"
                  "\"vif\":[\"\",{\"mac\":\"00:16:3e:00:00:01\",\"bridge\":\"br1\",\"script\":\"vif-nat\","
                  "\"vifname\":\"web1.0\",\"ip\":\"10.0.0.1/24 ::1\",\"rate\":\"10Mb/s\",\"mtu\":1400,\"devid\":1,"
                  "\"type\":\"vif\",\"backend\":\"Domain-0\",\"trusted\":true}]"),
            KIB64 ONE PV "</os>" UTC,
            "<disk type=\"block\" device=\"disk\"><driver name=\"phy\" type=\"raw\"/>"
            "<source dev=\"/dev/vg/a&quot;\"/><target dev=\"xvda\" bus=\"xen\"/></disk>"
            "<disk type=\"file\" device=\"disk\"><driver name=\"file\" type=\"raw\" discard=\"ignore\"/>"
            "<source file=\"/srv/b\"/><target dev=\"hdb\" bus=\"ide\"/><readonly/></disk>"
            "<disk type=\"file\" device=\"disk\"><driver name=\"qemu\" type=\"qcow2\"/>"
            "<source file=\"/srv/c\"/><target dev=\"xvdc\" bus=\"xen\"/></disk>"
            "<interface type=\"ethernet\"/>"
            "<interface type=\"bridge\"><mac address=\"00:16:3e:00:00:01\"/><source bridge=\"br1\"/>"
            "<script path=\"vif-nat\"/><target dev=\"web1.0\"/>"
            "<ip address=\"10.0.0.1\" family=\"ipv4\" prefix=\"24\"/><ip address=\"::1\" family=\"ipv6\"/>"
            "<bandwidth><outbound average=\"1250\"/></bandwidth><mtu size=\"1400\"/></interface>");
}

/* Each key that XML cannot say is told, in its place, and is an error if that is asked for. */
static void test_not_exported(void **state)
{
    static const struct {
        const char *json, *line;
    } cases[] = {
        {LEAST(",\"x-note\":1"), "g.json:1:48: warning: x-note: not carried over: domain XML has no place for it\n"},
        {LEAST(",\"on_watchdog\":\"restart\""), "warning: on_watchdog: not carried over: "},
        {LEAST(",\"on_host_shutdown\":\"save\""), "warning: on_host_shutdown: not carried over: "},
        {LEAST(",\"max_grant_version\":1"), "warning: max_grant_version: not carried over: "},
        {LEAST(",\"type\":\"pvh\",\"shadow_memory\":8"), "warning: shadow_memory: not carried over: "},
        {LEAST(",\"cmdline\":\"\\u0001\""), "warning: cmdline: not carried over: XML cannot have one of its char"},
        {LEAST(",\"ramdisk\":\"\xef\xbf\xbe\""), "warning: ramdisk: not carried over: XML cannot have one of its"},
        {LEAST(",\"extra\":\"\\u001b\""), "warning: extra: not carried over: XML cannot have one of its char"},
        {LEAST(",\"disk\":[{\"target\":\"a\",\"script\":\"s\",\"vdev\":\"xvda\"}]"),
         "warning: disk[0]: not carried over: domain XML has no place for a disk's script, and its target means"},
        {LEAST(",\"disk\":[{\"target\":\"\xef\xbf\xbf\",\"vdev\":\"xvda\"}]"),
         "warning: disk[0]: not carried over: XML"},
        {LEAST(",\"disk\":[{\"target\":\"a\",\"vdev\":\"xvda\",\"direct-io-safe\":true}]"),
         "warning: disk[0].direct-io-safe: not carried over: domain XML has no place for it\n"},
        {LEAST(",\"disk\":[\"a,raw,xvda,w,untrusted\"]"), "warning: disk[0].trusted: not carried over: "},
        {LEAST(",\"vif\":[{\"gatewaydev\":\"eth0\"}]"), "warning: vif[0].gatewaydev: not carried over: "},
        {LEAST(",\"vif\":[{},\"devid=7\"]"), "warning: vif[1].devid: not carried over: "},
        {LEAST(",\"vif\":[{\"trusted\":false}]"), "warning: vif[0].trusted: not carried over: "},
        {LEAST(",\"vif\":[{\"rate\":\"1MB/s@20ms\"}]"),
         "vif[0].rate: not carried over: domain XML has whole KB/s, and"},
        {LEAST(",\"vif\":[{\"rate\":\"1Kb/s\"}]"), "warning: vif[0].rate: not carried over: "},
        {LEAST(",\"vif\":[{\"ip\":\"10.0.0.1,10.0.0.2\"}]"), "vif[0].ip: not carried over: it is not a list of addr"},
        {LEAST(",\"vif\":[{\"ip\":\"10.0.0.1  10.0.0.2\"}]"), "warning: vif[0].ip: not carried over: "},
        {LEAST(",\"vif\":[{\"ip\":\"10.0.0.1/\"}]"), "warning: vif[0].ip: not carried over: "},
        {LEAST(",\"vif\":[{\"vifname\":\"vif1.2\"}]"),
         "vif[0].vifname: not carried over: in domain XML such a name is"},
        {LEAST(",\"vif\":[{\"script\":\"\xef\xbf\xbf\"}]"), "warning: vif[0].script: not carried over: XML cannot"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome r = run_export(cases[i].json, false), s = run_export(cases[i].json, true);

        reports(&r, SAY(cases[i].line), cases[i].json);
        assert_non_null(r.text);
        assert_null(s.text);
        assert_int_equal(s.n, 1);
        done(&r);
        done(&s);
    }
}

/* What create would not take is not translated either. */
static void test_bad_configurations(void **state)
{
    static const char *const cases[] = {"",
                                        "[]",
                                        "{}",
                                        "{\"name\":\"a\",\"memory\":64}",
                                        LEAST(",\"vcups\":1"),
                                        LEAST(",\"vcpus\":2,\"maxvcpus\":1"),
                                        LEAST(",\"name\":\"b\"")};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome r = run_export(cases[i], false);

        assert_null(r.text);
        assert_non_null(strstr(r.reports, ": error: "));
        done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_domain),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_vcpus),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_tuning),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_disks),
        cmocka_unit_test(test_disks_left_out),
        cmocka_unit_test(test_interfaces),
        cmocka_unit_test(test_interfaces_left_out),
        cmocka_unit_test(test_left),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_document_types),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_exported),
        cmocka_unit_test(test_exported_devices),
        cmocka_unit_test(test_not_exported),
        cmocka_unit_test(test_bad_configurations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
