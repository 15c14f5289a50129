/* An entry script in C: implement init() and run(), link lusk_entry.c. */
#ifndef LUSK_ENTRY_H
#define LUSK_ENTRY_H

#include <stddef.h>

/* Bytes that somebody else owns; not ended by a zero. */
typedef struct {
    const char *at;
    size_t length;
} lusk_slice;

typedef struct {
    lusk_slice name, value;
} lusk_header;

typedef struct {
    lusk_slice method; /* "GET" or "POST" */
    lusk_slice target; /* path and query, e.g. "/score?a=1" */
    const lusk_header *headers;
    size_t header_count;
    lusk_slice body;
} lusk_request;

typedef enum {
    LUSK_OK,          /* the caller gets `status` and `body` */
    LUSK_BAD_REQUEST, /* the caller gets 400 and `body` as the message */
    LUSK_FAILED       /* the caller gets 502; `body` goes to the log */
} lusk_outcome;

/* What run() fills in. `status` is 200 and the body empty unless it says
 * otherwise. `body` must stay until the next call, e.g. by lusk_keep(). */
typedef struct {
    unsigned short status;
    lusk_slice body;
} lusk_reply;

/* Called once, before any request. Not NULL is a failed deployment, and why. */
const char *init(void);

/* Called for each request, one at a time. */
lusk_outcome run(const lusk_request *request, lusk_reply *reply);

/* Memory that lusk frees after the reply was read. */
void *lusk_keep(size_t length);

#endif
