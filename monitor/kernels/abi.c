/* Which version of the kernels' interface this library speaks; library.py compares it with its own. */
#include <stdint.h>

int64_t modelwatch_abi(void);

int64_t modelwatch_abi(void) { return MODELWATCH_ABI; }
