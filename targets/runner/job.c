/* The job: read strictly, an unknown field or version is a fault and never ignored (docs/protocol.md). */
#include "runner.h"

#define JOB_ROOM (64u << 20)

/* A field of an object. `type`: i integer, d number, b bool, s string, o object, a list, * anything; an upper-case letter
 * must be there. `to` is where it goes: int64_t, double, bool, const char * or const Json *. */
typedef struct {
    const char *key;
    char type;
    void *to;
} Field;

static _Noreturn void bad(const char *where, const char *key, const char *what) {
    fail("bad_job", "%s%s%s: %s", where, *where ? "." : "", key, what);
}

/* Whether a text is UTF-8: the library's tokenisers expect it. */
static const char *checked(const char *text, const char *where, const char *key) {
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
        const int count = json_sequence(s);
        if (count == 0) bad(where, key, "is no UTF-8");
        s += count;
    }
    return text;
}

static void store(const Field *field, const Json *value, const char *where) {
    const char type = (char)(field->type | 32);
    const JsonType is = value->type;
    if (type == 'i' && is == JSON_INT) *(int64_t *)field->to = value->integer;
    else if (type == 'd' && (is == JSON_INT || is == JSON_REAL)) *(double *)field->to = value->real;
    else if (type == 'b' && is == JSON_BOOL) *(bool *)field->to = value->integer != 0;
    else if (type == 's' && is == JSON_STRING) *(const char **)field->to = checked(value->string, where, field->key);
    else if ((type == 'o' && is == JSON_OBJECT) || (type == 'a' && is == JSON_ARRAY) || field->type == '*')
        *(const Json **)field->to = value;
    else
        bad(where, field->key,
            type == 'i' ? "must be a whole number" : type == 'd' ? "must be a number" : type == 'b' ? "must be true or false"
            : type == 's' ? "must be a string" : type == 'o' ? "must be an object" : "must be a list");
}

static void take(const Json *object, const char *where, const Field *fields) {
    if (object->type != JSON_OBJECT) bad(where, "", "must be an object");
    for (const Json *value = object->first; value != NULL; value = value->next) {
        const Field *field = fields;
        while (field->key != NULL && strcmp(field->key, value->key) != 0) field++;
        if (field->key == NULL) bad(where, value->key, "unknown field");
        if (value->type != JSON_NULL) store(field, value, where);
        else if (field->type >= 'A' && field->type <= 'Z') bad(where, field->key, "must not be null");
    }
    for (const Field *field = fields; field->key != NULL; field++)
        if (field->type >= 'A' && field->type <= 'Z' && json_get(object, field->key) == NULL)
            bad(where, field->key, "is missing");
}

static void within(const char *where, const char *key, int64_t value, int64_t least, int64_t most) {
    char text[96];
    if (value == UNSET || (value >= least && value <= most)) return;
    snprintf(text, sizeof text, "is %" PRId64 "; it must be from %" PRId64 " to %" PRId64, value, least, most);
    bad(where, key, text);
}

static void one_of(const char *where, const char *key, const char *value, const char *words) {
    const size_t length = value == NULL ? 0 : strlen(value);
    for (const char *at = words; value != NULL; at++) {
        if (*at == '\0') bad(where, key, words);
        if (strncmp(at, value, length) == 0 && (at[length] == ' ' || at[length] == '\0') && (at == words || at[-1] == ' '))
            return;
    }
}

static const char *text_of(const Json *item, const char *where) {
    if (item->type != JSON_STRING) bad(where, "", "must hold strings");
    return checked(item->string, where, "");
}

static void read_affinity(const Json *affinity, Job *job) {
    job->n_cpus = -1;
    if (affinity == NULL) return;
    if (affinity->type == JSON_STRING) {
        one_of("", "affinity", affinity->string, "big_cores little_cores");
        job->n_cpus = cpus_of_cluster(affinity->string[0] == 'b', job->cpus);
        if (job->n_cpus == 0) fail("affinity_failed", "this device does not say which of its cpus are %s", affinity->string);
        return;
    }
    if (affinity->type != JSON_ARRAY || affinity->count > MAX_CPUS) bad("", "affinity", "must be a list of cpu numbers");
    job->n_cpus = 0;
    for (const Json *cpu = affinity->first; cpu != NULL; cpu = cpu->next) {
        if (cpu->type != JSON_INT) bad("", "affinity", "must be a list of cpu numbers");
        if (cpu->integer < 0 || cpu->integer >= MAX_CPUS) fail("affinity_failed", "there is no cpu %" PRId64, cpu->integer);
        job->cpus[job->n_cpus++] = (int)cpu->integer;
    }
}

static void read_engine(const Json *engine, Job *job) {
    const Json *extra = NULL;
    const char *name = NULL;
    bool mmap = false;
    job->threads = job->threads_batch = job->batch = job->ubatch = job->n_ctx = job->gpu_layers = job->mmap = UNSET;
    int64_t seed = UNSET;
    take(engine, "engine", (Field[]){
        {"name", 'S', &name}, {"backend", 's', &job->backend}, {"threads", 'i', &job->threads},
        {"threads_batch", 'i', &job->threads_batch}, {"batch", 'i', &job->batch}, {"ubatch", 'i', &job->ubatch},
        {"n_ctx", 'i', &job->n_ctx}, {"gpu_layers", 'i', &job->gpu_layers},
        {"flash_attention", 's', &job->flash_attention}, {"type_k", 's', &job->type_k}, {"type_v", 's', &job->type_v},
        {"mmap", 'b', &mmap}, {"seed", 'i', &seed}, {"extra", 'o', &extra}, {0}});
    if (json_get(engine, "mmap") != NULL) job->mmap = mmap;
    if (strcmp(name, "llama_cpp") != 0) bad("engine", "name", "this runner is llama_cpp");
    if (extra != NULL && extra->first != NULL) bad("engine.extra", extra->first->key, "unknown parameter");
    one_of("engine", "flash_attention", job->flash_attention, "auto on off");
    one_of("engine", "type_k", job->type_k, "f32 f16 bf16 q8_0 q5_1 q5_0 q4_1 q4_0 iq4_nl");
    one_of("engine", "type_v", job->type_v, "f32 f16 bf16 q8_0 q5_1 q5_0 q4_1 q4_0 iq4_nl");
    within("engine", "threads", job->threads, 1, 512);
    within("engine", "threads_batch", job->threads_batch, 1, 512);
    within("engine", "batch", job->batch, 1, 1 << 20);
    within("engine", "ubatch", job->ubatch, 1, 1 << 20);
    within("engine", "n_ctx", job->n_ctx, 1, 1 << 24);
    within("engine", "gpu_layers", job->gpu_layers, -1, 100000);
    if (seed != UNSET) job->seed = seed;
}

static const char **texts_of(const Json *list, const char *where) {
    int count = 0;
    const char **texts = need(calloc((size_t)list->count + 1, sizeof *texts));
    for (const Json *text = list->first; text != NULL; text = text->next) texts[count++] = text_of(text, where);
    return texts;
}

static void read_talk(const Json *item, bool raw, Talk *talk) {
    const Json *turns = NULL, *rendered = NULL, *pieces = NULL;
    take(item, "conversations", (Field[]){{"id", 'S', &talk->id}, {"turns", 'A', &turns}, {"rendered", 'a', &rendered},
                                          {"pieces", 'a', &pieces}, {"strip", 'b', &talk->strip}, {0}});
    const char **as_written = texts_of(turns, "conversations.turns");
    talk->turns = turns->count;
    if (talk->turns == 0) return;
    if (raw) {
        talk->added = as_written;
    } else if (rendered != NULL) {
        if (rendered->count != talk->turns) bad("conversations", "rendered", "must have a text for each turn");
        talk->added = texts_of(rendered, "conversations.rendered");
    } else if (pieces != NULL) {
        int turn = 0;
        if (pieces->count != talk->turns) bad("conversations", "pieces", "must have a list for each turn");
        talk->pieces = need(calloc((size_t)talk->turns, sizeof *talk->pieces));
        for (const Json *list = pieces->first; list != NULL; list = list->next, turn++) {
            if (list->type != JSON_ARRAY || list->count != turn + 1)
                bad("conversations", "pieces", "must have one piece more for each turn than there are replies");
            talk->pieces[turn] = texts_of(list, "conversations.pieces");
        }
    } else {
        fail("no_chat_template", "the conversation '%s' is not rendered: the host does that before a launch, or the text "
             "is sent as it is with raw = true", talk->id);
    }
}

static void read_workload(const Json *work, Job *job) {
    const Json *talks = NULL, *sampling = NULL;
    bool raw = false;
    job->prompt = job->duration = UNSET;
    job->ignore_eos = true;
    job->top_p = 1;
    take(work, "workload", (Field[]){
        {"prompt_tokens", 'i', &job->prompt}, {"conversations", 'a', &talks}, {"raw", 'b', &raw},
        {"output_tokens", 'I', &job->output}, {"ignore_eos", 'b', &job->ignore_eos}, {"depth", 'i', &job->depth},
        {"think_ns", 'i', &job->think}, {"between_ns", 'i', &job->between}, {"duration_ns", 'i', &job->duration},
        {"sampling", 'o', &sampling}, {0}});
    if (sampling != NULL)
        take(sampling, "workload.sampling", (Field[]){
            {"temperature", 'd', &job->temperature}, {"top_k", 'i', &job->top_k}, {"top_p", 'd', &job->top_p}, {0}});
    job->has_work = true;
    if ((job->prompt == UNSET) == (talks == NULL)) bad("workload", "prompt_tokens", "either this or conversations");
    within("workload", "prompt_tokens", job->prompt, 0, 1 << 24);
    within("workload", "output_tokens", job->output, 0, 1 << 24);
    within("workload", "depth", job->depth, 0, 1 << 24);
    within("workload", "think_ns", job->think, 0, INT64_MAX);
    within("workload", "between_ns", job->between, 0, INT64_MAX);
    within("workload", "duration_ns", job->duration, 0, INT64_MAX);
    if (talks == NULL) {
        if (job->prompt == 0 && job->output == 0) bad("workload", "output_tokens", "there is neither a prompt nor an output");
        return;
    }
    job->prompt = 0;
    job->talks = need(calloc((size_t)talks->count + 1, sizeof *job->talks));
    for (const Json *item = talks->first; item != NULL; item = item->next) {
        read_talk(item, raw, &job->talks[job->n_talks]);
        job->n_talks += job->talks[job->n_talks].turns > 0;
    }
    if (job->n_talks == 0) bad("workload", "conversations", "have no turns");
}

void read_job(const char *path, Job *job) {
    char why[512];
    memset(job, 0, sizeof *job);
    const Json *root = json_read(path, JOB_ROOM, why, sizeof why);
    if (root == NULL) fail("bad_job", "%s", why);
    const Json *version = json_get(root, "version");
    if (version == NULL || version->type != JSON_INT || version->integer != 1)
        fail("unknown_version", "the job has another version than 1, which this runner speaks");
    const Json *model = NULL, *engine = NULL, *work = NULL, *scores = NULL, *affinity = NULL;
    const char *template = NULL;
    int64_t number = 0;
    job->warmup = job->measured = 1;
    job->model_size = UNSET;
    job->keep_text = true;
    take(root, "", (Field[]){
        {"version", 'I', &number}, {"job_id", 'S', &job->id}, {"model", 'O', &model}, {"engine", 'O', &engine},
        {"workload", 'o', &work}, {"scores", 'a', &scores}, {"warmup", 'i', &job->warmup},
        {"measured", 'i', &job->measured}, {"seed", 'i', &job->seed}, {"affinity", '*', &affinity},
        {"keep_text", 'b', &job->keep_text}, {0}});
    within("", "warmup", job->warmup, 0, 1000000);
    within("", "measured", job->measured, 0, 1000000);
    take(model, "model", (Field[]){{"path", 'S', &job->model}, {"sha256", 's', &job->sha256},
                                   {"size", 'i', &job->model_size}, {"chat_template", 's', &template}, {0}});
    read_engine(engine, job);
    read_affinity(affinity, job);
    if (work != NULL) read_workload(work, job);
    job->scores = need(calloc((size_t)(scores == NULL ? 0 : scores->count) + 1, sizeof *job->scores));
    for (const Json *item = scores == NULL ? NULL : scores->first; item != NULL; item = item->next) {
        ScoreText *text = &job->scores[job->n_scores++];
        take(item, "scores", (Field[]){{"id", 'S', &text->id}, {"prompt", 'S', &text->prompt},
                                       {"continuation", 'S', &text->continuation}, {0}});
    }
    if (!job->has_work && job->n_scores == 0) fail("bad_job", "the job has neither a workload nor scores");
}
