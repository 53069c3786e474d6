/* A hash of the sources that this library was built from; library.py compares it with those that stand beside it. */
#include <stdint.h>

int64_t modelwatch_built_from(void);

int64_t modelwatch_built_from(void) { return BUILT_FROM; }
