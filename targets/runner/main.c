/* mobench-runner: the instrument of devices. One process is one launch (docs/protocol.md), or one of its side tools.
 *
 *   mobench-runner job.json events.jsonl
 *   mobench-runner --sample | --probe | --guard …
 */
#include "runner.h"

#ifndef MOBENCH_VERSION
#define MOBENCH_VERSION "0"
#endif
#ifndef MOBENCH_BUILD
#define MOBENCH_BUILD "unknown"
#endif

int sample_main(int argc, char **argv);
int probe_main(int argc, char **argv);
int guard_main(int argc, char **argv);

static void on_signal(int number) { cancelled = number; }

static void start_event(const char *job_id) {
    JsonOut *out = event("start", 6 * strlen(job_id));
    json_put(out, ",\"version\":1,\"t\":%" PRId64 ",\"wall_ns\":%" PRId64 ",\"pid\":%d,\"job_id\":", now_ns(),
             clock_ns(CLOCK_REALTIME), (int)getpid());
    json_put_string(out, job_id);
    json_put(out, ",\"instrument\":\"mobench-runner/%s\",\"build\":", MOBENCH_VERSION);
    json_put_string(out, MOBENCH_BUILD);
    emit();
}

/* The id of a job that may not be understood otherwise: its events begin with it all the same. */
static void announce(const char *path) {
    char why[512];
    Json *root = json_read(path, 64u << 20, why, sizeof why);
    const Json *id = json_get(root, "job_id");
    start_event(id != NULL && id->type == JSON_STRING ? id->string : "");
    json_free(root);
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "--sample") == 0) return sample_main(argc, argv);
    if (strcmp(verb, "--probe") == 0) return probe_main(argc, argv);
    if (strcmp(verb, "--guard") == 0 || strcmp(verb, "--gate") == 0) return guard_main(argc, argv);
    if (strcmp(verb, "--version") == 0) return printf("mobench-runner %s, %s\n", MOBENCH_VERSION, MOBENCH_BUILD) < 0;
    if (argc != 3) {
        fputs("usage: mobench-runner job.json events.jsonl | --version | --sample FILE | --probe [--root DIR] [PATH]\n"
              "       mobench-runner --guard FILE -- PROGRAM… | --guard FILE PID | --gate FILE\n", stderr);
        return EXIT_BAD_JOB;
    }
    static Job job;
    static Engine engine;
    char sha256[65];
    open_events(argv[2]);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write, not the end */
    announce(argv[1]);
    read_job(argv[1], &job);
    place(&job);
    mark_open();
    verify(&job, sha256);
    load_engine(&job, &engine, tokens_needed, sha256);
    if (job.has_work) measure(&job, &engine);
    if (job.n_scores > 0) score(&job, &engine);
    check_cancelled();
    finish();
}
