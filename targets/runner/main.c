/* mobench-runner: the instrument of devices. One process is one launch (docs/protocol.md), or one of its side tools.
 *
 *   mobench-runner job.json events.jsonl
 *   mobench-runner --sample | --probe | --guard …
 */
#include "runner.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

_Noreturn void mobench_launch(const char *job_path, const char *events_path);
int sample_main(int argc, char **argv);
int probe_main(int argc, char **argv);
int guard_main(int argc, char **argv);

static void on_signal(int number) { cancelled = number; }

_Noreturn void mobench_launch(const char *job_path, const char *events_path) {
    static Job job;
    static Engine engine;
    char sha256[65];
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 17); /* large buffers get pages of their own, as musl places them (ADR 20) */
#endif
    open_events(events_path);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write, not the end */
    read_job(job_path, &job);
    place(&job);
    mark_open();
    verify(&job, sha256);
    load_engine(&job, &engine, sha256);
    if (job.has_work) measure(&job, &engine);
    if (job.n_scores > 0) score(&job, &engine);
    check_cancelled();
    finish();
}

#ifndef MOBENCH_OBJECTS /* an app has a main of its own */
int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
#ifdef __linux__
    if (strcmp(verb, "--sample") == 0) return sample_main(argc, argv);
    if (strcmp(verb, "--probe") == 0) return probe_main(argc, argv);
    if (strcmp(verb, "--guard") == 0 || strcmp(verb, "--gate") == 0) return guard_main(argc, argv);
#endif
    if (strcmp(verb, "--version") == 0) return printf("mobench-runner %s, %s\n", MOBENCH_VERSION, MOBENCH_BUILD) < 0;
    if (argc == 3 && *verb != '-') mobench_launch(argv[1], argv[2]);
    fputs("usage: mobench-runner job.json events.jsonl | --version | --sample FILE | --probe [--root DIR] [PATH]\n"
          "       mobench-runner --guard FILE -- PROGRAM… | --guard FILE PID | --gate FILE\n", stderr);
    return EXIT_BAD_JOB;
}
#endif
