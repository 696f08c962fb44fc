/* SPDX-License-Identifier: BSD-2-Clause */
/* What test_p2m.c stands on: two domains, CPUs that walk the P2M, and the plain array of the random test. */
#ifndef TESTS_P2M_MODEL_H
#define TESTS_P2M_MODEL_H

#include <hv/p2m.h>

extern struct domain *d, *other; /* d is translated */
extern unsigned long *m2p_table;

/* The guest frames that the random test uses: at the start, around the first GiB's end, and the last ones. */
#define MODEL_GFNS 4608u
gfn_t model_gfn(unsigned int i);

int model_begin(void **state);
int model_end(void **state);
/* p2m_audit, and what it cannot know: the M2P backwards, TLBs. Returns 0. */
int model_audit(void);
/* Takes 2^order guest frames away, until it is done. */
int model_clear(gfn_t gfn, unsigned int order);
/* As nested paging walks. */
bool model_can_write(gfn_t gfn);
uint64_t *model_table(gfn_t gfn, unsigned int level);
/* The pool has so many frames left. */
void model_pool(unsigned long left);
/* The owner gives a frame up. */
void model_forget(struct page_info *pg);
void model_random(unsigned long ops);

#endif
