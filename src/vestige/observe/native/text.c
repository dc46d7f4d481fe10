/* Text of the journal: `observe.interface` says what it looks like. */

#include "text.h"

#include <string.h>

void add(struct line *line, const char *bytes, size_t length) {
    if (line->end + length >= line->room) {
        line->overflown = true;
        return;
    }
    memcpy(line->bytes + line->end, bytes, length);
    line->end += length;
}

void add_text(struct line *line, const char *text) { add(line, text, strlen(text)); }

void add_number(struct line *line, int64_t number) {
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0)
        digits[--at] = '-';
    add(line, digits + at, sizeof digits - at);
}

/* The length of a character of UTF-8 and its number; of what is none, minus the bytes that belong together. */
static int character(const unsigned char *text, size_t left, uint32_t *number) {
    unsigned char first = text[0];
    if (first < 0x80) {
        *number = first;
        return 1;
    }
    int length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4)
        return -1;
    *number = first & (0x7F >> length);
    for (int at = 1; at < length; at++) {
        unsigned char low = 0x80, high = 0xBF;
        if (at == 1) {
            low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
            high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        }
        if ((size_t)at >= left || text[at] < low || text[at] > high)
            return -at;
        *number = *number << 6 | (text[at] & 0x3F);
    }
    return length;
}

static bool is_utf8(const char *text, size_t length) {
    uint32_t number;
    for (size_t at = 0; at < length;) {
        int size = character((const unsigned char *)text + at, length - at, &number);
        if (size < 0)
            return false;
        at += (size_t)size;
    }
    return true;
}

static void add_hex(struct line *line, const char *before, uint32_t number, int digits, const char *alphabet) {
    char text[8];
    add_text(line, before);
    for (int at = digits; at-- > 0; number >>= 4)
        text[at] = alphabet[number & 15];
    add(line, text, (size_t)digits);
}

static const char LOWER[] = "0123456789abcdef", UPPER[] = "0123456789ABCDEF";

void add_escaped(struct line *line, const char *text, size_t length) {
    for (size_t at = 0; at < length;) {
        size_t plain = at;
        while (plain < length && text[plain] >= ' ' && text[plain] < 0x7F && text[plain] != '"' && text[plain] != '\\')
            plain++;
        add(line, text + at, plain - at);
        at = plain;
        if (at >= length)
            return;
        uint32_t number;
        int size = character((const unsigned char *)text + at, length - at, &number);
        if (size < 0) {
            number = 0xFFFD;
            size = -size;
        }
        if (number == '"' || number == '\\') {
            add_text(line, "\\");
            add(line, text + at, 1);
        } else if (number < 0x10000)
            add_hex(line, "\\u", number, 4, LOWER);
        else {
            add_hex(line, "\\u", 0xD7C0 + (number >> 10), 4, LOWER);
            add_hex(line, "\\u", 0xDC00 + (number & 0x3FF), 4, LOWER);
        }
        at += (size_t)size;
    }
}

void add_path(struct line *line, const char *path, size_t length) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/";
    add(line, "\"", 1);
    if (!is_utf8(path, length)) {
        add(line, "%", 1);
        for (size_t at = 0; at < length; at++)
            if (path[at] && strchr(plain, path[at]))
                add(line, path + at, 1);
            else
                add_hex(line, "%", (unsigned char)path[at], 2, UPPER);
    } else if (path[0] == '%') {
        add(line, "%", 1);
        for (size_t at = 0, run; at < length; at += run) {
            for (run = 0; at + run < length && path[at + run] != '%'; run++) {}
            add_escaped(line, path + at, run);
            if (at + run < length) {
                add_text(line, "%25");
                run++;
            }
        }
    } else
        add_escaped(line, path, length);
    add(line, "\"", 1);
}

void add_stat(struct line *line, const struct stat *found) {
    add(line, "[", 1);
    add_number(line, found->st_size);
    add(line, ",", 1);
    add_number(line, (int64_t)found->st_mtim.tv_sec * 1000000000 + found->st_mtim.tv_nsec);
    add(line, ",", 1);
    add_number(line, (int64_t)found->st_ctim.tv_sec * 1000000000 + found->st_ctim.tv_nsec);
    add(line, ",", 1);
    add_number(line, (int64_t)found->st_ino);
    add(line, ",", 1);
    add_number(line, (int64_t)found->st_dev);
    add(line, "]", 1);
}

/* A word of a JSON text inside a JSON text: its quotation marks and backslashes are escaped once more. */
void add_word(struct line *line, const char *word, bool first) {
    size_t start = line->end, extra = 0;
    add_escaped(line, word, strlen(word));
    for (size_t at = start; at < line->end; at++)
        extra += line->bytes[at] == '\\' || line->bytes[at] == '"';
    if (line->end + extra + 8 >= line->room) {
        line->overflown = true;
        return;
    }
    size_t from = line->end, to = from + extra + (first ? 2 : 3);
    line->end = to;
    while (from > start) {
        char c = line->bytes[--from];
        line->bytes[--to] = c;
        if (c == '\\' || c == '"')
            line->bytes[--to] = '\\';
    }
    line->bytes[--to] = '"';
    line->bytes[--to] = '\\';
    if (!first)
        line->bytes[--to] = ',';
    add_text(line, "\\\"");
}
