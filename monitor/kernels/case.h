/* A case as it lies in memory: a record of outcomes/case.py, which says what its fields mean. */
#ifndef MW_CASE_H
#define MW_CASE_H

#include <stdint.h>

enum { SLOTS = 6, ITEMS = 16 };
enum { STAGE_OPEN = 0, STAGE_CLOSED = 1 };
enum { HAS_PREDICTION = 1, HAS_OUTCOME = 2, TOLD_WITH = 4 /* shifted by the slot */ };

typedef struct {
    uint64_t key;
    double due, time, outcome_time;
    uint64_t predicted;
    double score, value;
    uint64_t outcome;
    double outcome_number, money;
    uint64_t entity, names[SLOTS], texts[SLOTS], places[2];
    int32_t model;
    uint8_t kinds[SLOTS], stage, has, list, n_served, n_shown;
} narrow_case;

/* One with lists. Where only some have them all are of this kind: a case is met by the size of the records. */
typedef struct {
    narrow_case c;
    uint32_t served[ITEMS], shown[ITEMS];
} wide_case;

#endif
