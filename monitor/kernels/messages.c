/* What many messages say, in columns: each is asked once, while it is in the cache. messages.py of this room has the
 * same in Python, and says what it means.
 *
 * A message is a Python object, and is asked by calling its type's methods: nothing here knows how it is laid out. All
 * that is called of Python is of its stable interface and comes by address, under the name that its manual has: so this
 * library is compiled and loaded without it. Whoever calls holds the interpreter's lock.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BEFORE_TIME 5 /* members of an event that are looked at before its time */

typedef struct python_object object;

/* Every member is 8 bytes wide; messages.py mirrors it. */
typedef struct {
    object *(*PyList_GetItem)(object *, intptr_t); /* borrowed */
    int (*PyList_SetItem)(object *, intptr_t, object *); /* takes what it is given */
    object *(*PyTuple_GetItem)(object *, intptr_t); /* borrowed */
    object *(*PyObject_Vectorcall)(object *, object *const *, size_t, object *);
    long long (*PyLong_AsLongLong)(object *);
    char *(*PyBytes_AsString)(object *);
    intptr_t (*PyBytes_Size)(object *);
    object *(*PyErr_Occurred)(void);
    void (*Py_DecRef)(object *);
    object *none, *error, *value, *key, *offset, *partition, *timestamp; /* the methods that a message is asked by */
    object *messages;
    int64_t n, next; /* how many messages there are, and which is asked next */
    uint8_t *body;
    int64_t room, used;
    int64_t rows; /* filled so far of the columns, which have room for all messages */
    object *keys; /* a list of None in each row to be filled */
    int64_t *lengths, *offsets;
    int32_t *partitions;
    double *seconds;
    int64_t untimed; /* the kind of a timestamp that is none */
    int64_t native;  /* whether all records are of the native format */
    int64_t *notes, n_notes;
} ask_call;

/* What a call returns. */
enum {
    DONE = 0,  /* no message is left */
    FULL = 1,  /* the value of message `next` does not fit into the body */
    FAILED = 2 /* Python has raised an error */
};

int64_t mw_ask_call_size(void);
int64_t mw_ask(ask_call *c);

int64_t mw_ask_call_size(void) { return (int64_t)sizeof(ask_call); }

static inline object *ask(const ask_call *c, object *message, object *method)
{
    return c->PyObject_Vectorcall(method, &message, 1, NULL);
}

static inline int is_number(const ask_call *c, object *from, int64_t *number)
{
    *number = from ? c->PyLong_AsLongLong(from) : -1;
    return *number != -1 || !c->PyErr_Occurred();
}

static inline int ask_number(const ask_call *c, object *message, object *method, int64_t *number)
{
    object *answer = ask(c, message, method);
    int told = is_number(c, answer, number);
    if (answer)
        c->Py_DecRef(answer);
    return told;
}

static inline int64_t take_value(ask_call *c, object *message)
{
    object *value = ask(c, message, c->value);
    int64_t status = value ? DONE : FAILED;
    c->lengths[c->rows] = -1;
    if (value && value != c->none) {
        int64_t length = c->PyBytes_Size(value);
        if (length < 0) {
            status = FAILED;
        } else if (length > c->room - c->used) {
            status = FULL;
        } else {
            memcpy(c->body + c->used, c->PyBytes_AsString(value), (size_t)length);
            c->used += length;
            c->lengths[c->rows] = length;
        }
    }
    if (value)
        c->Py_DecRef(value);
    return status;
}

static inline int take_key(const ask_call *c, object *message)
{
    object *key = ask(c, message, c->key);
    if (key == c->none) {
        c->Py_DecRef(key);
        return 1;
    }
    return key && c->PyList_SetItem(c->keys, c->rows, key) == 0;
}

/* What is behind a string without an escaped quote at its end, p on its opening one; else NULL. */
static inline const uint8_t *behind_string(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *quote = p < end && *p == '"' ? memchr(p + 1, '"', (size_t)(end - p - 1)) : NULL;
    return quote && quote[-1] != '\\' ? quote + 1 : NULL;
}

/* What is behind a mark and a space that may follow it. */
static inline const uint8_t *behind_mark(const uint8_t *p, const uint8_t *end, uint8_t mark)
{
    if (!p || p >= end || *p != mark)
        return NULL;
    return p + 1 < end && p[1] == ' ' ? p + 2 : p + 1;
}

/* Does an event say its own time, behind a few texts at most? Then nobody looks at its record's: it is read, or the
 * event is rejected, whatever else there is. */
static inline bool says_time(const uint8_t *p, const uint8_t *end)
{
    static const char time[] = "\"time\":";
    p = p < end && *p == '{' ? p + 1 : NULL;
    for (int i = 0; p && i <= BEFORE_TIME; i++) {
        bool found = end - p >= (ptrdiff_t)sizeof time && memcmp(p, time, sizeof time - 1) == 0;
        p = behind_mark(behind_string(p, end), end, ':');
        if (found)
            return p < end && (*p == '"' || *p == '-' || (*p >= '0' && *p <= '9'));
        p = p ? behind_mark(behind_string(p, end), end, ',') : NULL;
    }
    return false;
}

/* The time of a record whose value was taken; to ask for it costs as much as all else together. */
static inline int take_time(const ask_call *c, object *message)
{
    int64_t kind, milliseconds = -1, length = c->lengths[c->rows];
    const uint8_t *end = c->body + c->used;
    c->seconds[c->rows] = NAN;
    if (c->native && length > 0 && says_time(end - length, end))
        return 1;
    object *pair = ask(c, message, c->timestamp);
    int told = pair && is_number(c, c->PyTuple_GetItem(pair, 0), &kind) &&
               is_number(c, c->PyTuple_GetItem(pair, 1), &milliseconds);
    if (pair)
        c->Py_DecRef(pair);
    if (told && (milliseconds > 0 || (milliseconds == 0 && kind != c->untimed)))
        c->seconds[c->rows] = (double)milliseconds / 1e3;
    return told;
}

/* Asks the messages from `next` on until none is left or one does not fit. */
int64_t mw_ask(ask_call *c)
{
    for (; c->next < c->n; c->next++) {
        object *message = c->PyList_GetItem(c->messages, c->next);
        object *error = message ? ask(c, message, c->error) : NULL;
        int64_t partition, status;
        if (!error)
            return FAILED;
        c->Py_DecRef(error);
        if (error != c->none) {
            c->notes[c->n_notes++] = c->next;
            continue;
        }
        if ((status = take_value(c, message)) != DONE)
            return status;
        if (!ask_number(c, message, c->offset, &c->offsets[c->rows]) ||
            !ask_number(c, message, c->partition, &partition) || !take_key(c, message) || !take_time(c, message))
            return FAILED;
        c->partitions[c->rows++] = (int32_t)partition;
    }
    return DONE;
}
