/* Lines of the journal, and the journal: `observe.interface` has their table. */

#include "watcher.h"

/* The journal is brought to the file. A disk that is full loses lines, never the program. Holding the lock. */
void flush(struct watcher *watcher) {
    size_t at = 0, length = watcher->shared->pending;
    if (length && watcher->torn && write(watcher->journal, "\n", 1) == 1)
        watcher->torn = false; /* there is room again: what follows begins on a line of its own */
    while (at < length) {
        ssize_t written = write(watcher->journal, watcher->lines + at, length - at);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            watcher->torn |= at && watcher->lines[at - 1] != '\n';
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
    work->line = (struct line){.bytes = work->bytes, .room = sizeof work->bytes};
    char head[6] = {'[', '"', operation, '"', ',', 0};
    add(&work->line, head, 5);
    add_number(&work->line, (int64_t)now());
    add(&work->line, ",", 1);
    add_number(&work->line, process);
    add(&work->line, ",", 1);
}

/* Holding the lock. */
void finish(struct work *work) {
    add(&work->line, "]\n", 2);
    if (work->line.overflown)
        work->watcher->lost++;
    else
        append(work->watcher, work->line.bytes, work->line.end);
}

/* A line of the usual form; `other`, `found` and `text` may be NULL. Holding the lock. */
void note(struct work *work, char operation, uint32_t process, const struct path *path, const struct path *other,
                 int64_t flags, const struct stat *found, const char *text) {
    begin(work, operation, process);
    if (path)
        add_path(&work->line, path->text, path->length);
    else
        add_text(&work->line, "null");
    if (other || flags || found || text) {
        add(&work->line, ",", 1);
        if (other)
            add_path(&work->line, other->text, other->length);
        else
            add_text(&work->line, "null");
        add(&work->line, ",", 1);
        add_number(&work->line, flags);
    }
    if (found || text) {
        add(&work->line, ",", 1);
        if (found)
            add_stat(&work->line, found);
        else
            add_text(&work->line, "null");
    }
    if (text) {
        add_text(&work->line, ",\"");
        add_escaped(&work->line, text, strlen(text));
        add(&work->line, "\"", 1);
    }
    finish(work);
}
