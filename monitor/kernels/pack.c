/* The sums of ticks as bytes, only what is not zero. `pack` of store/sums.py has the same in Python, and says what it is. */
#include <stdint.h>
#include <string.h>

enum { COLUMNS = 40, MOMENTS = 4, HEAD = 13 };

void mw_pack(int64_t n, const uint32_t *all_counts, const double *all_moments, const int64_t *starts,
             const int64_t *rows, uint8_t *out, int64_t *stops);

/* Writes `n` of them, rows of two tables, behind one another into `out`, which has room for the worst case; `stops`
 * tells where each ends. */
void mw_pack(int64_t n, const uint32_t *all_counts, const double *all_moments, const int64_t *starts,
             const int64_t *rows, uint8_t *out, int64_t *stops)
{
    uint8_t *to = out;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t *counts = all_counts + starts[i] * COLUMNS;
        const double *moments = all_moments + starts[i] * MOMENTS;
        uint32_t places = 0, numbered = 0, highest = 0, widest = 0, before = 0, cells = (uint32_t)rows[i] * COLUMNS;
        uint8_t *gaps = to + HEAD;
        for (uint32_t k = 0; k < cells; k++) {
            if (!counts[k])
                continue;
            uint32_t gap = k - before;
            before = k;
            widest = gap > widest ? gap : widest;
            highest = counts[k] > highest ? counts[k] : highest;
            memcpy(gaps + 4 * places++, &gap, 4);
        }
        uint8_t wide = widest > 65535, width = highest <= 255 ? 0 : highest <= 65535 ? 1 : 2;
        uint8_t *values = gaps + (wide ? 4 : 2) * (uint64_t)places;
        if (!wide)
            for (uint32_t j = 0; j < places; j++) {
                uint32_t gap;
                memcpy(&gap, gaps + 4 * j, 4);
                uint16_t narrow = (uint16_t)gap;
                memcpy(gaps + 2 * j, &narrow, 2);
            }
        uint8_t *end = values;
        for (uint32_t k = 0; k < cells; k++) {
            if (!counts[k])
                continue;
            memcpy(end, &counts[k], (size_t)1 << width);
            end += (size_t)1 << width;
        }
        uint8_t *numbers = end;
        for (uint32_t row = 0; row < (uint32_t)rows[i]; row++)
            if (moments[row * MOMENTS + 2] <= moments[row * MOMENTS + 3]) {
                uint16_t number = (uint16_t)row;
                memcpy(numbers + 2 * numbered++, &number, 2);
            }
        end = numbers + 2 * numbered;
        for (uint32_t j = 0; j < numbered; j++) {
            uint16_t row;
            memcpy(&row, numbers + 2 * j, 2);
            memcpy(end, moments + row * MOMENTS, MOMENTS * sizeof(double));
            end += MOMENTS * sizeof(double);
        }
        uint32_t head[3] = {(uint32_t)rows[i], places, numbered};
        memcpy(to, head, sizeof head);
        to[12] = width | (uint8_t)(wide << 4);
        stops[i] = (to = end) - out;
    }
}
