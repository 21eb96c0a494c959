/* --guard FILE -- PROGRAM…, --guard FILE PID, --gate FILE: limits that end a trial, or that hold it back.
 *
 * In: limits on files of the system and on time (docs/protocol.md). Out: one line of JSON on stdout, and in the file that
 * `out` names. A guarded program runs in a process group of its own; nothing of the group is left when the guard ends. Of
 * a guard that is killed (SIGKILL) the program itself goes with it, what that started may stay. With `sample`, a sampler
 * follows the program and ends with it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "files.h"
#include "json.h"

int sample_main(int argc, char **argv);

#define KILLED_WITHIN 30000000000 /* ns */
#define STALL 1000000000 /* ns: a pause that takes so much longer than asked for is no pause any more */

enum { LIMITS = 16, ENDED = 120, TIMED_OUT = 124, NOT_STARTED = 127, BAD_GUARD = 2 };

typedef struct {
    const char *reason, *path, *after;
    int64_t scale, above, below, settle_ns, settle_span;
    int64_t value, lowest, highest, since; /* of the stretch in which it stayed within `settle_span` */
    FileState state;
} Limit;

typedef struct {
    Limit limits[LIMITS];
    int count;
    int64_t timeout_ns, grace_ns, poll_ns, lead_ns; /* `lead_ns`: how long the sampler is ahead of the program */
    const char *out, *log, *sample;
    Json *given; /* in which the texts are */
} Guard;

static int refuse(const char *key, const char *what) {
    fprintf(stderr, "bad_guard: %s%s%s\n", key, *key != '\0' ? ": " : "", what);
    return BAD_GUARD;
}

static int understand(Guard *g, const char *path) {
    char why[512];
    const char *key, *fault;
    const Json *limits = NULL;
    int64_t version = 0;
    g->timeout_ns = INT64_MAX / 2;
    g->grace_ns = 5000000000;
    g->poll_ns = 1000000000;
    g->given = json_read(path, 1 << 16, why, sizeof why);
    if (g->given == NULL) return refuse("", why);
    fault = json_take(g->given, (JsonField[]){
        {"version", "i!", &version}, {"timeout_ns", "i?", &g->timeout_ns, 0, INT64_MAX / 2},
        {"grace_ns", "i?", &g->grace_ns, 0, INT64_MAX / 4}, {"poll_ns", "i?", &g->poll_ns, 1000000, INT64_MAX},
        {"lead_ns", "i?", &g->lead_ns, 0, INT64_MAX}, {"out", "s?", &g->out}, {"log", "s?", &g->log}, {"sample", "s?", &g->sample},
        {"limits", "a?", &limits}, {0}}, &key);
    if (fault != NULL) return refuse(key, fault);
    if (version != 1) return refuse("version", "this guard speaks 1");
    for (const Json *child = limits != NULL ? limits->first : NULL; child != NULL; child = child->next) {
        if (g->count == LIMITS) return refuse("limits", "are more than 16");
        Limit *limit = &g->limits[g->count++];
        *limit = (Limit){.scale = 1, .above = INT64_MAX, .below = INT64_MIN, .state = FILE_MISSING};
        fault = json_take(child, (JsonField[]){
            {"reason", "s!", &limit->reason}, {"path", "s!", &limit->path}, {"after", "s?", &limit->after},
            {"scale", "i?", &limit->scale}, {"above", "i?", &limit->above}, {"below", "i?", &limit->below},
            {"settle_ns", "i?", &limit->settle_ns}, {"settle_span", "i?", &limit->settle_span, 0, INT64_MAX / 2}, {0}}, &key);
        if (fault != NULL) return refuse(key, fault);
        const size_t letters = strspn(limit->reason, "abcdefghijklmnopqrstuvwxyz_");
        if (letters == 0 || letters > 64 || limit->reason[letters] != '\0')
            return refuse("reason", "must be a word of at most 64 small letters");
    }
    return 0;
}

/* Read the limits; the first that does not hold, NULL if all do. One that cannot be read holds. */
static const Limit *broken(Guard *g, bool settled) {
    const Limit *found = NULL;
    for (int i = 0; i < g->count; i++) {
        Limit *limit = &g->limits[i];
        const int64_t now = clock_ns(CLOCK_MONOTONIC);
        limit->state = file_read(limit->path, limit->after, limit->scale, &limit->value);
        if (limit->state != FILE_OK) continue;
        const int64_t value = limit->value;
        const double span = (double)limit->settle_span; /* no sum of int64 that could overflow */
        if (limit->since == 0 || (double)value - (double)limit->lowest > span || (double)limit->highest - (double)value > span) {
            limit->lowest = limit->highest = value;
            limit->since = now;
        }
        if (value < limit->lowest) limit->lowest = value;
        if (value > limit->highest) limit->highest = value;
        const bool moving = settled && now - limit->since < limit->settle_ns;
        if (found == NULL && (value > limit->above || value < limit->below || moving)) found = limit;
    }
    return found;
}

/* One line for people and programs, on stdout and, whole or not at all, in the file `out`. */
static void say(const Guard *g, JsonOut *line) {
    json_put(line, ",\"limits\":[");
    for (int i = 0; i < g->count; i++) {
        json_put(line, "%s{\"reason\":\"%s\",\"state\":\"%s\",\"value\":", i > 0 ? "," : "", g->limits[i].reason, FILE_STATES[g->limits[i].state]);
        if (g->limits[i].state == FILE_OK) json_put(line, "%" PRId64 "}", g->limits[i].value);
        else json_put(line, "null}");
    }
    json_put(line, "]}\n");
    fputs(line->text, stdout);
    fflush(stdout);
    if (g->out == NULL) return;
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", g->out) >= (int)sizeof temporary) return;
    FILE *file = fopen(temporary, "we");
    const bool whole = file != NULL && fputs(line->text, file) >= 0;
    if (file == NULL || fclose(file) != 0 || !whole || rename(temporary, g->out) != 0)
        file_unwritten(g->out, errno);
}

/* Wait for a signal of the set, `ns` at most; its number, 0 if none came. */
static int signal_within(const sigset_t *set, int64_t ns) {
    const struct timespec wait = {.tv_sec = ns > 0 ? ns / 1000000000 : 0, .tv_nsec = ns > 0 ? ns % 1000000000 : 0};
    const int number = sigtimedwait(set, NULL, &wait);
    return number > 0 ? number : 0;
}

static int64_t shorter(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- the gate */

static int gate(Guard *g, const sigset_t *set) {
    char room[4096];
    JsonOut line = {.text = room, .room = sizeof room};
    const int64_t begin = clock_ns(CLOCK_MONOTONIC);
    const Limit *held;
    int told = 0;
    while ((held = broken(g, true)) != NULL && told == 0) {
        const int64_t left = begin + g->timeout_ns - clock_ns(CLOCK_MONOTONIC);
        if (left <= 0) break;
        told = signal_within(set, shorter(left, g->poll_ns));
    }
    json_put(&line, "{\"e\":\"gate\",\"passed\":%s,\"waited_ns\":%" PRId64 ",\"reason\":", held == NULL ? "true" : "false",
             clock_ns(CLOCK_MONOTONIC) - begin);
    json_put_string(&line, told != 0 ? "cancelled" : held != NULL ? held->reason : "");
    say(g, &line);
    return told != 0 ? 128 + told : held != NULL;
}

/* ---- the guard */

typedef struct {
    pid_t pid, sampler;
    bool own;   /* started here, so that its end can be waited for */
    bool stuck; /* not even SIGKILL ended it: it hangs in the kernel */
    int sampler_feed;
    int64_t spawned, exited, slept;
    const char *reason;
    char detail[160];
} Watch;

static void become(const Guard *g, char **argv, const sigset_t *open_signals, pid_t guard, int go) {
    char word;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard) _exit(NOT_STARTED); /* the guard died before it could be followed */
    if (read(go, &word, 1) != 1) _exit(NOT_STARTED); /* called off while the sampler was ahead */
    sigprocmask(SIG_SETMASK, open_signals, NULL);
    if (g->log != NULL) {
        const int fd = open(g->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) return;
    }
    execvp(argv[0], argv);
}

/* A sampler that is told the pid later and ends when its stdin closes. */
static void start_sampler(const Guard *g, Watch *w, const sigset_t *open_signals) {
    int feed[2];
    if (g->sample == NULL || pipe2(feed, O_CLOEXEC) != 0) return;
    w->sampler = fork();
    if (w->sampler == 0) {
        setpgid(0, 0);
        sigprocmask(SIG_SETMASK, open_signals, NULL);
        dup2(feed[0], 0);
        close(feed[1]);
        _exit(sample_main(3, (char *[]){(char *)"mobench-runner", (char *)"--sample", (char *)g->sample, NULL}));
    }
    close(feed[0]);
    w->sampler_feed = feed[1];
}

static bool start(const Guard *g, Watch *w, char **argv, const sigset_t *open_signals, const sigset_t *set) {
    int fault[2] = {-1, -1}, go[2] = {-1, -1}, error = 0;
    const pid_t guard = getpid();
    fflush(NULL);
    start_sampler(g, w, open_signals);
    w->pid = pipe2(fault, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0 ? fork() : -1;
    if (w->pid == 0) {
        close(go[1]);
        become(g, argv, open_signals, guard, go[0]);
        error = errno;
        const ssize_t told = write(fault[1], &error, sizeof error);
        _exit(told > 0 ? NOT_STARTED : NOT_STARTED + 1);
    }
    const pid_t pid = w->pid;
    if (pid < 0) error = errno;
    else setpgid(pid, pid); /* on both sides: whoever comes first */
    close(fault[1]);
    char line[32];
    const int length = snprintf(line, sizeof line, "%d\n", (int)pid);
    if (pid > 0 && w->sampler > 0 && write(w->sampler_feed, line, (size_t)length) != length) fputs("the sampler is gone\n", stderr);
    const int told = pid > 0 && g->sample != NULL && g->lead_ns > 0 ? signal_within(set, g->lead_ns) : 0;
    w->spawned = clock_ns(CLOCK_MONOTONIC);
    if (told != 0 && told != SIGCHLD) raise(told); /* pending again: `watch` hears of it */
    if (pid > 0 && write(go[1], "g", 1) != 1) error = errno;
    close(go[0]);
    close(go[1]);
    if (pid > 0 && read(fault[0], &error, sizeof error) <= 0) error = 0;
    close(fault[0]);
    w->own = true;
    if (error != 0) {
        w->reason = "not_started";
        snprintf(w->detail, sizeof w->detail, "%.100s%s: %s", argv[0], g->log != NULL ? ", or its log" : "", strerror(error));
        return false;
    }
    return true;
}

/* A process of others that has ended and that its parent has not collected yet. */
static bool is_corpse(pid_t pid) {
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool read = file_text(fd, text, sizeof text) > 0;
    close(fd);
    const char *name_end = read ? strrchr(text, ')') : NULL;
    return name_end != NULL && name_end[1] == ' ' && strchr("ZX", name_end[2]) != NULL;
}

static bool gone(const Watch *w) {
    siginfo_t info = {0};
    if (w->own) return waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == w->pid;
    return (kill(w->pid, 0) != 0 && errno == ESRCH) || is_corpse(w->pid);
}

static void send(const Watch *w, int number) {
    const pid_t group = w->own ? w->pid : getpgid(w->pid);
    kill(group > 1 && group != getpgrp() ? -group : w->pid, number);
}

/* End the program and all that it started: asked first, made to after the grace. */
static void end(const Guard *g, Watch *w, const sigset_t *set) {
    const int64_t until = clock_ns(CLOCK_MONOTONIC) + g->grace_ns;
    send(w, SIGTERM);
    send(w, SIGCONT);
    while (!gone(w) && clock_ns(CLOCK_MONOTONIC) < until) signal_within(set, shorter(g->grace_ns / 50 + 1000000, 20000000));
    send(w, SIGKILL);
    const int64_t patience = clock_ns(CLOCK_MONOTONIC) + KILLED_WITHIN;
    while (!(w->stuck = clock_ns(CLOCK_MONOTONIC) > patience) && !gone(w)) signal_within(set, 20000000);
    if (w->stuck) fprintf(stderr, "guard: process %d hangs in the kernel and cannot be ended\n", (int)w->pid);
}

static void watch(Guard *g, Watch *w, const sigset_t *set) {
    int64_t begin = w->spawned;
    while (!gone(w)) {
        const int64_t left = begin + g->timeout_ns - clock_ns(CLOCK_MONOTONIC);
        const Limit *limit = left > 0 ? broken(g, false) : NULL;
        if (left <= 0) {
            w->reason = "timeout";
            snprintf(w->detail, sizeof w->detail, "ended after %g s", (double)g->timeout_ns / 1e9);
        } else if (limit != NULL) {
            w->reason = limit->reason;
            snprintf(w->detail, sizeof w->detail, "%" PRId64 ", ended %s %" PRId64, limit->value, limit->value > limit->above ? "above" : "below",
                     limit->value > limit->above ? limit->above : limit->below);
        } else {
            const int64_t pause = shorter(left, g->poll_ns), before = clock_ns(CLOCK_BOOTTIME);
            const int told = gone(w) ? 0 : signal_within(set, pause);
            const int64_t late = clock_ns(CLOCK_BOOTTIME) - before - pause; /* counts while the device is suspended, too */
            if (late > STALL) w->slept += late;
            if (told == 0 || told == SIGCHLD) continue;
            w->reason = "cancelled";
            snprintf(w->detail, sizeof w->detail, "%s", strsignal(told));
        }
        end(g, w, set);
        break;
    }
    w->exited = clock_ns(CLOCK_MONOTONIC);
    if (w->own) send(w, SIGKILL); /* the group goes with its leader, who is not reaped yet: its number is still taken */
}

static int64_t oom_kills(void) {
    int64_t count = 0;
    return file_read("/proc/vmstat", "\noom_kill ", 1, &count) == FILE_OK ? count : 0;
}

static int report(const Guard *g, const Watch *w, int status, int sampler_status, int64_t kills) {
    char room[8192];
    JsonOut line = {.text = room, .room = sizeof room};
    const bool started = strcmp(w->reason, "not_started") != 0;
    json_put(&line, "{\"e\":\"guard\",\"reason\":\"%s\"", w->reason);
    json_put_member(&line, "detail", w->detail);
    json_put(&line, ",\"pid\":%d", (int)w->pid);
    if (w->own && started && !w->stuck && WIFEXITED(status)) json_put(&line, ",\"status\":%d,\"signal\":null", WEXITSTATUS(status));
    else if (w->own && started && !w->stuck) json_put(&line, ",\"status\":null,\"signal\":%d", WTERMSIG(status));
    else json_put(&line, ",\"status\":null,\"signal\":null");
    if (started) json_put(&line, ",\"spawned\":%" PRId64 ",\"exited\":%" PRId64, w->spawned, w->exited);
    else json_put(&line, ",\"spawned\":null,\"exited\":null");
    json_put(&line, ",\"slept_ns\":%" PRId64 ",\"oom_kills\":%" PRId64 ",\"sampler\":", w->slept, kills);
    if (sampler_status < 0) json_put(&line, "null");
    else json_put(&line, "%d", WIFEXITED(sampler_status) ? WEXITSTATUS(sampler_status) : 128 + WTERMSIG(sampler_status));
    say(g, &line);
    if (!started) return NOT_STARTED;
    if (*w->reason != '\0') return strcmp(w->reason, "timeout") == 0 ? TIMED_OUT : ENDED;
    return !w->own ? 0 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(Guard *g, int argc, char **argv) {
    sigset_t set, open_signals;
    const bool is_gate = argc == 3 && strcmp(argv[1], "--gate") == 0;
    const bool is_program = argc >= 5 && strcmp(argv[3], "--") == 0;
    Watch w = {.reason = "", .pid = !is_program && argc == 4 ? (pid_t)strtol(argv[3], NULL, 10) : 0};
    if (!is_gate && !is_program && w.pid <= 1)
        return fputs("usage: mobench-runner --guard FILE -- PROGRAM… | --guard FILE PID | --gate FILE\n", stderr), BAD_GUARD;
    const int refused = understand(g, argv[2]);
    if (refused != 0) return refused;
    if (w.pid > 1 && kill(w.pid, 0) != 0 && errno == EPERM)
        return refuse("PID", "is a process of another user, which this one could not end");
    sigemptyset(&set);
    for (int i = 0; i < 4; i++) sigaddset(&set, (int[]){SIGCHLD, SIGTERM, SIGINT, SIGHUP}[i]);
    sigprocmask(SIG_BLOCK, &set, &open_signals);
    signal(SIGPIPE, SIG_IGN);
    if (is_gate) return gate(g, &set);
    const int64_t kills = oom_kills();
    int status = 0, sampler_status = -1;
    w.spawned = clock_ns(CLOCK_MONOTONIC);
    if (!is_program || start(g, &w, argv + 4, &open_signals, &set)) watch(g, &w, &set);
    if (w.own && w.pid > 0 && !w.stuck) while (waitpid(w.pid, &status, 0) < 0 && errno == EINTR) {}
    if (w.sampler > 0) {
        close(w.sampler_feed);
        while (waitpid(w.sampler, &sampler_status, 0) < 0 && errno == EINTR) {}
    }
    return report(g, &w, status, sampler_status, oom_kills() - kills);
}

int guard_main(int argc, char **argv) {
    Guard guard = {0};
    const int status = run(&guard, argc, argv);
    json_free(guard.given);
    return status;
}
