/* --sample FILE: read a few files at a steady rate, beside the engine.
 *
 * In: a description of the channels (docs/protocol.md). Out: `samples.jsonl`: channels, rows, cost; whole lines only.
 * Descriptors are kept open and read with pread, once per row for all channels of a file; rows go to a buffer that is
 * written when it is full. Nothing is allocated once the first row is read.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

#include "files.h"
#include "json.h"

enum { CHANNELS = 256, FILES = 128, FAST_FILES = 8, OWN = 4, ROOM = 1 << 16, ROWS_PER_WRITE = 32 };

#define MOST_HELD_NS 5000000000 /* so long rows may be kept from the file, and be lost with the device */

typedef struct {
    const char *name, *unit, *source, *after;
    int64_t scale, value;
    int file;
    bool fresh, ever;
    FileState state;
} Channel;

typedef struct {
    const char *path;
    int fd;
    bool fast;
    FileState state;
} File;

typedef struct {
    Channel channels[CHANNELS];
    File files[FILES];
    int count, file_count, cpu;
    double hz;
    int64_t slow_every, page, tick;
    pid_t pid;
    bool until_stdin, until_pid;
    const char *stop, *out;
    int statm, stat, system, output;
    off_t written;
    JsonOut row;
} Sampler;

static Sampler sampler; /* 50 kB: too much for a small stack */
static char row_room[ROOM];
static volatile sig_atomic_t told_to_end;

static void end_on_signal(int number) {
    (void)number;
    told_to_end = 1;
}

static int refuse(const char *key, const char *what) {
    fprintf(stderr, "bad_sample: %s%s%s\n", key, *key != '\0' ? ": " : "", what);
    return 2;
}

static int add_channel(Sampler *s, const Json *given) {
    if (s->count == CHANNELS) return refuse("channels", "are more than 256");
    Channel *channel = &s->channels[s->count++];
    const char *path = NULL, *tier = "slow", *key;
    *channel = (Channel){.scale = 1};
    const char *fault = json_take(given, (JsonField[]){
        {"name", "s!", &channel->name}, {"unit", "s!", &channel->unit}, {"path", "s!", &path},
        {"source", "s?", &channel->source}, {"tier", "s?", &tier}, {"after", "s?", &channel->after},
        {"scale", "i?", &channel->scale}, {0}}, &key);
    if (fault != NULL) return refuse(key, fault);
    const bool fast = strcmp(tier, "fast") == 0;
    if (!fast && strcmp(tier, "slow") != 0) return refuse("tier", "must be fast or slow");
    if (channel->source == NULL) channel->source = path;
    while (channel->file < s->file_count && strcmp(s->files[channel->file].path, path) != 0) channel->file++;
    if (channel->file == s->file_count) {
        if (s->file_count == FILES) return refuse("channels", "have more than 128 files");
        s->files[s->file_count++] = (File){.path = path, .fd = -1};
    }
    s->files[channel->file].fast |= fast;
    return 0;
}

static int describe(Sampler *s, const Json *given) {
    int64_t version = 0, pid = 0, cpu = -1;
    const char *until = "stdin", *key;
    const Json *channels = NULL;
    s->hz = 10;
    s->slow_every = 10;
    const char *fault = json_take(given, (JsonField[]){
        {"version", "i!", &version}, {"out", "s!", &s->out}, {"hz", "d?", &s->hz},
        {"slow_every", "i?", &s->slow_every, 1, INT64_MAX}, {"pid", "i?", &pid, 1, INT32_MAX},
        {"cpu", "i?", &cpu, 0, CPU_SETSIZE - 1}, {"until", "s?", &until}, {"stop", "s?", &s->stop},
        {"channels", "a?", &channels}, {0}}, &key);
    if (fault != NULL) return refuse(key, fault);
    if (version != 1) return refuse("version", "this sampler speaks 1");
    if (!(s->hz >= 0.01 && s->hz <= 1000)) return refuse("hz", "must be from 0.01 to 1000");
    s->pid = (pid_t)pid;
    s->cpu = (int)cpu;
    s->until_stdin = strcmp(until, "stdin") == 0;
    s->until_pid = strcmp(until, "pid") == 0;
    if (!s->until_stdin && !s->until_pid && strcmp(until, "signal") != 0) return refuse("until", "must be stdin, pid or signal");
    if (s->until_pid && s->pid == 0) return refuse("until", "is pid, and there is none");
    for (const Json *child = channels != NULL ? channels->first : NULL; child != NULL; child = child->next) {
        const int status = add_channel(s, child);
        if (status != 0) return status;
    }
    int fast = 0;
    for (int i = 0; i < s->file_count; i++) fast += s->files[i].fast;
    return fast > FAST_FILES ? refuse("channels", "have more than 8 files in the fast tier") : 0;
}

static int open_of(const char *format, pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, format, (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void open_files(Sampler *s) {
    for (int i = 0; i < s->file_count; i++) {
        File *file = &s->files[i];
        file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        file->state = file->fd >= 0 ? FILE_OK : file_state(errno, false);
    }
    s->system = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    s->statm = s->pid > 0 ? open_of("/proc/%d/statm", s->pid) : -1;
    s->stat = s->pid > 0 ? open_of("/proc/%d/stat", s->pid) : -1;
    s->page = sysconf(_SC_PAGESIZE);
    s->tick = 1000000000 / sysconf(_SC_CLK_TCK);
}

/* ---- one row */

static void put_number(JsonOut *out, int64_t value) {
    char digits[24], *at = digits + sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do *--at = (char)('0' + left % 10); while ((left /= 10) != 0);
    if (value < 0) *--at = '-';
    const size_t length = (size_t)(digits + sizeof digits - at);
    memcpy(out->text + out->length, at, length);
    out->length += length;
}

static void put_text(JsonOut *out, const char *text) {
    const size_t length = strlen(text);
    memcpy(out->text + out->length, text, length);
    out->length += length;
}

/* The numbers of a line from its `skip`th word on; how many there are. */
static int words_of(const char *at, int skip, int64_t *values, int wanted) {
    int count = 0;
    for (int word = 0; count < wanted && *at != '\0' && *at != '\n'; word++) {
        if (word >= skip && !file_number(at, "", 1, &values[count++])) return count - 1;
        at += strcspn(at, " \n");
        at += strspn(at, " ");
    }
    return count;
}

static void put_own(Sampler *s) {
    char text[1024];
    int64_t own[OWN] = {0}, v[8] = {0};
    bool has[OWN] = {false};
    if (s->statm >= 0 && file_text(s->statm, text, sizeof text) > 0 && words_of(text, 1, v, 1) == 1) {
        has[0] = v[0] != 0; /* 0 pages: the process is ending */
        own[0] = v[0] * s->page;
    }
    if (s->stat >= 0 && file_text(s->stat, text, sizeof text) > 0) {
        const char *end = strrchr(text, ')'); /* a program's name may hold anything */
        has[1] = end != NULL && words_of(end + 2, 11, v, 2) == 2;
        own[1] = has[1] ? (v[0] + v[1]) * s->tick : 0;
    }
    if (s->system >= 0 && file_text(s->system, text, 256) > 0 && strncmp(text, "cpu ", 4) == 0 &&
        words_of(text + 5, 0, v, 8) == 8) {
        has[2] = has[3] = true;
        own[2] = (v[0] + v[1] + v[2] + v[5] + v[6]) * s->tick;
        own[3] = v[7] * s->tick;
    }
    for (int i = 0; i < OWN; i++) {
        if (i > 0) put_text(&s->row, ",");
        if (has[i]) put_number(&s->row, own[i]);
        else put_text(&s->row, "null");
    }
}

/* Read a file and give its channels their values. */
static void read_file(Sampler *s, int index) {
    static char text[FILE_ROOM];
    File *file = &s->files[index];
    if (file->fd < 0) return;
    const ssize_t count = file_text(file->fd, text, sizeof text);
    const FileState state = count >= 0 ? FILE_OK : file_state(errno, true);
    if (state == FILE_DENIED || state == FILE_GONE) {
        close(file->fd); /* neither comes back on this descriptor */
        file->fd = -1;
        file->state = state;
    }
    for (int i = 0; i < s->count; i++) {
        Channel *channel = &s->channels[i];
        if (channel->file != index) continue;
        channel->fresh = count >= 0 && file_number(text, channel->after, channel->scale, &channel->value);
        channel->ever |= channel->fresh;
    }
}

static void put_row(Sampler *s, bool slow) {
    for (int i = 0; i < s->count; i++) s->channels[i].fresh = false;
    put_text(&s->row, "{\"e\":\"s\",\"t\":");
    put_number(&s->row, clock_ns(CLOCK_MONOTONIC));
    put_text(&s->row, ",\"v\":[");
    put_own(s);
    for (int i = 0; i < s->file_count; i++)
        if (slow || s->files[i].fast) read_file(s, i);
    for (int i = 0; i < s->count; i++) {
        put_text(&s->row, ",");
        if (s->channels[i].fresh) put_number(&s->row, s->channels[i].value);
        else put_text(&s->row, "null");
    }
    put_text(&s->row, "]}\n");
}

/* ---- the file */

/* Write what the buffer holds, whole lines; on failure the file is cut back to its last whole line. */
static bool flush(Sampler *s) {
    size_t done = 0;
    while (done < s->row.length) {
        const ssize_t count = write(s->output, s->row.text + done, s->row.length - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            const int error = errno;
            const int cut = ftruncate(s->output, s->written); /* what has no length, such as a pipe, stays as it is */
            (void)cut;
            file_unwritten(s->out, error);
            return false;
        }
        done += (size_t)count;
    }
    s->written += (off_t)done;
    s->row.length = 0;
    return true;
}

static FileState state_of(const Sampler *s, int channel) {
    const FileState state = s->files[s->channels[channel].file].state;
    return state == FILE_OK && !s->channels[channel].ever ? FILE_NO_NUMBER : state;
}

static void put_states(Sampler *s) {
    json_put(&s->row, ",\"states\":[\"%s\",\"%s\",\"%s\",\"%s\"", FILE_STATES[s->statm < 0 ? FILE_MISSING : FILE_OK],
             FILE_STATES[s->stat < 0 ? FILE_MISSING : FILE_OK], FILE_STATES[s->system < 0 ? FILE_DENIED : FILE_OK],
             FILE_STATES[s->system < 0 ? FILE_DENIED : FILE_OK]);
    for (int i = 0; i < s->count; i++) json_put(&s->row, ",\"%s\"", FILE_STATES[state_of(s, i)]);
    json_put(&s->row, "]");
}

static bool put_head(Sampler *s) {
    char statm[32], stat[32];
    snprintf(statm, sizeof statm, "/proc/%d/statm", (int)s->pid);
    snprintf(stat, sizeof stat, "/proc/%d/stat", (int)s->pid);
    const char *const own[3][OWN] = {{"rss", "cpu_process", "cpu_busy", "cpu_steal"},
                                     {"B", "ns", "ns", "ns"},
                                     {statm, stat, "/proc/stat", "/proc/stat"}};
    static const char *const lists[] = {"channels", "units", "sources"};
    JsonOut *out = &s->row;
    json_put(out, "{\"e\":\"channels\",\"version\":1,\"t\":%" PRId64 ",\"hz\":%g", clock_ns(CLOCK_MONOTONIC), s->hz);
    for (int part = 0; part < 3; part++) {
        json_put(out, ",\"%s\":[", lists[part]);
        for (int i = 0; i < OWN + s->count; i++) {
            const Channel *c = &s->channels[i - OWN >= 0 ? i - OWN : 0];
            if (i > 0) json_put(out, ",");
            json_put_string(out, i < OWN ? own[part][i] : part == 0 ? c->name : part == 1 ? c->unit : c->source);
        }
        json_put(out, "]");
    }
    put_states(s);
    if (s->cpu >= 0) json_put(out, ",\"cpu\":%d", s->cpu);
    json_put(out, "}\n");
    if (out->full) fputs("bad_sample: names and sources are longer than 64 KiB\n", stderr);
    return !out->full && flush(s);
}

/* The pid on the first line of stdin; false if stdin ends before. */
static bool hear_pid(Sampler *s) {
    char line[32];
    size_t length = 0;
    while (length < sizeof line - 1) {
        const ssize_t count = read(0, line + length, 1);
        if (count < 0 && errno == EINTR && !told_to_end) continue;
        if (count <= 0) return false;
        if (line[length] == '\n') break;
        length++;
    }
    line[length] = '\0';
    s->pid = (pid_t)strtol(line, NULL, 10);
    return s->pid > 0;
}

/* Wait until `due`; true if it is time to end. */
static bool pause_until(Sampler *s, int64_t due, const sigset_t *open_signals) {
    struct pollfd hangup = {.fd = s->until_stdin ? 0 : -1, .events = POLLIN};
    for (;;) {
        const int64_t left = due - clock_ns(CLOCK_MONOTONIC);
        const struct timespec wait = {.tv_sec = left > 0 ? left / 1000000000 : 0, .tv_nsec = left > 0 ? left % 1000000000 : 0};
        const int found = ppoll(&hangup, 1, &wait, open_signals);
        if (told_to_end) return true;
        if (found > 0) {
            char drop[64];
            if (read(0, drop, sizeof drop) <= 0) return true;
        } else if (left <= 0) {
            return false;
        }
    }
}

static bool over(Sampler *s) {
    if (s->stop != NULL && access(s->stop, F_OK) == 0) return true;
    return s->until_pid && kill(s->pid, 0) != 0 && errno == ESRCH;
}

static int sample(Sampler *s, const sigset_t *open_signals) {
    const int64_t period = (int64_t)(1e9 / s->hz), begin = clock_ns(CLOCK_MONOTONIC);
    const int64_t spent = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t rows = 0, due = begin, written = begin;
    do {
        const bool slow = rows % s->slow_every == 0;
        put_row(s, slow);
        rows++;
        const bool due_to_write = rows % ROWS_PER_WRITE == 0 || s->row.length > ROOM / 2 ||
                                  clock_ns(CLOCK_MONOTONIC) - written > MOST_HELD_NS;
        if (due_to_write) {
            if (!flush(s)) return 3;
            written = clock_ns(CLOCK_MONOTONIC);
        }
        if (slow && over(s)) break;
        /* A late row does not make the next one early: rates are bounded, and every row has its own stamp. */
        const int64_t now = clock_ns(CLOCK_MONOTONIC);
        due = due + period > now ? due + period : now;
    } while (!pause_until(s, due, open_signals));
    put_row(s, true); /* of every channel, so that the last window has readings on both sides */
    rows++;
    const int64_t end = clock_ns(CLOCK_MONOTONIC);
    if (!flush(s)) return 3;
    json_put(&s->row, "{\"e\":\"cost\",\"t\":%" PRId64 ",\"cpu_ns\":%" PRId64 ",\"wall_ns\":%" PRId64 ",\"rows\":%" PRId64, end,
             clock_ns(CLOCK_PROCESS_CPUTIME_ID) - spent, end - begin, rows);
    put_states(s);
    json_put(&s->row, "}\n");
    if (!flush(s)) return 3;
    fsync(s->output);
    return 0;
}

static int run(Sampler *s, const Json *given) {
    s->row = (JsonOut){.text = row_room, .room = ROOM};
    const int status = describe(s, given);
    if (status != 0) return status;
    sigset_t blocked, open_signals;
    sigemptyset(&blocked);
    for (int i = 0; i < 3; i++) {
        const int number = (int[]){SIGTERM, SIGINT, SIGHUP}[i];
        sigaction(number, &(struct sigaction){.sa_handler = end_on_signal}, NULL);
        sigaddset(&blocked, number);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write */
    s->output = open(s->out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (s->output < 0) return file_unwritten(s->out, errno);
    if (s->until_stdin && s->pid == 0 && !hear_pid(s)) return 0;
    sigprocmask(SIG_BLOCK, &blocked, &open_signals);
    if (s->cpu >= 0) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(s->cpu, &cpus);
        if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) s->cpu = -1; /* the head then names none */
    }
    open_files(s);
    for (int i = 0; i < s->file_count; i++) read_file(s, i); /* so that the head knows which files answer */
    return put_head(s) ? sample(s, &open_signals) : 3;
}

int sample_main(int argc, char **argv) {
    char why[512];
    if (argc != 3) return fputs("usage: mobench-runner --sample FILE\n", stderr), 2;
    Json *given = json_read(argv[2], 1 << 20, why, sizeof why);
    const int status = given != NULL ? run(&sampler, given) : refuse("", why);
    json_free(given);
    return status;
}
