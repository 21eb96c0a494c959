/* From texts to tokens and back. A NUL of a reply is C0 80, which json_put_string knows: texts end at a NUL. */
#include "runner.h"

/* Room for so many tokens. */
void grow(Tokens *tokens, int64_t room) {
    if (tokens->room >= room) return;
    tokens->room = (int)(2 * room);
    tokens->ids = need(realloc(tokens->ids, (size_t)tokens->room * sizeof *tokens->ids));
}

void append(Tokens *tokens, const llama_token *ids, int count) {
    grow(tokens, tokens->count + count);
    if (count > 0) memcpy(tokens->ids + tokens->count, ids, (size_t)count * sizeof *ids);
    tokens->count += count;
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

/* The text of tokens without the special ones; what is no UTF-8 becomes U+FFFD, one for each cut sequence. */
char *text_of(const Engine *engine, const llama_token *ids, int made, int64_t *characters) {
    size_t room = 64, length = 0;
    char *raw = need(malloc(room));
    for (int i = 0; i < made;) {
        const int count = llama_token_to_piece(engine->vocab, ids[i], raw + length, (int)(room - length) - 1, 0, false);
        if (count < 0) raw = need(realloc(raw, room = 2 * room + (size_t)-count));
        else length += (size_t)count, i++;
    }
    char *clean = need(malloc(3 * length + 1)), *to = clean;
    *characters = 0;
    raw[length] = '\0';
    for (const char *s = raw; s < raw + length; ++*characters) {
        const int count = json_sequence(s);
        to = *s == '\0' ? stpcpy(to, "\xC0\x80") : count < 0 ? stpcpy(to, "\xEF\xBF\xBD") : stpncpy(to, s, (size_t)count);
        s += abs(count);
    }
    *to = '\0';
    free(raw);
    return clean;
}

int64_t code_points(const char *text) {
    int64_t count = 0;
    for (; *text != '\0'; text++) count += (*text & 0xC0) != 0x80;
    return count;
}

/* Whether a character is white space as Unicode (and Python) has it. */
static bool white(const char *character, size_t size) {
    const unsigned char *s = (const unsigned char *)character;
    const unsigned code = size == 1 ? s[0] : size == 2 ? (s[0] & 31u) << 6 | (s[1] & 63u)
                          : size == 3 ? (s[0] & 15u) << 12 | (s[1] & 63u) << 6 | (s[2] & 63u) : 0;
    return (code >= 9 && code <= 13) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
           code == 0x3000;
}

size_t stripped(const char *text, size_t length) {
    while (length > 0) {
        size_t start = length - 1;
        while (start > 0 && (text[start] & 0xC0) == 0x80) start--;
        if (!white(text + start, length - start)) break;
        length = start;
    }
    return length;
}

const char *unindented(const char *text) {
    for (int size; *text != '\0' && (size = json_sequence(text)) > 0; text += size)
        if (!white(text, (size_t)size)) break;
    return text;
}
