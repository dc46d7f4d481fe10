/* The hot path of the watcher: it answers what most calls are, and leaves the rest to Python.
 *
 * `watcher.py` is the reference, and says what each call means. What is here does the same for the common cases with
 * several threads: a file opened for reading or created, a program executed, a name moved or removed whose content nobody
 * loses. Everything else (a content that is about to be lost, a word that might be a secret, a change while the snapshot
 * is due, calls that are rare) is put into a queue, from which Python takes it; the caller waits as long.
 *
 * There is no Python in here: the library is loaded by ctypes, so one build serves every version of Python.
 *
 * Nothing is allocated for an event. A message is received into a slot of memory that is shared with the recorder, and
 * its line goes into a buffer there: whoever stands in for a watcher that was killed answers what was received and not
 * answered, and writes out what was noted and not written.
 */

#include "watcher.h"

enum { VERSION = 7 };

EXPORT int vestige_version(void) { return VERSION; }

EXPORT struct watcher *vestige_new(const struct setup *setup) {
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (!watcher)
        return NULL;
    watcher->listener = setup->listener;
    watcher->journal = setup->journal;
    watcher->snapshot_due = setup->snapshot_due;
    watcher->self = (uint32_t)getpid();
    watcher->user = geteuid();
    watcher->root = setup->root;
    watcher->root_length = strlen(setup->root);
    watcher->own = setup->own;
    watcher->marks = setup->marks;
    watcher->telling = setup->telling;
    watcher->secrets = setup->secrets;
    watcher->flush_mark = setup->flush_mark;
    memcpy(watcher->architectures, setup->architectures, sizeof watcher->architectures);
    memcpy(watcher->calls, setup->calls, sizeof watcher->calls);
    watcher->shared = setup->shared;
    watcher->shared->slots = setup->slots;
    watcher->slots = (struct message *)((char *)setup->shared + 64);
    watcher->lines = (char *)(watcher->slots + setup->slots);
    watcher->lines_room = (size_t)((char *)setup->shared + setup->shared_size - watcher->lines);
    watcher->free_slots = malloc(setup->slots * sizeof *watcher->free_slots);
    watcher->queue = malloc(setup->slots * sizeof *watcher->queue);
    watcher->workers = calloc((size_t)setup->threads, sizeof *watcher->workers);
    watcher->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct stat found;
    if (!watcher->free_slots || !watcher->queue || !watcher->workers || watcher->wake < 0) {
        free(watcher);
        return NULL;
    }
    if (fstat(watcher->journal, &found) == 0)
        watcher->shared->written = (uint64_t)found.st_size;
    for (uint32_t slot = setup->slots; slot-- > 0;)
        watcher->free_slots[watcher->free_count++] = slot;
    pthread_mutex_init(&watcher->lock, NULL);
    pthread_cond_init(&watcher->slot_freed, NULL);
    pthread_cond_init(&watcher->called, NULL);
    atomic_store(&watcher->wanted, 1);
    ioctl(watcher->listener, SET_FLAGS, SYNC_WAKE_UP); /* Linux 6.6: hand the processor over, since the caller waits */
    return watcher;
}

EXPORT void vestige_append(struct watcher *watcher, const char *line, size_t length) {
    pthread_mutex_lock(&watcher->lock);
    append(watcher, line, length);
    pthread_mutex_unlock(&watcher->lock);
}

EXPORT void vestige_flush(struct watcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    flush(watcher);
    pthread_mutex_unlock(&watcher->lock);
}

EXPORT void vestige_snapshot_taken(struct watcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    watcher->snapshot_due = false;
    pthread_mutex_unlock(&watcher->lock);
}

/* The same names may lead to other files for some from now on: all paths are left to Python. */
EXPORT void vestige_part_ways(struct watcher *watcher) { watcher->parted = true; }

static uint64_t member(const char *path, uint64_t device, uint64_t inode) {
    return path ? hash_of(path, strlen(path), 0) : hash_of_pair(device, inode);
}

EXPORT int vestige_has(struct watcher *watcher, int set, const char *path, uint64_t device, uint64_t inode) {
    pthread_mutex_lock(&watcher->lock);
    bool found = has(&watcher->sets[set], member(path, device, inode));
    pthread_mutex_unlock(&watcher->lock);
    return found;
}

EXPORT void vestige_put(struct watcher *watcher, int set, const char *path, uint64_t device, uint64_t inode) {
    pthread_mutex_lock(&watcher->lock);
    put(&watcher->sets[set], member(path, device, inode), 1);
    pthread_mutex_unlock(&watcher->lock);
}

/* As `change`: for what Python has let go on. */
EXPORT void vestige_changed(struct watcher *watcher, const char *path, uint64_t device, uint64_t inode, int everything) {
    pthread_mutex_lock(&watcher->lock);
    uint64_t generation = ++watcher->generation;
    put(&watcher->changed, hash_of(path, strlen(path), 0), generation);
    if (device || inode)
        put(&watcher->changed, hash_of_pair(device, inode), generation);
    if (everything)
        watcher->everything = generation;
    pthread_mutex_unlock(&watcher->lock);
}

/* The process of a thread; noted if it is new. */
EXPORT uint32_t vestige_process(struct watcher *watcher, uint32_t thread, int executes) {
    struct work *work = malloc(sizeof *work);
    if (!work)
        return thread;
    work->watcher = watcher;
    struct process process = process_of(work, thread, executes != 0);
    free(work);
    return process.number ? process.number : thread;
}

/* How many events had no path that could be read, and how many lines were lost. */
EXPORT void vestige_counts(struct watcher *watcher, uint64_t *unreadable_calls, uint64_t *lost) {
    pthread_mutex_lock(&watcher->lock);
    *unreadable_calls = watcher->unreadable;
    *lost = watcher->lost;
    pthread_mutex_unlock(&watcher->lock);
}
