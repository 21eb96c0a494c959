/* Passes over the workload, and the measured loop.
 *
 * A request's windows hold calls into the library and stores into buffers that were allocated before; its events are
 * written when it is over. Random tokens are SplitMix64 of the seed, one stream per launch in order of use; they are fed
 * without sampling. Text is sampled by the library, with the KV cache kept from turn to turn. What a window is and what
 * comes when stands in docs/protocol.md; the Python worker does the same.
 */
#include "runner.h"

static uint64_t random_state;

static uint64_t next_random(void) {
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static struct {
    const Job *job;
    const Engine *engine;
    bool *ends;                 /* by token: whether it ends a reply */
    struct llama_sampler *chain;
    int64_t *stamps;            /* of the request's output tokens */
    llama_token *feed, *tokens; /* `tokens` begins one behind `feed`: what is drawn is fed one step later */
    int made;
    Tokens prompt;              /* what the request adds to the context */
    Tokens cached;              /* what is in the context */
    int64_t kept;               /* how much of that was there before the request */
    int64_t pass, prefill_start, prefill_end;
    int request;
    const char *finish;
    Mark prefill_mark, decode_mark;
} run;

/* Tokens that begin a context: the model's own opening token if it wants one, then drawn ones. */
static void draw(llama_token *to, int64_t count, bool opening) {
    for (int64_t i = 0; i < count; i++) {
        const bool open = opening && i == 0 && run.engine->add_bos;
        to[i] = open ? run.engine->bos : (llama_token)(next_random() % (uint64_t)run.engine->vocabulary);
    }
}

/* The chat up to a turn, of a template that rewrites replies; without `replies` they are empty. */
static char *whole_text(const Talk *talk, int turn, char *const *replies) {
    char *whole = NULL;
    size_t size;
    FILE *text = need(open_memstream(&whole, &size));
    for (int i = 0; i <= turn; i++) {
        const char *reply = replies != NULL && i < turn ? replies[i] : "";
        if (talk->strip) reply = unindented(reply);
        const size_t length = talk->strip ? stripped(reply, strlen(reply)) : strlen(reply);
        fprintf(text, "%s%.*s", talk->pieces[turn][i], (int)length, reply);
    }
    return need(fclose(text) == 0 ? whole : NULL);
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Tokens of context that the workload and the scores need. */
int64_t tokens_needed(const Job *job, const Engine *engine) {
    int64_t most = larger(score_tokens(job, engine), 1);
    if (!job->has_work) return most;
    if (job->talks == NULL) return larger(most, job->depth + larger(job->prompt, 1) + job->output);
    Tokens tokens = {0};
    for (const Talk *talk = job->talks; talk < job->talks + job->n_talks; talk++) {
        int64_t outputs = talk->turns;
        tokens.count = 0;
        if (talk->added != NULL) {
            for (int turn = 0; turn < talk->turns; turn++) tokenize(engine, talk->added[turn], turn == 0, &tokens);
        } else { /* a reply that is tokenised again may take more tokens than it was made of */
            char *whole = whole_text(talk, talk->turns - 1, NULL);
            tokenize(engine, whole, true, &tokens);
            free(whole);
            outputs = 2 * outputs - 1;
        }
        most = larger(most, job->depth + tokens.count + outputs * job->output);
    }
    free(tokens.ids);
    return most;
}

/* ---- the measured loop */

static void evaluate(const Tokens *tokens) {
    const int size = run.engine->batch;
    for (int at = 0, left; (left = tokens->count - at) > 0; at += size)
        decode(run.engine, llama_batch_get_one(tokens->ids + at, left < size ? left : size));
    llama_synchronize(run.engine->context);
}

/* With a prompt the first output is there when the prefill ends; without one the first of `feed` is fed for it. */
static void loop_drawn(void) {
    const int count = (int)run.job->output, begin = run.prompt.count > 0 ? 1 : 0;
    llama_token cell;
    struct llama_batch one = llama_batch_get_one(&cell, 1);
    run.made = count;
    run.finish = count > 0 ? "length" : "none";
    run.prefill_start = run.prefill_end = now_ns();
    if (run.prompt.count > 0) {
        evaluate(&run.prompt);
        run.prefill_end = now_ns();
        if (count > 0) run.stamps[0] = run.prefill_end;
    }
    mark_edge(&run.prefill_mark);
    for (int i = begin; i < count; i++) {
        cell = run.feed[i];
        decode(run.engine, one);
        llama_synchronize(run.engine->context);
        run.stamps[i] = now_ns();
    }
    mark_edge(&run.decode_mark);
}

static void loop_sampled(void) {
    struct llama_context *context = run.engine->context;
    const int count = (int)run.job->output;
    llama_token token = 0;
    struct llama_batch one = llama_batch_get_one(&token, 1);
    int made = 0;
    run.finish = count > 0 ? "length" : "none";
    run.prefill_start = now_ns();
    evaluate(&run.prompt);
    run.prefill_end = now_ns();
    if (count > 0) {
        token = run.tokens[0] = llama_sampler_sample(run.chain, context, -1);
        run.stamps[0] = now_ns();
        made = 1;
    }
    mark_edge(&run.prefill_mark);
    while (made < count && !run.ends[token]) {
        decode(run.engine, one);
        token = run.tokens[made] = llama_sampler_sample(run.chain, context, -1);
        run.stamps[made++] = now_ns();
    }
    mark_edge(&run.decode_mark);
    if (made > 0 && run.ends[run.tokens[made - 1]]) run.finish = "eos";
    run.made = made;
}

/* ---- what is written about a request when it is over */

static void window(const char *name, int64_t start, int64_t end, const Mark *mark) {
    phase_event(run.pass, run.request, name, start, end);
    mark_events(mark, end, run.pass, name);
}

static void report(int64_t accepted, const Talk *talk, int turn, int64_t prompt_chars, const char *text,
                   int64_t characters) {
    const int64_t last = run.made > 0 ? run.stamps[run.made - 1] : run.prefill_end;
    if (run.prompt.count > 0) window("prefill", run.prefill_start, run.prefill_end, &run.prefill_mark);
    if (run.made > 0) window("decode", run.prefill_end, last, &run.decode_mark);
    const size_t texts = talk != NULL ? strlen(text) + strlen(talk->id) : 0;
    JsonOut *out = event("request", (size_t)run.made * 40 + 6 * texts);
    json_put(out, ",\"pass\":%" PRId64 ",\"request\":%d,\"turn\":%d", run.pass, run.request, turn);
    json_put(out, ",\"accepted\":%" PRId64 ",\"prefill_start\":%" PRId64 ",\"prefill_end\":%" PRId64, accepted,
             run.prefill_start, run.prefill_end);
    json_put(out, ",\"prompt_tokens\":%d,\"cached_tokens\":%" PRId64 ",\"output_tokens\":%d,\"finish\":\"%s\"",
             run.prompt.count, run.kept, run.made, run.finish);
    json_put_member(out, "conversation", talk != NULL ? talk->id : NULL);
    if (talk != NULL) json_put(out, ",\"prompt_chars\":%" PRId64 ",\"output_chars\":%" PRId64, prompt_chars, characters);
    else json_put(out, ",\"prompt_chars\":null,\"output_chars\":null");
    json_put_member(out, "text", run.job->keep_text ? text : NULL);
    json_put(out, ",\"stamps\":[");
    for (int i = 0; i < run.made; i++) json_put(out, i > 0 ? ",%" PRId64 : "%" PRId64, run.stamps[i]);
    json_put(out, "],\"tokens\":[");
    for (int i = 0; i < run.made; i++) json_put(out, i > 0 ? ",%d" : "%d", run.tokens[i]);
    json_put(out, "]");
    emit();
    run.request++;
}

/* ---- requests */

static void pause_for(const char *name, int64_t length) {
    const int64_t start = now_ns();
    if (length <= 0) return;
    for (int64_t left; (left = start + length - now_ns()) > 0;) {
        const int64_t part = left < 100000000 ? left : 100000000; /* so that a signal is heard */
        nanosleep(&(struct timespec){part / 1000000000, part % 1000000000}, NULL);
        check_cancelled();
    }
    phase_event(run.pass, run.request, name, start, now_ns());
}

/* Empty the context and fill it to the wanted depth, outside every window. */
static void begin(void) {
    llama_memory_clear(llama_get_memory(run.engine->context), false);
    run.kept = run.job->depth;
    grow(&run.cached, run.job->depth);
    run.cached.count = (int)run.job->depth;
    if (run.job->depth == 0) return;
    draw(run.cached.ids, run.job->depth, true);
    const int64_t start = now_ns();
    evaluate(&run.cached);
    phase_event(run.pass, run.request, "depth", start, now_ns());
}

static void require_room(int64_t prompt) {
    if (run.kept + prompt + run.job->output > run.engine->ctx)
        fail("context_too_small", "request %d needs %" PRId64 " + %" PRId64 " + %" PRId64
             " tokens of context (kept, prompt, output), n_ctx is %d",
             run.request, run.kept, prompt, run.job->output, run.engine->ctx);
}

static void random_request(void) {
    begin();
    grow(&run.prompt, run.job->prompt);
    run.prompt.count = (int)run.job->prompt;
    draw(run.prompt.ids, run.job->prompt, true);
    if (run.job->prompt == 0) draw(run.feed, 1, true);
    draw(run.tokens, run.job->output, false);
    require_room(run.job->prompt > 0 ? run.job->prompt : 1);
    mark_reset();
    loop_drawn();
    report(run.prefill_start, NULL, 0, 0, NULL, 0);
}

/* Drop from the context what a rewritten text no longer begins with, and from `prompt` what is in the context. */
static void beyond(void) {
    const int start = (int)run.job->depth, held = run.cached.count - start;
    int same = 0; /* at least one token is evaluated */
    while (same < held && same < run.prompt.count - 1 && run.cached.ids[start + same] == run.prompt.ids[same]) same++;
    if (keep_tokens(run.engine, start + held, start + same) < start + same) {
        same = 0;
        run.cached.count = start;
        evaluate(&run.cached);
    }
    run.cached.count = start + same;
    memmove(run.prompt.ids, run.prompt.ids + same, (size_t)(run.prompt.count - same) * sizeof *run.prompt.ids);
    run.prompt.count -= same;
}

/* How many characters the request's tokens stand for: those that it adds to what was in the context. */
static int64_t characters_of(const Talk *talk, int turn, const char *whole) {
    int64_t count;
    if (whole == NULL) return code_points(talk->added[turn]);
    if (run.kept == run.job->depth) return code_points(whole);
    free(text_of(run.engine, run.prompt.ids, run.prompt.count, &count));
    return count;
}

static void talk_requests(const Talk *talk, bool pauses) {
    char **replies = need(calloc((size_t)talk->turns, sizeof *replies));
    llama_token pending = 0; /* the last token of a reply: seen by the user, not yet by the model */
    int is_pending = 0;
    llama_sampler_reset(run.chain);
    begin();
    for (int turn = 0; turn < talk->turns; turn++) {
        int64_t characters;
        if (turn > 0 && pauses) pause_for("think", run.job->think);
        char *whole = talk->added == NULL ? whole_text(talk, turn, replies) : NULL;
        mark_reset();
        const int64_t accepted = now_ns();
        run.prompt.count = 0;
        if (whole == NULL) {
            append(&run.prompt, &pending, is_pending);
            tokenize(run.engine, talk->added[turn], turn == 0, &run.prompt);
        } else {
            tokenize(run.engine, whole, true, &run.prompt);
            if (run.prompt.count > 0) beyond();
        }
        run.kept = run.cached.count;
        if (run.prompt.count == 0) fail("bad_job", "turn %d of the conversation '%s' has no tokens", turn, talk->id);
        require_room(run.prompt.count);
        loop_sampled();
        const int64_t prompt_chars = characters_of(talk, turn, whole);
        append(&run.cached, run.prompt.ids, run.prompt.count);
        append(&run.cached, run.tokens, run.made > 0 ? run.made - 1 : 0);
        is_pending = run.made > 0 && !run.ends[run.tokens[run.made - 1]];
        pending = is_pending ? run.tokens[run.made - 1] : 0;
        replies[turn] = text_of(run.engine, run.tokens, run.made, &characters);
        report(accepted, talk, turn, prompt_chars, replies[turn], characters);
        free(whole);
    }
    for (int turn = 0; turn < talk->turns; turn++) free(replies[turn]);
    free(replies);
}

static void run_pass(int64_t pass, bool warmup) {
    const Job *job = run.job;
    const int64_t start = now_ns(), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    const int64_t until = start + (warmup ? 0 : job->duration);
    run.pass = pass;
    run.request = 0;
    for (;;) {
        if (job->talks == NULL) random_request();
        else for (int t = 0; t < job->n_talks; t++) {
            if (t > 0 && !warmup) pause_for("between", job->between);
            talk_requests(&job->talks[t], !warmup);
            if (until > start && now_ns() >= until) break;
        }
        if (now_ns() >= until) break;
        pause_for("between", job->between);
    }
    const int64_t end = now_ns(), used = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    JsonOut *out = event("pass", 0);
    json_put(out, ",\"pass\":%" PRId64 ",\"warmup\":%s", pass, warmup ? "true" : "false");
    json_put(out, ",\"start\":%" PRId64 ",\"end\":%" PRId64 ",\"cpu_ns\":%" PRId64, start, end, used);
    emit();
    mark_pss(end, pass, "pass");
}

/* Banned tokens, then greedy, or top-k, top-p, temperature and a seeded draw. */
static struct llama_sampler *sampler(const Job *job, const Engine *engine) {
    struct llama_sampler_chain_params params = llama_sampler_chain_default_params();
    params.no_perf = true;
    struct llama_sampler *chain = llama_sampler_chain_init(params);
    llama_logit_bias *banned = need(calloc((size_t)engine->vocabulary, sizeof *banned));
    int count = 0;
    for (llama_token t = 0; job->ignore_eos && t < engine->vocabulary; t++)
        if (run.ends[t]) banned[count++] = (llama_logit_bias){t, -INFINITY};
    if (count > 0) llama_sampler_chain_add(chain, llama_sampler_init_logit_bias(engine->vocabulary, count, banned));
    free(banned);
    if (job->temperature <= 0) {
        llama_sampler_chain_add(chain, llama_sampler_init_greedy());
        return chain;
    }
    if (job->top_k > 0) llama_sampler_chain_add(chain, llama_sampler_init_top_k((int32_t)job->top_k));
    if (job->top_p < 1) llama_sampler_chain_add(chain, llama_sampler_init_top_p((float)job->top_p, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_temp((float)job->temperature));
    const uint32_t seed = (uint32_t)job->seed; /* the library takes one value for a wish to draw its own */
    llama_sampler_chain_add(chain, llama_sampler_init_dist(seed == LLAMA_DEFAULT_SEED ? 0 : seed));
    return chain;
}

void measure(const Job *job, const Engine *engine) {
    const size_t room = (size_t)job->output + 1;
    run.job = job;
    run.engine = engine;
    run.stamps = need(calloc(room, sizeof *run.stamps));
    run.feed = need(calloc(room + 1, sizeof *run.feed));
    run.tokens = run.feed + 1;
    run.ends = need(calloc((size_t)engine->vocabulary, sizeof *run.ends));
    random_state = (uint64_t)job->seed;
    if (job->talks != NULL) {
        for (llama_token t = 0; t < engine->vocabulary; t++) run.ends[t] = llama_vocab_is_eog(engine->vocab, t);
        run.chain = sampler(job, engine);
    }
    for (int64_t pass = 0; pass < job->warmup + job->measured; pass++) run_pass(pass, pass < job->warmup);
}
