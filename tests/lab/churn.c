// SPDX-License-Identifier: BSD-2-Clause
/*
 * Work that is hard on page tables, with results that are the same wherever it is done: in a guest, as all that it
 * does, or on the host, which gives the sums that a guest must come to (churn.py).
 *
 *   churn rounds N      N rounds of everything, with 0 until a line is typed; after each of them "churn ROUND SUM"
 *   churn spread N      passes over N pages, each behind a page table of its own, until a line is typed: each visit
 *                       discards the page and writes it anew; after every 128 visits "churn VISITS SUM"
 *
 * What a page holds is known by its tag: 0 for zeros, else the words that follow from the tag. A sum is made of the
 * words that were found in memory, a round's of nothing else than its number. What is found wrong ends the program.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE     4096u
#define REGION   (2u << 20) /* what one page table maps */
#define REGIONS  48u
#define PAGES    6u /* used in a region */
#define WORDS    8u /* used in a page, 512 bytes apart */
#define LARGE    2u /* regions that may be large pages */
#define STEPS    160u
#define CHILDREN 3u /* each has a child of its own */
#define THREADS  4u
#define SLOTS    (2 * CHILDREN)
#define LINE     128u /* visits */

#define RW (PROT_READ | PROT_WRITE)

struct page {
    uint64_t tag;
    int prot;
};

/* Pages that one thread works at, and what they should hold */
struct part {
    uint8_t *base;
    struct page *page;
    unsigned n;
    uint64_t random, sum;
};

static const char *self;
static uint64_t *slots; /* shared with all children */
static __thread sigjmp_buf *escape;
static __thread void *fault_address;

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    fprintf(stderr, "churn wrong: %s\n", what);
    _exit(1);
}

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t next(struct part *p)
{
    return p->random = mix(p->random);
}

static int typed(void)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};

    return poll(&in, 1, 0) > 0;
}

/* --- pages ----------------------------------------------------------------------------------------------------------
 */

static uint8_t *region_of(const struct part *p, unsigned i)
{
    return p->base + (size_t)(i / PAGES) * REGION;
}

static volatile uint64_t *words_of(const struct part *p, unsigned i)
{
    return (volatile uint64_t *)(region_of(p, i) + (i % PAGES * 97 + 1) * PAGE);
}

static void *map(size_t bytes, int flags)
{
    void *found = mmap(NULL, bytes, RW, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    must(found != MAP_FAILED, "mmap");
    return found;
}

/* Regions whose addresses are multiples of their size. */
static uint8_t *map_regions(unsigned n, int advice)
{
    size_t bytes = (size_t)n * REGION;
    uint8_t *all = map(bytes + REGION, MAP_PRIVATE);
    size_t before = -(uintptr_t)all % REGION;

    must(!before || !munmap(all, before), "munmap");
    must(!munmap(all + before + bytes, REGION - before), "munmap");
    madvise(all + before, bytes, advice); /* a kernel without large pages refuses */
    return all + before;
}

static void unmap_regions(uint8_t *base, unsigned n)
{
    must(!munmap(base, (size_t)n * REGION), "munmap");
}

static void fill(struct part *p, unsigned i)
{
    volatile uint64_t *word = words_of(p, i);

    p->page[i].tag = next(p) | 1;
    for (unsigned w = 0; w < WORDS; w++)
        word[w * (PAGE / WORDS / sizeof(*word))] = mix(p->page[i].tag + w);
}

static void check(struct part *p, unsigned i)
{
    volatile uint64_t *word = words_of(p, i);
    uint64_t tag = p->page[i].tag;

    for (unsigned w = 0; w < WORDS; w++) {
        uint64_t found = word[w * (PAGE / WORDS / sizeof(*word))], wanted = tag ? mix(tag + w) : 0;

        if (found != wanted) {
            fprintf(stderr, "churn wrong: page %u at %p, word %u: %llx, not %llx\n", i, (const void *)(uintptr_t)word,
                    w, (unsigned long long)found, (unsigned long long)wanted);
            _exit(1);
        }
        p->sum = mix(p->sum ^ found);
    }
}

static void protect(struct part *p, unsigned i, int prot)
{
    must(!mprotect((void *)(uintptr_t)words_of(p, i), PAGE, prot), "mprotect");
    p->page[i].prot = prot;
}

static void on_fault(int signal, siginfo_t *info, void *unused)
{
    (void)signal;
    (void)unused;
    must(escape != NULL, "a fault");
    fault_address = info->si_addr;
    siglongjmp(*escape, 1);
}

static void must_fault(volatile uint64_t *word, int store)
{
    sigjmp_buf here;

    if (!sigsetjmp(here, 0)) {
        escape = &here;
        if (store)
            *word = 1;
        else
            (void)*word;
        must(0, store ? "a store that is not allowed" : "a load that is not allowed");
    }
    escape = NULL;
    must(fault_address == (void *)(uintptr_t)word, "address of a fault");
}

/* --- steps: each is done to one page of a part ----------------------------------------------------------------------
 */

static void step_store(struct part *p, unsigned i)
{
    if (p->page[i].prot != RW) {
        must_fault(words_of(p, i), 1);
        protect(p, i, RW);
    }
    fill(p, i);
}

static void step_load(struct part *p, unsigned i)
{
    if (p->page[i].prot == PROT_NONE)
        must_fault(words_of(p, i), 0);
    else
        check(p, i);
}

static void step_protect(struct part *p, unsigned i)
{
    static const int prots[] = {PROT_NONE, PROT_READ, RW, PROT_READ};

    protect(p, i, prots[next(p) % 4]);
}

static void step_open_region(struct part *p, unsigned i)
{
    unsigned first = i - i % PAGES;

    must(!mprotect(region_of(p, i), REGION, RW), "mprotect");
    for (unsigned j = first; j < first + PAGES; j++)
        p->page[j].prot = RW;
}

static void step_discard(struct part *p, unsigned i)
{
    must(!madvise((void *)(uintptr_t)words_of(p, i), PAGE, MADV_DONTNEED), "madvise");
    p->page[i].tag = 0;
}

static void map_anew(struct part *p, unsigned i, int prot)
{
    void *page = (void *)(uintptr_t)words_of(p, i);

    must(mmap(page, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page, "mmap at an address");
    p->page[i] = (struct page){0, prot};
}

static void step_map(struct part *p, unsigned i)
{
    map_anew(p, i, RW);
}

static void step_move(struct part *p, unsigned i)
{
    unsigned to = (unsigned)(next(p) % p->n);
    void *target = (void *)(uintptr_t)words_of(p, to);

    if (to == i)
        return;
    must(mremap((void *)(uintptr_t)words_of(p, i), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target,
         "mremap");
    p->page[to] = p->page[i];
    map_anew(p, i, PROT_NONE);
}

static void (*const steps[])(struct part *, unsigned) = {
    step_store,   step_store,       step_store,   step_load, step_load, step_protect,
    step_protect, step_open_region, step_discard, step_map,  step_move,
};

static void work(struct part *p, unsigned n)
{
    while (n--) {
        unsigned i = (unsigned)(next(p) % p->n);

        steps[next(p) % (sizeof(steps) / sizeof(steps[0]))](p, i);
    }
    for (unsigned i = 0; i < p->n; i++)
        step_load(p, i);
}

/* --- those who do them ----------------------------------------------------------------------------------------------
 */

static void wait_child(pid_t pid)
{
    int status;

    must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "child");
}

/* Works at a copy of what its parent has, and leaves a sum in a slot. */
static pid_t start_child(struct part *p, unsigned slot, int with_child)
{
    pid_t pid = fork();

    if (pid)
        return pid;
    p->random = mix(p->random + slot + 1);
    pid = with_child ? start_child(p, slot + CHILDREN, 0) : 0;
    work(p, STEPS / 4);
    slots[slot] = p->sum;
    if (with_child)
        wait_child(pid);
    _exit(0);
}

static void with_children(struct part *p)
{
    pid_t pid[CHILDREN];

    for (unsigned i = 0; i < CHILDREN; i++)
        pid[i] = start_child(p, i, 1);
    work(p, STEPS / 4);
    for (unsigned i = 0; i < CHILDREN; i++)
        wait_child(pid[i]);
    for (unsigned i = 0; i < SLOTS; i++)
        p->sum = mix(p->sum ^ slots[i]);
}

static pthread_barrier_t all_there;

static void *thread(void *part)
{
    pthread_barrier_wait(&all_there); /* later the holes of step_move would be filled with stacks */
    work(part, STEPS / 2);
    return NULL;
}

static void with_threads(struct part *p)
{
    struct part part[THREADS];
    pthread_t id[THREADS];
    unsigned n = p->n / THREADS;

    for (unsigned i = 0; i < THREADS; i++) {
        part[i] = (struct part){p->base + (size_t)(i * n / PAGES) * REGION, p->page + i * n, n, p->random + i, 0};
        must(!pthread_create(&id[i], NULL, thread, &part[i]), "thread");
    }
    for (unsigned i = 0; i < THREADS; i++) {
        must(!pthread_join(id[i], NULL), "join");
        p->sum = mix(p->sum ^ part[i].sum);
    }
}

/* n regions, all of them zeros at first; the sum goes into the slot. */
static void with_new_regions(unsigned n, int advice, uint64_t seed, uint64_t *slot)
{
    struct part p = {map_regions(n, advice), calloc(n * PAGES, sizeof(*p.page)), n * PAGES, seed, 0};

    must(p.page != NULL, "memory");
    for (unsigned i = 0; i < p.n; i++)
        p.page[i].prot = RW;
    work(&p, STEPS / 2);
    *slot = p.sum;
    free(p.page);
    unmap_regions(p.base, n);
}

/* The same in another program. */
static void with_program(struct part *p)
{
    uint64_t sum = 0;
    char seed[24], fd[12];
    int ends[2];
    pid_t pid;

    must(!pipe(ends), "pipe");
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)p->random);
    snprintf(fd, sizeof(fd), "%d", ends[1]);
    pid = fork();
    if (!pid) {
        execl(self, self, "program", seed, fd, NULL);
        _exit(1);
    }
    close(ends[1]);
    must(read(ends[0], &sum, sizeof(sum)) == sizeof(sum), "pipe");
    close(ends[0]);
    wait_child(pid);
    p->sum = mix(p->sum ^ sum);
}

static int program(const char *seed, const char *fd)
{
    uint64_t sum;

    with_new_regions(4, MADV_NOHUGEPAGE, strtoull(seed, NULL, 10), &sum);
    must(write(atoi(fd), &sum, sizeof(sum)) == sizeof(sum), "pipe");
    return 0;
}

/* --- the whole ------------------------------------------------------------------------------------------------------
 */

static uint64_t one_round(unsigned number)
{
    static struct page pages[REGIONS * PAGES];
    struct part p = {map_regions(REGIONS, MADV_NOHUGEPAGE), pages, REGIONS * PAGES, mix(number), 0};
    uint64_t sum;

    memset(pages, 0, sizeof(pages));
    for (unsigned i = 0; i < p.n; i++)
        pages[i].prot = RW;
    work(&p, STEPS);
    with_children(&p);
    with_threads(&p);
    with_program(&p);
    with_new_regions(LARGE, MADV_HUGEPAGE, p.random, &sum);
    p.sum = mix(p.sum ^ sum);
    for (unsigned i = 0; i < p.n; i++)
        step_load(&p, i);
    unmap_regions(p.base, REGIONS);
    return p.sum;
}

static int rounds(unsigned n)
{
    must(!pthread_barrier_init(&all_there, NULL, THREADS), "barrier");
    slots = map(PAGE, MAP_SHARED);
    for (unsigned i = 1; n ? i <= n : !typed(); i++)
        printf("churn %u %016llx\n", i, (unsigned long long)one_round(i));
    return 0;
}

static int spread(unsigned n)
{
    struct part p = {map_regions(n, MADV_NOHUGEPAGE), calloc(n * PAGES, sizeof(*p.page)), n * PAGES, 1, 0};

    must(n && p.page != NULL, "memory");
    for (uint64_t visits = 0;; visits++) {
        unsigned i = (unsigned)(visits % n) * PAGES;

        if (visits % LINE == 0) {
            printf("churn %llu %016llx\n", (unsigned long long)visits, (unsigned long long)p.sum);
            if (typed())
                return 0;
        }
        check(&p, i);
        step_discard(&p, i);
        fill(&p, i);
    }
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

    self = argv[0];
    must(!sigaction(SIGSEGV, &action, NULL), "signal");
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4 && !strcmp(argv[1], "program"))
        return program(argv[2], argv[3]);
    if (argc == 3 && !strcmp(argv[1], "rounds"))
        return rounds((unsigned)atoi(argv[2]));
    if (argc == 3 && !strcmp(argv[1], "spread"))
        return spread((unsigned)atoi(argv[2]));
    fprintf(stderr, "usage: churn rounds|spread N\n");
    return 2;
}
