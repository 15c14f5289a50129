/* The canonical ABI of lusk:scoring/entry@0.1.0, written out by hand. lusk
 * wraps a module with these exports into a component when it is deployed. */
#include "lusk_entry.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(name)))

/* Everything that lives for one request is in a list, freed after it. */
typedef struct block {
    struct block *next;
    max_align_t data[];
} block;

static block *kept;

void *lusk_keep(size_t length) {
    block *fresh = malloc(sizeof(block) + length);
    if (!fresh) abort();
    fresh->next = kept;
    kept = fresh;
    return fresh->data;
}

static void free_kept(void) {
    while (kept) {
        block *next = kept->next;
        free(kept);
        kept = next;
    }
}

/* lusk puts the parts of a request where this says. */
EXPORT("cabi_realloc")
void *cabi_realloc(void *old, size_t old_length, size_t align, size_t length) {
    (void)align; /* max_align_t suits every type of the interface */
    void *fresh = lusk_keep(length);
    if (old) memcpy(fresh, old, old_length < length ? old_length : length);
    return fresh;
}

/* result<_, string> */
static struct {
    uint8_t is_error;
    lusk_slice error;
} init_result;

EXPORT("lusk:scoring/entry@0.1.0#init")
void *exported_init(void) {
    const char *error = init();
    init_result.is_error = error != NULL;
    if (error) init_result.error = (lusk_slice){error, strlen(error)};
    return &init_result;
}

/* result<response, run-error> */
static struct {
    uint8_t is_error;
    union {
        struct {
            uint16_t status;
            const lusk_header *headers;
            size_t header_count;
            uint8_t body_is_bytes;
            lusk_slice body;
        } response;
        struct {
            uint8_t is_script;
            lusk_slice message;
        } error;
    };
} run_result;

EXPORT("lusk:scoring/entry@0.1.0#run")
void *exported_run(const char *method, size_t method_length, const char *target,
                   size_t target_length, const lusk_header *headers,
                   size_t header_count, int32_t body_is_bytes, const char *body,
                   size_t body_length) {
    (void)body_is_bytes; /* a C script reads either the same way */
    lusk_request request = {{method, method_length},
                            {target, target_length},
                            headers,
                            header_count,
                            {body, body_length}};
    lusk_reply reply = {.status = 200};
    lusk_outcome outcome = run(&request, &reply);
    memset(&run_result, 0, sizeof run_result);
    if (outcome == LUSK_OK) {
        run_result.response.status = reply.status;
        run_result.response.body_is_bytes = 1; /* bytes need not be UTF-8 */
        run_result.response.body = reply.body;
    } else {
        run_result.is_error = 1;
        run_result.error.is_script = outcome == LUSK_FAILED;
        run_result.error.message = reply.body;
    }
    return &run_result;
}

/* The reply has been read. */
EXPORT("cabi_post_lusk:scoring/entry@0.1.0#run")
void after_run(void *result) {
    (void)result;
    free_kept();
}
