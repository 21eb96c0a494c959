/* JSON for the runner: a reader into a tree, members of an object into variables, and a writer into a buffer.
 *
 * In: text. Out: nodes that live until `json_free`, or the offset and kind of the first fault. Guarantee: nesting is
 * bounded, numbers that do not fit int64 are reals, a key that stands twice, a NUL in a string or one that is no UTF-8
 * is a fault, and a string that is written is valid JSON whatever bytes it has.
 */
#ifndef MOBENCH_JSON_H
#define MOBENCH_JSON_H

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_NAMES 256 /* of one object: each is compared with all others */

typedef enum { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonType;

/* A value; `key` is its name in an object, `first`/`next` are children and siblings, `integer` is also a bool. */
typedef struct Json {
    JsonType type;
    char *key;
    char *string;
    int64_t integer;
    double real;
    int count;
    struct Json *first, *next;
} Json;

typedef struct {
    const char *text, *at;
    const char *fault;
    int depth;
} JsonReader;

static inline void json_free(Json *node) {
    while (node != NULL) {
        Json *next = node->next;
        json_free(node->first);
        free(node->key);
        free(node->string);
        free(node);
        node = next;
    }
}

static inline void json_space(JsonReader *r) {
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r') r->at++;
}

/* The value of four hexadecimal digits; −1 where they are none. */
static inline int json_hex4(const char *at) {
    char four[5] = "";
    if (strspn(at, "0123456789abcdefABCDEF") < 4) return -1;
    memcpy(four, at, 4);
    return (int)strtol(four, NULL, 16);
}

static inline char *json_utf8(char *to, unsigned code) {
    static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};
    const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    *to++ = (char)(lead[more] | code >> 6 * more);
    for (int i = more - 1; i >= 0; i--) *to++ = (char)(0x80 | (code >> 6 * i & 63));
    return to;
}

/* How many bytes the UTF-8 sequence at `s` has. Negative where it is none or breaks off: so many make one U+FFFD. */
static inline int json_sequence(const char *s) {
    const unsigned char first = (unsigned char)*s;
    const int count = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80; /* of the second byte */
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    for (int i = 1; i < count; i++, low = 0x80, high = 0xBF)
        if ((unsigned char)s[i] < low || (unsigned char)s[i] > high) return -i;
    return count > 0 ? count : -1;
}

/* Decode the escape at `*at` and step over it; false where it is none. */
static inline bool json_escape(const char **at, char **to) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *text = *at + 1, *found = strchr(names, *text);
    *at += 2;
    if (found != NULL) return *(*to)++ = values[found - names], true;
    int code = *text == 'u' ? json_hex4(text + 1) : -1;
    if (code <= 0) return false;
    *at += 4;
    if (code >= 0xD800 && code < 0xDC00 && text[5] == '\\' && text[6] == 'u') {
        const int low = json_hex4(text + 7);
        if (low < 0xDC00 || low > 0xDFFF) return false;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        *at += 6;
    }
    if (code >= 0xD800 && code < 0xE000) return false;
    *to = json_utf8(*to, (unsigned)code);
    return true;
}

/* The string at the opening quote, decoded; NULL with a fault. */
static inline char *json_string(JsonReader *r) {
    const char *end = r->at + 1;
    while (*end != '"' && (unsigned char)*end >= 0x20) end += *end == '\\' && end[1] != '\0' ? 2 : 1;
    if (*end != '"') return r->fault = "a string is not closed", NULL;
    char *out = malloc((size_t)(end - r->at)), *to = out;
    if (out == NULL) return r->fault = "out of memory", NULL;
    for (r->at++; r->at < end && r->fault == NULL;) {
        const int count = json_sequence(r->at);
        if (count < 0) {
            r->fault = "a string is no UTF-8";
        } else if (*r->at == '\\') {
            if (!json_escape(&r->at, &to)) r->fault = "a string has an escape that is none";
        } else {
            to = (char *)memcpy(to, r->at, (size_t)count) + count;
            r->at += count;
        }
    }
    if (r->fault != NULL) return free(out), NULL;
    *to = '\0';
    r->at = end + 1;
    return out;
}

static inline Json *json_value(JsonReader *r);

/* The name of an object's next member, with its colon; NULL with a fault. */
static inline char *json_name(JsonReader *r, const Json *object) {
    if (object->count == JSON_NAMES) return r->fault = "an object has too many names", NULL;
    if (*r->at != '"') return r->fault = "a name is missing", NULL;
    char *name = json_string(r);
    if (name == NULL) return NULL;
    json_space(r);
    if (*r->at == ':') r->at++;
    else r->fault = "a colon is missing";
    for (Json *other = object->first; other != NULL; other = other->next)
        if (strcmp(other->key, name) == 0) r->fault = "a name stands twice";
    if (r->fault != NULL) return free(name), NULL;
    return name;
}

static inline void json_members(JsonReader *r, Json *node, char close) {
    Json **tail = &node->first;
    r->at++;
    json_space(r);
    while (*r->at != close) {
        char *key = NULL;
        if (node->count > 0) {
            if (*r->at != ',') { r->fault = "a comma or the end is missing"; return; }
            r->at++;
            json_space(r);
        }
        if (node->type == JSON_OBJECT && (key = json_name(r, node)) == NULL) return;
        Json *value = json_value(r);
        if (value == NULL) { free(key); return; }
        value->key = key;
        *tail = value;
        tail = &value->next;
        node->count++;
        json_space(r);
    }
    r->at++;
}

static inline void json_number(JsonReader *r, Json *node) {
    const char *start = r->at, *digits = start + (*start == '-');
    const size_t whole = strspn(digits, "0123456789");
    const char *end = digits + whole;
    bool good = whole > 0 && (whole == 1 || *digits != '0'), integral = true;
    if (*end == '.') {
        const size_t part = strspn(end + 1, "0123456789");
        good = good && part > 0;
        integral = false;
        end += 1 + part;
    }
    if (good && (*end == 'e' || *end == 'E')) {
        end += end[1] == '+' || end[1] == '-' ? 2 : 1;
        const size_t part = strspn(end, "0123456789");
        good = part > 0;
        integral = false;
        end += part;
    }
    if (!good) { r->fault = "this is no value"; return; }
    node->real = strtod(start, NULL);
    errno = 0;
    node->integer = integral ? strtoll(start, NULL, 10) : 0;
    node->type = integral && errno == 0 ? JSON_INT : JSON_REAL;
    if (node->type == JSON_REAL) node->integer = 0;
    if (!isfinite(node->real)) r->fault = "a number is too large";
    r->at = end;
}

static inline Json *json_value(JsonReader *r) {
    json_space(r);
    Json *node = calloc(1, sizeof *node);
    if (node == NULL) return r->fault = "out of memory", NULL;
    if (*r->at == '{' || *r->at == '[') {
        node->type = *r->at == '{' ? JSON_OBJECT : JSON_ARRAY;
        if (++r->depth > 64) r->fault = "nested too deeply";
        else json_members(r, node, *r->at == '{' ? '}' : ']');
        r->depth--;
    } else if (*r->at == '"') {
        node->type = JSON_STRING;
        node->string = json_string(r);
    } else if (strncmp(r->at, "true", 4) == 0 || strncmp(r->at, "false", 5) == 0) {
        node->type = JSON_BOOL;
        node->integer = *r->at == 't';
        r->at += *r->at == 't' ? 4 : 5;
    } else if (strncmp(r->at, "null", 4) == 0) {
        r->at += 4;
    } else {
        json_number(r, node);
    }
    if (r->fault != NULL) {
        json_free(node);
        return NULL;
    }
    return node;
}

/* The value of a text of `length` bytes that a NUL follows; NULL with the fault and its offset. */
static inline Json *json_parse(const char *text, size_t length, const char **fault, size_t *offset) {
    JsonReader reader = {.text = text, .at = text};
    Json *node = json_value(&reader);
    if (node != NULL) {
        json_space(&reader);
        if (reader.at != text + length) {
            json_free(node);
            node = NULL;
            reader.fault = "something follows the value";
        }
    }
    *fault = reader.fault;
    *offset = (size_t)(reader.at - text);
    return node;
}

/* The value of a file of at most `limit` bytes; NULL with a sentence in `why`. */
static inline Json *json_read(const char *path, size_t limit, char *why, size_t room) {
    FILE *file = fopen(path, "rbe");
    char *text = file != NULL ? malloc(limit + 1) : NULL;
    if (text == NULL) {
        snprintf(why, room, "%s cannot be read: %s", path, strerror(errno));
        if (file != NULL) fclose(file);
        return NULL;
    }
    const size_t length = fread(text, 1, limit, file);
    const bool whole = !ferror(file) && length < limit;
    fclose(file);
    text[length] = '\0';
    const char *fault = "cannot be read, or is too large";
    size_t offset = length;
    Json *node = whole ? json_parse(text, length, &fault, &offset) : NULL;
    if (node == NULL) snprintf(why, room, "%s is no JSON that can be used: %s at byte %zu", path, fault, offset);
    free(text);
    return node;
}

/* A member of an object; NULL where there is none or it is null. */
static inline const Json *json_get(const Json *object, const char *key) {
    if (object == NULL || object->type != JSON_OBJECT) return NULL;
    for (const Json *child = object->first; child != NULL; child = child->next)
        if (strcmp(child->key, key) == 0) return child->type == JSON_NULL ? NULL : child;
    return NULL;
}

/* A member that an object may have. `type`: i whole number, d number, b bool, s string, o object, a list, x anything;
 * with a `!` it must be there, with a `?` it may be null. `to`: an int64_t, double, bool, const char * or const Json *,
 * which null leaves as it is. `least` and `most` bound a number where they differ. */
typedef struct {
    const char *key, *type;
    void *to;
    int64_t least, most;
} JsonField;

/* NULL, or what the value must be. */
static inline const char *json_store(const JsonField *field, const Json *value) {
    static char range[96];
    const bool number = value->type == JSON_INT || value->type == JSON_REAL;
    const bool inside = value->real >= (double)field->least && value->real <= (double)field->most;
    if (number && field->least < field->most && !inside) {
        snprintf(range, sizeof range, "must be from %" PRId64 " to %" PRId64, field->least, field->most);
        return range;
    }
    switch (*field->type) {
    case 'i':
        if (value->type != JSON_INT) return "must be a whole number";
        *(int64_t *)field->to = value->integer;
        break;
    case 'd':
        if (!number) return "must be a number";
        *(double *)field->to = value->real;
        break;
    case 'b':
        if (value->type != JSON_BOOL) return "must be true or false";
        *(bool *)field->to = value->integer != 0;
        break;
    case 's':
        if (value->type != JSON_STRING) return "must be a string";
        *(const char **)field->to = value->string;
        break;
    default:
        if (*field->type == 'o' && value->type != JSON_OBJECT) return "must be an object";
        if (*field->type == 'a' && value->type != JSON_ARRAY) return "must be a list";
        *(const Json **)field->to = value;
    }
    return NULL;
}

/* Take the members of an object, and no others; NULL, or what is wrong with the one that `key` then names. The fields
 * end with one that has no key. */
static inline const char *json_take(const Json *object, const JsonField *fields, const char **key) {
    *key = "";
    if (object->type != JSON_OBJECT) return "must be an object";
    for (const Json *value = object->first; value != NULL; value = value->next) {
        const JsonField *field = fields;
        while (field->key != NULL && strcmp(field->key, value->key) != 0) field++;
        *key = value->key;
        if (field->key == NULL) return "unknown field";
        if (value->type == JSON_NULL && field->type[1] == '?') continue;
        const char *fault = value->type == JSON_NULL ? "must not be null" : json_store(field, value);
        if (fault != NULL) return fault;
    }
    for (; fields->key != NULL; fields++) {
        *key = fields->key;
        if (fields->type[1] == '!' && json_get(object, fields->key) == NULL) return "is missing";
    }
    return NULL;
}

/* ---- writing: text that is cut off would be worse than none, so a buffer that is full stays `full`. */

typedef struct {
    char *text;
    size_t length, room;
    bool full;
} JsonOut;

static inline void json_put(JsonOut *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void json_put(JsonOut *out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const size_t left = out->room - out->length;
    const int count = out->full ? -1 : vsnprintf(out->text + out->length, left, format, arguments);
    va_end(arguments);
    if (count < 0 || (size_t)count >= left) out->full = true;
    else out->length += (size_t)count;
}

/* A string as JSON; bytes that are no UTF-8 become U+FFFD. NULL is null. */
static inline void json_put_string(JsonOut *out, const char *string) {
    if (string == NULL) {
        json_put(out, "null");
        return;
    }
    json_put(out, "\"");
    for (const char *s = string; *s != '\0';) {
        const int count = json_sequence(s);
        const bool nul = strncmp(s, "\xC0\x80", 2) == 0; /* a NUL inside a string is written so */
        if (nul || count < 0) json_put(out, nul ? "\\u0000" : "\\ufffd");
        else if (*s == '"' || *s == '\\') json_put(out, "\\%c", *s);
        else if (*(const unsigned char *)s < 0x20) json_put(out, "\\u%04x", *s);
        else json_put(out, "%.*s", count, s);
        s += nul ? 2 : abs(count);
    }
    json_put(out, "\"");
}

static inline void json_put_member(JsonOut *out, const char *key, const char *string) {
    json_put(out, ",\"%s\":", key);
    json_put_string(out, string);
}

#endif
