/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stand-in for libctl with a host of its own in memory, so that verbs and the supervisor can be tested without a
 * hypervisor. Tests set fake->* and look at what the verbs did. Only what the verbs call exists.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/sched.h>
#include <xen/sysctl.h>

#include "fake_ctl.h"

struct fake *fake;

/* Robust: whoever is killed while looking leaves everything as it was. */
static void lock(void)
{
    if (pthread_mutex_lock(&fake->busy) == EOWNERDEAD)
        pthread_mutex_consistent(&fake->busy);
}

static void unlock(void)
{
    pthread_mutex_unlock(&fake->busy);
}

static void make_mutex(void)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&fake->busy, &attributes);
}

/* Wakes the supervisor. */
static void changed(void)
{
    int fd = *fake->events ? open(fake->events, O_WRONLY | O_NONBLOCK) : -1;
    ssize_t n = fd < 0 ? 0 : write(fd, "", 1);

    (void)n; /* nobody need be there */
    if (fd >= 0)
        close(fd);
}

/* Neither the supervisor, which a verb may have started, nor a worker is meant. */
void fake_step(void)
{
    if (fake->verb == getpid() && ++fake->steps == fake->kill_at_step)
        kill(getpid(), SIGKILL);
}

/* Every function that changes something counts, before it does and after. */
void fake_count(void)
{
    int call = __atomic_add_fetch(&fake->calls, 1, __ATOMIC_SEQ_CST); /* two processes may be at it */

    fake_step();
    if (call == fake->kill_at)
        kill(getpid(), SIGKILL);
    if (call == fake->store_dies_at)
        fake->store_fails = -EIO;
}

static int fail(struct ctl_error *err, int code, const char *step, const char *message)
{
    return ctl_error_set(err, code, step, NULL, NULL, "%s", message);
}

void fake_reset(void)
{
    if (!fake)
        fake = mmap(NULL, sizeof(*fake), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(fake, 0, sizeof(*fake));
    make_mutex();
    fake->present = true;
    fake->next_domid = 7;
    fake->share.weight = 256;
    fake->cut_to = fake->cut_back = -1;
}

/* --- domains --- */

struct ctl_domain_info *fake_add(uint32_t domid, const char *name)
{
    struct ctl_domain_info *d = &fake->domains[fake->n];

    memset(d, 0, sizeof(*d));
    fake->pauses[fake->n++] = 0;
    d->domid = domid;
    d->uuid[0] = (uint8_t)(domid + 1);
    d->blocked = true;
    d->vcpus_online = d->vcpus_max = 1;
    d->memory_kib = 262144;
    d->maxmem_kib = 262144;
    snprintf(d->name, sizeof(d->name), "%s", name);
    return d;
}

static struct ctl_domain_info *by_id(uint32_t domid, struct ctl_error *err)
{
    for (int i = 0; i < fake->n; i++) {
        if (fake->domains[i].domid == domid)
            return &fake->domains[i];
    }
    fail(err, -ESRCH, "find the domain", "no such domain");
    return NULL;
}

void fake_stop(uint32_t domid, unsigned reason)
{
    struct ctl_domain_info *d = by_id(domid, NULL);

    d->shutdown = true;
    d->shutdown_reason = (uint8_t)reason;
    changed();
}

struct ctl *ctl_open(struct ctl_error *err)
{
    fake_step();
    if (fake->present)
        return (struct ctl *)fake;
    fail(err, -ENOENT, "open the control interface", "there is no hypervisor");
    snprintf(err->hint, sizeof(err->hint), "boot one");
    return NULL;
}

void ctl_close(struct ctl *ctl)
{
}

int ctl_domain_info(struct ctl *ctl, uint32_t domid, struct ctl_domain_info *info, struct ctl_error *err)
{
    struct ctl_domain_info *d = by_id(domid, err);

    fake_step();
    if (!d)
        return -ESRCH;
    *info = *d;
    return 0;
}

int ctl_domain_scan(struct ctl *ctl, struct ctl_domain_info **list, struct ctl_error *err)
{
    int n;

    fake_step();
    *list = malloc(FAKE_DOMAINS * sizeof(**list));
    lock();
    n = fake->n;
    memcpy(*list, fake->domains, (size_t)n * sizeof(**list));
    unlock();
    return n;
}

/* With names, each from its node. */
int ctl_domain_list(struct ctl *ctl, struct ctl_domain_info **list, struct ctl_error *err)
{
    fake->asked += fake->n;
    return ctl_domain_scan(ctl, list, err);
}

int ctl_domain_name(struct ctl *ctl, uint32_t domid, char **name, struct ctl_error *err)
{
    const struct ctl_domain_info *d = by_id(domid, err);

    fake_step();
    fake->asked++;
    *name = d && *d->name ? strdup(d->name) : NULL;
    return *name ? 0 : -ENOENT;
}

int ctl_domain_find(struct ctl *ctl, const char *name_or_id, uint32_t *domid, struct ctl_error *err)
{
    fake_step();
    for (int i = 0; i < fake->n; i++) {
        char id[16];

        snprintf(id, sizeof(id), "%u", fake->domains[i].domid);
        if (strcmp(fake->domains[i].name, name_or_id) == 0 || strcmp(id, name_or_id) == 0) {
            *domid = fake->domains[i].domid;
            return 0;
        }
    }
    return fail(err, -ESRCH, "find the domain", "there is no domain of this name or number");
}

static int act(const char *what, uint32_t domid, struct ctl_error *err)
{
    size_t n = strlen(fake->acts);

    fake_count();
    if (!by_id(domid, err))
        return -ESRCH;
    snprintf(fake->acts + n, sizeof(fake->acts) - n, "%s %u;", what, domid);
    return fake->act_fails ? fail(err, fake->act_fails, what, "it does not want to") : 0;
}

static int *pauses_of(uint32_t domid)
{
    return &fake->pauses[by_id(domid, NULL) - fake->domains];
}

int ctl_domain_pause(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    int rc = act("pause", domid, err);

    if (!rc)
        by_id(domid, NULL)->paused = ++*pauses_of(domid) > 0;
    return rc;
}

int ctl_domain_unpause(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    int rc = act("unpause", domid, err);

    if (!rc)
        by_id(domid, NULL)->paused = --*pauses_of(domid) > 0;
    fake_count();
    return rc;
}

int ctl_domain_set_uuid(struct ctl *ctl, uint32_t domid, const uint8_t uuid[16], struct ctl_error *err)
{
    int rc = act("handle", domid, err);

    if (!rc)
        memcpy(by_id(domid, NULL)->uuid, uuid, 16);
    fake_count();
    return rc;
}

int ctl_domain_forget(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    char path[64], *vm;

    fake_no_devices(domid);
    snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
    vm = ctl_store_read(ctl, path, NULL);
    if (vm)
        ctl_store_remove(ctl, vm, NULL);
    free(vm);
    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    return ctl_store_remove(ctl, path, err);
}

int ctl_domain_destroy(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    struct ctl_domain_info *d;
    int rc = act("destroy", domid, err);

    if (rc && rc != -ESRCH)
        return rc;
    lock();
    d = by_id(domid, NULL);
    if (d && fake->held == (int)domid) {
        d->dying = true;
        d->name[0] = '\0';
    } else if (d) {
        size_t i = (size_t)(d - fake->domains);

        *d = fake->domains[--fake->n];
        fake->pauses[i] = fake->pauses[fake->n];
    }
    unlock();
    fake_count();
    ctl_domain_forget(ctl, domid, NULL);
    return d && fake->held == (int)domid ? fail(err, -EBUSY, "destroy", "others hold it") : rc;
}

int ctl_domain_request(struct ctl *ctl, uint32_t domid, enum ctl_request what, unsigned timeout_ms,
                       struct ctl_error *err)
{
    bool reboot = what == CTL_REQUEST_REBOOT;
    int rc = act(reboot ? "reboot" : "poweroff", domid, err);

    if (!rc && (by_id(domid, NULL)->paused || (fake->deaf && fake->deaf--)))
        rc = fail(err, -ETIMEDOUT, "shut down", "it did not take the request");
    if (!rc && fake->obeys)
        fake_stop(domid, reboot ? SHUTDOWN_reboot : SHUTDOWN_poweroff);
    fake_count();
    return rc;
}

int ctl_domain_wait(struct ctl *ctl, uint32_t domid, unsigned timeout_ms, struct ctl_domain_end *end,
                    struct ctl_error *err)
{
    fake_step();
    *end = (struct ctl_domain_end){.gone = fake->ends[0] < 0};
    if (fake->ends[0] >= 0) {
        end->reason = (uint8_t)fake->ends[0];
        memmove(fake->ends, fake->ends + 1, sizeof(fake->ends) - sizeof(fake->ends[0]));
    }
    return act("wait", domid, err);
}

int ctl_domain_pool(struct ctl *ctl, uint32_t domid, struct ctl_pool *pool, struct ctl_error *err)
{
    *pool = (struct ctl_pool){3072, 500, 1000, fake->vtlb};
    return 0;
}

int ctl_vcpu_info(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_vcpu_info *info, struct ctl_error *err)
{
    *info = (struct ctl_vcpu_info){.vcpu = vcpu, .online = vcpu == 0, .blocked = true, .cpu = 3};
    info->cpu_time_ns = 11200000000ull;
    return 0;
}

int ctl_vcpu_get_affinity(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_affinity *out,
                          struct ctl_error *err)
{
    *out = (struct ctl_affinity){.hard = {0x0d}, .soft = {0xff}};
    return 0;
}

int ctl_vcpu_set_affinity(struct ctl *ctl, uint32_t domid, uint32_t vcpu, const struct ctl_affinity *in,
                          struct ctl_error *err)
{
    fake->pinned = *in;
    return act("affinity", domid, err);
}

int ctl_sched_get(struct ctl *ctl, uint32_t domid, struct ctl_sched *sched, struct ctl_error *err)
{
    *sched = fake->share;
    return by_id(domid, err) ? 0 : -ESRCH;
}

int ctl_sched_set(struct ctl *ctl, uint32_t domid, const struct ctl_sched *sched, struct ctl_error *err)
{
    int rc = act("share", domid, err);

    if (!rc)
        fake->share = *sched;
    return rc;
}

int ctl_domain_nmi(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_error *err)
{
    return act(vcpu ? "nmi other" : "nmi", domid, err);
}

int ctl_domain_holders(struct ctl *ctl, uint32_t domid, struct ctl_holders *sums, struct ctl_holder **list,
                       struct ctl_error *err)
{
    *list = calloc(2, sizeof(**list));
    (*list)[0] = (struct ctl_holder){.domid = 0, .grants = 3};
    (*list)[1] = (struct ctl_holder){.domid = 4, .foreign = 1};
    return 2;
}

/* Does xenstored answer? */
static bool store_fails(struct ctl_error *err)
{
    fake_step();
    fake->asked++;
    if (fake->store_fails)
        fail(err, fake->store_fails, "ask xenstore", "xenstored does not answer");
    return fake->store_fails != 0;
}

/* --- the host --------------------------------------------------------------------------------------------------------
 */

int ctl_host_info(struct ctl *ctl, struct ctl_host_info *info, struct ctl_error *err)
{
    memset(info, 0, sizeof(*info));
    info->nr_cpus = 4;
    info->max_cpu_id = 3;
    info->nr_nodes = 1;
    info->cores_per_socket = 4;
    info->threads_per_core = 1;
    info->cpu_khz = 2400050;
    info->total_kib = 4096ull << 10;
    info->free_kib = 1000ull << 10;
    info->major = 4;
    info->minor = 17;
    info->page_size = 4096;
    info->virt_start = 0xffff800000000000ull;
    strcpy(info->extra, ".umbra-0.1");
    info->is_umbra = fake->is_umbra;
    info->capabilities = fake->capabilities;
    return 0;
}

int ctl_domain_audit(struct ctl *ctl, uint32_t domid, struct ctl_audit *out, struct ctl_error *err)
{
    if (!by_id(domid, err))
        return -ESRCH;
    *out = fake->audit;
    return fake->act_fails ? fail(err, fake->act_fails, "audit", "not now") : 0;
}

int ctl_shadow_audit(struct ctl *ctl, uint32_t domid, struct ctl_shadow_audit *out, struct ctl_error *err)
{
    *out = fake->shadow_audit;
    return fake->act_fails ? fail(err, fake->act_fails, "audit the shadows", "not now") : 0;
}

int ctl_shadow_stats(struct ctl *ctl, uint32_t domid, struct ctl_figure **list, struct ctl_error *err)
{
    static const struct ctl_figure figures[] = {{"tables", "4.1", 7},
                                                {"tables", "4.2", 8},
                                                {"exits", "hlt", 1ull << 40}};

    if (fake->act_fails)
        return fail(err, fake->act_fails, "ask for shadow figures", "not now");
    *list = malloc(sizeof(figures));
    memcpy(*list, figures, sizeof(figures));
    return 3;
}

int ctl_shadow_blow(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    return act("blow", domid, err);
}

long ctl_shadow_dump(struct ctl *ctl, uint32_t domid, struct ctl_shadow **list, struct ctl_error *err)
{
    if (fake->act_fails)
        return fail(err, fake->act_fails, "dump the shadows", "not now");
    *list = malloc(sizeof(fake->shadows));
    memcpy(*list, fake->shadows, sizeof(fake->shadows));
    return fake->n_shadows;
}

const char *ctl_sched_name(uint32_t sched_id)
{
    return "credit2";
}

long ctl_host_log(struct ctl *ctl, bool clear, char **text, struct ctl_error *err)
{
    *text = strdup(fake->log ? fake->log : "");
    if (clear)
        fake->log = NULL;
    return (long)strlen(*text);
}

int ctl_host_debug_keys(struct ctl *ctl, const char *keys, struct ctl_error *err)
{
    return strcmp(keys, "h") == 0 ? 0 : fail(err, -EINVAL, "send debug keys", "no such key");
}

int ctl_parameter_get(struct ctl *ctl, const char *name, struct ctl_parameter *p, struct ctl_error *err)
{
    if (strcmp(name, "level") != 0 && strcmp(name, "switch") != 0)
        return fail(err, -ENOENT, "set a word", "there is no such word");
    *p = (struct ctl_parameter){.is_switch = name[0] == 's'};
    strcpy(p->value, p->is_switch ? fake->parameter.off ? "off" : "on" : fake->parameter.level);
    return 0;
}

int ctl_parameter_set(struct ctl *ctl, const char *name, const char *value, struct ctl_error *err)
{
    struct ctl_parameter p;
    int rc = ctl_parameter_get(ctl, name, &p, err);

    if (rc == 0 && strlen(value) >= sizeof(fake->parameter.level))
        rc = fail(err, -EINVAL, "set a word", "no such value");
    if (rc == 0 && p.is_switch)
        fake->parameter.off = strcmp(value, "off") == 0;
    else if (rc == 0)
        strcpy(fake->parameter.level, value);
    return rc;
}

static struct fake_node *find_node(const char *path)
{
    for (int i = 0; i < fake->n_nodes; i++) {
        if (strcmp(fake->nodes[i].path, path) == 0)
            return &fake->nodes[i];
    }
    return NULL;
}

const char *fake_node(const char *path)
{
    struct fake_node *node = find_node(path);

    return node ? node->value : NULL;
}

char *ctl_store_read(struct ctl *ctl, const char *path, struct ctl_error *err)
{
    struct fake_node *node;
    char *value;

    if (store_fails(err))
        return NULL;
    if (++fake->reads >= fake->reads_fail_from && fake->reads_fail_from) {
        fail(err, -EIO, "read from xenstore", "it just does not answer");
        return NULL;
    }
    lock();
    node = find_node(path);
    value = node ? strdup(node->value) : NULL;
    unlock();
    if (!value)
        fail(err, -ENOENT, "read from xenstore", "the node does not exist");
    return value;
}

/* As xenstored does: parents that do not exist are made, empty. */
static void make_node(const char *path, const char *value)
{
    struct fake_node *node = find_node(path);
    char parent[128];
    char *slash;

    if (!node) {
        snprintf(parent, sizeof(parent), "%s", path);
        slash = strrchr(parent, '/');
        *slash = '\0';
        if (*parent && !find_node(parent))
            make_node(parent, "");
        node = &fake->nodes[fake->n_nodes++];
        snprintf(node->path, sizeof(node->path), "%s", path);
    }
    snprintf(node->value, sizeof(node->value), "%s", value);
}

/* --- building --------------------------------------------------------------------------------------------------------
 */

int ctl_build_check(const struct ctl_domain_config *config, struct ctl_build_facts *facts, struct ctl_error *errors,
                    unsigned max)
{
    return 0;
}

/* One transaction, as the real one: nobody is killed in the middle. */
static void make_nodes(const struct ctl_domain_config *config, uint32_t domid)
{
    char path[64], vm[64], id[CTL_UUID_TEXT], kib[24];

    ctl_uuid_format(config->uuid, id);
    snprintf(vm, sizeof(vm), "/vm/%s", id);
    snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
    make_node(vm, "");
    make_node(path, vm);
    snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
    make_node(path, config->name);
    snprintf(path, sizeof(path), "/local/domain/%u/memory/target", domid);
    snprintf(kib, sizeof(kib), "%llu", 0ull + (config->target_kib ? config->target_kib : config->memory_kib));
    make_node(path, kib);
    for (uint32_t v = 0; v < config->maxvcpus; v++) {
        snprintf(path, sizeof(path), "/local/domain/%u/cpu/%u/availability", domid, v);
        make_node(path, v < config->vcpus ? "online" : "offline");
    }
}

/* Made up, and another for each domain; readmitting asks for the same. */
int ctl_domain_rings(struct ctl *ctl, uint32_t domid, struct ctl_rings *rings, struct ctl_error *err)
{
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
    if (store_fails(err))
        return fake->store_fails;
    if (!fake_node(path))
        return fail(err, -ENOENT, "read from xenstore", "the node does not exist");
    *rings = (struct ctl_rings){domid * 10 + 1, domid * 10 + 2, domid * 10 + 3, domid * 10 + 4};
    return 0;
}

int ctl_domain_readmit(struct ctl *ctl, uint32_t domid, const struct ctl_domain_config *config,
                       const struct ctl_rings *rings, struct ctl_error *err)
{
    struct ctl_domain_info *d = by_id(domid, err);

    fake_count();
    if (store_fails(err))
        return fake->store_fails;
    if (fake->readmit_fails)
        return fail(err, fake->readmit_fails, "introduce to xenstore", "xenstored could not use the domain's ring");
    if (!d || rings->store_port != domid * 10 + 1 || rings->console_frame != domid * 10 + 4)
        return fail(err, -EINVAL, "introduce to xenstore", "these are not its rings");
    lock();
    make_nodes(config, domid);
    snprintf(d->name, sizeof(d->name), "%s", config->name);
    unlock();
    fake_count();
    return 0;
}

void fake_forget(void)
{
    lock();
    fake->n_nodes = 0;
    for (int i = 0; i < fake->n; i++)
        *fake->domains[i].name = '\0';
    unlock();
    changed();
}

int ctl_build_domain(struct ctl *ctl, const struct ctl_domain_config *config, uint32_t *domid, struct ctl_error *err)
{
    int rc = fake->build_fails ? fake->build_fails : fake->build_fails_once;
    struct ctl_domain_info *d;

    fake_count();
    fake->build_fails_once = 0;
    if (fake->log_on_build)
        fake->log = fake->log_on_build;
    if (rc) {
        ctl_error_set(err, rc, "populate memory", config->name, "free some", "131072 KiB are missing");
        return rc;
    }
    if (config->domid && by_id(config->domid, NULL))
        return fail(err, -EEXIST, "create a domain", "its number is taken");
    lock();
    *domid = config->domid ? config->domid : fake->next_domid++;
    d = fake_add(*domid, "");
    memcpy(d->uuid, config->uuid, sizeof(d->uuid));
    d->vcpus_max = config->maxvcpus ? config->maxvcpus : 1;
    d->hvm = config->type == CTL_PVH;
    d->hap =
        config->hap == CTL_HAP_ON || (config->hap == CTL_HAP_AUTO && (fake->capabilities & XEN_SYSCTL_PHYSCAP_hap));
    d->paused = ++*pauses_of(*domid);
    unlock();
    fake_count();
    lock();
    make_nodes(config, *domid);
    d = by_id(*domid, NULL);
    snprintf(d->name, sizeof(d->name), "%s", config->name);
    unlock();
    fake_count();
    return 0;
}

int ctl_console_tty(struct ctl *ctl, uint32_t domid, unsigned timeout_ms, char **path, struct ctl_error *err)
{
    *path = fake->console ? strdup(fake->console) : NULL;
    return *path ? 0 : fail(err, -ETIMEDOUT, "find the console", "no terminal came");
}

void *ctl_foreign_map(struct ctl *ctl, uint32_t domid, int prot, const uint64_t *frames, size_t count_,
                      struct ctl_error *err)
{
    return NULL;
}

void ctl_foreign_unmap(struct ctl *ctl, void *address, size_t count_)
{
}

/* --- xenstore --------------------------------------------------------------------------------------------------------
 */

int ctl_store_write(struct ctl *ctl, const char *path, const char *value, struct ctl_error *err)
{
    fake_count();
    if (store_fails(err))
        return fake->store_fails;
    if (fake->calls == fake->write_fails_at)
        return fail(err, -EIO, "write to xenstore", "it just does not answer");
    if (strlen(path) >= sizeof(fake->nodes->path) || strlen(value) >= sizeof(fake->nodes->value))
        return fail(err, -E2BIG, "write to xenstore", "too long");
    lock();
    make_node(path, value);
    unlock();
    changed();
    fake_count();
    return 0;
}

int ctl_store_write_domain(struct ctl *ctl, uint32_t domid, const char *path, const char *value, struct ctl_error *err)
{
    struct ctl_domain_info *d = by_id(domid, err);

    char name[64];
    int rc;

    if (!d || d->dying)
        return fail(err, -ESRCH, "write to xenstore", "it is dying, or gone");
    rc = ctl_store_write(ctl, path, value, err);
    snprintf(name, sizeof(name), "/local/domain/%u/name", domid);
    if (rc == 0 && strcmp(path, name) == 0)
        snprintf(d->name, sizeof(d->name), "%s", value);
    return rc;
}

static void remove_nodes(const char *path)
{
    size_t n = strlen(path);

    for (int i = 0; i < fake->n_nodes; i++) {
        const char *p = fake->nodes[i].path;

        if (strncmp(p, path, n) == 0 && (p[n] == '\0' || p[n] == '/'))
            fake->nodes[i--] = fake->nodes[--fake->n_nodes];
    }
}

int ctl_store_remove(struct ctl *ctl, const char *path, struct ctl_error *err)
{
    fake_count();
    if (store_fails(err))
        return fake->store_fails;
    lock();
    remove_nodes(path);
    unlock();
    changed();
    fake_count();
    return 0;
}

/* One transaction: all of it or nothing, whenever we are killed. */
int ctl_store_change(struct ctl *ctl, const struct ctl_store_change *changes, unsigned n, struct ctl_error *err)
{
    fake_count();
    if (store_fails(err))
        return fake->store_fails;
    if (fake->calls == fake->write_fails_at)
        return fail(err, -EIO, "write to xenstore", "it just does not answer");
    lock();
    for (unsigned i = 0; i < n; i++) {
        const struct fake_node *node = find_node(changes[i].path);

        fake->asked++;
        if (changes[i].only_if && (!node || strcmp(node->value, changes[i].only_if) != 0))
            continue;
        if (changes[i].value)
            make_node(changes[i].path, changes[i].value);
        else
            remove_nodes(changes[i].path);
    }
    unlock();
    changed();
    fake_count();
    return 0;
}

/* One allocation, as the real one: the pointers, then the names. */
int ctl_store_list(struct ctl *ctl, const char *path, char ***names, struct ctl_error *err)
{
    size_t n = strlen(path);
    char **list, *text;
    int found = 0;

    *names = NULL;
    if (store_fails(err))
        return fake->store_fails;
    list = malloc(FAKE_NODES * (sizeof(char *) + sizeof(fake->nodes->path)));
    text = (char *)(list + FAKE_NODES);
    lock();
    for (int i = 0; i < fake->n_nodes; i++) {
        const char *p = fake->nodes[i].path;

        if (strncmp(p, path, n) != 0 || p[n] != '/' || strchr(p + n + 1, '/'))
            continue;
        list[found++] = strcpy(text, p + n + 1);
        text += strlen(text) + 1;
    }
    unlock();
    *names = list;
    return found;
}

/* --- watches ---------------------------------------------------------------------------------------------------------
 */

static int event_fd = -1;

int ctl_store_watch(struct ctl *ctl, const char *path, struct ctl_error *err)
{
    if (store_fails(err))
        return fake->store_fails;
    if (event_fd < 0)
        event_fd = open(fake->events, O_RDWR | O_NONBLOCK);
    return 0;
}

int ctl_store_fd(struct ctl *ctl)
{
    return event_fd;
}

/* All that happened is one event, which says that anything may have. */
char *ctl_store_event(struct ctl *ctl)
{
    char bytes[4096];

    return read(event_fd, bytes, sizeof(bytes)) > 0 ? strdup("/umbra/guest") : NULL;
}
