/* The threads that receive the kernel's messages and answer them. */

#include "watcher.h"

enum { WAKE = SIGURG };

/* Python's thread has something to do. */
void wake(struct watcher *watcher) {
    uint64_t one = 1;
    if (write(watcher->wake, &one, sizeof one) < 0) {}
}

static void send_answer(struct watcher *watcher, uint64_t id) {
    struct answer answer = {.id = id, .flags = CONTINUE};
    ioctl(watcher->listener, SEND, &answer); /* ENOENT: the caller was killed meanwhile */
}

/* A free slot; waits until there is one. */
static uint32_t take_slot(struct watcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    while (!watcher->free_count)
        pthread_cond_wait(&watcher->slot_freed, &watcher->lock);
    uint32_t slot = watcher->free_slots[--watcher->free_count];
    pthread_mutex_unlock(&watcher->lock);
    return slot;
}

static void leave(struct watcher *watcher, uint32_t slot) {
    pthread_mutex_lock(&watcher->lock);
    watcher->queue[(watcher->queue_first + watcher->queue_count++) % watcher->shared->slots] = slot;
    pthread_mutex_unlock(&watcher->lock);
    wake(watcher);
}

/* Wait until this worker is wanted. */
static void park(struct watcher *watcher, uint32_t number) {
    pthread_mutex_lock(&watcher->lock);
    while (number >= atomic_load(&watcher->wanted) && !atomic_load(&watcher->ending))
        pthread_cond_wait(&watcher->called, &watcher->lock);
    pthread_mutex_unlock(&watcher->lock);
}

static void *work_on(void *given) {
    struct worker *worker = given;
    struct watcher *watcher = worker->watcher;
    struct work *work = malloc(sizeof *work);
    if (!work)
        return NULL;
    work->watcher = watcher;
    uint32_t slot = take_slot(watcher);
    while (!atomic_load_explicit(&watcher->ending, memory_order_relaxed)) {
        if (worker->number >= atomic_load_explicit(&watcher->wanted, memory_order_relaxed)) {
            park(watcher, worker->number);
            continue;
        }
        struct message *message = &watcher->slots[slot];
        memset(message, 0, sizeof *message);
        if (ioctl(watcher->listener, RECEIVE, message) != 0) {
            message->id = 0;
            if (errno == ENOENT || errno == EINTR)
                continue;
            break;
        }
        atomic_fetch_add(&worker->handled, 1);
        if (!atomic_load(&watcher->active) && !atomic_exchange(&watcher->active, true))
            wake(watcher);
        if (look(work, message) == LEAVE) {
            leave(watcher, slot);
            slot = take_slot(watcher);
        } else {
            send_answer(watcher, message->id);
            message->id = 0;
        }
        atomic_fetch_add_explicit(&worker->handled, 1, memory_order_relaxed);
    }
    free(work);
    return NULL;
}

/* Every 20 ms while there are messages: write out the journal, and see whether more workers are needed, because those that
 * receive are held up (a slow file system), or cannot keep up and there are processors to spare. `waiting`: a message is. */
static void tick(struct watcher *watcher, bool waiting) {
    uint32_t stuck = 0, busy = 0, wanted = atomic_load(&watcher->wanted);
    for (uint32_t number = 0; number < watcher->worker_count; number++) {
        struct worker *worker = &watcher->workers[number];
        uint32_t handled = atomic_load(&worker->handled);
        stuck += (handled & 1) && handled == worker->handled_before;
        busy += handled != worker->handled_before;
        worker->handled_before = handled;
    }
    watcher->backlog = waiting ? watcher->backlog + 1 : 0;
    watcher->calm = waiting || stuck ? 0 : watcher->calm + 1;
    pthread_mutex_lock(&watcher->lock);
    flush(watcher);
    if (wanted < watcher->worker_count &&
        (stuck >= wanted || (watcher->backlog >= 3 && wanted - stuck < watcher->worker_limit))) {
        atomic_store(&watcher->wanted, wanted + 1);
        watcher->backlog = 0;
        pthread_cond_broadcast(&watcher->called);
    } else if (wanted > 1 && watcher->calm >= 10) {
        atomic_store(&watcher->wanted, wanted - 1);
        watcher->calm = 0;
    }
    if (!busy && !stuck) {
        atomic_store(&watcher->active, false);
        for (uint32_t number = 0; number < watcher->worker_count; number++) /* one may have begun meanwhile */
            if (atomic_load(&watcher->workers[number].handled) != watcher->workers[number].handled_before)
                atomic_store(&watcher->active, true);
    }
    pthread_mutex_unlock(&watcher->lock);
}

static void woken(int number) { (void)number; }

/* Start the threads; how many there are. They take no signal of the process's. `limit`: of those that work at once because
 * there is much to do; others are for when these are held up. */
EXPORT int vestige_start(struct watcher *watcher, int threads, int limit) {
    struct sigaction action = {.sa_handler = woken};
    sigset_t all, before;
    pthread_attr_t attributes;
    sigaction(WAKE, &action, NULL);
    sigfillset(&all);
    sigdelset(&all, WAKE);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    watcher->worker_limit = (uint32_t)limit;
    for (int number = 0; number < threads; number++) {
        struct worker *worker = &watcher->workers[watcher->worker_count];
        *worker = (struct worker){.watcher = watcher, .number = watcher->worker_count};
        if (pthread_create(&worker->thread, &attributes, work_on, worker) == 0)
            watcher->worker_count++;
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return (int)watcher->worker_count;
}

enum { NOBODY_LEFT = -1, OTHERS = -2, PAUSE = -3, IDLE = 20 };

/* Wait until there is something for Python: the slot of a message (0 and above), descriptors of `others` that are ready
 * (`ready` says which, with their events), nobody left who is filtered, or `milliseconds` (-1: none) gone. */
EXPORT int vestige_wait(struct watcher *watcher, const int *others, short *ready, int count, int milliseconds) {
    struct pollfd polled[16];
    if (count > 14)
        count = 14;
    for (;;) {
        pthread_mutex_lock(&watcher->lock);
        if (watcher->queue_count) {
            uint32_t slot = watcher->queue[watcher->queue_first];
            watcher->queue_first = (watcher->queue_first + 1) % watcher->shared->slots;
            watcher->queue_count--;
            pthread_mutex_unlock(&watcher->lock);
            return (int)slot;
        }
        pthread_mutex_unlock(&watcher->lock);
        bool active = atomic_load(&watcher->active);
        polled[0] = (struct pollfd){watcher->listener, 0, 0};
        polled[1] = (struct pollfd){watcher->wake, POLLIN, 0};
        for (int at = 0; at < count; at++)
            polled[2 + at] = (struct pollfd){others[at], POLLIN, 0};
        int timeout = milliseconds;
        if (active && (timeout < 0 || timeout > IDLE))
            timeout = IDLE;
        int found = poll(polled, (nfds_t)(2 + count), timeout);
        if (found < 0)
            continue; /* a signal: what it is about is written to one of the others */
        if (polled[1].revents) {
            uint64_t number;
            if (read(watcher->wake, &number, sizeof number) < 0) {}
        }
        bool others_ready = false;
        for (int at = 0; at < count; at++) {
            ready[at] = polled[2 + at].revents;
            others_ready |= ready[at] != 0;
        }
        if (others_ready)
            return OTHERS;
        if (found == 0) {
            struct pollfd listener = {watcher->listener, POLLIN, 0};
            tick(watcher, poll(&listener, 1, 0) > 0 && listener.revents & POLLIN);
            if (milliseconds >= 0)
                return PAUSE;
        } else if (polled[0].revents & (POLLHUP | POLLERR | POLLNVAL))
            return NOBODY_LEFT;
    }
}

EXPORT void vestige_answer(struct watcher *watcher, uint64_t id) {
    send_answer(watcher, id);
    pthread_mutex_lock(&watcher->lock);
    for (uint32_t slot = 0; slot < watcher->shared->slots; slot++)
        if (watcher->slots[slot].id == id) {
            watcher->slots[slot].id = 0;
            watcher->free_slots[watcher->free_count++] = slot;
            pthread_cond_signal(&watcher->slot_freed);
            break;
        }
    pthread_mutex_unlock(&watcher->lock);
}

enum { PATIENCE = 500 }; /* times 2 ms; who still waits for a file system then is left behind */

/* End the threads, and write out what is left. */
EXPORT void vestige_end(struct watcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    atomic_store(&watcher->ending, true);
    pthread_cond_broadcast(&watcher->called);
    pthread_mutex_unlock(&watcher->lock);
    for (uint32_t number = 0; number < watcher->worker_count; number++) {
        struct timespec soon;
        int tries = 0;
        do {
            pthread_kill(watcher->workers[number].thread, WAKE);
            clock_gettime(CLOCK_REALTIME, &soon);
            soon.tv_nsec += 2000000;
            if (soon.tv_nsec >= 1000000000) {
                soon.tv_sec++;
                soon.tv_nsec -= 1000000000;
            }
        } while (pthread_timedjoin_np(watcher->workers[number].thread, NULL, &soon) == ETIMEDOUT && ++tries < PATIENCE);
    }
    pthread_mutex_lock(&watcher->lock);
    flush(watcher);
    pthread_mutex_unlock(&watcher->lock);
}
