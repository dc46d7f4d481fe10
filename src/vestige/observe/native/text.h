/* Text that is put together piece by piece in memory of a fixed size: the lines of the journal, and what they hold. */

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct line {
    char *bytes;
    size_t room, end;
    bool overflown;
};

/* Nothing here allocates, fails or sets errno: a signal handler may call it. */
void add(struct line *line, const char *bytes, size_t length);
void add_text(struct line *line, const char *text);
void add_number(struct line *line, int64_t number);
void add_escaped(struct line *line, const char *text, size_t length);
void add_path(struct line *line, const char *path, size_t length);
void add_stat(struct line *line, const struct stat *found);
void add_word(struct line *line, const char *word, bool first);

/* words.c: whether a word of an argument vector might be a secret, as `record.secrets.suspicious` has it. `marks` and
 * `secrets` are strings one after the other, then an empty one. */
bool suspicious_word(const char *word, const char *marks, const char *secrets);
bool telling_program(const char *word, const char *programs);
