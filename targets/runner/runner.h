/* What the parts of the runner share: the job, the launch, and how a launch ends early.
 *
 * A process is one launch: it reads a job, appends events and ends. What is left at its end, the kernel frees.
 */
#ifndef MOBENCH_RUNNER_H
#define MOBENCH_RUNNER_H

#include <signal.h>

#include "files.h"
#include "json.h"
#include "llama.h" /* MOBENCH_VERSION and MOBENCH_BUILD come from whoever compiles */

#define UNSET INT64_MIN /* an integer that the job leaves open */
#define MAX_CPUS 1024

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_BAD_JOB = 2 }; /* 3: files.h */

typedef struct {
    const char *id;
    int turns;
    const char **added;   /* the text that each turn adds to the context; NULL where the template rewrites replies: */
    const char ***pieces; /* then of each turn the whole text, one piece before, between and after the replies so far */
    bool strip;           /* whose outer blanks the template drops */
} Talk;

typedef struct {
    const char *id, *prompt, *continuation;
} ScoreText;

typedef struct {
    const char *id, *model, *sha256;
    int64_t model_size, warmup, measured, seed;
    bool keep_text;
    const char *backend, *flash_attention, *type_k, *type_v;
    int64_t threads, threads_batch, batch, ubatch, n_ctx, gpu_layers, mmap;
    int n_cpus; /* −1: wherever the system puts it */
    int cpus[MAX_CPUS];
    bool has_work;
    int64_t prompt, output, depth, think, between, duration, top_k;
    bool ignore_eos;
    double temperature, top_p;
    Talk *talks; /* NULL: random tokens */
    int n_talks;
    ScoreText *scores;
    int n_scores;
} Job;

typedef struct {
    struct llama_model *model;
    struct llama_context *context;
    const struct llama_vocab *vocab;
    int vocabulary, batch, ctx;
    llama_token bos;
    bool add_bos;
} Engine;

typedef struct {
    llama_token *ids;
    int count, room;
} Tokens;

/* Clusters and affinity (place.c). */
int cpus_of_cluster(bool fastest, int *cpus);
void place(Job *job);
int physical_cores(const Job *job);

/* job.c: writes `start`, and exits 2 with an event where the job cannot be understood. */
void read_job(const char *path, Job *job);

/* events.c: every event is one line and one write; `event` begins one, `emit` writes it. */
void open_events(const char *path);
JsonOut *event(const char *kind, size_t room);
void emit(void);
void start_event(const char *job_id);
void phase_event(int64_t pass, int request, const char *phase, int64_t start, int64_t stop);
_Noreturn void finish(void);
_Noreturn void fail(const char *code, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern volatile sig_atomic_t cancelled;
void check_cancelled(void);

/* weights.c: exits with an event where the file is not what the job says. */
void verify(const Job *job, char sha256[65]);

/* engine.c */
void load_engine(const Job *job, Engine *engine, const char *sha256);
void decode(const Engine *engine, struct llama_batch batch);
int keep_tokens(const Engine *engine, int held, int wanted);

/* text.c */
void grow(Tokens *tokens, int64_t room);
void append(Tokens *tokens, const llama_token *ids, int count);
void tokenize(const Engine *engine, const char *text, bool first, Tokens *tokens);
char *text_of(const Engine *engine, const llama_token *ids, int made, int64_t *characters);
int64_t code_points(const char *text);
size_t stripped(const char *text, size_t length); /* its length without the white space at its end */
const char *unindented(const char *text);         /* where it begins behind the white space at its start */

/* memory.c: `mark_edge` copies the kernel's text and begins the next high-water mark; `mark_events` parses it later. */
typedef struct {
    char text[FILE_ROOM];
    int64_t footprint; /* under Apple; there is no text */
} Mark;
void mark_open(void);
void mark_reset(void);
void mark_edge(Mark *mark);
void mark_events(const Mark *mark, int64_t t, int64_t pass, const char *phase);
void mark_pss(int64_t t, int64_t pass, const char *phase);

/* measure.c, score.c */
int64_t tokens_needed(const Job *job, const Engine *engine);
void measure(const Job *job, const Engine *engine);
int64_t score_tokens(const Job *job, const Engine *engine);
void score(const Job *job, const Engine *engine);

static inline int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/* Memory or the end: no part of the runner can go on without what it asked for. */
static inline void *need(void *memory) {
    if (memory == NULL) fail("out_of_memory", "the runner itself ran out of memory");
    return memory;
}

#endif
