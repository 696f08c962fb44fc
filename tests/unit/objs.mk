# SPDX-License-Identifier: BSD-2-Clause

# tools/cli
cli-unit-cflags := -Itools -Ihypervisor/include
cli-unit-libs   := -lyajl -lncurses -ltinfo

units             += test_json
test_json-srcs    := tests/unit/test_json.c tools/cli/json.c tools/cli/json_tree.c
test_json-cflags  := $(cli-unit-cflags)
test_json-libs    := -lyajl

units             += test_config
config-srcs       := tools/cli/config_check.c $(config-text-srcs)
test_config-srcs  := tests/unit/test_config.c $(config-srcs)
test_config-cflags := $(cli-unit-cflags)
test_config-libs  := -lyajl

units             += test_xlcfg
test_xlcfg-srcs   := tests/unit/test_xlcfg.c $(config-srcs)
test_xlcfg-cflags := $(cli-unit-cflags)
test_xlcfg-libs   := -lyajl

xml-unit-srcs     := tests/unit/xml_run.c $(filter-out tools/xml/main.c,$(xml-srcs))
units             += test_xml
test_xml-srcs     := tests/unit/test_xml.c $(xml-unit-srcs)
test_xml-cflags   := $(cli-unit-cflags) -Itests/unit $(xml-cflags)
test_xml-libs     := $(xml-libs)

units                  += test_xml_trips
test_xml_trips-srcs    := tests/unit/test_xml_trips.c $(xml-unit-srcs)
test_xml_trips-cflags  := $(test_xml-cflags)
test_xml_trips-libs    := $(xml-libs)

units                 += test_device_spec
test_device_spec-srcs := tests/unit/test_device_spec.c tools/libctl/vdev.c \
                         $(patsubst %,tools/cli/%.c,device_spec json json_tree)
test_device_spec-cflags := $(cli-unit-cflags)
test_device_spec-libs := -lyajl

# tools/libctl
ctl-image-srcs    := $(patsubst %,tools/libctl/%.c,image payload elfnotes file error)

units             += test_image
test_image-srcs   := tests/unit/test_image.c $(ctl-image-srcs)
test_image-cflags := -Itools -Ihypervisor/include
test_image-libs   := -lz -llzma -lzstd -llz4

units                  += test_grub_image
test_grub_image-srcs   := tests/unit/test_grub_image.c $(ctl-image-srcs) tools/libctl/layout.c tools/libctl/layout_pvh.c
test_grub_image-cflags := -Itools -Ihypervisor/include
test_grub_image-libs   := -lz -llzma -lzstd -llz4

units               += test_builder
test_builder-srcs   := tests/unit/test_builder.c $(ctl-image-srcs) \
                       $(patsubst %,tools/libctl/%.c,layout layout_pvh pagetable check)
test_builder-cflags := -Itools -Ihypervisor/include
test_builder-libs   := -lz -llzma -lzstd -llz4

units                   += test_builder_pvh
test_builder_pvh-srcs   := tests/unit/test_builder_pvh.c $(ctl-image-srcs) \
                           $(patsubst %,tools/libctl/%.c,layout layout_pvh acpi pagetable check)
test_builder_pvh-cflags := -Itools -Ihypervisor/include
test_builder_pvh-libs   := -lz -llzma -lzstd -llz4

units                   += test_ctl_holders
test_ctl_holders-srcs   := tests/unit/test_ctl_holders.c tools/libctl/holders.c
test_ctl_holders-cflags := -Itools -Ihypervisor/include

units                 += test_ctl_audit
test_ctl_audit-srcs   := tests/unit/test_ctl_audit.c tools/libctl/audit.c
test_ctl_audit-cflags := -Itools -Ihypervisor/include

units             += test_device
ctl-device-srcs   := $(patsubst %,tools/libctl/%.c,device hotplug words disk disk_image qemu vif vdev flush xenstore \
                       error)
test_device-srcs  := $(patsubst %,tests/unit/%.c,test_device fake_xs store_bench) $(ctl-device-srcs) \
                     tools/libctl/request.c
test_device-cflags := -Itools -Ihypervisor/include -Itests/unit

units             += test_qemu
test_qemu-srcs    := $(patsubst %,tests/unit/%.c,test_qemu fake_xs store_bench) $(ctl-device-srcs)
test_qemu-cflags  := $(test_device-cflags)

units               += test_readmit
test_readmit-srcs   := $(patsubst %,tests/unit/%.c,test_readmit fake_xs store_bench) \
                       $(patsubst %,tools/libctl/%.c,readmit build_store xenstore uuid error)
test_readmit-cflags := $(test_device-cflags)

units               += test_suspend
test_suspend-srcs   := $(patsubst %,tests/unit/%.c,test_suspend fake_xs store_bench) \
                       $(patsubst %,tools/libctl/%.c,suspend request xenstore error)
test_suspend-cflags := $(test_device-cflags)

units              += test_lookup
test_lookup-srcs   := $(patsubst %,tests/unit/%.c,test_lookup fake_xs) \
                      $(patsubst %,tools/libctl/%.c,lookup console xenstore error)
test_lookup-cflags := $(test_device-cflags)

units                   += test_build_fails
test_build_fails-srcs   := $(patsubst %,tests/unit/%.c,test_build_fails fake_host fake_xs) $(ctl-srcs)
test_build_fails-cflags := $(test_device-cflags)
test_build_fails-libs   := -lz -llzma -lzstd -llz4

units                  += test_ctl_shadow
test_ctl_shadow-srcs   := tests/unit/test_ctl_shadow.c tools/libctl/shadow.c
test_ctl_shadow-cflags := -Itools -Ihypervisor/include

units                     += test_ctl_parameter
test_ctl_parameter-srcs   := tests/unit/test_ctl_parameter.c tools/libctl/parameter.c tools/libctl/error.c
test_ctl_parameter-cflags := -Itools -Ihypervisor/include

units                   += test_ctl_log
test_ctl_log-srcs       := tests/unit/test_ctl_log.c tools/libctl/host.c tools/libctl/error.c
test_ctl_log-cflags     := -Itools -Ihypervisor/include

units                 += test_ctl_error
test_ctl_error-srcs   := tests/unit/test_ctl_error.c tools/libctl/error.c tools/libctl/uuid.c
test_ctl_error-cflags := -Itools -Ihypervisor/include

saved-guest-srcs    := $(patsubst %,tests/unit/saved_%.c,guest pvh live) \
                       $(patsubst %,tools/libctl/%.c,error stream hvm live lanes pace save save_p2m save_pages \
                       save_hvm restore restore_pages restore_lanes restore_vcpu restore_hvm features)

units               += test_stream
test_stream-srcs    := tests/unit/test_stream.c tests/unit/stream_pieces.c $(saved-guest-srcs)
test_stream-cflags  := -Itools -Ihypervisor/include -Itests/unit

units               += test_live
test_live-srcs      := tests/unit/test_live.c tests/unit/stream_pieces.c $(saved-guest-srcs)
test_live-cflags    := $(test_stream-cflags)

units               += test_lanes
test_lanes-srcs     := tests/unit/test_lanes.c tests/unit/stream_pieces.c $(saved-guest-srcs)
test_lanes-cflags   := $(test_stream-cflags)

units                  += test_stream_pvh
test_stream_pvh-srcs   := tests/unit/test_stream_pvh.c tests/unit/stream_pieces.c $(saved-guest-srcs)
test_stream_pvh-cflags := $(test_stream-cflags)

units             += test_dump
test_dump-srcs    := tests/unit/test_dump.c $(saved-guest-srcs) $(patsubst %,tools/libctl/%.c,dump dump_vcpu vcpu)
test_dump-cflags  := $(test_stream-cflags)

units             += test_cli
test_cli-srcs     := $(patsubst %,tests/unit/%.c,test_cli cli_run cli_shadow fake_ctl fake_save fake_verbs \
                       fake_devices cli_devices cli_config cli_settings cli_terminal) \
                     $(patsubst %,tools/libctl/%.c,uuid vdev error stream target) \
                     $(filter-out tools/cli/main.c,$(wildcard tools/cli/*.c))
test_cli-cflags   := $(cli-unit-cflags) -Itests/unit
test_cli-libs     := $(cli-unit-libs)

units             += test_verbs
test_verbs-srcs   := $(patsubst %,tests/unit/%.c,test_verbs cli_run cli_top cli_host) \
                     $(filter-out tests/unit/test_cli.c tests/unit/cli_%,$(test_cli-srcs))
test_verbs-cflags := $(test_cli-cflags)
test_verbs-libs   := $(cli-unit-libs)

units             += test_guest
test_guest-srcs   := tests/unit/test_guest.c tests/unit/guest_world.c \
                     $(filter-out tests/unit/test_cli.c tests/unit/cli_%,$(test_cli-srcs))
test_guest-cflags := $(test_cli-cflags)
test_guest-libs   := $(cli-unit-libs)

units                    += test_guest_killed
test_guest_killed-srcs   := tests/unit/test_guest_killed.c $(filter-out tests/unit/test_guest.c,$(test_guest-srcs))
test_guest_killed-cflags := $(test_cli-cflags)
test_guest_killed-libs   := $(cli-unit-libs)

units                += test_userdata
test_userdata-srcs   := tests/unit/test_userdata.c $(filter-out tests/unit/test_guest.c,$(test_guest-srcs))
test_userdata-cflags := $(test_cli-cflags)
test_userdata-libs   := $(cli-unit-libs)

units            += test_save
test_save-srcs   := tests/unit/test_save.c $(filter-out tests/unit/test_guest.c,$(test_guest-srcs))
test_save-cflags := $(test_cli-cflags)
test_save-libs   := $(cli-unit-libs) -Wl,--wrap=fsync

units               += test_migrate
test_migrate-srcs   := $(patsubst %,tests/unit/%.c,test_migrate move_world fake_transport) \
                       $(filter-out tests/unit/test_guest.c tools/cli/transport.c,$(test_guest-srcs))
test_migrate-cflags := $(test_cli-cflags)
test_migrate-libs   := $(cli-unit-libs)

units                       += test_migrate_streams
test_migrate_streams-srcs   := tests/unit/test_migrate_streams.c \
                               $(filter-out tests/unit/test_migrate.c,$(test_migrate-srcs))
test_migrate_streams-cflags := $(test_cli-cflags)
test_migrate_streams-libs   := $(cli-unit-libs)

units                    += test_migrate_show
test_migrate_show-srcs   := tests/unit/test_migrate_show.c \
                            $(filter-out tests/unit/test_migrate.c,$(test_migrate-srcs))
test_migrate_show-cflags := $(test_cli-cflags)
test_migrate_show-libs   := $(cli-unit-libs)

units                     += test_migrate_check
test_migrate_check-srcs   := tests/unit/test_migrate_check.c \
                             $(filter-out tests/unit/test_migrate.c,$(test_migrate-srcs))
test_migrate_check-cflags := $(test_cli-cflags)
test_migrate_check-libs   := $(cli-unit-libs)

units               += test_resolve
test_resolve-srcs   := tests/unit/test_resolve.c $(filter-out tests/unit/test_migrate.c,$(test_migrate-srcs))
test_resolve-cflags := $(test_cli-cflags)
test_resolve-libs   := $(cli-unit-libs)

units           += test_tls
test_tls-srcs   := tests/unit/test_tls.c $(filter-out tools/tls/main.c,$(tls-srcs))
test_tls-cflags := -Itools
test_tls-libs   := -lgnutls

units                  += test_supervisor
test_supervisor-srcs   := tests/unit/test_supervisor.c $(filter-out tests/unit/test_guest.c,$(test_guest-srcs))
test_supervisor-cflags := $(test_cli-cflags)
test_supervisor-libs   := $(cli-unit-libs)

units                      += test_supervisor_log
test_supervisor_log-srcs   := tests/unit/test_supervisor_log.c $(filter-out tests/unit/test_guest.c,$(test_guest-srcs))
test_supervisor_log-cflags := $(test_cli-cflags)
test_supervisor_log-libs   := $(cli-unit-libs)

# hypervisor: events and grants, on the fake machine
hv-unit-cflags      := -DUMBRA_HOST -D__XEN_TOOLS__ -Ihypervisor/include -Itests/unit -fno-strict-aliasing
hv-machine-srcs     := tests/unit/fake/machine.c hypervisor/mm/frame.c hypervisor/lib/stretch.c \
                       $(wildcard hypervisor/event/*.c hypervisor/grant/*.c)
hv-event-srcs       := tests/unit/event_guests.c $(hv-machine-srcs)
hv-grant-srcs       := tests/unit/grant_guests.c $(hv-machine-srcs)

units              += test_evtchn
test_evtchn-srcs   := tests/unit/test_evtchn.c $(hv-event-srcs)
test_evtchn-cflags := $(hv-unit-cflags)

units                   += test_evtchn_fifo
test_evtchn_fifo-srcs   := tests/unit/test_evtchn_fifo.c $(hv-event-srcs)
test_evtchn_fifo-cflags := $(hv-unit-cflags)

# hypervisor: console, ACPI, time, interrupts
hv-plain-cflags := -Ihypervisor/include -DUMBRA_HOST -D__XEN_TOOLS__

units                  += test_acpi
test_acpi-srcs         := tests/unit/test_acpi.c hypervisor/boot/acpi_tables.c
test_acpi-cflags       := $(hv-plain-cflags)

units                  += test_efi
test_efi-srcs          := tests/unit/test_efi.c hypervisor/boot/efi_tables.c hypervisor/x86/efi_call.c
test_efi-cflags        := $(hv-plain-cflags)

units                  += test_time_scale
test_time_scale-srcs   := tests/unit/test_time_scale.c
test_time_scale-cflags := $(hv-plain-cflags)

units                  += test_spinlock
test_spinlock-srcs     := tests/unit/test_spinlock.c
test_spinlock-cflags   := $(hv-plain-cflags)
test_spinlock-libs     := -lpthread

units               += test_asid
test_asid-srcs      := tests/unit/test_asid.c
test_asid-cflags    := $(hv-plain-cflags)

units                  += test_printk
test_printk-srcs       := tests/unit/test_printk.c
test_printk-cflags     := $(hv-plain-cflags)

units                  += test_irq
test_irq-srcs          := tests/unit/test_irq.c hypervisor/x86/irq.c hypervisor/x86/pirq.c \
                          hypervisor/hypercall/physdev_op.c hypervisor/lib/stretch.c
test_irq-cflags        := $(hv-plain-cflags)

# hypervisor/mm
insn-srcs      := $(patsubst %,hypervisor/x86/emulate/%.c,opcodes decode compute)
emulate-srcs   := $(insn-srcs) $(patsubst %,hypervisor/x86/emulate/%.c,modify string load)
fake-machine   := $(patsubst %,tests/unit/fake/%.c,base mem tlb domains) hypervisor/lib/stretch.c
mm-p2m-srcs    := $(patsubst %,hypervisor/mm/%.c,paging_pool logdirty logdirty_op logdirty_pv) \
                  $(wildcard hypervisor/mm/p2m/*.c) \
                  $(filter-out %/emulate.c,$(wildcard hypervisor/mm/shadow/*.c))
mm-pv-srcs     := $(mm-p2m-srcs) hypervisor/mm/frame.c \
                  $(patsubst %,hypervisor/mm/pv/%.c,pt_check pt_commit pt_type base batch mmu_update va_mapping \
                  mmuext ptwrite grant_pte relinquish audit audit_machine) $(emulate-srcs)

units                 += test_frame
test_frame-srcs       := tests/unit/test_frame.c $(fake-machine) $(mm-pv-srcs)
test_frame-cflags     := $(hv-unit-cflags)

units                 += test_pv_pt
test_pv_pt-srcs       := tests/unit/test_pv_pt.c $(fake-machine) $(mm-pv-srcs)
test_pv_pt-cflags     := $(hv-unit-cflags)

units                 += test_bounds
test_bounds-srcs      := tests/unit/test_bounds.c $(fake-machine) $(mm-pv-srcs)
test_bounds-cflags    := $(hv-unit-cflags)

# whole PV guests but for their processor
pv-guest-srcs         := $(fake-machine) tests/unit/fake/pv_parts.c $(mm-pv-srcs) \
                         $(patsubst %,hypervisor/pv/%.c,desc desc_check perdomain context flags domain walk) \
                         $(patsubst %,hypervisor/hypercall/%.c,memory_op memory_map reservation exchange physmap) \
                         $(wildcard hypervisor/grant/*.c) hypervisor/domain/teardown.c hypervisor/mm/fresh.c

units                 += test_pv_random
test_pv_random-srcs   := tests/unit/test_pv_random.c \
                         $(patsubst %,tests/unit/%.c,pv_model pv_flight pv_log pv_ops_table pv_ops_desc pv_ops_memory) \
                         tests/unit/fake/vcpu_parts.c $(patsubst %,hypervisor/hypercall/%.c,vcpu_op domctl_vcpu) \
                         $(pv-guest-srcs)
test_pv_random-cflags := $(hv-unit-cflags) -O2

units                 += test_pv_audit
test_pv_audit-srcs    := tests/unit/test_pv_audit.c $(pv-guest-srcs)
test_pv_audit-cflags  := $(hv-unit-cflags)

units              += test_grant
test_grant-srcs    := tests/unit/test_grant.c $(hv-grant-srcs)
test_grant-cflags  := $(hv-unit-cflags)

units                 += test_grant_map
test_grant_map-srcs   := tests/unit/test_grant_map.c $(hv-grant-srcs)
test_grant_map-cflags := $(hv-unit-cflags)
test_grant_map-libs   := -lpthread

units                += test_grant_v2
test_grant_v2-srcs   := tests/unit/test_grant_v2.c $(hv-grant-srcs)
test_grant_v2-cflags := $(hv-unit-cflags)

units                   += test_grant_races
test_grant_races-srcs   := tests/unit/test_grant_races.c $(hv-grant-srcs)
test_grant_races-cflags := $(hv-unit-cflags)
test_grant_races-libs   := -lpthread

# hypervisor/pv
units              += test_insn
test_insn-srcs     := tests/unit/test_insn.c $(insn-srcs)
test_insn-cflags   := -DUMBRA_HOST -D__XEN_TOOLS__ -Ihypervisor/include

units                    += test_insn_length
test_insn_length-srcs    := tests/unit/test_insn_length.c tests/unit/fake/base.c $(insn-srcs)
test_insn_length-cflags  := $(hv-unit-cflags)
test_insn_length-libs    := -lcapstone

units               += test_emulate
test_emulate-srcs   := tests/unit/test_emulate.c $(emulate-srcs)
test_emulate-cflags := $(hv-unit-cflags)

units                      += test_emulate_random
test_emulate_random-srcs   := tests/unit/test_emulate_random.c tests/unit/fake/base.c $(emulate-srcs)
test_emulate_random-cflags := $(hv-unit-cflags)
test_emulate_random-libs   := -lunicorn

units              += test_pv_cpu
test_pv_cpu-srcs   := tests/unit/test_pv_cpu.c $(patsubst %,hypervisor/pv/%.c,flags desc_check msr)
test_pv_cpu-cflags := -DUMBRA_HOST -D__XEN_TOOLS__ -Ihypervisor/include

units                += test_pv_calls
test_pv_calls-srcs   := tests/unit/test_pv_calls.c hypervisor/pv/hypercalls.c hypervisor/pv/flags.c
test_pv_calls-cflags := -DUMBRA_HOST -D__XEN_TOOLS__ -Ihypervisor/include
test_pv_calls-libs   := -no-pie

# hypervisor/boot
units            += test_boot
test_boot-srcs   := tests/unit/test_boot.c $(patsubst %,hypervisor/boot/%.c,cmdline memmap efi_tables)
test_boot-cflags := -DUMBRA_HOST -D__XEN_TOOLS__ -Ihypervisor/include
test_boot-libs   := -Wl,-T,tests/unit/params.lds

# hypervisor/mm/shadow, against the oracle
units                  += test_guest_walk
test_guest_walk-srcs   := tests/unit/test_guest_walk.c tests/unit/mmu_oracle.c tests/unit/fake/base.c \
                          hypervisor/mm/shadow/guest_fmt.c hypervisor/mm/shadow/guest_walk.c
test_guest_walk-cflags := $(hv-unit-cflags)

# hypervisor/lib
units           += test_lib
test_lib-srcs   := tests/unit/test_lib.c tests/unit/lib_renamed.c tests/unit/fake/base.c \
                   $(patsubst %,hypervisor/lib/%.c,bitmap rangeset stretch)
test_lib-cflags := -DUMBRA_HOST -D__XEN_TOOLS__ -Ihypervisor/include

# hypervisor/domain: the control domain's kernel file
units              += test_unpack
test_unpack-srcs   := tests/unit/test_unpack.c tests/unit/payload.c tests/unit/fake/base.c \
                      $(patsubst %,hypervisor/domain/%.c,elf kernel_image lzma xz zstd zstd_entropy)
test_unpack-cflags := -DUMBRA_HOST -D__XEN_TOOLS__ -Ihypervisor/include
test_unpack-libs   := -llzma

units            += test_zstd
test_zstd-srcs   := tests/unit/test_zstd.c tests/unit/payload.c tests/unit/fake/base.c \
                    $(patsubst %,hypervisor/domain/%.c,kernel_image lzma xz zstd zstd_entropy)
test_zstd-cflags := -DUMBRA_HOST -D__XEN_TOOLS__ -Ihypervisor/include
test_zstd-libs   := -lzstd

# hypervisor/mm: the heap itself
units            += test_heap
test_heap-srcs   := tests/unit/test_heap.c hypervisor/lib/stretch.c \
                    $(patsubst %,tests/unit/fake/%.c,base ram tlb domains) \
                    $(patsubst %,hypervisor/mm/%.c,heap objects alloc_fault frame)
test_heap-cflags := $(hv-unit-cflags)
test_heap-libs   := -Wl,--wrap=tlb_flush_mask

units                   += test_paging_pool
test_paging_pool-srcs   := tests/unit/test_paging_pool.c hypervisor/mm/paging_pool.c \
                           $(filter-out tests/unit/test_heap.c,$(test_heap-srcs))
test_paging_pool-cflags := $(hv-unit-cflags)

comma := ,
units           += test_p2m
test_p2m-srcs   := tests/unit/test_p2m.c tests/unit/p2m_model.c $(mm-p2m-srcs) \
                   $(filter-out tests/unit/test_heap.c,$(test_heap-srcs))
test_p2m-cflags := $(hv-unit-cflags)
test_p2m-libs   := $(patsubst %,-Wl$(comma)--wrap=%,tlb_flush_mask put_page put_page_and_type paging_pool_free)

units           += test_hvm
test_hvm-srcs   := tests/unit/test_hvm.c tests/unit/fake/base.c hypervisor/mm/shadow/guest_fmt.c \
                   $(patsubst %,hypervisor/hvm/%.c,cr context svm/exit)
test_hvm-cflags := $(hv-unit-cflags)

units           += test_svm
test_svm-srcs   := tests/unit/test_svm.c tests/unit/fake/base.c
test_svm-cflags := $(hv-unit-cflags)

units                 += test_hvm_state
test_hvm_state-srcs   := $(patsubst %,tests/unit/%.c,test_hvm_state hvm_state_host hvm_state_random fake/base) \
                         hypervisor/mm/shadow/guest_fmt.c hypervisor/x86/fpu.c hypervisor/lib/stretch.c \
                         $(patsubst %,hypervisor/hvm/%.c,cr context view xstate save restore msr lapic lapic_state ipi \
                         interrupt startup)
test_hvm_state-cflags := $(hv-unit-cflags)

units                += test_hvm_exit
test_hvm_exit-srcs   := tests/unit/test_hvm_exit.c tests/unit/fake/base.c hypervisor/mm/shadow/guest_fmt.c \
                        $(emulate-srcs) $(patsubst %,hypervisor/hvm/%.c,exit cr)
test_hvm_exit-cflags := $(hv-unit-cflags)

units                += test_hvm_insn
test_hvm_insn-srcs   := tests/unit/test_hvm_insn.c tests/unit/fake/base.c $(insn-srcs) \
                        $(patsubst %,hypervisor/hvm/%.c,cpuid msr io)
test_hvm_insn-cflags := $(hv-unit-cflags)
test_hvm_insn-libs   := -Wl,--wrap=gprintk

units                += test_hvm_copy
test_hvm_copy-srcs   := tests/unit/test_hvm_copy.c tests/unit/fake/base.c hypervisor/hvm/copy.c \
                        $(patsubst %,hypervisor/mm/shadow/%.c,guest_walk guest_fmt)
test_hvm_copy-cflags := $(hv-unit-cflags)

units             += test_lapic
test_lapic-srcs   := tests/unit/test_lapic.c tests/unit/lapic_host.c tests/unit/fake/base.c \
                     $(patsubst %,hypervisor/hvm/%.c,lapic ipi interrupt startup)
test_lapic-cflags := $(hv-unit-cflags)

# shadow paging against the oracle; the long walk as fast as it goes, without sanitizers
shadow-model-srcs  := $(patsubst %,tests/unit/%.c,shadow_model shadow_change shadow_insn shadow_lend shadow_log \
                                                   shadow_tlb shadow_look shadow_past) \
                      tests/unit/mmu_oracle.c hypervisor/mm/shadow/emulate.c $(emulate-srcs) $(mm-p2m-srcs) \
                      $(filter-out tests/unit/test_heap.c,$(test_heap-srcs))
shadow-model-libs  := $(patsubst %,-Wl$(comma)--wrap=%,tlb_flush_mask paging_lock paging_pool_alloc paging_pool_free)

units              += test_shadow
test_shadow-srcs   := $(patsubst %,tests/unit/%.c,test_shadow shadow_ahead shadow_unsync shadow_part shadow_shrink \
                        shadow_apart shadow_order shadow_roots shadow_vtlb shadow_guest) \
                      $(shadow-model-srcs)
test_shadow-cflags := $(hv-unit-cflags)
test_shadow-libs   := $(shadow-model-libs)

units                   += test_shadow_weak
test_shadow_weak-srcs   := tests/unit/test_shadow_weak.c tests/unit/shadow_guest.c $(shadow-model-srcs)
test_shadow_weak-cflags := $(hv-unit-cflags) -O2
test_shadow_weak-libs   := $(shadow-model-libs)

units                   += test_shadow_walk
test_shadow_walk-srcs   := tests/unit/test_shadow_walk.c $(shadow-model-srcs)
test_shadow_walk-cflags := $(hv-unit-cflags) -O2 -fno-sanitize=all
test_shadow_walk-libs   := -fno-sanitize=all $(shadow-model-libs)

# how long it works at most; the model of TLBs, which looks at each frame that is freed, is not in the way
units                    += test_shadow_worst
test_shadow_worst-srcs   := $(patsubst %,tests/unit/%.c,test_shadow_worst counted shadow_guest) $(shadow-model-srcs) \
                            hypervisor/lib/string.c
test_shadow_worst-cflags := $(test_shadow_walk-cflags)
test_shadow_worst-libs   := -fno-sanitize=all -lunicorn \
                            $(patsubst %,-Wl$(comma)--wrap=%,paging_lock paging_pool_alloc) \
                            -Wl,--defsym=__real_paging_pool_free=paging_pool_free

# the same for libFuzzer, where clang has it; the dot keeps it from being run as a test
fuzzer-runtime := $(wildcard $(shell $(CLANG) --print-file-name=libclang_rt.fuzzer-x86_64.a 2>/dev/null))
ifneq ($(fuzzer-runtime),)
units              += shadow.fuzz
shadow.fuzz-srcs   := tests/unit/fuzz_shadow.c $(shadow-model-srcs)
shadow.fuzz-cflags := $(hv-unit-cflags) -fsanitize=fuzzer-no-link
shadow.fuzz-libs   := -fsanitize=fuzzer $(shadow-model-libs)
units              += restore.fuzz
restore.fuzz-srcs   := tests/unit/fuzz_restore.c $(saved-guest-srcs)
restore.fuzz-cflags := $(test_stream-cflags) -fsanitize=fuzzer-no-link
restore.fuzz-libs   := -fsanitize=fuzzer
$(BUILD)/unit/shadow.fuzz $(BUILD)/unit/restore.fuzz: override CC := $(CLANG)
endif

# hypervisor: all but processors, devices and boot
core-wrapped     := vcpu_sleep_sync preempt_needed hv_alloc alloc_hv_pages alloc_hv_mem alloc_domain_pages
units            += test_core
test_core-srcs   := tests/unit/test_core.c $(wildcard tests/unit/core_*.c) \
                    $(patsubst %,tests/unit/fake/%.c,core core_rest core_pv base ram tlb) \
                    $(patsubst %,hypervisor/mm/%.c,heap fresh objects alloc_fault) $(mm-pv-srcs) \
                    $(patsubst %,hypervisor/domain/%.c,domain vcpu shared_info pause watchdog teardown holders) \
                    $(filter-out %/switch.c,$(wildcard hypervisor/sched/*.c)) \
                    $(filter-out %/guest_copy.c %/physdev_op.c,$(wildcard hypervisor/hypercall/*.c)) \
                    $(wildcard hypervisor/event/*.c hypervisor/grant/*.c) \
                    $(patsubst %,hypervisor/pv/%.c,domain perdomain cpuid) hypervisor/hvm/cpuid.c \
                    $(patsubst %,hypervisor/lib/%.c,bitmap rangeset stretch) \
                    $(patsubst %,hypervisor/boot/%.c,cmdline efi_tables)
test_core-cflags := $(hv-unit-cflags) -DRAM_END=0x3000ul
test_core-libs   := $(patsubst %,-Wl$(comma)--wrap=%,$(core-wrapped)) -Wl,-T,tests/unit/params.lds

# the calls of the guests that make them at random, on the same
units            += test_fuzz
test_fuzz-srcs   := tests/unit/test_fuzz.c tests/unit/fuzz_grammar.c tests/guests/lib/format.c \
                    $(patsubst %,tests/guests/fuzz/%.c,grammar values run) \
                    $(patsubst %,hypervisor/pv/%.c,desc desc_check context walk flags) \
                    $(filter-out tests/unit/test_core.c tests/unit/core_% %/core_pv.c,$(test_core-srcs))
test_fuzz-cflags := $(test_core-cflags) -fno-sanitize=alignment -fno-sanitize=pointer-overflow
test_fuzz-libs   := $(test_core-libs)
