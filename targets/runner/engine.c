/* The engine: weights loaded as the job says, and what llama.cpp really made of it. */
#include "runner.h"

#include <ctype.h>

#include "ggml-backend.h"
#include "ggml-cpu.h"

/* What only the library's log says. */
static struct {
    char last[512], memory[512];
    const char *flash;
    bool mapped;
    int64_t offloaded;
    struct {
        char name[64];
        double mib;
    } buffers[32];
    int n_buffers;
} said = {.flash = "unknown"};

static const char *behind(const char *line, const char *marker) {
    const char *found = strstr(line, marker);
    return found == NULL ? NULL : found + strlen(marker);
}

static bool about_memory(const char *line) {
    static const char *const words[] = {"failed to allocate", "unable to allocate", "out of memory", "bad_alloc",
                                        "cannot allocate", "ENOMEM", "mmap failed"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(line, words[i]) != NULL) return true;
    return strstr(line, "alloc_buffer: ") != NULL && strstr(line, "fail") != NULL;
}

/* A line as "load_tensors:   CPU_Mapped model buffer size =  56.63 MiB"; of one name the last counts. */
static void on_buffer(const char *line, const char *size) {
    char name[64] = "";
    const char *at = behind(line, ": "), *end = strstr(line, " buffer size = ");
    int i = 0;
    for (size_t n = 0; at != NULL && at < end && n < sizeof name - 1; at++)
        if (*at != ' ' || (n > 0 && name[n - 1] != ' ')) name[n++] = *at;
    while (i < said.n_buffers && strcmp(said.buffers[i].name, name) != 0) i++;
    if (i == (int)(sizeof said.buffers / sizeof *said.buffers)) return;
    if (i == said.n_buffers) memcpy(said.buffers[said.n_buffers++].name, name, sizeof name);
    said.buffers[i].mib = strtod(size, NULL);
}

static void on_log(enum ggml_log_level level, const char *text, void *data) {
    (void)data;
    if (level == GGML_LOG_LEVEL_DEBUG) return; /* hundreds of lines per load */
    fputs(text, stderr);
    if (text[strspn(text, " .\n")] == '\0') return;
    snprintf(said.last, sizeof said.last, "%s", text);
    if (about_memory(text)) snprintf(said.memory, sizeof said.memory, "%s", text);
    file_number(text, "offloaded ", 1, &said.offloaded);
    const char *size = behind(text, " buffer size = ");
    if (size != NULL) on_buffer(text, size);
    const char *mode = behind(text, "(load_mode = "), *flash = behind(text, "flash_attn            = ");
    if (flash == NULL) flash = behind(text, "Flash Attention "); /* what became of `auto` */
    if (mode != NULL) said.mapped = strncmp(mode, "mmap", 4) == 0;
    if (flash != NULL) said.flash = strncmp(flash, "enabled", 7) == 0 ? "on" : "off";
}

static _Noreturn void fail_as_logged(const char *code, const char *message) {
    const char *line = *said.memory ? said.memory : said.last;
    const int length = (int)strcspn(line, "\n");
    check_cancelled();
    fail(*said.memory ? "out_of_memory" : code, "%s%s%.*s", message, *line ? ": " : "", length, line);
}

static const char *backend_of(ggml_backend_dev_t device, char *low, size_t room) {
    const char *registry = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device));
    size_t i = 0;
    for (; registry[i] != '\0' && i < room - 1; i++) low[i] = (char)tolower((unsigned char)registry[i]);
    low[i] = '\0';
    if (strcmp(low, "mtl") == 0) snprintf(low, room, "metal");
    return low;
}

static bool is_cpu(ggml_backend_dev_t device) { return ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU; }

/* The devices of the wanted backend, NULL-terminated; empty for the CPU alone. */
static ggml_backend_dev_t *chosen(const char *backend) {
    const size_t count = ggml_backend_dev_count();
    ggml_backend_dev_t *devices = need(calloc(count + 1, sizeof(ggml_backend_dev_t)));
    size_t found = 0;
    char low[64];
    for (size_t i = 0; i < count; i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        if (!is_cpu(device) && strcmp(backend_of(device, low, sizeof low), backend) == 0) devices[found++] = device;
    }
    if (found == 0 && strcmp(backend, "cpu") != 0)
        fail("backend_missing", "this build of llama.cpp has no %s device", backend);
    return devices;
}

static bool go_on(float progress, void *data) { return (void)progress, (void)data, !cancelled; }
static bool stop_now(void *data) { return (void)data, cancelled; }

static struct llama_model *load_model(const Job *job, bool *offloads) {
    struct llama_model_params params = llama_model_default_params();
    const bool cpu = job->backend != NULL && strcmp(job->backend, "cpu") == 0;
    if (job->backend != NULL) params.devices = chosen(job->backend);
    if (job->gpu_layers != UNSET) params.n_gpu_layers = (int)job->gpu_layers;
    else if (cpu) params.n_gpu_layers = 0;
    if (job->mmap != UNSET) params.load_mode = job->mmap ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
    params.progress_callback = go_on;
    *offloads = !cpu && params.n_gpu_layers != 0; /* else a GPU would still compute the prefill */
    struct llama_model *model = llama_model_load_from_file(job->model, params);
    if (model == NULL) fail_as_logged("load_failed", "llama.cpp cannot load the weights");
    if (llama_model_has_encoder(model) || !llama_model_has_decoder(model))
        fail("model_unsupported", "%s is not a decoder-only language model", job->model);
    return model;
}

/* A name that job.c let through. */
static enum ggml_type kv_type(const char *name) {
    int type = 0;
    if (name == NULL) name = "f16";
    while (ggml_type_name(type) == NULL || strcmp(ggml_type_name(type), name) != 0) type++;
    return type;
}

static struct llama_context *make_context(const Job *job, struct llama_model *model, int64_t n_ctx, bool offloads) {
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)n_ctx;
    params.n_threads = job->threads != UNSET ? (int)job->threads : physical_cores(job);
    params.n_threads_batch = job->threads_batch != UNSET ? (int)job->threads_batch : params.n_threads;
    if (job->batch != UNSET) params.n_batch = (uint32_t)job->batch;
    if (job->ubatch != UNSET) params.n_ubatch = (uint32_t)job->ubatch;
    if (params.n_ubatch > params.n_batch) params.n_ubatch = params.n_batch;
    const char *flash = job->flash_attention != NULL ? job->flash_attention : "auto";
    params.flash_attn_type = strcmp(flash, "auto") == 0 ? LLAMA_FLASH_ATTN_TYPE_AUTO
                             : strcmp(flash, "on") == 0 ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.type_k = kv_type(job->type_k);
    params.type_v = kv_type(job->type_v);
    if (!offloads) params.offload_kqv = params.op_offload = false;
    params.no_perf = true;
    params.abort_callback = stop_now;
    memset(said.memory, 0, sizeof said.memory);
    struct llama_context *context = llama_init_from_model(model, params);
    if (context == NULL) fail_as_logged("context_failed", "llama.cpp cannot make the context");
    if (llama_get_memory(context) == NULL)
        fail("model_unsupported", "the model has no KV cache or state: it cannot generate token by token");
    return context;
}

/* Threads that stay: without them llama.cpp (built without OpenMP) starts new ones for every token. */
static struct ggml_threadpool *threads(int count) {
    struct ggml_threadpool_params params = ggml_threadpool_params_default(count);
    struct ggml_threadpool *pool = ggml_threadpool_new(&params);
    if (pool == NULL) fail("out_of_memory", "llama.cpp cannot start its threads");
    return pool;
}

static void attach_threads(struct llama_context *context) {
    const int decode = llama_n_threads(context), batch = llama_n_threads_batch(context);
    llama_attach_threadpool(context, threads(decode), batch != decode ? threads(batch) : NULL);
}

static void used_event(const Job *job, const Engine *engine, const char *sha256) {
    char text[1024], low[64] = "cpu";
    const struct llama_model *model = engine->model;
    const char *type = llama_ftype_name(llama_model_ftype(model));
    JsonOut *out = event("used", 32768);
    json_put(out, ",\"t\":%" PRId64 ",\"engine\":\"llama_cpp\"", now_ns());
    json_put_member(out, "build", MOBENCH_BUILD);
    json_put(out, ",\"devices\":[");
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        snprintf(text, sizeof text, "%s (%s)", ggml_backend_dev_name(device), ggml_backend_dev_description(device));
        json_put(out, i > 0 ? "," : "");
        json_put_string(out, text);
        if (!is_cpu(device) && said.offloaded > 0 && strcmp(low, "cpu") == 0) backend_of(device, low, sizeof low);
    }
    if (said.offloaded > 0 && job->backend != NULL) snprintf(low, sizeof low, "%s", job->backend);
    json_put(out, "],\"backend\":\"%s\"", low);
    llama_model_desc(model, text, sizeof text);
    json_put_member(out, "model_desc", text);
    json_put_member(out, "model_type", type != NULL ? type : "unknown");
    json_put(out, ",\"model_params\":%" PRIu64 ",\"model_size\":%" PRIu64 ",\"model_sha256\":\"%s\"",
             llama_model_n_params(model), llama_model_size(model), sha256);
    json_put(out, ",\"n_ctx\":%u,\"n_ctx_train\":%d,\"n_batch\":%u,\"n_ubatch\":%u", llama_n_ctx(engine->context),
             llama_model_n_ctx_train(model), llama_n_batch(engine->context), llama_n_ubatch(engine->context));
    json_put(out, ",\"n_threads\":%d,\"n_threads_batch\":%d,\"n_gpu_layers\":%" PRId64, llama_n_threads(engine->context),
             llama_n_threads_batch(engine->context), said.offloaded);
    json_put(out, ",\"flash_attention\":\"%s\",\"type_k\":\"%s\",\"type_v\":\"%s\",\"mmap\":%s,\"affinity\":", said.flash,
             ggml_type_name(kv_type(job->type_k)), ggml_type_name(kv_type(job->type_v)), said.mapped ? "true" : "false");
    json_put(out, job->n_cpus < 0 ? "null" : "[");
    for (int i = 0; i < job->n_cpus; i++) json_put(out, i > 0 ? ",%d" : "%d", job->cpus[i]);
    json_put(out, "%s,\"buffers\":{", job->n_cpus < 0 ? "" : "]");
    for (int i = 0; i < said.n_buffers; i++) {
        json_put(out, i > 0 ? "," : "");
        json_put_string(out, said.buffers[i].name);
        json_put(out, ":%.0f", said.buffers[i].mib * 1048576);
    }
    json_put(out, "}");
    emit();
}

/* Load the weights and make the context; what the workload's texts need is counted outside the window. */
void load_engine(const Job *job, Engine *engine, const char *sha256) {
    static Mark mark;
    bool offloads;
    llama_log_set(on_log, NULL);
    llama_backend_init();
    mark_reset();
    const int64_t start = now_ns();
    engine->model = load_model(job, &offloads);
    const int64_t loaded = now_ns();
    engine->vocab = llama_model_get_vocab(engine->model);
    engine->vocabulary = llama_vocab_n_tokens(engine->vocab);
    engine->bos = llama_vocab_bos(engine->vocab);
    engine->add_bos = llama_vocab_get_add_bos(engine->vocab);
    const int64_t wanted = tokens_needed(job, engine), trained = llama_model_n_ctx_train(engine->model);
    if (job->n_ctx != UNSET && wanted > job->n_ctx)
        fail("context_too_small", "the job needs %" PRId64 " tokens of context, n_ctx is %" PRId64, wanted, job->n_ctx);
    if (job->n_ctx == UNSET && wanted > trained)
        fail("context_too_small", "the job needs %" PRId64 " tokens of context, the model was trained for %" PRId64
             "; shorten the job, or set n_ctx to go beyond", wanted, trained);
    const int64_t resumed = now_ns();
    engine->context = make_context(job, engine->model, job->n_ctx != UNSET ? job->n_ctx : wanted, offloads);
    attach_threads(engine->context);
    const int64_t end = now_ns() - (resumed - loaded);
    mark_edge(&mark);
    engine->batch = (int)llama_n_batch(engine->context);
    engine->ctx = (int)llama_n_ctx(engine->context);
    phase_event(-1, 0, "load", start, end);
    mark_events(&mark, end, -1, "load");
    mark_pss(end, -1, "load");
    used_event(job, engine, sha256);
}

/* Compute, or end the launch. */
void decode(const Engine *engine, struct llama_batch batch) {
    char text[128];
    const int status = llama_decode(engine->context, batch);
    if (status == 0 && !cancelled) return;
    check_cancelled();
    if (status == 1) fail("context_too_small", "the context of %d tokens is full; a larger n_ctx is needed", engine->ctx);
    snprintf(text, sizeof text, "llama_decode returned %d", status);
    fail_as_logged(status == -2 ? "out_of_memory" : "decode_failed", text); /* -2: an allocation failed */
}

/* Cut the context from `held` tokens to `wanted`; how many are left: none where its memory cannot be cut (recurrent
 * states, sliding windows). */
int keep_tokens(const Engine *engine, int held, int wanted) {
    llama_memory_t memory = llama_get_memory(engine->context);
    const int window = llama_model_n_swa(engine->model);
    if (held == wanted) return wanted;
    const bool slid = window > 0 && llama_memory_seq_pos_min(memory, 0) > (wanted > window ? wanted - window : 0);
    if (!slid && llama_memory_seq_rm(memory, 0, wanted, -1)) return wanted;
    llama_memory_clear(memory, false);
    return 0;
}
