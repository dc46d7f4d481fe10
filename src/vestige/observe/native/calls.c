/* What calls mean: as `watcher.py` has it, for those that are common. */

#include "watcher.h"

#include <sys/xattr.h>

static bool is_own(const struct watcher *watcher, const struct path *path) {
    for (const char *own = watcher->own; *own; own += strlen(own) + 1)
        if (starts(path->text, own))
            return true;
    return false;
}

static bool holds(const struct watcher *watcher, const struct path *path) {
    return watcher->snapshot_due && strncmp(path->text, watcher->root, watcher->root_length) == 0;
}

static bool pseudo(const struct path *path) {
    return starts(path->text, "/proc/") || starts(path->text, "/sys/") || starts(path->text, "/dev/");
}

/* The names by which a process reaches its own descriptors and folders; Python follows them. */
static bool magic(const struct path *path) {
    return starts(path->text, "/dev/fd/") || starts(path->text, "/dev/std") ||
           (starts(path->text, "/proc/") && (strstr(path->text, "/fd/") || strstr(path->text, "/cwd") || strstr(path->text, "/root")));
}

static uint64_t path_key(const struct path *path) { return hash_of(path->text, path->length, 0); }

/* What was seen of a path or file before this moment may be otherwise from now on. Holding the lock. */
static void change(struct watcher *watcher, const struct path *path, const struct stat *found) {
    uint64_t generation = ++watcher->generation;
    put(&watcher->changed, path_key(path), generation);
    if (found)
        put(&watcher->changed, key_of(found), generation);
}

static uint64_t changed_at(const struct watcher *watcher, uint64_t key) {
    uint64_t *at = find(&watcher->changed, key);
    return at ? *at : 0;
}

/* Whether a process has had this path open for reading before, and nobody has changed it since. Holding the lock. */
static bool repeated(const struct watcher *watcher, uint64_t key, const struct path *path) {
    uint64_t *seen = find(&watcher->seen, key);
    if (!seen)
        return false;
    if (*seen < watcher->everything)
        return false;
    if (watcher->changed.used && *seen < changed_at(watcher, path_key(path)))
        return false;
    uint64_t *inode = find(&watcher->seen, ~key ? ~key : 1);
    return !inode || *seen >= changed_at(watcher, *inode);
}

/* What the loader opens for nearly every program: that the run uses it is told once, and not of each process. As
 * `notes.of_the_loader`. */
static bool of_the_loader(const struct path *path) {
    const char *text = path->text;
    if (strcmp(text, "/etc/ld.so.cache") == 0)
        return true;
    if (!starts(text, "/lib/") && !starts(text, "/lib64/") && !starts(text, "/usr/lib/") && !starts(text, "/usr/lib64/"))
        return false;
    return strstr(text, ".so") && !strstr(text, "python") && !strstr(text, "/R/");
}

static enum verdict open_to_read(struct work *work, uint32_t thread, const struct path *path, int64_t flags) {
    struct watcher *watcher = work->watcher;
    if (pseudo(path) && !starts(path->text, "/dev/shm/"))
        return magic(path) ? LEAVE : GO_ON;
    struct process process = process_of(work, thread, false);
    uint64_t key = hash_of(path->text, path->length, of_the_loader(path) ? 0 : process.serial);
    pthread_mutex_lock(&watcher->lock);
    bool again = repeated(watcher, key, path);
    pthread_mutex_unlock(&watcher->lock);
    if (again)
        return GO_ON;
    struct stat found;
    if (stat(path->text, &found) != 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;
        pthread_mutex_lock(&watcher->lock);
        if (starts(path->text, watcher->flush_mark))
            flush(watcher);
        else if (absent && !has(&watcher->sets[ABSENT], path_key(path))) {
            put(&watcher->sets[ABSENT], path_key(path), 1);
            note(work, 'a', process.number, path, NULL, 0, NULL, NULL);
        }
        pthread_mutex_unlock(&watcher->lock);
        return GO_ON;
    }
    if (!S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode))
        return GO_ON;
    uint64_t first = hash_of_pair(key, process.serial);
    pthread_mutex_lock(&watcher->lock);
    bool before = find(&watcher->seen, first) != NULL;
    if (S_ISREG(found.st_mode) || before) /* of a folder, a third time tells nothing new */
        put(&watcher->seen, key, watcher->generation);
    else
        put(&watcher->seen, first, 1);
    if (S_ISREG(found.st_mode)) {
        put(&watcher->seen, ~key ? ~key : 1, key_of(&found));
        put(&watcher->sets[READ], key_of(&found), 1);
        note(work, 'r', process.number, path, NULL, flags, &found, NULL);
    } else
        note(work, 'd', process.number, path, NULL, before, NULL, NULL);
    pthread_mutex_unlock(&watcher->lock);
    return GO_ON;
}

/* Whether a content is about to be lost that must be taken first. Marks what the run itself has made. */
static bool must_save(struct watcher *watcher, const struct path *path, const struct stat *found) {
    if (!S_ISREG(found->st_mode) || is_own(watcher, path))
        return false;
    pthread_mutex_lock(&watcher->lock);
    bool done = has(&watcher->sets[TOUCHED], key_of(found));
    if (!done && has(&watcher->sets[CREATED], path_key(path))) {
        put(&watcher->sets[TOUCHED], key_of(found), 1);
        done = true;
    }
    pthread_mutex_unlock(&watcher->lock);
    return !done;
}

/* Opened for both, where it was before the run: Python looks whether it is read before it is truncated (`tentative.py`). */
static bool may_be_tentative(struct watcher *watcher, const struct path *path, int64_t flags) {
    if ((flags & O_ACCMODE) != O_RDWR)
        return false;
    pthread_mutex_lock(&watcher->lock);
    bool made = has(&watcher->sets[CREATED], path_key(path));
    pthread_mutex_unlock(&watcher->lock);
    return !made;
}

static enum verdict open_call(struct work *work, uint32_t thread, const struct path *path, int64_t flags) {
    struct watcher *watcher = work->watcher;
    if (flags & O_PATH)
        return GO_ON;
    if (!(flags & (O_ACCMODE | O_CREAT | O_TRUNC)))
        return open_to_read(work, thread, path, flags);
    if (pseudo(path) && !starts(path->text, "/dev/shm/"))
        return magic(path) ? LEAVE : GO_ON;
    struct stat found;
    bool there = true;
    if ((flags & TMPFILE) && (flags & O_DIRECTORY))
        there = false;
    else if (stat(path->text, &found) != 0) {
        if (errno == ENOENT && !(flags & O_CREAT))
            return GO_ON;
        if (holds(watcher, path) || (lstat(path->text, &found) == 0 && S_ISLNK(found.st_mode)))
            return LEAVE;
        there = false;
        pthread_mutex_lock(&watcher->lock);
        put(&watcher->sets[CREATED], path_key(path), 1);
        pthread_mutex_unlock(&watcher->lock);
    }
    if (there) {
        if (!S_ISREG(found.st_mode) || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
            return GO_ON;
        if (!(flags & (O_ACCMODE | O_TRUNC)))
            return open_to_read(work, thread, path, flags & ~(int64_t)O_CREAT);
        if (holds(watcher, path) || must_save(watcher, path, &found) || may_be_tentative(watcher, path, flags))
            return LEAVE;
    }
    struct process process = process_of(work, thread, false);
    pthread_mutex_lock(&watcher->lock);
    change(watcher, path, there ? &found : NULL);
    note(work, 'w', process.number, path, NULL, flags, there ? &found : NULL, NULL);
    pthread_mutex_unlock(&watcher->lock);
    return GO_ON;
}

static enum verdict rename_call(struct work *work, uint32_t thread, const struct path *old, const struct path *new, uint64_t flags) {
    struct watcher *watcher = work->watcher;
    struct stat source, replaced;
    if (lstat(old->text, &source) != 0)
        return GO_ON;
    bool replaces = lstat(new->text, &replaced) == 0;
    if (replaces && flags & RENAME_FREE)
        return GO_ON;
    if (holds(watcher, old) || holds(watcher, new))
        return LEAVE;
    if (replaces && !(flags & RENAME_BOTH)) {
        if (replaced.st_dev == source.st_dev && replaced.st_ino == source.st_ino)
            return GO_ON;
        if (must_save(watcher, new, &replaced))
            return LEAVE;
    }
    struct process process = process_of(work, thread, false);
    bool folder = S_ISDIR(source.st_mode);
    pthread_mutex_lock(&watcher->lock);
    if (has(&watcher->sets[CREATED], path_key(old)))
        put(&watcher->sets[TOUCHED], key_of(&source), 1);
    put(&watcher->sets[CREATED], path_key(new), 1);
    change(watcher, old, &source);
    change(watcher, new, replaces ? &replaced : NULL);
    if (folder || flags & RENAME_BOTH)
        watcher->everything = ++watcher->generation;
    int64_t marks = (flags & RENAME_BOTH ? 1 : 0) | (folder ? 2 : 0);
    begin(work, 'm', process.number);
    add_path(&work->line, old->text, old->length);
    add(&work->line, ",", 1);
    add_path(&work->line, new->text, new->length);
    add(&work->line, ",", 1);
    add_number(&work->line, marks);
    add(&work->line, ",", 1);
    add_stat(&work->line, &source);
    if (replaces) {
        add_text(&work->line, ",\"");
        add_stat(&work->line, &replaced);
        add(&work->line, "\"", 1);
    }
    finish(work);
    pthread_mutex_unlock(&watcher->lock);
    return GO_ON;
}

static enum verdict unlink_call(struct work *work, uint32_t thread, const struct path *path, bool folder) {
    struct watcher *watcher = work->watcher;
    struct stat found;
    if (lstat(path->text, &found) != 0)
        return GO_ON;
    if (holds(watcher, path))
        return LEAVE;
    if (!folder) {
        pthread_mutex_lock(&watcher->lock);
        bool was_read = has(&watcher->sets[READ], key_of(&found));
        pthread_mutex_unlock(&watcher->lock);
        if (was_read && must_save(watcher, path, &found))
            return LEAVE;
    }
    struct process process = process_of(work, thread, false);
    pthread_mutex_lock(&watcher->lock);
    change(watcher, path, &found);
    note(work, 'u', process.number, path, NULL, folder, &found, NULL);
    pthread_mutex_unlock(&watcher->lock);
    return GO_ON;
}

static enum verdict mkdir_call(struct work *work, uint32_t thread, const struct path *path) {
    struct stat found;
    if (lstat(path->text, &found) == 0)
        return GO_ON;
    struct process process = process_of(work, thread, false);
    pthread_mutex_lock(&work->watcher->lock);
    note(work, 'k', process.number, path, NULL, 0, NULL, NULL);
    pthread_mutex_unlock(&work->watcher->lock);
    return GO_ON;
}

/* Whether redaction must be asked; as `record.secrets.suspicious`. */
static bool suspicious(const struct work *work) {
    const struct watcher *watcher = work->watcher;
    if (work->word_count && telling_program(work->words, watcher->telling))
        return true;
    for (size_t number = 0; number < work->word_count; number++)
        if (suspicious_word(work->words + work->word_at[number], watcher->marks, watcher->secrets))
            return true;
    return false;
}

static enum verdict execute_call(struct work *work, uint32_t thread, const struct path *path, uint64_t argv, size_t width) {
    struct watcher *watcher = work->watcher;
    struct stat found;
    if (stat(path->text, &found) != 0)
        return GO_ON; /* a search along PATH */
    if (!read_words(work, thread, argv, width) || suspicious(work))
        return LEAVE;
    bool gains = watcher->user && ((found.st_mode & 06000 && watcher->user != found.st_uid) ||
                                   getxattr(path->text, "security.capability", NULL, 0) > 0);
    bool placed = link_of(work->folder, sizeof work->folder, "/proc/%u/cwd", thread);
    struct process process = process_of(work, thread, true);
    pthread_mutex_lock(&watcher->lock);
    begin(work, 'x', process.number);
    add_path(&work->line, path->text, path->length);
    add(&work->line, ",", 1);
    if (placed)
        add_path(&work->line, work->folder, strlen(work->folder));
    else
        add_text(&work->line, "null");
    add_text(&work->line, ",0,");
    add_stat(&work->line, &found);
    add_text(&work->line, ",\"[");
    for (size_t number = 0; number < work->word_count; number++)
        add_word(&work->line, work->words + work->word_at[number], number == 0);
    add_text(&work->line, "]\"");
    finish(work);
    if (gains) {
        char text[LONGEST + 96];
        snprintf(text, sizeof text, "%s could not gain privileges under observation; use --observe audit", path->text);
        note(work, 'g', process.number, NULL, NULL, 0, NULL, text);
    }
    pthread_mutex_unlock(&watcher->lock);
    return GO_ON;
}

/* Sent to an address: Python looks who that is, once of each process. */
static enum verdict send_call(struct work *work, uint32_t thread, uint64_t address, uint64_t length) {
    struct watcher *watcher = work->watcher;
    char bytes[128];
    size_t size = length < sizeof bytes ? (size_t)length : sizeof bytes;
    if (!size || memory(thread, address, bytes, size) != (ssize_t)size)
        return LEAVE;
    struct process process = process_of(work, thread, false);
    uint64_t key = hash_of(bytes, size, ~(uint64_t)process.serial);
    pthread_mutex_lock(&watcher->lock);
    bool known = find(&watcher->seen, key) != NULL;
    if (!known)
        put(&watcher->seen, key, 1);
    pthread_mutex_unlock(&watcher->lock);
    return known ? GO_ON : LEAVE;
}

static enum call call_of(const struct watcher *watcher, const struct message *message) {
    for (size_t at = 0; at < ARCHITECTURES; at++)
        if (watcher->architectures[at] == message->architecture)
            return message->number >= 0 && message->number < CALLS ? watcher->calls[at][message->number] : OTHER;
    return OTHER;
}

enum verdict look(struct work *work, const struct message *message) {
    const uint64_t *a = message->a;
    uint32_t thread = message->thread;
    size_t width = message->architecture == I386 ? 4 : 8;
    uint64_t here = (uint64_t)(int64_t)AT_FDCWD, flags = 0;
    struct path *one = &work->one, *other = &work->other;
#define READ_PATH(path, address, folder) \
    if (!read_path(work, path, thread, address, folder)) \
        return errno == EPERM || errno == EACCES || errno == ENAMETOOLONG ? LEAVE : GO_ON /* Python says what is not known */
    if (work->watcher->parted)
        return LEAVE;
    switch (call_of(work->watcher, message)) {
    case OPEN:
        READ_PATH(one, a[0], here);
        return open_call(work, thread, one, (int64_t)(uint32_t)a[1]);
    case OPENAT:
        READ_PATH(one, a[1], a[0]);
        return open_call(work, thread, one, (int64_t)(uint32_t)a[2]);
    case OPENAT2:
        READ_PATH(one, a[1], a[0]);
        if (memory(thread, a[2], &flags, sizeof flags) != sizeof flags)
            return GO_ON;
        return open_call(work, thread, one, (int64_t)flags);
    case CREAT:
        READ_PATH(one, a[0], here);
        return open_call(work, thread, one, O_CREAT | O_WRONLY | O_TRUNC);
    case EXECVE:
        READ_PATH(one, a[0], here);
        return execute_call(work, thread, one, a[1], width);
    case EXECVEAT:
        READ_PATH(one, a[1], a[0]);
        return execute_call(work, thread, one, a[2], width);
    case RENAME:
        READ_PATH(one, a[0], here);
        READ_PATH(other, a[1], here);
        return rename_call(work, thread, one, other, 0);
    case RENAMEAT:
    case RENAMEAT2:
        READ_PATH(one, a[1], a[0]);
        READ_PATH(other, a[3], a[2]);
        return rename_call(work, thread, one, other, call_of(work->watcher, message) == RENAMEAT2 ? a[4] : 0);
    case UNLINK:
        READ_PATH(one, a[0], here);
        return unlink_call(work, thread, one, false);
    case UNLINKAT:
        READ_PATH(one, a[1], a[0]);
        return unlink_call(work, thread, one, (a[2] & AT_REMOVEDIR) != 0);
    case RMDIR:
        READ_PATH(one, a[0], here);
        return unlink_call(work, thread, one, true);
    case MKDIR:
        READ_PATH(one, a[0], here);
        return mkdir_call(work, thread, one);
    case MKDIRAT:
        READ_PATH(one, a[1], a[0]);
        return mkdir_call(work, thread, one);
    case SENDTO:
        return send_call(work, thread, a[4], a[5]);
    case IGNORED:
        return GO_ON;
    case OTHER:
        return LEAVE;
    }
    return LEAVE;
}
