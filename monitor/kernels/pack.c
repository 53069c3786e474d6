/* The sums of ticks as bytes, only what is not zero, and back. store/sums.py has the same in Python, and says what it is. */
#include <stdint.h>
#include <string.h>

enum { COLUMNS = 40, MOMENTS = 4, HEAD = 13, ROW = COLUMNS / 8 };

void mw_pack(int64_t n, const void *all_counts, int64_t narrow, uint32_t *room, const double *all_moments,
             const int64_t *starts, const int64_t *rows, uint8_t *out, int64_t *stops);

int mw_unpack(const uint8_t *blob, int64_t size, uint32_t *counts, double *moments);

/* The columns of a row that are not zero, as bits. */
static inline uint64_t columns_of(const uint32_t *row)
{
    uint64_t bits = 0;
    for (int k = 0; k < COLUMNS; k++)
        bits |= (uint64_t)(row[k] != 0) << k;
    return bits;
}

/* Which rows have counts, and the columns of each that has; returns where the counts begin. */
static uint8_t *put_places(uint8_t *to, const uint32_t *counts, int64_t rows, uint32_t *places)
{
    uint8_t *marks = to;
    to += (rows + 7) / 8;
    memset(marks, 0, (size_t)(to - marks));
    for (int64_t row = 0; row < rows; row++) {
        uint64_t bits = columns_of(counts + row * COLUMNS);
        if (!bits)
            continue;
        marks[row / 8] |= (uint8_t)(1 << row % 8);
        memcpy(to, &bits, ROW); /* in the machine's order, which is little-endian wherever we run */
        to += ROW;
        *places += (uint32_t)__builtin_popcountll(bits);
    }
    return to;
}

/* How many bytes a count takes as a rule: one, unless that is too little for more than a quarter of them. */
static uint8_t width_of(const uint32_t *counts, int64_t cells, uint32_t places)
{
    uint32_t large = 0;
    for (int64_t k = 0; k < cells; k++)
        large += counts[k] >= UINT8_MAX;
    return 4 * (uint64_t)large > places ? 2 : 1;
}

/* The counts themselves, `width` bytes each, and behind them in four bytes those that are not below the largest. Every one
 * is written, and the next over it if it is 0: which are is not to be guessed. */
static uint8_t *put_counts(uint8_t *to, const uint32_t *counts, int64_t cells, uint8_t width)
{
    uint32_t largest = width == 1 ? UINT8_MAX : UINT16_MAX;
    for (int64_t k = 0; k < cells && width == 1; k++) {
        *to = (uint8_t)(counts[k] < largest ? counts[k] : largest);
        to += counts[k] != 0;
    }
    for (int64_t k = 0; k < cells && width == 2; k++) {
        uint16_t told = (uint16_t)(counts[k] < largest ? counts[k] : largest);
        memcpy(to, &told, sizeof told);
        to += counts[k] ? sizeof told : 0;
    }
    for (int64_t k = 0; k < cells; k++) {
        if (counts[k] < largest)
            continue;
        memcpy(to, &counts[k], sizeof *counts);
        to += sizeof *counts;
    }
    return to;
}

/* Which rows have moments, and those. */
static uint8_t *put_moments(uint8_t *to, const double *moments, int64_t rows, uint32_t *numbered)
{
    uint8_t *marks = to;
    to += (rows + 7) / 8;
    memset(marks, 0, (size_t)(to - marks));
    for (int64_t row = 0; row < rows; row++) {
        const double *own = moments + row * MOMENTS;
        if (!(own[2] <= own[3]))
            continue;
        marks[row / 8] |= (uint8_t)(1 << row % 8);
        memcpy(to, own, MOMENTS * sizeof *own);
        to += MOMENTS * sizeof *own;
        *numbered += 1;
    }
    return to;
}

/* The same counts in 32 bits. */
static const uint32_t *widened(const uint16_t *counts, int64_t cells, uint32_t *room)
{
    for (int64_t k = 0; k < cells; k++)
        room[k] = counts[k];
    return room;
}

/* Writes `n` of them, rows of two tables, behind one another into `out`, which has room for the worst case; `stops`
 * tells where each ends. Where counts are `narrow`, of 16 bits, `room` has that of the largest in 32. */
void mw_pack(int64_t n, const void *all_counts, int64_t narrow, uint32_t *room, const double *all_moments,
             const int64_t *starts, const int64_t *rows, uint8_t *out, int64_t *stops)
{
    uint8_t *to = out;
    for (int64_t i = 0; i < n; i++) {
        int64_t first = starts[i] * COLUMNS;
        const uint32_t *counts = narrow ? widened((const uint16_t *)all_counts + first, rows[i] * COLUMNS, room)
                                        : (const uint32_t *)all_counts + first;
        uint32_t head[3] = {(uint32_t)rows[i], 0, 0};
        uint8_t *end = put_places(to + HEAD, counts, rows[i], &head[1]);
        to[HEAD - 1] = width_of(counts, rows[i] * COLUMNS, head[1]);
        end = put_counts(end, counts, rows[i] * COLUMNS, to[HEAD - 1]);
        end = put_moments(end, all_moments + starts[i] * MOMENTS, rows[i], &head[2]);
        memcpy(to, head, sizeof head);
        stops[i] = (to = end) - out;
    }
}

/* What is left of the bytes of a tick; `at` is NULL once there were not enough. */
struct rest {
    const uint8_t *at, *end;
};

/* The next `n` bytes. */
static const uint8_t *take(struct rest *rest, uint64_t n)
{
    const uint8_t *taken = rest->at;
    if (taken && n > (uint64_t)(rest->end - taken))
        taken = NULL;
    rest->at = taken ? taken + n : NULL;
    return taken;
}

static inline int marked(const uint8_t *marks, int64_t row)
{
    return marks[row / 8] >> row % 8 & 1;
}

/* The counts of the rows that have any. */
static void take_counts(struct rest *rest, int64_t rows, uint32_t places, uint8_t width, uint32_t *counts)
{
    const uint8_t *marks = take(rest, (uint64_t)(rows + 7) / 8);
    uint64_t n_marked = 0, n_places = 0;
    for (int64_t row = 0; marks && row < rows; row++)
        n_marked += (uint64_t)marked(marks, row);
    const uint8_t *columns = take(rest, n_marked * ROW);
    for (uint64_t k = 0; columns && k < n_marked * ROW; k++)
        n_places += (uint64_t)__builtin_popcount(columns[k]);
    const uint8_t *told = n_places == places ? take(rest, (uint64_t)width * places) : (rest->at = NULL);
    uint32_t largest = width == 1 ? UINT8_MAX : UINT16_MAX;
    for (int64_t row = 0; told && row < rows; row++) {
        if (!marked(marks, row))
            continue;
        uint64_t bits = 0;
        memcpy(&bits, columns, ROW);
        columns += ROW;
        for (; bits; bits &= bits - 1) {
            uint32_t value = 0;
            memcpy(&value, told, width);
            told += width;
            if (value == largest) {
                const uint8_t *wide = take(rest, sizeof value);
                if (!wide)
                    return;
                memcpy(&value, wide, sizeof value);
            }
            counts[row * COLUMNS + __builtin_ctzll(bits)] = value;
        }
    }
}

/* The moments of the rows that have any. */
static void take_moments(struct rest *rest, int64_t rows, uint32_t numbered, double *moments)
{
    const uint8_t *marks = take(rest, (uint64_t)(rows + 7) / 8);
    const uint8_t *some = take(rest, (uint64_t)numbered * MOMENTS * sizeof *moments);
    uint32_t found = 0;
    for (int64_t row = 0; some && row < rows; row++)
        found += (uint32_t)marked(marks, row);
    if (found != numbered)
        rest->at = NULL;
    for (int64_t row = 0; rest->at && row < rows; row++)
        if (marked(marks, row)) {
            memcpy(moments + row * MOMENTS, some, MOMENTS * sizeof *moments);
            some += MOMENTS * sizeof *moments;
        }
}

/* Reads what mw_pack wrote of one tick into rows of `counts`, all 0, and of `moments`, those of no number: as many as its
 * head says. Whether the bytes are whole and no more. */
int mw_unpack(const uint8_t *blob, int64_t size, uint32_t *counts, double *moments)
{
    struct rest rest = {blob, blob + size};
    uint32_t head[3];
    const uint8_t *begin = take(&rest, HEAD);
    if (!begin || (begin[HEAD - 1] != 1 && begin[HEAD - 1] != 2))
        return 0;
    memcpy(head, begin, sizeof head);
    take_counts(&rest, head[0], head[1], begin[HEAD - 1], counts);
    take_moments(&rest, head[0], head[2], moments);
    return rest.at == rest.end;
}
