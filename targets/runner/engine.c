/* The engine: weights that are what the job says, loaded as it says, and what llama.cpp really made of it. */
#include "runner.h"

#include <ctype.h>
#include <sys/stat.h>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "gguf.h"
#include "sha256.h"

/* What only the library's log says. */
static struct {
    char last[512], memory[512], flash[32], load_mode[32];
    int64_t offloaded;
} said;

static void after(const char *line, const char *marker, char *to, size_t room) {
    const char *found = strstr(line, marker);
    if (found == NULL) return;
    for (found += strlen(marker); *found == ' ' || *found == '='; found++) {}
    size_t length = strcspn(found, " ,)\n");
    if (length >= room) length = room - 1;
    memcpy(to, found, length);
    to[length] = '\0';
}

static bool about_memory(const char *line) {
    static const char *const words[] = {"failed to allocate", "unable to allocate", "out of memory", "bad_alloc",
                                        "cannot allocate", "ENOMEM", "mmap failed"};
    char low[512];
    size_t i = 0;
    for (; line[i] != '\0' && i < sizeof low - 1; i++) low[i] = (char)tolower((unsigned char)line[i]);
    low[i] = '\0';
    for (i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(low, words[i]) != NULL) return true;
    return strstr(line, "alloc_buffer: ") != NULL && strstr(line, "fail") != NULL;
}

static void on_log(enum ggml_log_level level, const char *text, void *data) {
    (void)data;
    if (level == GGML_LOG_LEVEL_DEBUG) return; /* hundreds of lines per load */
    fputs(text, stderr);
    if (text[strspn(text, " .\n")] == '\0') return;
    snprintf(said.last, sizeof said.last, "%s", text);
    if (about_memory(text)) snprintf(said.memory, sizeof said.memory, "%s", text);
    file_number(text, "offloaded ", 1, &said.offloaded);
    after(text, "(load_mode", said.load_mode, sizeof said.load_mode);
    after(text, "flash_attn ", said.flash, sizeof said.flash);
    after(text, "Flash Attention ", said.flash, sizeof said.flash);
}

_Noreturn void fail_as_logged(const char *code, const char *message) {
    const char *line = *said.memory ? said.memory : said.last;
    const int length = (int)strcspn(line, "\n");
    check_cancelled();
    fail(*said.memory ? "out_of_memory" : code, "%s%s%.*s", message, *line ? ": " : "", length, line);
}

/* ---- before loading: is it the file that is meant? */

static void check_gguf(const char *path, int fd, int64_t size) {
    uint8_t head[8] = {0};
    const ssize_t count = pread(fd, head, sizeof head, 0);
    if (count < 4 || memcmp(head, "GGUF", 4) != 0)
        fail("model_not_gguf", "%s is not a GGUF file: %s", path, size == 0 ? "empty" : "it begins otherwise");
    const int version = head[4] | head[5] << 8;
    if (count < 8 || (version != 2 && version != 3))
        fail("model_version", "%s is GGUF version %d; versions 2 and 3 can be read", path, version);
    struct gguf_context *file = gguf_init_from_file(path, (struct gguf_init_params){.no_alloc = true});
    if (file == NULL) fail("model_truncated", "the header of %s is damaged or cut off; copy it again", path);
    const int64_t tensors = gguf_get_n_tensors(file), data = (int64_t)gguf_get_data_offset(file);
    int64_t end = data;
    for (int64_t i = 0; i < tensors; i++) {
        const int64_t stop = data + (int64_t)gguf_get_tensor_offset(file, i) + (int64_t)gguf_get_tensor_size(file, i);
        if (stop > end) end = stop;
    }
    gguf_free(file);
    if (tensors > 0 && end > size)
        fail("model_truncated", "%s is cut off: its tensors end at byte %" PRId64 ", the file has %" PRId64 " bytes; copy it again",
             path, end, size);
}

static void digest(const char *path, int fd, char hex[65]) {
    enum { ROOM = 1 << 20 };
    uint8_t *block = need(malloc(ROOM));
    Sha256 sha;
    sha256_begin(&sha);
    for (;;) {
        const ssize_t count = read(fd, block, ROOM);
        if (count < 0) fail("model_missing", "%s cannot be read: %s", path, strerror(errno));
        if (count == 0) break;
        sha256_add(&sha, block, (size_t)count);
        check_cancelled();
    }
    sha256_end(&sha, hex);
    free(block);
}

/* A digest is kept beside the weights, for gigabytes take seconds: it holds while size, inode and both times do. */
static void kept_digest(const char *path, int fd, const struct stat *about, char hex[65]) {
    char place[4096], mark[128], text[256] = "";
    snprintf(mark, sizeof mark, " %lld %lld %lld.%09ld %lld.%09ld\n", (long long)about->st_size, (long long)about->st_ino,
#ifdef __APPLE__
             (long long)about->st_mtimespec.tv_sec, about->st_mtimespec.tv_nsec, (long long)about->st_ctimespec.tv_sec,
             about->st_ctimespec.tv_nsec);
#else
             (long long)about->st_mtim.tv_sec, (long)about->st_mtim.tv_nsec, (long long)about->st_ctim.tv_sec,
             (long)about->st_ctim.tv_nsec);
#endif
    const bool fits = snprintf(place, sizeof place, "%s.sha256", path) < (int)sizeof place;
    const int known = fits ? open(place, O_RDONLY | O_CLOEXEC) : -1;
    if (known >= 0) {
        const bool good = file_text(known, text, sizeof text) > 64 && strspn(text, "0123456789abcdef") == 64 && strcmp(text + 64, mark) == 0;
        close(known);
        if (good) {
            snprintf(hex, 65, "%.64s", text);
            return;
        }
    }
    digest(path, fd, hex);
    const int keep = fits ? open(place, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    if (keep < 0) return; /* a folder that cannot be written: the next launch reads the weights again */
    const int length = snprintf(text, sizeof text, "%s%s", hex, mark);
    if (write(keep, text, (size_t)length) != length) unlink(place);
    close(keep);
}

void verify(Job *job, char sha256[65]) {
    struct stat about;
    const int fd = open(job->model, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) fail("model_missing", "%s cannot be read: %s", job->model, strerror(errno));
    if (S_ISDIR(about.st_mode)) fail("model_missing", "%s is a folder, not a GGUF file", job->model);
    check_gguf(job->model, fd, about.st_size);
    if (job->model_size != UNSET && job->model_size != about.st_size)
        fail("model_changed", "%s has %lld bytes, the job says %" PRId64, job->model, (long long)about.st_size, job->model_size);
    kept_digest(job->model, fd, &about, sha256);
    close(fd);
    if (job->sha256 != NULL && strcmp(job->sha256, sha256) != 0)
        fail("model_changed", "%s has sha256 %s, the job says %s", job->model, sha256, job->sha256);
}

/* ---- loading */

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
    *offloads = !cpu;
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
static void attach_threads(struct llama_context *context) {
    const int decode = llama_n_threads(context), batch = llama_n_threads_batch(context);
    struct ggml_threadpool_params one = ggml_threadpool_params_default(decode), two = ggml_threadpool_params_default(batch);
    struct ggml_threadpool *first = ggml_threadpool_new(&one), *second = batch != decode ? ggml_threadpool_new(&two) : NULL;
    if (first == NULL || (batch != decode && second == NULL)) fail("out_of_memory", "llama.cpp cannot start its threads");
    llama_attach_threadpool(context, first, second);
}

static void used_event(const Job *job, const Engine *engine, const char *sha256) {
    char text[1024], low[64] = "cpu";
    const struct llama_model *model = engine->model;
    JsonOut *out = event("used", 32768);
    json_put(out, ",\"t\":%" PRId64 ",\"engine\":\"llama_cpp\",\"build\":", now_ns());
    json_put_string(out, MOBENCH_BUILD);
    json_put(out, ",\"devices\":[");
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        snprintf(text, sizeof text, "%s (%s)", ggml_backend_dev_name(device), ggml_backend_dev_description(device));
        json_put(out, i > 0 ? "," : "");
        json_put_string(out, text);
        if (!is_cpu(device) && said.offloaded > 0 && strcmp(low, "cpu") == 0) backend_of(device, low, sizeof low);
    }
    json_put(out, "],\"backend\":\"%s\",\"model_desc\":", low);
    llama_model_desc(model, text, sizeof text);
    json_put_string(out, text);
    json_put(out, ",\"model_type\":");
    const char *type = llama_ftype_name(llama_model_ftype(model));
    json_put_string(out, type != NULL ? type : "unknown");
    json_put(out, ",\"model_params\":%" PRIu64 ",\"model_size\":%" PRIu64 ",\"model_sha256\":\"%s\"", llama_model_n_params(model),
             llama_model_size(model), sha256);
    json_put(out, ",\"n_ctx\":%u,\"n_ctx_train\":%d,\"n_batch\":%u,\"n_ubatch\":%u", llama_n_ctx(engine->context),
             llama_model_n_ctx_train(model), llama_n_batch(engine->context), llama_n_ubatch(engine->context));
    json_put(out, ",\"n_threads\":%d,\"n_threads_batch\":%d,\"n_gpu_layers\":%" PRId64, llama_n_threads(engine->context),
             llama_n_threads_batch(engine->context), said.offloaded);
    const char *flash = strcmp(said.flash, "enabled") == 0 ? "on" : *said.flash ? "off" : "unknown";
    json_put(out, ",\"flash_attention\":\"%s\",\"type_k\":\"%s\",\"type_v\":\"%s\",\"mmap\":%s,\"affinity\":", flash,
             ggml_type_name(kv_type(job->type_k)), ggml_type_name(kv_type(job->type_v)),
             strncmp(said.load_mode, "mmap", 4) == 0 ? "true" : "false");
    json_put(out, job->n_cpus < 0 ? "null" : "[");
    for (int i = 0; i < job->n_cpus; i++) json_put(out, i > 0 ? ",%d" : "%d", job->cpus[i]);
    json_put(out, job->n_cpus < 0 ? "" : "]");
    emit();
}

/* Load the weights and make the context; what the workload's texts need is counted outside the window. */
void load_engine(const Job *job, Engine *engine, int64_t (*needs)(const Job *, const Engine *), const char *sha256) {
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
    const int64_t wanted = needs(job, engine), trained = llama_model_n_ctx_train(engine->model);
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

_Noreturn void decode_failed(const Engine *engine, int status) {
    char text[128];
    check_cancelled();
    if (status == 1) fail("context_too_small", "the context of %d tokens is full; a larger n_ctx is needed", engine->ctx);
    snprintf(text, sizeof text, "llama_decode returned %d", status);
    fail_as_logged(status == -2 ? "out_of_memory" : "decode_failed", text); /* -2: an allocation failed */
}

/* Keep the first tokens of the context; false where its memory cannot (recurrent states, sliding windows). */
bool keep_tokens(const Engine *engine, int count) {
    llama_memory_t memory = llama_get_memory(engine->context);
    const int window = llama_model_n_swa(engine->model);
    if (window > 0 && llama_memory_seq_pos_min(memory, 0) > (count > window ? count - window : 0)) return false;
    return llama_memory_seq_rm(memory, 0, count, -1);
}

/* Room for so many tokens. */
void grow(Tokens *tokens, int64_t room) {
    if (tokens->room >= room) return;
    tokens->room = (int)(2 * room);
    tokens->ids = need(realloc(tokens->ids, (size_t)tokens->room * sizeof *tokens->ids));
}

/* Append the tokens of a text; `first`: it begins the context, so the model's own opening token is added. */
void tokenize(const Engine *engine, const char *text, bool first, Tokens *tokens) {
    char opening[256], *plain = NULL;
    int length = (int)strlen(text);
    if (first && engine->add_bos) { /* unless the chat template wrote it already */
        const int piece = llama_token_to_piece(engine->vocab, engine->bos, opening, sizeof opening, 0, true);
        if (piece > 0 && strncmp(text, opening, (size_t)piece) == 0) first = false;
    }
    if (strstr(text, "\xC0\x80") != NULL) { /* a NUL of a reply, as text_of writes it */
        char *to = plain = need(malloc((size_t)length));
        for (const char *at = text; *at != '\0'; at++) *to++ = (char)(strncmp(at, "\xC0\x80", 2) == 0 ? at++, '\0' : *at);
        length = (int)(to - plain);
        text = plain;
    }
    int room = length + 16, count;
    do {
        grow(tokens, (int64_t)tokens->count + room);
        count = llama_tokenize(engine->vocab, text, length, tokens->ids + tokens->count, room, first, true);
        room = -count;
    } while (count < 0);
    tokens->count += count;
    free(plain);
}
