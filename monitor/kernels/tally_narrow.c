/* What tally.c counts, in counts of 16 bits: half the memory of open ticks, and half of what counting waits for. */
#include <stdint.h>

#define NARROW
typedef uint16_t count_t;
#define COUNTING(name) name##_narrow
#include "tally.c"
