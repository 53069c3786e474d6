/* What one call of the decoder is given, and what it leaves: the struct that decoding.py mirrors field by field.
 *
 * Every member is 8 bytes wide, so that no compiler pads it. All memory belongs to the caller. The arrays per event
 * hold `records` elements, those per entry `entry_capacity`, `scratch` `scratch_capacity` bytes, and `slots`
 * `slot_mask + 1`, a power of two above twice `values_per_event`, all zeros at first.
 */
#ifndef MODELWATCH_DECODE_CALL_H
#define MODELWATCH_DECODE_CALL_H

#include <stdint.h>

/* Spans of the batch's bytes followed by its scratch; 0, 0, 0 where there is no string. */
typedef struct {
    uint64_t *hash;
    int32_t *start;
    int32_t *length;
} string_column;

/* 5^q as (high:low) * 2^-shift, high:low in [2^127, 2^128), cut off and not rounded. */
typedef struct {
    uint64_t high;
    uint64_t low;
    int64_t shift;
} power_of_five;

/* How a name is spelled from its opening quote to the first byte of its value, zeros behind; length 0: not known. */
#define SPELLING_WORDS 5
typedef struct {
    uint64_t words[SPELLING_WORDS];
    int16_t length;
    int16_t name_length;
} spelling;

/* A place in the table of names met in the object being read; it is free unless its generation is the current one.
 * What it held before stays good for a guess: a name that is spelled like that has this hash. `next` is the place of
 * the name that came behind it last time. A spelling is known only of names that stand at their hash's own place: so
 * what is looked for from there on is found, however names came there. */
typedef struct {
    uint64_t hash;
    uint32_t generation;
    int32_t next;
    spelling spelled;
} name_slot;

_Static_assert(sizeof(name_slot) == 64, "decoding.py makes room for so many bytes");

typedef struct {
    /* what comes in */
    const uint8_t *bytes; /* the records one after the other, then DECODE_CONSTANTS */
    int64_t size;
    const int64_t *lengths;
    int64_t records;
    const double *timestamps; /* seconds since the epoch, NaN where a record has none */
    double future_limit;
    uint64_t seed;
    const power_of_five *powers; /* of the exponents power_min .. power_max */
    int64_t power_min;
    int64_t power_max;
    int64_t values_per_event;
    int64_t depth;
    int64_t name_bytes;
    name_slot *slots;
    int64_t slot_mask;
    uint8_t *scratch;
    int64_t scratch_capacity;
    int64_t entry_capacity;
    /* columns per event */
    int32_t *record;
    string_column model;
    string_column version;
    string_column id;
    string_column entity;
    double *time;
    uint16_t *parts;
    double *value;
    uint8_t *lifecycle;
    /* columns per entry */
    int32_t *event;
    uint8_t *space;
    uint8_t *type;
    string_column name;
    string_column text;
    double *number;
    /* how far it got; a later call goes on from here */
    int64_t next;   /* the record to read next */
    int64_t offset; /* where it begins */
    int64_t events;
    int64_t entries;
    int64_t scratch_used;
    int64_t unknown_fields;
    int64_t generation; /* the newest generation in slots */
} decode_call;

/* Names and class labels that a record may have without spelling them: label, score, value, 0, 1. */
#define DECODE_CONSTANTS "labelscorevalue01" /* at least 15 bytes: loads of words reach into them */

/* What a call returns. */
enum {
    DECODE_DONE = 0, /* no record is left */
    DECODE_ODD = 1,  /* record `next` is not ordinary: the caller reads it and moves `next` and `offset` past it */
    DECODE_FULL = 2, /* record `next` needs more entries or scratch than there is room for */
    DECODE_MISUSE = 3 /* the lengths are not those of the bytes */
};

#endif
