/* The job: read strictly, an unknown field or version is a fault and never ignored (docs/protocol.md). */
#include "runner.h"

#define LONG_TIME (INT64_MAX / 2) /* added to a clock it is no overflow */
#define KV_TYPES " f32 f16 bf16 q8_0 q5_1 q5_0 q4_1 q4_0 iq4_nl "

static _Noreturn void bad(const char *where, const char *key, const char *what) {
    fail("bad_job", "%s%s%s: %s", where, *where ? "." : "", key, what);
}

static void take(const Json *object, const char *where, const JsonField *fields) {
    const char *key, *fault = json_take(object, fields, &key);
    if (fault != NULL) bad(where, key, fault);
}

/* `words` has a blank before and behind each. */
static void one_of(const char *where, const char *key, const char *value, const char *words) {
    char word[32];
    if (value == NULL) return;
    const int length = snprintf(word, sizeof word, " %s ", value);
    if (length >= (int)sizeof word || strchr(value, ' ') != NULL || strstr(words, word) == NULL)
        bad(where, key, words + 1);
}

static void read_affinity(const Json *affinity, Job *job) {
    job->n_cpus = -1;
    if (affinity == NULL) return;
    if (affinity->type == JSON_STRING) {
        one_of("", "affinity", affinity->string, " big_cores little_cores ");
        job->n_cpus = cpus_of_cluster(affinity->string[0] == 'b', job->cpus);
        if (job->n_cpus == 0) fail("affinity_failed", "the device does not say which cpus are %s", affinity->string);
        return;
    }
    bool good = affinity->type == JSON_ARRAY && affinity->count <= MAX_CPUS;
    for (const Json *cpu = affinity->first; cpu != NULL; cpu = cpu->next) good = good && cpu->type == JSON_INT;
    if (!good) bad("", "affinity", "must be a list of cpu numbers");
    job->n_cpus = 0;
    for (const Json *cpu = affinity->first; cpu != NULL; cpu = cpu->next) {
        if (cpu->integer < 0 || cpu->integer >= MAX_CPUS) fail("affinity_failed", "there is no cpu %" PRId64, cpu->integer);
        job->cpus[job->n_cpus++] = (int)cpu->integer;
    }
}

static void read_engine(const Json *engine, Job *job) {
    const Json *extra = NULL;
    const char *name = NULL;
    bool mmap = false;
    job->threads = job->threads_batch = job->batch = job->ubatch = job->n_ctx = job->gpu_layers = job->mmap = UNSET;
    take(engine, "engine", (JsonField[]){
        {"name", "s!", &name}, {"backend", "s?", &job->backend}, {"threads", "i?", &job->threads, 1, 512},
        {"threads_batch", "i?", &job->threads_batch, 1, 512}, {"batch", "i?", &job->batch, 1, 1 << 20},
        {"ubatch", "i?", &job->ubatch, 1, 1 << 20}, {"n_ctx", "i?", &job->n_ctx, 1, 1 << 24},
        {"gpu_layers", "i?", &job->gpu_layers, -1, 100000}, {"flash_attention", "s?", &job->flash_attention},
        {"type_k", "s?", &job->type_k}, {"type_v", "s?", &job->type_v}, {"mmap", "b?", &mmap},
        {"seed", "i?", &job->seed}, {"extra", "o", &extra}, {0}});
    if (json_get(engine, "mmap") != NULL) job->mmap = mmap;
    if (strcmp(name, "llama_cpp") != 0) bad("engine", "name", "this runner is llama_cpp");
    if (extra != NULL && extra->first != NULL) bad("engine.extra", extra->first->key, "unknown parameter");
    one_of("engine", "flash_attention", job->flash_attention, " auto on off ");
    one_of("engine", "type_k", job->type_k, KV_TYPES);
    one_of("engine", "type_v", job->type_v, KV_TYPES);
}

static const char **texts_of(const Json *list, const char *key) {
    int count = 0;
    const char **texts = need(calloc((size_t)list->count + 1, sizeof *texts));
    for (const Json *text = list->first; text != NULL; text = text->next) {
        if (text->type != JSON_STRING) bad("conversations", key, "must hold strings");
        texts[count++] = text->string;
    }
    return texts;
}

static void read_talk(const Json *item, bool raw, Talk *talk) {
    const Json *turns = NULL, *rendered = NULL, *pieces = NULL;
    take(item, "conversations", (JsonField[]){
        {"id", "s!", &talk->id}, {"turns", "a!", &turns}, {"rendered", "a?", &rendered}, {"pieces", "a?", &pieces},
        {"strip", "b", &talk->strip}, {0}});
    talk->turns = turns->count;
    talk->added = texts_of(turns, "turns");
    if (raw || talk->turns == 0) return;
    free(talk->added);
    talk->added = rendered != NULL ? texts_of(rendered, "rendered") : NULL;
    if (rendered != NULL) {
        if (rendered->count != talk->turns) bad("conversations", "rendered", "must have a text for each turn");
    } else if (pieces != NULL) {
        int turn = 0;
        if (pieces->count != talk->turns) bad("conversations", "pieces", "must have a list for each turn");
        talk->pieces = need(calloc((size_t)talk->turns, sizeof *talk->pieces));
        for (const Json *list = pieces->first; list != NULL; list = list->next, turn++) {
            if (list->type != JSON_ARRAY || list->count != turn + 1)
                bad("conversations", "pieces", "must have one piece more for each turn than there are replies");
            talk->pieces[turn] = texts_of(list, "pieces");
        }
    } else {
        fail("no_chat_template", "the conversation '%s' is not rendered: the host does that before a launch, or the text "
             "is sent as it is with raw = true", talk->id);
    }
}

static void read_workload(const Json *work, Job *job) {
    const Json *talks = NULL, *sampling = NULL;
    bool raw = false;
    job->prompt = UNSET;
    job->ignore_eos = true;
    job->top_p = 1;
    take(work, "workload", (JsonField[]){
        {"prompt_tokens", "i?", &job->prompt, 0, 1 << 24}, {"conversations", "a?", &talks}, {"raw", "b", &raw},
        {"output_tokens", "i!", &job->output, 0, 1 << 24}, {"ignore_eos", "b", &job->ignore_eos},
        {"depth", "i", &job->depth, 0, 1 << 24}, {"think_ns", "i", &job->think, 0, LONG_TIME},
        {"between_ns", "i", &job->between, 0, LONG_TIME}, {"duration_ns", "i?", &job->duration, 0, LONG_TIME},
        {"sampling", "o", &sampling}, {0}});
    if (sampling != NULL)
        take(sampling, "workload.sampling", (JsonField[]){
            {"temperature", "d", &job->temperature}, {"top_k", "i", &job->top_k, 0, INT32_MAX}, {"top_p", "d", &job->top_p}, {0}});
    job->has_work = true;
    if ((job->prompt == UNSET) == (talks == NULL)) bad("workload", "prompt_tokens", "either this or conversations");
    if (talks == NULL) {
        if (job->prompt == 0 && job->output == 0)
            bad("workload", "output_tokens", "there is neither a prompt nor an output");
        return;
    }
    job->prompt = 0;
    job->talks = need(calloc((size_t)talks->count + 1, sizeof *job->talks));
    for (const Json *item = talks->first; item != NULL; item = item->next) {
        job->talks[job->n_talks] = (Talk){0};
        read_talk(item, raw, &job->talks[job->n_talks]);
        job->n_talks += job->talks[job->n_talks].turns > 0;
    }
    if (job->n_talks == 0) bad("workload", "conversations", "have no turns");
}

void read_job(const char *path, Job *job) {
    char why[512];
    memset(job, 0, sizeof *job);
    const Json *root = json_read(path, 64u << 20, why, sizeof why), *id = json_get(root, "job_id");
    start_event(id != NULL && id->type == JSON_STRING ? id->string : ""); /* of a job that is not understood too */
    if (root == NULL) fail("bad_job", "%s", why);
    const Json *version = json_get(root, "version");
    if (version == NULL || version->type != JSON_INT || version->integer != 1)
        fail("unknown_version", "the job has another version than 1, which this runner speaks");
    const Json *model = NULL, *engine = NULL, *work = NULL, *scores = NULL, *affinity = NULL;
    const char *template = NULL;
    job->warmup = job->measured = 1;
    job->model_size = UNSET;
    job->keep_text = true;
    take(root, "", (JsonField[]){
        {"version", "x!", &version}, {"job_id", "s!", &job->id}, {"model", "o!", &model}, {"engine", "o!", &engine},
        {"workload", "o?", &work}, {"scores", "a", &scores}, {"warmup", "i", &job->warmup, 0, 1000000},
        {"measured", "i", &job->measured, 0, 1000000}, {"seed", "i", &job->seed}, {"affinity", "x?", &affinity},
        {"keep_text", "b", &job->keep_text}, {0}});
    take(model, "model", (JsonField[]){
        {"path", "s!", &job->model}, {"sha256", "s?", &job->sha256}, {"size", "i?", &job->model_size},
        {"chat_template", "s?", &template}, {0}});
    read_engine(engine, job);
    read_affinity(affinity, job);
    if (work != NULL) read_workload(work, job);
    job->scores = need(calloc((size_t)(scores == NULL ? 0 : scores->count) + 1, sizeof *job->scores));
    for (const Json *item = scores == NULL ? NULL : scores->first; item != NULL; item = item->next) {
        ScoreText *text = &job->scores[job->n_scores++];
        take(item, "scores", (JsonField[]){
            {"id", "s!", &text->id}, {"prompt", "s!", &text->prompt}, {"continuation", "s!", &text->continuation}, {0}});
    }
    if (!job->has_work && job->n_scores == 0) fail("bad_job", "the job has neither a workload nor scores");
}
