/* Counting among groups beside other counting: what events say is in a near cache then. */
#ifndef MW_GROUPS_H
#define MW_GROUPS_H

#include <stdint.h>

/* Counts on in a `group_call` up to the place `stop` of its order, as far as its ticks have room: not before one that was
 * full has more, and is said not to be. */
void mw_count_groups(void *call, int64_t stop);

#endif
