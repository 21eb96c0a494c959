/* Events: whole lines, one write each; a line that does not fit is cut off again, so the file ends with a whole one. */
#include "runner.h"

volatile sig_atomic_t cancelled;

static int file = -1;
static const char *name;
static off_t size;
static JsonOut line;

void open_events(const char *path) {
    name = path;
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0) _exit(file_unwritten(path, errno));
}

JsonOut *event(const char *kind, size_t room) {
    if (line.room < room + 4096) {
        line.text = realloc(line.text, line.room = room + 4096);
        if (line.text == NULL) _exit((fputs("out_of_memory: an event does not fit\n", stderr), EXIT_FAILED));
    }
    line.length = 0;
    line.full = false;
    json_put(&line, "{\"e\":\"%s\"", kind);
    return &line;
}

/* Append whole lines or nothing; 0, or why not. */
static int append_lines(const char *text, size_t length) {
    size_t done = 0;
    int error = 0;
    while (done < length && error == 0) {
        const ssize_t count = write(file, text + done, length - done);
        if (count > 0) done += (size_t)count;
        else if (count == 0 || errno != EINTR) error = count == 0 ? EIO : errno;
    }
    if (error == 0) size += (off_t)length;
    else if (done > 0 && ftruncate(file, size) != 0) fprintf(stderr, "write_failed: %s ends with a torn line\n", name);
    return error;
}

/* A line for which there is no room leaves as much as says so, for that may be shorter. */
void emit(void) {
    char last[512];
    json_put(&line, "}\n");
    const int error = line.full ? EOVERFLOW : append_lines(line.text, line.length);
    if (error == 0) return;
    const int64_t t = now_ns();
    const int length = snprintf(last, sizeof last, "{\"e\":\"error\",\"t\":%" PRId64 ",\"code\":\"%s\",\"message\":\"the events "
                                "cannot be written: %s\"}\n{\"e\":\"end\",\"t\":%" PRId64 ",\"status\":\"failed\"}\n",
                                t, file_code(error), strerror(error), t);
    append_lines(last, (size_t)length);
    _exit(file_unwritten(name, error));
}

void start_event(const char *job_id) {
    JsonOut *out = event("start", 6 * strlen(job_id));
    json_put(out, ",\"version\":1,\"t\":%" PRId64 ",\"wall_ns\":%" PRId64 ",\"pid\":%d", now_ns(),
             clock_ns(CLOCK_REALTIME), (int)getpid());
    json_put_member(out, "job_id", job_id);
    json_put(out, ",\"instrument\":\"mobench-runner/%s\"", MOBENCH_VERSION);
    json_put_member(out, "build", MOBENCH_BUILD);
    emit();
}

static _Noreturn void end(const char *status, int code) {
    json_put(event("end", 0), ",\"t\":%" PRId64 ",\"status\":\"%s\"", now_ns(), status);
    emit();
    fsync(file);
    fflush(stderr);
    _exit(code);
}

_Noreturn void finish(void) { end("ok", EXIT_DONE); }

_Noreturn void fail(const char *code, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: %s\n", code, text);
    JsonOut *out = event("error", 6 * sizeof text);
    json_put(out, ",\"t\":%" PRId64 ",\"code\":\"%s\"", now_ns(), code);
    json_put_member(out, "message", text);
    emit();
    end("failed", strcmp(code, "bad_job") == 0 || strcmp(code, "unknown_version") == 0 ? EXIT_BAD_JOB : EXIT_FAILED);
}

void check_cancelled(void) {
    if (cancelled) fail("cancelled", "ended by signal %d", (int)cancelled);
}

void phase_event(int64_t pass, int request, const char *phase, int64_t start, int64_t stop) {
    JsonOut *out = event("phase", 0);
    json_put(out, ",\"pass\":%" PRId64 ",\"request\":%d,\"name\":\"%s\"", pass, request, phase);
    json_put(out, ",\"start\":%" PRId64 ",\"end\":%" PRId64, start, stop);
    emit();
}
