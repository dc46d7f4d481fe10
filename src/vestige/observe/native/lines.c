/* Lines of the journal: `observe.interface` has their table. */

#include "watcher.h"

void add(struct work *work, const char *bytes, size_t length) {
    if (work->end + length >= LINE) {
        work->overflown = true;
        return;
    }
    memcpy(work->line + work->end, bytes, length);
    work->end += length;
}

void add_text(struct work *work, const char *text) { add(work, text, strlen(text)); }

void add_number(struct work *work, int64_t number) {
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0)
        digits[--at] = '-';
    add(work, digits + at, sizeof digits - at);
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

void add_escaped(struct work *work, const char *text, size_t length) {
    char escape[16];
    for (size_t at = 0; at < length;) {
        size_t plain = at;
        while (plain < length && text[plain] >= ' ' && text[plain] < 0x7F && text[plain] != '"' && text[plain] != '\\')
            plain++;
        add(work, text + at, plain - at);
        at = plain;
        if (at >= length)
            return;
        uint32_t number;
        int size = character((const unsigned char *)text + at, length - at, &number);
        if (size < 0) {
            number = 0xFFFD;
            size = -size;
        }
        if (number == '"' || number == '\\')
            snprintf(escape, sizeof escape, "\\%c", (char)number);
        else if (number < 0x10000)
            snprintf(escape, sizeof escape, "\\u%04x", number);
        else
            snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD7C0 + (number >> 10), 0xDC00 + (number & 0x3FF));
        add_text(work, escape);
        at += (size_t)size;
    }
}

void add_path(struct work *work, const char *path, size_t length) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/";
    add(work, "\"", 1);
    if (!is_utf8(path, length)) {
        add(work, "%", 1);
        for (size_t at = 0; at < length; at++) {
            char escape[4];
            if (path[at] && strchr(plain, path[at]))
                add(work, path + at, 1);
            else {
                snprintf(escape, sizeof escape, "%%%02X", (unsigned char)path[at]);
                add_text(work, escape);
            }
        }
    } else if (path[0] == '%') {
        add(work, "%", 1);
        for (size_t at = 0; at < length; at++)
            if (path[at] == '%')
                add_text(work, "%25");
            else
                add_escaped(work, path + at, 1);
    } else
        add_escaped(work, path, length);
    add(work, "\"", 1);
}

void add_stat(struct work *work, const struct stat *found) {
    add(work, "[", 1);
    add_number(work, found->st_size);
    add(work, ",", 1);
    add_number(work, (int64_t)found->st_mtim.tv_sec * 1000000000 + found->st_mtim.tv_nsec);
    add(work, ",", 1);
    add_number(work, (int64_t)found->st_ctim.tv_sec * 1000000000 + found->st_ctim.tv_nsec);
    add(work, ",", 1);
    add_number(work, (int64_t)found->st_ino);
    add(work, ",", 1);
    add_number(work, (int64_t)found->st_dev);
    add(work, "]", 1);
}

/* The journal is brought to the file. A disk that is full loses lines, never the program. Holding the lock. */
void flush(struct watcher *watcher) {
    size_t at = 0, length = watcher->shared->pending;
    while (at < length) {
        ssize_t written = write(watcher->journal, watcher->lines + at, length - at);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            for (; at < length; at++)
                watcher->lost += watcher->lines[at] == '\n';
            break;
        }
        at += (size_t)written;
    }
    struct stat found;
    watcher->shared->pending = 0;
    if (length && fstat(watcher->journal, &found) == 0)
        watcher->shared->written = (uint64_t)found.st_size;
}

/* Holding the lock. */
void append(struct watcher *watcher, const char *line, size_t length) {
    if (watcher->shared->pending + length > watcher->lines_room)
        flush(watcher);
    if (length > watcher->lines_room) {
        watcher->lost++;
        return;
    }
    if (!atomic_exchange(&watcher->active, true))
        wake(watcher);
    memcpy(watcher->lines + watcher->shared->pending, line, length);
    atomic_thread_fence(memory_order_release);
    watcher->shared->pending += (uint32_t)length;
}

void begin(struct work *work, char operation, uint32_t process) {
    work->end = 0;
    work->overflown = false;
    char head[6] = {'[', '"', operation, '"', ',', 0};
    add(work, head, 5);
    add_number(work, (int64_t)now());
    add(work, ",", 1);
    add_number(work, process);
    add(work, ",", 1);
}

/* Holding the lock. */
void finish(struct work *work) {
    add(work, "]\n", 2);
    if (work->overflown)
        work->watcher->lost++;
    else
        append(work->watcher, work->line, work->end);
}

/* A line of the usual form; `other`, `found` and `text` may be NULL. Holding the lock. */
void note(struct work *work, char operation, uint32_t process, const struct path *path, const struct path *other,
                 int64_t flags, const struct stat *found, const char *text) {
    begin(work, operation, process);
    if (path)
        add_path(work, path->text, path->length);
    else
        add_text(work, "null");
    if (other || flags || found || text) {
        add(work, ",", 1);
        if (other)
            add_path(work, other->text, other->length);
        else
            add_text(work, "null");
        add(work, ",", 1);
        add_number(work, flags);
    }
    if (found || text) {
        add(work, ",", 1);
        if (found)
            add_stat(work, found);
        else
            add_text(work, "null");
    }
    if (text) {
        add_text(work, ",\"");
        add_escaped(work, text, strlen(text));
        add(work, "\"", 1);
    }
    finish(work);
}
