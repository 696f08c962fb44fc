/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests see of the stand-in for libctl (fake_ctl.c). The fake host lives in memory that a child shares with its
 * parent, so that what a worker or a killed verb did is there afterwards.
 */
#ifndef FAKE_CTL_H
#define FAKE_CTL_H

#include <pthread.h>
#include <sys/types.h>

#include "libctl/ctl.h"

#define FAKE_DOMAINS 32
#define FAKE_NODES   320

struct fake_node {
    char path[128];
    char value[2100];
};

#define FAKE_DEVICES 272

struct fake_device {
    uint32_t domid;
    enum ctl_device_kind kind;
    struct ctl_device device;
};

struct fake {
    bool present;
    struct ctl_domain_info domains[FAKE_DOMAINS];
    int pauses[FAKE_DOMAINS]; /* of domains[i] */
    int n;
    uint32_t next_domid; /* that a build gives */
    char acts[2048];     /* "pause 3;unpause 3;" */
    int act_fails;       /* error that every act returns */
    int build_fails, build_fails_once;
    int store_fails;            /* error of everything that asks xenstore */
    int reads, reads_fail_from; /* so does every read from this one on */
    int asked;                  /* questions and changes that xenstore was sent */
    pthread_mutex_t busy;       /* some process is looking or changing; tests kill processes that hold it */
    int held;                   /* a destroyed domain of this number stays, dying; 0: none */
    int calls;                  /* calls so far; at number kill_at the process ends itself by SIGKILL */
    int kill_at;
    pid_t verb;                 /* the process of the last command line (guest_world.c) */
    int steps;                  /* of that one: these calls, and those that only look; 0 when it begins */
    int kill_at_step;           /* at that number it ends itself by SIGKILL */
    bool obeys;                 /* guests stop as soon as they are asked to */
    int deaf;                   /* but so many requests are not taken before */
    int store_dies_at;          /* at that number xenstore stops answering */
    int write_fails_at;         /* at that number a write fails, once */
    struct ctl_affinity pinned; /* what was set last */
    struct ctl_sched share;     /* of every domain */
    int ends[12];               /* reasons for which domains end that ctl_domain_wait() is asked for; negative: gone */
    const char *log;            /* the hypervisor's */
    const char *log_on_build;
    const char *previous_log;
    const char *console; /* the terminal of every guest */
    struct {
        bool off;
        char level[16];
    } parameter; /* the hypervisor's words "switch" and "level" */
    bool is_umbra;
    uint32_t capabilities;  /* of the host, as ctl_host_info has them */
    struct ctl_audit audit; /* what an audit finds */
    struct ctl_shadow_audit shadow_audit;
    struct ctl_shadow shadows[20]; /* of every domain */
    long n_shadows;
    bool vtlb; /* the host's mode of shadow paging */
    struct fake_node nodes[FAKE_NODES];
    int n_nodes;
    int suspend_fails, save_fails; /* errors of these (fake_save.c) */
    int cannot_suspend;            /* error of being asked whether it could */
    int go_on_fails;               /* error of letting it go on */
    unsigned suspend_ms, woken;    /* time given last; guests that were let go on */
    int send_fails, send_stage;    /* error of a send, and in which stage */
    struct ctl_send how;           /* of the last send */
    unsigned stage_ms;             /* how long each of its stages takes */
    int logging;                   /* times that the log of stores was left on */
    int dump_fails;                /* fake_verbs.c */
    long cut_to, cut_back;         /* bytes after which the connection is cut; -1: never (fake_transport.c) */
    long seen_to, seen_back;
    int opened, cut_which; /* connections so far; the one that the four above are about; 0: each */
    long late_at;          /* after so many bytes from the receiver, what comes next takes that long */
    unsigned late_ms;
    long signal_at; /* the sender gets a signal when so many bytes went to the receiver; 0: none */
    struct fake_device devices[FAKE_DEVICES]; /* of all domains (fake_devices.c) */
    int n_devices;
    int attach_fails, detach_fails; /* errors of these */
    struct {
        uint32_t domid;
        int pid;       /* 0: it has ended */
    } server;          /* of a domain's disks */
    int inherited;     /* descriptors beyond the three that a script would have been given */
    char missing[128]; /* a target or a bridge that is not there; empty: none */
    int readmit_fails; /* error of telling xenstore of a domain again */
    char events[128];  /* a FIFO: readable when something has changed; empty: nobody watches */
};

extern struct fake *fake;

/* Maps it if need be, and empties it. */
void fake_reset(void);
struct ctl_domain_info *fake_add(uint32_t domid, const char *name);
/* The domain stops by itself. */
void fake_stop(uint32_t domid, unsigned reason);
const char *fake_node(const char *path);
/* xenstore dies, and an empty one comes: domains and devices stay. */
void fake_forget(void);
/* To be called before and after each change: see kill_at. */
void fake_count(void);
/* To be called by everything else that asks the host: see kill_at_step. */
void fake_step(void);
/* The domain's devices go. */
void fake_no_devices(uint32_t domid);

#endif
