/* mobench-runner: the instrument of devices. One process is one launch (docs/protocol.md), or one of its side tools.
 *
 *   mobench-runner job.json events.jsonl
 *   mobench-runner --sample | --probe | --guard …
 */
#include "runner.h"

int sample_main(int argc, char **argv);
int probe_main(int argc, char **argv);
int guard_main(int argc, char **argv);

static void on_signal(int number) { cancelled = number; }

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
    read_job(argv[1], &job);
    place(&job);
    mark_open();
    verify(&job, sha256);
    load_engine(&job, &engine, sha256);
    if (job.has_work) measure(&job, &engine);
    if (job.n_scores > 0) score(&job, &engine);
    check_cancelled();
    finish();
}
