/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of configuration keys. Adding a key means: a line here, a field in struct config, and a section in
 * docs/umbra-json.md (a test compares the two).
 */
#include <string.h>

#include "cli/config.h"

#define FIELD(f) .offset = offsetof(struct config, f)

#define MIB (INT64_C(1) << 10)
#define TIB (INT64_C(1) << 30)

static const struct config_word types[] = {
    {"pv", CONFIG_PV, false},
    {"pvh", CONFIG_PVH, false},
    {"hvm", CONFIG_HVM, true},
    {0},
};

static const struct config_word stops[] = {
    {"shutdown", CONFIG_STOP_SHUTDOWN, false},
    {"save", CONFIG_STOP_SAVE, false},
    {0},
};

static const struct config_word actions[] = {
    {"destroy", CTL_ACTION_DESTROY, false},         {"restart", CTL_ACTION_RESTART, false},
    {"preserve", CTL_ACTION_PRESERVE, false},       {"rename-restart", CTL_ACTION_RENAME_RESTART, false},
    {"coredump-destroy", CTL_ACTION_DESTROY, true}, {"coredump-restart", CTL_ACTION_RESTART, true},
    {"soft-reset", CTL_ACTION_RESTART, true},       {0},
};

const struct config_key config_keys[] = {
    {.name = "$schema", .kind = KIND_IGNORED, .help = "for editors; not read"},
    {.name = "version",
     .kind = KIND_INT,
     FIELD(version),
     .min = 1,
     .max = 1,
     .fallback = "1",
     .help = "version of this vocabulary"},
    {.name = "x-*", .kind = KIND_IGNORED, .help = "anything of your own; not read"},
    {.name = "name", .kind = KIND_NAME, FIELD(name), .required = true, .help = "name of the guest, unique on the host"},
    {.name = "type", .kind = KIND_ENUM, FIELD(type), .words = types, .fallback = "pv", .help = "kind of guest"},
    {.name = "uuid", .kind = KIND_UUID, FIELD(uuid), .fallback = "random", .help = "identity of the guest"},
    {.name = "memory",
     .kind = KIND_SIZE,
     FIELD(memory),
     .min = 4 * MIB,
     .max = 4 * TIB,
     .fallback = "maxmem",
     .help = "memory at start: MiB, or a string with K, M or G"},
    {.name = "maxmem",
     .kind = KIND_SIZE,
     FIELD(maxmem),
     .min = 4 * MIB,
     .max = 4 * TIB,
     .fallback = "memory",
     .help = "most memory the guest can ever be given"},
    {.name = "vcpus",
     .kind = KIND_INT,
     FIELD(vcpus),
     .min = 1,
     .max = 64,
     .fallback = "1",
     .help = "virtual CPUs online at start"},
    {.name = "maxvcpus",
     .kind = KIND_INT,
     FIELD(maxvcpus),
     .min = 1,
     .max = 64,
     .fallback = "vcpus",
     .help = "most virtual CPUs the guest can ever have"},
    {.name = "kernel", .kind = KIND_PATH, FIELD(kernel), .required = true, .help = "kernel file: bzImage or ELF"},
    {.name = "ramdisk", .kind = KIND_PATH, FIELD(ramdisk), .help = "initial RAM disk file"},
    {.name = "cmdline", .kind = KIND_STRING, FIELD(cmdline), .help = "the kernel's command line"},
    {.name = "root", .kind = KIND_STRING, FIELD(root), .help = "without cmdline: becomes root=..."},
    {.name = "extra", .kind = KIND_STRING, FIELD(extra), .help = "without cmdline: follows root"},
    {.name = "on_poweroff",
     .kind = KIND_ENUM,
     FIELD(on_poweroff),
     .words = actions,
     .fallback = "destroy",
     .help = "what to do when the guest powers off"},
    {.name = "on_reboot",
     .kind = KIND_ENUM,
     FIELD(on_reboot),
     .words = actions,
     .fallback = "restart",
     .help = "what to do when the guest reboots"},
    {.name = "on_crash",
     .kind = KIND_ENUM,
     FIELD(on_crash),
     .words = actions,
     .fallback = "destroy",
     .help = "what to do when the guest crashes"},
    {.name = "on_watchdog",
     .kind = KIND_ENUM,
     FIELD(on_watchdog),
     .words = actions,
     .fallback = "destroy",
     .help = "what to do when the guest's watchdog runs out"},
    {.name = "on_host_shutdown",
     .kind = KIND_ENUM,
     FIELD(on_host_shutdown),
     .words = stops,
     .fallback = "shutdown",
     .help = "what `autostart stop` does with the guest"},
    {.name = "cpus",
     .kind = KIND_CPUS,
     FIELD(cpus),
     .fallback = "all",
     .help = "host CPUs its vCPUs may run on: \"0-3,^1\""},
    {.name = "cpu_weight",
     .kind = KIND_INT,
     FIELD(cpu_weight),
     .min = 1,
     .max = 65535,
     .fallback = "256",
     .help = "share of CPU time, relative to other guests"},
    {.name = "cap",
     .kind = KIND_INT,
     FIELD(cap),
     .min = 0,
     .max = 6400,
     .fallback = "0",
     .help = "limit of CPU time in percent of one CPU; 0 is none"},
    {.name = "max_grant_version",
     .kind = KIND_INT,
     FIELD(max_grant_version),
     .min = 1,
     .max = 2,
     .fallback = "2",
     .help = "highest version of grant tables that the guest may use"},
    {.name = "hap",
     .kind = KIND_BOOL,
     FIELD(hap),
     .fallback = "as the host can",
     .help = "pvh: nested paging (true) or shadow paging (false)"},
    {.name = "shadow_memory",
     .kind = KIND_SIZE,
     FIELD(shadow_memory),
     .min = 1 * MIB,
     .max = 4 * TIB,
     .fallback = "1 MiB for each virtual CPU and 8 KiB for each MiB of memory",
     .help = "pvh: memory of the hypervisor for the guest's page tables"},
    {.name = "disk",
     .kind = KIND_DISKS,
     FIELD(disks),
     .fallback = "[]",
     .help = "disks: objects, or strings as in xl-disk-configuration(5)"},
    {.name = "vif",
     .kind = KIND_VIFS,
     FIELD(vifs),
     .fallback = "[]",
     .help = "network interfaces: objects, or strings as in xl-network-configuration(5)"},
};

const size_t config_n_keys = sizeof(config_keys) / sizeof(config_keys[0]);

_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) <= CONFIG_MAX_KEYS, "origin[] holds one entry a key");

/* Keys of xl 4.17 for which there is nothing yet: someone who converts a file should not be told of a typo. */
static const char *const xl_keys[] = {
    "acpi",
    "acpi_firmware",
    "acpi_laptop_slate",
    "acpi_s3",
    "acpi_s4",
    "altp2m",
    "altp2mhvm",
    "apic",
    "bios",
    "bios_path_override",
    "blkdev_start",
    "boot",
    "bootloader",
    "bootloader_args",
    "budget",
    "builder",
    "channel",
    "claim_mode",
    "console",
    "cpuid",
    "cpus_soft",
    "device_model",
    "device_model_args",
    "device_model_args_hvm",
    "device_model_args_pv",
    "device_model_override",
    "device_model_stubdomain_override",
    "device_model_stubdomain_seclabel",
    "device_model_user",
    "device_model_version",
    "device_tree",
    "display",
    "dm_restrict",
    "driver_domain",
    "dtdev",
    "e820_host",
    "event_channels",
    "extratime",
    "firmware",
    "firmware_override",
    "gfx_passthru",
    "gic_version",
    "hdtype",
    "hpet",
    "init_seclabel",
    "iomem",
    "ioports",
    "irqs",
    "keymap",
    "latency",
    "lmce",
    "localtime",
    "max_event_channels",
    "max_grant_frames",
    "max_maptrack_frames",
    "mca_caps",
    "mmio_hole",
    "ms_vm_genid",
    "msr_relaxed",
    "nestedhvm",
    "nodes",
    "nographic",
    "nomigrate",
    "nx",
    "on_soft_reset",
    "oos",
    "opengl",
    "p9",
    "pae",
    "passthrough",
    "pci",
    "pci_msitranslate",
    "pci_permissive",
    "pci_power_mgmt",
    "pci_seize",
    "period",
    "pool",
    "pvcalls",
    "pvh",
    "pvshim",
    "pvshim_cmdline",
    "pvshim_extra",
    "pvshim_path",
    "rdm",
    "rdm_mem_boundary",
    "rtc_timeoffset",
    "sdl",
    "seclabel",
    "serial",
    "slice",
    "smbios_firmware",
    "soundhw",
    "spice",
    "spice_clipboard_sharing",
    "spice_image_compression",
    "spice_streaming_video",
    "spiceagent_mouse",
    "spicedisable_ticketing",
    "spicehost",
    "spicepasswd",
    "spiceport",
    "spicetls_port",
    "spiceusbredirection",
    "spicevdagent",
    "stdvga",
    "stubdomain_cmdline",
    "stubdomain_kernel",
    "stubdomain_memory",
    "stubdomain_ramdisk",
    "tee",
    "timer_mode",
    "tsc_mode",
    "usb",
    "usbctrl",
    "usbdev",
    "usbdevice",
    "usbversion",
    "vdispl",
    "vendor_device",
    "vfb",
    "vga",
    "videoram",
    "vif2",
    "viridian",
    "virtio",
    "vkb",
    "vkb_device",
    "vmtrace_buf_kb",
    "vnc",
    "vncdisplay",
    "vnclisten",
    "vncpasswd",
    "vncunused",
    "vnuma",
    "vpmu",
    "vpt_align",
    "vscsi",
    "vsnd",
    "vtpm",
    "vuart",
    "xauthority",
    "xen_platform_pci",
    "xend_suspend_evtchn_compat",
};

bool config_key_of_xl(const char *name)
{
    for (size_t i = 0; i < sizeof(xl_keys) / sizeof(xl_keys[0]); i++) {
        if (strcmp(xl_keys[i], name) == 0)
            return true;
    }
    return false;
}

int config_key_find(const char *name)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        size_t n = strlen(config_keys[i].name);
        bool prefix = config_keys[i].name[n - 1] == '*';

        if (prefix ? strncmp(config_keys[i].name, name, n - 1) == 0 : strcmp(config_keys[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

static const char *key_name(const void *ctx, size_t i)
{
    return i < config_n_keys ? config_keys[i].name : NULL;
}

const char *config_key_suggest(const char *name)
{
    return suggest(name, key_name, NULL);
}

void config_keys_print(FILE *f)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];

        fprintf(f, "  %-12s %s", k->name, k->help);
        for (const struct config_word *w = k->words; w && w->word; w++) {
            if (!w->later)
                fprintf(f, "%s%s", w == k->words ? ": " : ", ", w->word);
        }
        if (k->required)
            fputs(" (required)", f);
        else if (k->fallback)
            fprintf(f, " (default: %s)", k->fallback);
        fputc('\n', f);
    }
}
