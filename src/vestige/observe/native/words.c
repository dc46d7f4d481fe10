/* Whether words might hold a secret: `record.secrets` is the reference. */

#define _GNU_SOURCE
#include "text.h"

#include <string.h>

static bool lower_contains(const char *text, const char *strings) {
    for (const char *one = strings; *one; one += strlen(one) + 1)
        if (strcasestr(text, one))
            return true;
    return false;
}

/* A long word of letters and digits that is no path and no option. */
static bool jumbled(const char *word) {
    if (strlen(word) < 20 || strpbrk(word, "/. ") || word[0] == '-')
        return false;
    bool letter = false, digit = false;
    for (; *word; word++) {
        letter |= (*word >= 'a' && *word <= 'z') || (*word >= 'A' && *word <= 'Z') || *word & 0x80;
        digit |= *word >= '0' && *word <= '9';
    }
    return letter && digit;
}

bool telling_program(const char *word, const char *programs) {
    const char *slash = strrchr(word, '/');
    for (const char *one = programs; *one; one += strlen(one) + 1)
        if (strncmp(slash ? slash + 1 : word, one, strlen(one)) == 0)
            return true;
    return false;
}

bool suspicious_word(const char *word, const char *marks, const char *secrets) {
    if (lower_contains(word, marks) || jumbled(word))
        return true;
    for (const char *one = secrets; *one; one += strlen(one) + 1)
        if (strstr(word, one))
            return true;
    return false;
}
