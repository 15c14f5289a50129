/* Answers {"data": [1, 2, 3]} with {"mean": 2, "count": 3}. */
#include "lusk_entry.h"

#include <stdlib.h>
#include <string.h>

static const char BAD[] = "expected {\"data\": [numbers]}";

const char *init(void) { return NULL; }

/* Writes a number with six decimals; libc's printf is ten times the size of
 * all the rest. */
static char *put_number(char *at, double value) {
    if (value < 0) {
        *at++ = '-';
        value = -value;
    }
    unsigned long long scaled = (unsigned long long)(value * 1e6 + 0.5);
    char digits[24];
    int count = 0;
    for (; scaled || count < 7; scaled /= 10) {
        digits[count++] = (char)('0' + scaled % 10);
        if (count == 6) digits[count++] = '.';
    }
    while (count) *at++ = digits[--count];
    return at;
}

static char *put_text(char *at, const char *text) {
    size_t length = strlen(text);
    memcpy(at, text, length);
    return at + length;
}

lusk_outcome run(const lusk_request *request, lusk_reply *reply) {
    /* strtod wants a zero at the end. */
    char *text = lusk_keep(request->body.length + 1);
    memcpy(text, request->body.at, request->body.length);
    text[request->body.length] = 0;
    char *at = strchr(text, '[');
    double sum = 0;
    unsigned count = 0;
    while (at && *at != ']') {
        char *end;
        sum += strtod(at + 1, &end);
        at = end == at + 1 ? NULL : end + strspn(end, " \t\r\n");
        if (at && *at != ',' && *at != ']') at = NULL;
        count++;
    }
    double mean = at && count ? sum / count : 0;
    if (!at || !count || !(mean > -1e12 && mean < 1e12)) {
        reply->body = (lusk_slice){BAD, sizeof BAD - 1};
        return LUSK_BAD_REQUEST;
    }
    char *answer = lusk_keep(128), *next = answer;
    next = put_text(next, "{\"mean\": ");
    next = put_number(next, mean);
    next = put_text(next, ", \"count\": ");
    char digits[12];
    int length = 0;
    for (unsigned rest = count; rest; rest /= 10) digits[length++] = (char)('0' + rest % 10);
    while (length) *next++ = digits[--length];
    next = put_text(next, "}");
    reply->body = (lusk_slice){answer, (size_t)(next - answer)};
    return LUSK_OK;
}
