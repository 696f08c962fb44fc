# SPDX-License-Identifier: BSD-2-Clause
# Scheduling: deferred work, timers, run queues, the switch.
hv-srcs += hypervisor/sched/softirq.c
hv-srcs += hypervisor/sched/timer.c
hv-srcs += hypervisor/sched/queue.c
hv-srcs += hypervisor/sched/budget.c
hv-srcs += hypervisor/sched/sched.c
hv-srcs += hypervisor/sched/adjust.c
hv-srcs += hypervisor/sched/switch.c
hv-srcs += hypervisor/sched/dump.c
