/* The same watcher where the kernel gives no listener: the filter stops the caller, and we, its tracer, look (ptrace(2)).
 *
 * One thread does it all, since the kernel takes a tracer's requests from no other. It is Python's: `vestige_trace_wait`
 * handles stops until there is something that Python must know, and what other threads have decided is carried out here.
 *
 * Only entries of selected calls stop (PTRACE_EVENT_SECCOMP), not their returns, as with a listener. The other stops are
 * the price of this way: each new thread, each execution, each signal. What follows from ptrace(2):
 *
 * - Who traces takes every end and every stop of a traced process before its parent does. The parent is told by the kernel
 *   when we have looked; of our own child, the command, we tell Python.
 * - A process that a signal stops (Ctrl-Z) must stay stopped, and be woken by SIGCONT alone: PTRACE_LISTEN.
 * - A thread that executes takes the number of its process's first thread, and what was held of either is gone.
 * - A new thread is known by its own first stop, never by its parent's: of the two, the child may be gone already.
 */

#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "watcher.h"

/* include/uapi/linux/ptrace.h; written out, since its names and those of <sys/ptrace.h> exclude each other. */
enum { CONTINUE_IT = 7, EVENT_MESSAGE = 0x4201, REGISTERS = 0x4204, SEIZE = 0x4206, LISTEN = 0x4208, CALL_INFO = 0x420E };
enum { EXECUTED = 4, CALLED = 7, STOPPED = 128 };
enum { SYSGOOD = 1, FORKS = 2, VFORKS = 4, CLONES = 8, EXECUTES = 0x10, CALLS_OUT = 0x80 };
enum { CALL_INFO_OF_FILTER = 3, GENERAL_REGISTERS = 1 };

struct call_info {
    uint8_t kind, unused[3];
    uint32_t architecture;
    uint64_t instruction, stack;
    uint64_t number, a[6];
    uint32_t data;
};

/* What Python is told of; the layout is that of `observe.ptrace`. */
struct happening {
    int32_t process, status;
    int64_t cpu, memory; /* microseconds, and KiB at most */
    uint32_t left, unused; /* threads that are traced */
    struct message message;
};

enum { MESSAGE = 0, NOBODY_LEFT = -1, OTHERS = -2, PAUSE = -3, CHANGE = -4, NOTHING = -5 };

struct tracer {
    struct watcher *watcher;
    struct work *work;
    pid_t command, self;
    int children;
    struct table living, held; /* by thread: whether it is traced; the message that it waits for an answer to */
    uint32_t left, serial;
    bool stopped; /* the command is */
    uint64_t flushed;
    uint64_t *answers;
    size_t answer_count, answer_room;
};

static long trace(long request, pid_t thread, uint64_t address, uint64_t data) {
    return syscall(SYS_ptrace, request, (long)thread, address, data);
}

static uint64_t key_of_thread(pid_t thread) { return mixed((uint64_t)thread) | 1; }

/* Begin to trace a process and all that it starts; 0, or an errno. */
EXPORT int vestige_trace_seize(int process) {
    long options = SYSGOOD | FORKS | VFORKS | CLONES | EXECUTES | CALLS_OUT;
    return trace(SEIZE, process, 0, (uint64_t)options) == 0 ? 0 : errno;
}

/* `command` was seized, by this thread. NULL where there is no memory for it. */
EXPORT struct tracer *vestige_trace_new(struct watcher *watcher, int command) {
    struct tracer *tracer = calloc(1, sizeof *tracer);
    struct work *work = malloc(sizeof *work);
    sigset_t children;
    if (!tracer || !work) {
        free(tracer);
        free(work);
        return NULL;
    }
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &children, NULL);
    *tracer = (struct tracer){.watcher = watcher, .work = work, .command = command, .left = 1};
    tracer->self = (pid_t)syscall(SYS_gettid);
    tracer->children = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
    put(&tracer->living, key_of_thread(command), 1);
    work->watcher = watcher;
    return tracer;
}

static void go_on(pid_t thread, int signal) { trace(CONTINUE_IT, thread, 0, (uint64_t)signal); /* ESRCH: it was killed */ }

static bool is_traced(const struct tracer *tracer, pid_t thread) { return has(&tracer->living, key_of_thread(thread)); }

static void begins(struct tracer *tracer, pid_t thread) {
    if (is_traced(tracer, thread))
        return;
    put(&tracer->living, key_of_thread(thread), 1);
    tracer->left++;
}

static void forget_held(struct tracer *tracer, pid_t thread) {
    if (has(&tracer->held, key_of_thread(thread)))
        put(&tracer->held, key_of_thread(thread), 0);
}

static void ends(struct tracer *tracer, pid_t thread) {
    forget_held(tracer, thread);
    if (!is_traced(tracer, thread))
        return;
    put(&tracer->living, key_of_thread(thread), 0);
    tracer->left--;
}

/* -- the call that a thread is stopped at ------------------------------------------------------------------------------ */

#if defined(__x86_64__)
enum { R_BP = 4, R_BX, R_10 = 7, R_9, R_8, R_CX = 11, R_DX, R_SI, R_DI, R_ORIGINAL, R_IP };

static bool read_registers(pid_t thread, struct message *message) {
    uint64_t r[27];
    struct iovec room = {r, sizeof r};
    if (trace(REGISTERS, thread, GENERAL_REGISTERS, (uint64_t)(uintptr_t)&room) != 0)
        return false;
    if (room.iov_len < sizeof r) { /* of a 32-bit program: bx cx dx si di bp ax ds es fs gs orig_ax ip */
        uint32_t old[17];
        memcpy(old, r, sizeof old);
        for (int at = 0; at < 6; at++)
            message->a[at] = old[at];
        message->number = (int32_t)old[11];
        message->instruction = old[12];
        return true;
    }
    uint64_t wide[] = {r[R_DI], r[R_SI], r[R_DX], r[R_10], r[R_8], r[R_9]};
    uint64_t narrow[] = {r[R_BX], r[R_CX], r[R_DX], r[R_SI], r[R_DI], r[R_BP]};
    for (int at = 0; at < 6; at++)
        message->a[at] = message->architecture == I386 ? (uint32_t)narrow[at] : wide[at];
    message->number = (int32_t)r[R_ORIGINAL];
    message->instruction = r[R_IP];
    return true;
}
#elif defined(__aarch64__)
static bool read_registers(pid_t thread, struct message *message) {
    uint64_t r[34];
    struct iovec room = {r, sizeof r};
    if (trace(REGISTERS, thread, GENERAL_REGISTERS, (uint64_t)(uintptr_t)&room) != 0 || room.iov_len < sizeof r)
        return false;
    memcpy(message->a, r, sizeof message->a);
    message->number = (int32_t)r[8];
    message->instruction = r[32];
    return true;
}
#else
static bool read_registers(pid_t thread, struct message *message) {
    (void)thread, (void)message;
    return false;
}
#endif

/* Linux 5.3 tells all at once. Before that the filter's own datum says which table of calls it was, and registers the rest. */
static bool read_call(const struct tracer *tracer, pid_t thread, struct message *message) {
    struct call_info info = {0};
    *message = (struct message){.thread = (uint32_t)thread};
    if (trace(CALL_INFO, thread, sizeof info, (uint64_t)(uintptr_t)&info) > 0 && info.kind == CALL_INFO_OF_FILTER) {
        message->architecture = info.architecture;
        message->number = (int32_t)info.number;
        message->instruction = info.instruction;
        memcpy(message->a, info.a, sizeof message->a);
        return true;
    }
    unsigned long position = 0;
    if (trace(EVENT_MESSAGE, thread, 0, (uint64_t)(uintptr_t)&position) != 0 || position >= ARCHITECTURES)
        return false;
    message->architecture = tracer->watcher->architectures[position];
    return read_registers(thread, message);
}

static int called(struct tracer *tracer, pid_t thread, struct happening *happening) {
    struct message *message = &happening->message;
    atomic_store_explicit(&tracer->watcher->active, true, memory_order_relaxed);
    if (!read_call(tracer, thread, message)) {
        unreadable(tracer->watcher);
        go_on(thread, 0);
        return NOTHING;
    }
    if (look(tracer->work, message) == GO_ON) {
        go_on(thread, 0);
        return NOTHING;
    }
    message->id = (uint64_t)thread << 32 | ++tracer->serial;
    put(&tracer->held, key_of_thread(thread), message->id);
    if (has(&tracer->held, key_of_thread(thread)))
        return MESSAGE;
    go_on(thread, 0); /* no memory */
    return NOTHING;
}

/* -- what becomes of processes ----------------------------------------------------------------------------------------- */

static int told(const struct tracer *tracer, pid_t process, int status, struct happening *happening) {
    happening->process = process;
    happening->status = status;
    happening->left = tracer->left;
    return CHANGE;
}

/* Stopped by a signal, or woken from that; or a thread that is new. */
static int stopped(struct tracer *tracer, pid_t thread, int signal, struct happening *happening) {
    bool stays = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
    begins(tracer, thread);
    if (stays)
        trace(LISTEN, thread, 0, 0);
    else
        go_on(thread, 0);
    if (thread != tracer->command || stays == tracer->stopped)
        return NOTHING;
    tracer->stopped = stays;
    return told(tracer, thread, stays ? signal << 8 | 0x7F : 0xFFFF, happening); /* as wait(2) says it */
}

static void executed(struct tracer *tracer, pid_t process) {
    unsigned long before = 0;
    trace(EVENT_MESSAGE, process, 0, (uint64_t)(uintptr_t)&before);
    forget_held(tracer, process);
    if (before && (pid_t)before != process)
        ends(tracer, (pid_t)before);
    begins(tracer, process);
    go_on(process, 0);
}

static int changed(struct tracer *tracer, pid_t thread, int status, const struct rusage *usage, struct happening *happening) {
    if (!WIFSTOPPED(status)) {
        bool ours = is_traced(tracer, thread), command = thread == tracer->command;
        ends(tracer, thread);
        if (!command && ours && tracer->left)
            return NOTHING;
        if (command)
            tracer->command = -1; /* its number may be given out again */
        happening->cpu = (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000LL + usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
        happening->memory = usage->ru_maxrss;
        return told(tracer, thread, status, happening);
    }
    int signal = WSTOPSIG(status), event = status >> 16;
    if (event == CALLED)
        return called(tracer, thread, happening);
    if (event == STOPPED)
        return stopped(tracer, thread, signal, happening);
    if (event == EXECUTED)
        executed(tracer, thread);
    else
        go_on(thread, event ? 0 : signal);
    return NOTHING;
}

/* -- answers ----------------------------------------------------------------------------------------------------------- */

static void carry_out(struct tracer *tracer, uint64_t id) {
    pid_t thread = (pid_t)(id >> 32);
    uint64_t *held = find(&tracer->held, key_of_thread(thread));
    if (!held || *held != id)
        return; /* it was killed meanwhile */
    *held = 0;
    go_on(thread, 0);
}

static bool make_room(struct tracer *tracer) {
    if (tracer->answer_count < tracer->answer_room)
        return true;
    size_t room = tracer->answer_room ? tracer->answer_room * 2 : 16;
    uint64_t *more = realloc(tracer->answers, room * sizeof *more);
    if (!more)
        return false;
    tracer->answers = more;
    tracer->answer_room = room;
    return true;
}

/* Let go on who was held; from any thread. */
EXPORT void vestige_trace_answer(struct tracer *tracer, uint64_t id) {
    if ((pid_t)syscall(SYS_gettid) == tracer->self) {
        carry_out(tracer, id);
        return;
    }
    bool put_down = false;
    while (!put_down) { /* else it would be held for ever */
        pthread_mutex_lock(&tracer->watcher->lock);
        put_down = make_room(tracer);
        if (put_down)
            tracer->answers[tracer->answer_count++] = id;
        pthread_mutex_unlock(&tracer->watcher->lock);
        wake(tracer->watcher);
    }
}

static void carry_out_all(struct tracer *tracer) {
    uint64_t number, *answers;
    if (read(tracer->watcher->wake, &number, sizeof number) < 0) {}
    pthread_mutex_lock(&tracer->watcher->lock);
    answers = tracer->answers;
    size_t count = tracer->answer_count;
    tracer->answers = NULL;
    tracer->answer_count = tracer->answer_room = 0;
    pthread_mutex_unlock(&tracer->watcher->lock);
    for (size_t at = 0; at < count; at++)
        carry_out(tracer, answers[at]);
    free(answers);
}

/* -- the loop ---------------------------------------------------------------------------------------------------------- */

enum { IDLE = 20, AT_ONCE = 64, MOST = 14 };

static void flush_now(struct tracer *tracer, uint64_t time) {
    vestige_flush(tracer->watcher);
    tracer->flushed = time;
    atomic_store_explicit(&tracer->watcher->active, false, memory_order_relaxed);
}

/* Look at descriptors: at once while there are stops, else until something happens. */
static int listen_to(struct tracer *tracer, const int *others, short *ready, int count, int milliseconds, bool busy) {
    struct pollfd polled[2 + MOST] = {{tracer->children, POLLIN, 0}, {tracer->watcher->wake, POLLIN, 0}};
    bool active = atomic_load_explicit(&tracer->watcher->active, memory_order_relaxed), found = false;
    if (count > MOST)
        count = MOST;
    for (int at = 0; at < count; at++)
        polled[2 + at] = (struct pollfd){others[at], POLLIN, 0};
    int wait = busy ? 0 : active && (milliseconds < 0 || milliseconds > IDLE) ? IDLE : milliseconds;
    int number = poll(polled, (nfds_t)(2 + count), wait);
    if (active && (number == 0 || busy)) {
        uint64_t time = now();
        if (!busy || time - tracer->flushed > IDLE * 1000)
            flush_now(tracer, time);
    }
    if (number < 0)
        return NOTHING; /* a signal */
    if (polled[0].revents) {
        struct signalfd_siginfo gone[4];
        if (read(tracer->children, gone, sizeof gone) < 0) {}
    }
    if (polled[1].revents)
        carry_out_all(tracer);
    for (int at = 0; at < count; at++) {
        ready[at] = polled[2 + at].revents;
        found |= ready[at] != 0;
    }
    return found ? OTHERS : number == 0 && !busy && milliseconds >= 0 ? PAUSE : NOTHING;
}

/* Handle stops until Python must know something: a message to be looked at (`happening->message`), a change of the command,
 * the end of a child that is not traced or of the last that is (`happening`), descriptors of `others` that are ready, nobody
 * left to wait for, or `milliseconds` gone (-1: none). */
EXPORT int vestige_trace_wait(struct tracer *tracer, struct happening *happening, const int *others, short *ready, int count,
                              int milliseconds) {
    for (int handled = 1;; handled++) {
        struct rusage usage;
        int status, found = NOTHING;
        pid_t thread = wait4(-1, &status, __WALL | WNOHANG, &usage);
        if (thread > 0)
            found = changed(tracer, thread, status, &usage, happening);
        else if (thread < 0 && errno == ECHILD)
            return NOBODY_LEFT;
        if (found == NOTHING && (thread <= 0 || handled % AT_ONCE == 0))
            found = listen_to(tracer, others, ready, count, milliseconds, thread > 0);
        if (found != NOTHING)
            return found;
    }
}

EXPORT void vestige_trace_end(struct tracer *tracer) {
    close(tracer->children);
    free(tracer->work);
    free(tracer->answers);
    free(tracer);
}
