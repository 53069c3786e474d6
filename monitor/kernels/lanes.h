/* Several numbers at once: what kernels compute with that judge many alike. */
#ifndef MW_LANES_H
#define MW_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Eight floats at once, or four doubles, in the compiler's own words for it: left to itself it goes one by one. Where
 * the processor has registers that wide, the loader takes the version that uses them; both find the same, bit for bit.
 * Twice as wide is no faster: dividing takes twice as long then. */
#pragma GCC diagnostic ignored "-Wpsabi"
typedef float lanes __attribute__((vector_size(32)));
typedef int32_t masks __attribute__((vector_size(32)));
typedef float floats __attribute__((vector_size(16)));
typedef double quad __attribute__((vector_size(32)));
typedef int64_t quad_mask __attribute__((vector_size(32)));
typedef uint64_t quad_bits __attribute__((vector_size(32)));

enum { LANES = 8, QUAD = 4 };

#define INLINE static inline __attribute__((always_inline))

/* All that such a function calls again and again is INLINE: what is not is made for any processor, and each change
 * between narrow registers and wide ones takes as long as some dozen operations. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#define FOR_EACH_WIDTH __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EACH_WIDTH
#endif

INLINE lanes all(float x) { return (lanes){x, x, x, x, x, x, x, x}; }

INLINE lanes where(masks mask, lanes yes, lanes no) { return (lanes)((mask & (masks)yes) | (~mask & (masks)no)); }

INLINE lanes larger_of(lanes a, lanes b) { return where(a > b, a, b); }

INLINE lanes load(const float *from)
{
    lanes x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE void put(float *to, lanes x) { memcpy(to, &x, sizeof x); }

/* e to the x for x <= 0, to 2 ulp; below -87 what it is there. Cephes' polynomial. */
INLINE lanes exp_of(lanes x)
{
    lanes clamped = larger_of(x, all(-87.0f));
    lanes n = clamped * 1.44269504f + 12582912.0f - 12582912.0f;
    lanes r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
    lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * (lanes)((__builtin_convertvector(n, masks) + 127) << 23);
}

/* The logarithm of 1 + x for 0 <= x <= 1, to 1e-7. Cephes' polynomial. */
INLINE lanes log1p_of(lanes x)
{
    lanes y = x + 1.0f;
    masks upper = y > 1.41421356f;
    lanes z = where(upper, y * 0.5f, y) - 1.0f;
    lanes p = z * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * z + 1.1676998740e-1f;
    p = p * z - 1.2420140846e-1f;
    p = p * z + 1.4249322787e-1f;
    p = p * z - 1.6668057665e-1f;
    p = p * z + 2.0000714765e-1f;
    p = p * z - 2.4999993993e-1f;
    p = p * z + 3.3333331174e-1f;
    lanes zz = z * z;
    return z + (p * z * zz - zz * 0.5f) + (lanes)(upper & (masks)all(0.693147181f));
}

INLINE quad all_four(double x) { return (quad){x, x, x, x}; }

INLINE quad four_where(quad_mask mask, quad yes, quad no)
{
    return (quad)((mask & (quad_mask)yes) | (~mask & (quad_mask)no));
}

INLINE quad larger_four(quad a, quad b) { return four_where(a > b, a, b); }

INLINE quad smaller_four(quad a, quad b) { return four_where(a < b, a, b); }

INLINE quad load_four(const double *from)
{
    quad x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE floats load_floats(const float *from)
{
    floats x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE quad doubles_of(floats x) { return __builtin_convertvector(x, quad); }

INLINE floats floats_of(quad x) { return __builtin_convertvector(x, floats); }

INLINE quad root_of_four(quad x) { return (quad){sqrt(x[0]), sqrt(x[1]), sqrt(x[2]), sqrt(x[3])}; }

/* The logarithm of p / q, both normal and above 0, to 2 ulp; of anything else some number. As fdlibm's e_log.c has it,
 * whose f / (2 + f) is (p - q) / (p + q) once both have like exponents: so it is divided once. */
INLINE quad log_of_ratio(quad p, quad q)
{
    quad_bits of_p = (quad_bits)p, of_q = (quad_bits)q;
    quad k = (quad)((of_p >> 52) | 0x4330000000000000ULL) - (quad)((of_q >> 52) | 0x4330000000000000ULL);
    p = (quad)((of_p & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL);
    q = (quad)((of_q & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL);
    quad_mask above = p > 1.4142135623730951 * q, below = q > 1.4142135623730951 * p;
    p = four_where(above, p * 0.5, p);
    q = four_where(below, q * 0.5, q);
    k += four_where(above, all_four(1.0), four_where(below, all_four(-1.0), all_four(0.0)));
    quad s = (p - q) / (p + q), z = s * s, w = z * z;
    quad even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    quad odd = z * (6.666666666666735130e-01 +
                    w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    return k * 6.93147180369123816490e-01 + (s * 2.0 + (s * (even + odd) + k * 1.90821492927058770002e-10));
}

#endif
